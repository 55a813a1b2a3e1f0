"""Pictures without a plotting library: sheets of images, a quick PNG for sliders, and the object that a notebook shows.

A `Picture` shows itself in three forms. ``text/html`` is what a notebook's page shows: one ``<img>`` with the bytes and the
alternative text inside. ``image/png`` is for LaTeX, PDF and whatever else knows no HTML: it cannot carry the text, for JupyterLab
(to 4.6) and nbconvert's lab template draw such an output without ``alt``, whatever its metadata say. ``text/plain`` is the text
alone. An ``<img>`` with a data URI passes JupyterLab's sanitiser (in an untrusted notebook too), nbconvert, and the viewers of
code hosts.
"""

import base64
import html
import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from course_lib.arguments import can_look_at, check_finite, check_integer, check_number, check_tensor
from course_lib.images import to_uint8

PAGE = 760  # CSS pixels: the width of a notebook's page on a laptop
LIGHT = 20_000  # bytes; a smaller PNG is stored twice as it is
PRINTED_COLOURS = 63
MAX_SCALE, MAX_GAP = 512, 1000  # pixels; more is a slip of the pen, and would ask for all memory
HEAVY = 60_000  # bytes; a PNG larger than this holds photographs, which look the same in a third of the bytes


class Picture:
    """A finished picture with its alternative text; the last line of a cell shows it.

    data: the bytes of a PNG or JPEG. alt: one sentence, what a reader who cannot see it should know. width: CSS pixels at which
    it is shown, None for its own. Raises ValueError for data of another kind, and where alt describes nothing.
    """

    def __init__(self, data: bytes, alt: str, width: int | None = None) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"data is a {type(data).__name__}, but a picture takes the bytes of a PNG or a JPEG.")
        kind = {b"\x89PNG": "png", b"\xff\xd8\xff\xe0": "jpeg"}.get(data[:4])
        if kind is None:
            raise ValueError(f"A picture takes the bytes of a PNG or a JPEG, but these begin with {data[:4]!r}.")
        if width is not None:
            width = check_integer("width", width, 1, 100_000)
        self.data, self.kind, self.alt, self.width = data, kind, checked_alt(alt), width

    def pixels(self) -> np.ndarray:
        """The decoded picture, uint8 [H, W, 3]."""
        return np.asarray(Image.open(io.BytesIO(self.data)).convert("RGB"))

    @property
    def png(self) -> bytes:
        return self.data if self.kind == "png" else encode(self.pixels())

    def for_print(self) -> bytes:
        """PNG bytes for an export: of a heavy picture in fewer colours, since a notebook holds them in addition to the others."""
        if self.kind == "png" and len(self.data) <= LIGHT:
            return self.data
        few = io.BytesIO()
        _few_colours(Image.fromarray(self.pixels()), PRINTED_COLOURS).save(few, "PNG", optimize=True)
        return min(self.png, few.getvalue(), key=len)

    def html(self) -> str:
        """One self-contained ``<img>``."""
        width = f' width="{self.width}"' if self.width else ""
        text = html.escape(self.alt, quote=True)
        return f'<img alt="{text}"{width} src="{self.data_uri()}">'

    def data_uri(self) -> str:
        """The picture as an address: as it is, or as lossless WebP, which every browser knows, where that is smaller."""
        small = webp(self.pixels()) if self.kind == "png" else self.data
        kind, data = ("webp", small) if len(small) < len(self.data) else (self.kind, self.data)
        return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        png = base64.b64encode(self.for_print()).decode()
        return {"text/html": self.html(), "image/png": png, "text/plain": f"[picture: {self.alt}]"}

    def __repr__(self) -> str:
        return f"[picture: {self.alt}]"


def checked_alt(alt: str) -> str:
    """Return the alternative text with its white space normalised. Raises ValueError where it is empty."""
    words = " ".join(str(alt).split())
    if not words:
        raise ValueError("A picture needs alt=..., one sentence that says what it shows.")
    return words


def to_pixels(images: Tensor | np.ndarray) -> np.ndarray:
    """Images as uint8 [N, H, W, C] on the CPU.

    images: floats in [-1, 1] (the rest is clipped) or uint8, [N, 1 or 3, H, W] or one image [1 or 3, H, W]; on any device.
    Raises ValueError for another shape or type, and for values that are not numbers.
    """
    if not isinstance(images, Tensor | np.ndarray):
        raise TypeError(f"images is a {type(images).__name__}, but must be a tensor [N, 1 or 3, H, W]: torch.cat joins several.")
    given = x = torch.as_tensor(images).detach()
    if x.ndim == 3:
        x = x[None]
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.numel():
        raise ValueError(
            f"The images are {tuple(given.shape)}, but a sheet takes [N, 1 or 3, H, W] with N at least 1. "
            "To look at latents, show each channel as a grey image: z.flatten(0, 1)[:, None]."
        )
    if x.dtype != torch.uint8:
        if not x.is_floating_point():
            raise ValueError(f"The images are {x.dtype}, but a sheet takes floats in [-1, 1] or uint8.")
        x = x.float()
        if not can_look_at(x) and x.isnan().any():  # on the CPU to_uint8 looks
            raise ValueError("The images hold NaN: check the computation that made them.")
        x = to_uint8(x)
    return x.cpu().permute(0, 2, 3, 1).numpy()


def signed(values: Tensor, limit: float | None = None) -> Tensor:
    """Show differences [N, 1, H, W] as colours, uint8 [N, 3, H, W]: orange above 0, white at 0, blue below.

    limit: the absolute value with the full colour (default: the largest one); larger values are clipped.
    """
    check_tensor("values", values, "[N, 1, H, W]")
    check_finite("values", values)
    limit = None if limit is None else check_number("limit", limit, above=0)
    fraction = (values.detach().cpu().float() / (limit or max(values.abs().max().item(), 1e-12))).clamp(-1, 1)
    orange, blue = (torch.tensor(colour).view(1, 3, 1, 1) for colour in ((213.0, 94.0, 0.0), (0.0, 114.0, 178.0)))
    full = torch.where(fraction > 0, orange, blue)
    return (255 + fraction.abs() * (full - 255)).round().to(torch.uint8)


def _check_pixels(name: str, pixels: Any, *axes: int) -> None:
    """Check an array of pixels: uint8, not empty, with as many axes as one of these (one alone: at least as many)."""
    if not isinstance(pixels, np.ndarray):
        raise TypeError(f"{name} is a {type(pixels).__name__}, but must be an array of pixels: viz.tile makes one of images.")
    fits = pixels.ndim >= axes[0] if len(axes) == 1 else pixels.ndim in axes
    if pixels.dtype != np.uint8 or not fits or not pixels.size:
        shapes = {(3,): "[..., H, W, C]", (4, 4): "[N, H, W, C]", (2, 3): "[H, W] or [H, W, 3]"}[axes]
        raise ValueError(f"{name} is {pixels.dtype} {pixels.shape}, but must be uint8 {shapes}.")
    if axes == (2, 3) and pixels.ndim == 3 and pixels.shape[2] != 3:
        raise ValueError(f"{name} has shape {pixels.shape}, but must be [H, W] or [H, W, 3].")


def enlarge(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge pixels [..., H, W, C] to squares of scale x scale, without smoothing."""
    _check_pixels("pixels", pixels, 3)
    scale = check_integer("scale", scale, 1, MAX_SCALE)
    return pixels.repeat(scale, axis=-3).repeat(scale, axis=-2) if scale > 1 else pixels


def shrink(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Average pixels [N, H, W, C] over squares of factor x factor; incomplete squares at the edges are cut off."""
    _check_pixels("pixels", pixels, 4, 4)
    factor = check_integer("factor", factor, 1, min(pixels.shape[1:3]))
    if factor == 1:
        return pixels
    n, height, width, channels = pixels.shape
    h, w = height // factor, width // factor
    squares = pixels[:, : h * factor, : w * factor].reshape(n, h, factor, w, factor, channels)
    return squares.mean((2, 4)).round().astype(np.uint8)


def tile(images: Tensor | np.ndarray, columns: int | None = None, scale: int | None = None, gap: int = 2) -> np.ndarray:
    """Images [N, 1 or 3, H, W] (floats in [-1, 1] or uint8) side by side, row by row, on white: uint8 [h, w] or [h, w, 3].

    columns: images in a row, all of them by default. scale: screen pixels for a pixel, an integer; by default a row is about
    760 wide. gap: white pixels between two images. Pixels stay squares. Raises ValueError for another shape.
    """
    pixels = to_pixels(images)
    n, _, width, channels = pixels.shape
    columns = n if columns is None else min(check_integer("columns", columns, at_least=1), n)
    gap = check_integer("gap", gap, 0, MAX_GAP)
    pixels = enlarge(pixels, max(1, PAGE // (columns * width)) if scale is None else scale)
    h, w = pixels.shape[1] + gap, pixels.shape[2] + gap
    sheet = np.full((-(-n // columns) * h - gap, columns * w - gap, channels), 255, np.uint8)
    for i, picture in enumerate(pixels):
        y, x = i // columns * h, i % columns * w
        sheet[y : y + h - gap, x : x + w - gap] = picture
    return sheet[:, :, 0] if channels == 1 else sheet


def side_by_side(*sheets: np.ndarray, gap: int = 12) -> np.ndarray:
    """Place sheets of pixels, uint8 [h, w] or [h, w, 3], next to each other on white, centred vertically: uint8 [H, W, 3]."""
    if not sheets:
        raise ValueError("side_by_side was given no sheet, but needs one or more.")
    for i, sheet in enumerate(sheets):
        _check_pixels(f"sheet {i}", sheet, 2, 3)
    gap = check_integer("gap", gap, 0, MAX_GAP)
    coloured = [sheet if sheet.ndim == 3 else sheet[..., None].repeat(3, axis=-1) for sheet in sheets]
    height, width = max(len(sheet) for sheet in coloured), sum(sheet.shape[1] + gap for sheet in coloured) - gap
    page, left = np.full((height, width, 3), 255, np.uint8), 0
    for sheet in coloured:
        top = (height - len(sheet)) // 2
        page[top : top + len(sheet), left : left + sheet.shape[1]] = sheet
        left += sheet.shape[1] + gap
    return page


def encode(pixels: np.ndarray, level: int = 1) -> bytes:
    """uint8 [H, W] or [H, W, 3] to PNG bytes; lightly compressed (level 1 of zlib's 9), because a slider must answer at once."""
    _check_pixels("pixels", pixels, 2, 3)
    level = check_integer("level", level, 0, 9)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def webp(pixels: np.ndarray, quality: int | None = None) -> bytes:
    """uint8 [H, W] or [H, W, 3] to WebP bytes, without losses, or with those of a quality from 0 to 100."""
    _check_pixels("pixels", pixels, 2, 3)
    how = {"lossless": True} if quality is None else {"quality": check_integer("quality", quality, 0, 100)}
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "WEBP", method=4, **how)
    return buffer.getvalue()


def compress(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, 3] for a stored notebook: grey where it is grey; in 256 colours or as a JPEG where that would be heavy."""
    _check_pixels("pixels", pixels, 2, 3)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    data = encode(pixels, level=9)
    if len(data) <= HEAVY or pixels.ndim == 2:
        return data
    picture, few, jpeg = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO(), io.BytesIO()
    _few_colours(picture).save(few, "PNG", optimize=True)
    picture.save(jpeg, "JPEG", quality=90, subsampling=0)
    return min(data, few.getvalue(), jpeg.getvalue(), key=len)


def _few_colours(picture: Image.Image, colours: int = 255) -> Image.Image:
    """The picture in white, which stays white, and the colours that fit it best."""
    pixels = np.asarray(picture).astype(int)
    sample = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.NEAREST)  # the same colours, sooner

    def largest_error(palette: Image.Image) -> int:
        """A palette that fits most pixels may still turn the few dots of one class into the colour of another."""
        shown = picture.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
        return int(np.abs(np.asarray(shown).astype(int) - pixels).max())

    methods = Image.Quantize.MEDIANCUT, Image.Quantize.MAXCOVERAGE
    palette = min((sample.quantize(colours, method, kmeans=3) for method in methods), key=largest_error)
    index = np.asarray(picture.quantize(palette=palette, dither=Image.Dither.NONE)).copy()
    index[(np.asarray(picture) == 255).all(-1)] = colours
    table = palette.getpalette()
    assert table is not None  # quantize() makes one
    table = table[: 3 * colours]
    found = Image.fromarray(index, "P")
    found.putpalette(table + [0] * (3 * colours - len(table)) + [255] * 3)
    return found
