"""Sheets of images with titles and row labels."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.arguments import check_dictionary, check_integer
from course_lib.notebook.pictures import MAX_SCALE, PAGE, Picture, checked_alt, compress, enlarge, shrink, to_pixels
from course_lib.notebook.style import DPI, STYLE


def grid(
    images: Tensor,
    columns: int | None = None,
    *,
    alt: str,
    scale: int | None = None,
    titles: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    title: str = "",
) -> Picture:
    """Show a sheet of images [N, 1 or 3, H, W], floats in [-1, 1] or uint8, every pixel a square.

    columns: images in a row; by default all up to 12, else 10. scale: CSS pixels for a pixel, an integer; by default as large as
    fits the page (no image over 256), and images too large for the page are averaged down. titles: one above each column, or
    one above each image. row_labels: one before each row. title: above the sheet. Raises ValueError where their numbers differ.
    """
    pixels = to_pixels(images)
    n, height, width, _ = pixels.shape
    columns = min((n if n <= 12 else 10) if columns is None else check_integer("columns", columns, at_least=1), n)
    scale = None if scale is None else check_integer("scale", scale, 1, MAX_SCALE)
    for name, texts in {"titles": titles, "row_labels": row_labels}.items():
        if texts is not None and (isinstance(texts, str) or not isinstance(texts, Sequence)):
            raise TypeError(f"{name} is a {type(texts).__name__}, but must be a list of texts.")
    if titles and len(titles) not in (columns, n):
        raise ValueError(f"There are {len(titles)} titles, but {columns} columns and {n} images: give one for each of either.")
    if row_labels and len(row_labels) != -(-n // columns):
        raise ValueError(f"There are {len(row_labels)} row labels, but {-(-n // columns)} rows.")
    across = (PAGE - _label_width([_wrap(str(t), 104) for t in row_labels or ()])) // columns - 3
    if scale is None and across < width:
        pixels = shrink(pixels, -(-width // max(across, 1)))
        height, width = pixels.shape[1:3]
    fine = 2 if max(height, width) < 256 else 1  # picture pixels for a CSS pixel: a photograph needs no more of them
    zoom = fine * scale if scale else max(1, min(fine * across // width, fine * 256 // max(height, width)))
    return _sheet(pixels, columns, zoom, fine, titles, row_labels, title, alt)


def rows(groups: Mapping[str, Tensor], *, alt: str, scale: int | None = None, titles: Sequence[str] | None = None) -> Picture:
    """Show rows of images, each with its name on the left: {"original": [N, C, H, W], "decoded": [N, C, H, W], …}.

    All images have one size; grey and RGB may be mixed, and a shorter row is filled up with white.
    """
    check_dictionary("groups", groups)
    sets = [torch.from_numpy(to_pixels(x)).permute(0, 3, 1, 2).expand(-1, 3, -1, -1) for x in groups.values()]
    if len({x.shape[2:] for x in sets}) != 1:
        sizes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in groups.items())
        raise ValueError(
            f"The rows hold images of different size ({sizes}): bring them to the same, for example by F.interpolate."
        )
    columns = max(len(x) for x in sets)
    filled = [torch.cat([x, x.new_full((columns - len(x), *x.shape[1:]), 255)]) for x in sets]
    return grid(torch.cat(filled), columns, alt=alt, scale=scale, titles=titles, row_labels=list(groups))


def _wrap(text: str, width: float) -> str:
    """Break the text into lines of about `width` CSS pixels, at 9 points."""
    most = max(4, int(width / 6.5))
    words = (" ".join(w if len(w) <= most else w.replace("/", "/ ") for w in part.split(" ")) for part in text.splitlines())
    return "\n".join(line for part in words for line in textwrap.wrap(part, most))


def _label_width(labels: Sequence[str]) -> int:
    """The space before the rows that these (wrapped) labels need, in CSS pixels."""
    return 8 * max((len(part) for t in labels for part in t.splitlines()), default=0) + 6 * bool(labels)


def _sheet(
    pixels: np.ndarray,
    columns: int,
    zoom: int,
    fine: int,
    titles: Sequence[str] | None,
    row_labels: Sequence[str] | None,
    title: str,
    alt: str,
) -> Picture:
    """Place every image on white, on the pixel grid, and write the names next to them. All lengths are in picture pixels."""
    checked_alt(alt)
    n, h, w, gap, line = len(pixels), pixels.shape[1] * zoom, pixels.shape[2] * zoom, 3 * fine, 15 * fine
    names = [_wrap(str(t), w / fine) for t in titles or ()]
    labels = [_wrap(str(t), 104) for t in row_labels or ()]
    each = len(names) > columns  # a title over every image, not over every column
    band = line * max((t.count("\n") + 1 for t in names), default=0) + 4 * fine * bool(names)
    top = (line + 8 * fine) * bool(title) + band * (not each)
    left = fine * _label_width(labels)
    down = h + gap + band * each
    height = top + -(-n // columns) * down - gap
    width = left + max(columns * (w + gap) - gap, 7 * fine * len(title))
    paper = np.full((height, width, 3), 255, np.uint8)
    with rc_context(STYLE):
        dpi = DPI * fine
        figure = Figure(figsize=((width + 1e-3) / dpi, (height + 1e-3) / dpi), dpi=dpi)
        if title:
            figure.text(left / width, 1 - 2 * fine / height, title, va="top", fontsize=10)
        for i, picture in enumerate(enlarge(pixels, zoom)):
            y, x = top + i // columns * down + band * each, left + i % columns * (w + gap)
            paper[y : y + h, x : x + w] = picture
            if names and (each or i < columns):
                figure.text((x + w / 2) / width, 1 - (y - gap) / height, names[i], ha="center", va="bottom", fontsize=9)
            if labels and i % columns == 0:
                at = ((x - 2 * gap) / width, 1 - (y + h / 2) / height)
                figure.text(*at, labels[i // columns], ha="right", va="center", fontsize=9)
        figure.figimage(paper, origin="upper")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return Picture(compress(np.asarray(canvas.buffer_rgba())[..., :3]), alt, width // fine)
