"""Sliders and pads that need no kernel: every picture is drawn beforehand and stored as one sheet of frames.

The front end, ``explorer.js``, is plain JavaScript with anywidget's contract (``render({ model, el })``); it is stored with the
output, so that it runs in JupyterLab, Colab and VS Code, and on a page without a kernel. Where no script may run (code hosts,
print, a notebook that is not trusted yet) a still picture is shown instead.
"""

import base64
import functools
import hashlib
import html
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.arguments import check_integer, check_numbers, check_tensor
from course_lib.notebook import maps, sheets
from course_lib.notebook.pictures import MAX_SCALE, PAGE, Picture, checked_alt, compress, side_by_side, tile, to_pixels, webp
from course_lib.notebook.positions import checked_positions, label, picture_and_caption

Shown = Tensor | Picture
MAX_FRAMES = 1000
LOSSLESS = 120_000  # bytes; a larger sheet is stored with losses that the eye does not see
SIDE = 380  # CSS pixels of a pad's map
SCRIPT = Path(__file__).with_name("explorer.js")
STILLS = (6, 4)  # positions of the first and of a second slider in the still picture


class Explorer:
    """A picture that follows sliders or a pad, drawn beforehand; see `sliders` and `pad`.

    frames: uint8 [N, h, w, 1 or 3]. captions: one for each frame. axes: name → labels of its positions, the last one fastest.
    """

    def __init__(
        self,
        frames: np.ndarray,
        captions: Sequence[str],
        axes: dict[str, list[str]],
        alt: str,
        still: Picture,
        *,
        scale: int = 1,
        width: int | None = None,
        start: Sequence[int] = (),
        background: Picture | None = None,
        still_caption: str = "",
    ) -> None:
        self.still_caption = still_caption
        self.captions, self.axes, self.alt, self.still = list(captions), axes, alt, still
        columns = max(1, min(len(frames), 8000 // frames.shape[2]))
        self._state: dict[str, Any] = {
            "alt": alt,
            "frames": _data_uri(_sheet(frames, columns)),
            "columns": columns,
            "height": frames.shape[1],
            "width": frames.shape[2],
            "scale": scale,
            "shown": width or scale * frames.shape[2],
            "captions": self.captions,
            "axes": [
                {"name": name.replace("_", " "), "values": values, "start": first}
                for (name, values), first in zip(axes.items(), start or [0] * len(axes), strict=True)
            ],
        }
        if background is not None:
            self._state |= {"map": background.data_uri(), "side": SIDE}

    def caption(self, **position: int) -> str:
        """The caption at a position: the number of each axis's value, from 0 (0 by default)."""
        index = 0
        for name, values in self.axes.items():
            index = index * len(values) + check_integer(name, position.get(name, 0), 0, len(values) - 1)
        return self.captions[index]

    def html(self) -> str:
        """The still picture, and the script that replaces it by the live one."""
        state = json.dumps(self._state).replace("<", "\\u003c")
        name = hashlib.sha256(state.encode()).hexdigest()[:12]
        caption = f"<p>{html.escape(self.still_caption)}</p>" if self.still_caption else ""
        return (
            f'<div data-course-explorer="{name}">{self.still.html()}{caption}</div>\n<script>\n(() => {{\n{_front_end()}\n'
            f"const state = {state};\n"
            f"for (const el of document.querySelectorAll('[data-course-explorer=\"{name}\"]:not([data-live])')) {{\n"
            "  el.dataset.live = true;\n  el.replaceChildren();\n  render({ model: { get: (key) => state[key] }, el });\n}\n"
            "})();\n</script>"
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {**self.still._repr_mimebundle_(), "text/html": self.html(), "text/plain": f"[explorer: {self.alt}]"}


def sliders(
    draw: Callable[..., Shown | tuple[Shown, str]],
    *,
    alt: str,
    columns: int | None = None,
    scale: int | None = None,
    **positions: Sequence,
) -> Explorer:
    """Show a picture that follows one or two sliders: ``sliders(draw, alt="…", noise_level=[0.0, 0.1, 0.2])``.

    draw: called once for every position, with one value for each slider by name → images [N, 1 or 3, H, W] in [-1, 1], or a
    `Picture`, all of one size; or a pair of one of these and a caption. columns, scale: as in `viz.tile`. Raises ValueError for a
    slider without positions or with two that read the same, for more than 1,000 positions, and for pictures of several sizes.
    """
    alt = checked_alt(alt)
    if not callable(draw):
        raise TypeError(f"draw is a {type(draw).__name__}, but must be a function of the sliders' values.")
    checked = checked_positions(positions)
    axes = {name: [label(value) for value in values] for name, values in checked.items()}
    if not 1 <= len(axes) <= 2:
        raise ValueError(f"There are {len(axes)} sliders, but it takes one or two: name=[values, …].")
    places = list(itertools.product(*checked.values()))
    if len(places) > MAX_FRAMES:
        raise ValueError(f"The sliders have {len(places)} positions in all, but at most {MAX_FRAMES} are drawn beforehand.")
    drawn = [picture_and_caption(draw(**dict(zip(checked, place, strict=True)))) for place in places]
    captions = [caption for _, caption in drawn]
    first = drawn[0][0]
    if isinstance(first, Picture):
        frames = _stack([shown.pixels() for shown, _ in drawn if isinstance(shown, Picture)], len(drawn))
        middle = len(frames) // 2
        still = Picture(compress(frames[middle]), alt, first.width)
        return Explorer(frames, captions, axes, alt, still, width=first.width, still_caption=captions[middle])
    frames = _stack([_three_axes(tile(shown, columns, 1)) for shown, _ in drawn if isinstance(shown, Tensor)], len(drawn))
    scale = max(1, min(8, 500 // frames.shape[2])) if scale is None else check_integer("scale", scale, 1, MAX_SCALE)
    return Explorer(frames, captions, axes, alt, _still(frames, axes, captions, alt), scale=scale)


def pad(
    decode: Callable[[Tensor], Tensor],
    *,
    x: Sequence[float],
    y: Sequence[float],
    points: Tensor,
    labels: Tensor,
    names: Sequence[str],
    alt: str,
    scale: int = 8,
) -> Explorer:
    """Show a map of a plane, and the image that a decoder makes of the place under the pointer.

    decode: float32 [N, 2] → images [N, 1 or 3, H, W] in [-1, 1]; called once, for the grid of all x and y. x, y: increasing
    coordinates of the grid. points: [M, 2], drawn as dots in the colour of their labels [M]; names: of the labels. scale: screen
    pixels for a pixel of an image. Raises ValueError for an axis with fewer than 2 coordinates, and for more than 1,000 points.
    """
    alt = checked_alt(alt)
    check_tensor("points", points, "[M, 2]", "float")
    scale = check_integer("scale", scale, 1, MAX_SCALE)
    axes = {"x": _coordinates("x", x), "y": _coordinates("y", y)}
    if len(axes["x"]) * len(axes["y"]) > MAX_FRAMES:
        raise ValueError(
            f"The grid is {len(axes['x'])} × {len(axes['y'])}, but at most {MAX_FRAMES} images are drawn beforehand."
        )
    grid = torch.cartesian_prod(torch.tensor(axes["x"]), torch.tensor(axes["y"]))
    frames = to_pixels(decode(grid))
    if len(frames) != len(grid):
        raise ValueError(f"decode returned {len(frames)} images of {len(grid)} points, but must return one for each.")
    background = maps.plane(points, labels, names, (axes["x"][0], axes["x"][-1]), (axes["y"][0], axes["y"][-1]), SIDE)
    captions = [f"({a:.2f}, {b:.2f})" for a, b in grid.tolist()]
    start = [len(values) // 2 for values in axes.values()]
    columns, lines = (_spread(len(values), 7) for values in axes.values())
    chosen = np.stack([frames[i * len(axes["y"]) + j] for j in reversed(lines) for i in columns])
    decoded = tile(torch.from_numpy(chosen).permute(0, 3, 1, 2), len(columns), 2)
    still = Picture(compress(side_by_side(background.pixels(), decoded)), alt, PAGE)
    shown = {name: [f"{value:.2f}" for value in values] for name, values in axes.items()}
    return Explorer(frames, captions, shown, alt, still, scale=scale, start=start, background=background)


def _coordinates(name: str, values: Sequence[float]) -> list[float]:
    numbers = check_numbers(name, values)
    if len(numbers) < 2 or any(after <= before for before, after in itertools.pairwise(numbers)):
        raise ValueError(f"{name} is {values!r:.80}, but must be a list of two or more increasing coordinates.")
    return numbers


def _three_axes(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _stack(pixels: list[np.ndarray], expected: int) -> np.ndarray:
    if len({x.shape for x in pixels}) > 1 or len(pixels) < expected:
        raise ValueError("draw returned pictures of several kinds or sizes, but all positions must have one size.")
    return np.stack(pixels)


def _spread(n: int, most: int) -> list[int]:
    """At most this many of n positions, evenly spread, both ends included."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, most))})


def _still(frames: np.ndarray, axes: dict[str, list[str]], captions: list[str], alt: str) -> Picture:
    """Some positions of one slider in a row, or of two in a table."""
    sizes = [len(labels) for labels in axes.values()]
    shape = frames.reshape(*sizes, *frames.shape[1:])
    wide = frames.shape[2] > 120  # a frame of several images: one below the other
    picked = [_spread(size, 3 if wide else most) for size, most in zip(sizes, STILLS, strict=False)]
    labels = [[texts[i] for i in chosen] for texts, chosen in zip(axes.values(), picked, strict=True)]
    name, *second = (axis.replace("_", " ") for axis in axes)
    if len(sizes) == 1:
        images = torch.from_numpy(shape[picked[0]]).permute(0, 3, 1, 2)
        if wide:
            titles = [f"{name} {text}: {captions[i]}".removesuffix(": ") for text, i in zip(labels[0], picked[0], strict=True)]
            return sheets.grid(images, 1, alt=alt, titles=titles, scale=max(1, min(3, 500 // frames.shape[2])))
        return sheets.grid(images, len(images), alt=alt, titles=labels[0], title=name)
    table = {
        f"{name} {text}": torch.from_numpy(shape[i][picked[1]]).permute(0, 3, 1, 2)
        for text, i in zip(labels[0], picked[0], strict=True)
    }
    return sheets.rows(table, alt=alt, titles=[f"{second[0]} {text}" for text in labels[1]], scale=1)


def _sheet(frames: np.ndarray, columns: int) -> bytes:
    """All frames in rows of this many, as the bytes of one WebP file."""
    n, height, width, channels = frames.shape
    lines = -(-n // columns)
    page = np.zeros((lines, columns, height, width, channels), np.uint8)
    page.reshape(-1, height, width, channels)[:n] = frames
    pixels = page.transpose(0, 2, 1, 3, 4).reshape(lines * height, columns * width, channels)
    pixels = pixels[..., 0] if channels == 1 else pixels
    data = webp(pixels)
    return data if len(data) <= LOSSLESS else min(data, webp(pixels, quality=80), key=len)


def _data_uri(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


@functools.cache
def _front_end() -> str:
    """The script, without the export that only a module may have."""
    return SCRIPT.read_text(encoding="utf-8").replace("export default { render };\n", "")
