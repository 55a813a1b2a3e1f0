"""Figures of the workbook: the one module that draws. Every figure is a `Picture` with a text for those who cannot see it.

No pyplot and no rcParams: figures are made, rendered and dropped, so nothing leaks and nothing depends on a global state. Colours
are Okabe and Ito's, told apart by colour-blind readers too; lines also differ in dash and marker. The ground is white, in a dark
theme as well.
"""

import functools
import io
import logging
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib.notebook.pictures import (
    PAGE,
    Picture,
    beside,
    described,
    encode,
    enlarge,
    lighten,
    shrink,
    signed,
    tile,
    to_pixels,
)

__all__ = ["COLOURS", "DASHES", "MARKERS", "Map", "Panels", "Picture", "bars", "beside", "described", "draw_histogram"]
__all__ += ["draw_lines", "draw_points", "encode", "grid", "histogram", "lines", "losses", "rows", "scatter", "signed"]
__all__ += ["spectrum", "tile"]

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # "building the font cache" would be a red box in a notebook

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
DPI, FINE = 100, 1.5  # CSS pixels for an inch; picture pixels for a CSS pixel, so that letters stay sharp on a fine screen
_STYLE = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the same letters on every machine
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


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
    """A sheet of images [N, 1 or 3, H, W], floats in [-1, 1] or uint8, every pixel a square.

    columns: images in a row; by default all up to 12, else 10. scale: whole number of CSS pixels for a pixel; by default as large
    as fits the page (no image over 256), and images too large for the page are averaged down. titles: one above each column, or
    one above each image. row_labels: one before each row. title: over the whole. ValueError for what does not fit together.
    """
    pixels = to_pixels(images)
    n, height, width, _ = pixels.shape
    columns = min(columns or (n if n <= 12 else 10), n)
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
    """Rows of images, each with its name on the left: {"original": [N, C, H, W], "decoded": [N, C, H, W], …}.

    All images have one size; grey may stand beside RGB, and a shorter row is filled up with white.
    """
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
    """The text broken into lines of about `width` CSS pixels, at 9 points."""
    most = max(4, int(width / 6.5))
    words = (" ".join(w if len(w) <= most else w.replace("/", "/ ") for w in part.split(" ")) for part in text.splitlines())
    return "\n".join(line for part in words for line in textwrap.wrap(part, most))


def _label_width(labels: Sequence[str]) -> int:
    """CSS pixels to leave before the rows for these (wrapped) labels."""
    return 8 * max((len(part) for t in labels for part in t.splitlines()), default=0) + 6 * bool(labels)


def _sheet(pixels: np.ndarray, columns: int, zoom: int, fine: int, titles, row_labels, title: str, alt: str) -> Picture:
    """Place every image at whole pixels on white, then write the names beside them. All lengths are in picture pixels."""
    described(alt)
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
    with rc_context(_STYLE):
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
        return Picture(lighten(np.asarray(canvas.buffer_rgba())[..., :3]), alt, width // fine)


class Panels:
    """One row of plots: ``panels = Panels(2)``, draw on ``panels[0]`` (matplotlib axes), then ``panels.picture(alt)``.

    n: plots side by side. width, height: of each, in inches of 100 CSS pixels.
    """

    def __init__(self, n: int = 1, width: float = 4.6, height: float = 3.4) -> None:
        with rc_context(_STYLE):
            self.figure = Figure(figsize=(n * width + 0.4, height), dpi=DPI * FINE, layout="constrained")
            self.axes = self.figure.subplots(1, n, squeeze=False)[0]

    def __getitem__(self, i: int) -> Axes:
        return self.axes[i]

    def picture(self, alt: str) -> Picture:
        with rc_context(_STYLE):
            return Picture(_render(self.figure), alt, round(self.figure.get_figwidth() * DPI))


class Map:
    """A plot that is drawn once and on which a dot then moves, quickly enough for a slider.

    panels: one finished plot. pixels: the plot without the dot, uint8 [H, W, 3], at one pixel for a CSS pixel.
    """

    def __init__(self, panels: Panels) -> None:
        panels.figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(panels.figure)
        with rc_context(_STYLE):
            canvas.draw()
        self.pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        self._axes = panels[0]

    def at(self, x: float, y: float, radius: int = 8) -> np.ndarray:
        """The plot with a dot at these values of its axes: uint8 [H, W, 3]."""
        pixels = Image.fromarray(self.pixels)
        column, row = self._axes.transData.transform((x, y))
        row = self.pixels.shape[0] - row
        box = [column - radius, row - radius, column + radius, row + radius]
        ImageDraw.Draw(pixels).ellipse(box, fill=COLOURS[1], outline="black", width=2)
        return np.asarray(pixels)


def _render(figure: Figure) -> bytes:
    """A plot has few colours: a palette of 255 makes the PNG three times smaller. Where an eye could tell, all colours stay."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    palette = Image.fromarray(pixels.copy()).quantize(255, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    if np.abs(np.asarray(palette.convert("RGB")).astype(int) - pixels).max() > 24:
        return lighten(pixels)
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _styled(draw):
    """Matplotlib takes its style from global settings when something is drawn: lend it ours for that moment."""

    @functools.wraps(draw)
    def styled(*args, **options):
        with rc_context(_STYLE):
            return draw(*args, **options)

    return styled


class _Between(LogFormatter):
    """Which ticks between the powers of ten to name is Matplotlib's decision; it would write 0.6 as 6e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return super().__call__(x, pos) and f"{x:,g}"


def _plain_ticks(axes: Axes, log: str, curves: Mapping[str, tuple]) -> None:
    """Logarithmic axes with numbers as people write them; where the curves have few x, the ticks are just these."""
    for name in log:
        axes.set(**{f"{name}scale": "log"})
        axis = getattr(axes, f"{name}axis")
        axis.set_major_formatter(lambda v, _: f"{v:,g}" if 1e-3 <= v < 1e6 else rf"$10^{{{round(np.log10(v))}}}$")
        axis.set_minor_formatter(_Between(minor_thresholds=(1.5, 0.4)))
    few = sorted({float(x) for curve in curves.values() for x in _array(curve[0])})
    if "x" in log and len(few) <= 8:
        axes.set_xticks(few, [f"{x:g}" for x in few])
        axes.set_xticks([], minor=True)


def _array(values: object) -> np.ndarray:
    """On the CPU, at least one dimension; bfloat16 and tensors on a GPU included."""
    return np.atleast_1d(values.detach().cpu().double().numpy() if isinstance(values, Tensor) else np.asarray(values))


@_styled
def draw_lines(
    axes: Axes,
    curves: Mapping[str, tuple],
    *,
    xlabel: str,
    ylabel: str,
    log: str = "",
    references: Mapping[str, float] | None = None,
    title: str = "",
    marker: bool = True,
) -> None:
    """Curves {"name": (x, y)} or {"name": (x, y, error)} on one plot; axis labels carry units.

    Up to 40 points are marked. log: "x", "y" or "xy". error: half-width of a bar, or with more than 12 points of a band.
    references: named horizontal lines.
    """
    for i, (name, (x, y, *error)) in enumerate(curves.items()):
        x, y, colour = _array(x), _array(y), COLOURS[i % len(COLOURS)]
        if x.shape != y.shape:
            raise ValueError(f"The curve {name!r} has {len(x)} x and {len(y)} y, but needs a y for each x.")
        mark = MARKERS[i % len(MARKERS)] if marker and len(x) <= 40 else None
        axes.plot(x, y, color=colour, linestyle=DASHES[i % len(DASHES)], marker=mark, label=name)
        if error and len(x) <= 12:
            axes.errorbar(x, y, _array(error[0]), fmt="none", ecolor=colour, elinewidth=1.2, capsize=3)
        elif error:
            axes.fill_between(x, y - _array(error[0]), y + _array(error[0]), color=colour, alpha=0.2, linewidth=0)
    for name, value in (references or {}).items():
        axes.axhline(value, color="#555555", linestyle="--", linewidth=1.2)
        axes.annotate(name, (0.99, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=9)
    _plain_ticks(axes, log, curves)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if len(curves) > 1 or next(iter(curves), ""):
        axes.legend(fontsize=9)


def lines(curves: Mapping[str, tuple], *, alt: str, width: float = 6.0, height: float = 3.6, **options) -> Picture:
    """One plot of curves; options as in ``draw_lines``."""
    panels = Panels(1, width, height)
    draw_lines(panels[0], curves, **options)
    return panels.picture(alt)


@_styled
def losses(values: Tensor, *, ylabel: str, alt: str, smooth: int = 50) -> Picture:
    """A training curve [steps]: each loss faint, the running mean of ``smooth`` steps above it."""
    values = _array(values)
    smooth = min(smooth, len(values))
    mean = np.convolve(values, np.ones(smooth) / smooth, "valid")
    panels = Panels(1, 6.0, 3.2)
    panels[0].plot(np.arange(1, len(values) + 1), values, color=COLOURS[5], alpha=0.35, linewidth=0.8, label="each step")
    panels[0].plot(np.arange(smooth, len(values) + 1), mean, color=COLOURS[0], label=f"mean of {smooth} steps")
    low, high = np.quantile(values, [0.0, 0.99])
    panels[0].set(xlabel="training step", ylabel=ylabel, ylim=(low - 0.05 * (high - low), high + 0.1 * (high - low)))
    panels[0].legend(fontsize=9)
    return panels.picture(alt)


@_styled
def bars(
    values: Mapping[str, float], *, ylabel: str, alt: str, errors: Sequence[float] | None = None, log: bool = False
) -> Picture:
    """Named bars with their values written on top. errors: half-widths, one for each bar."""
    panels = Panels(1, max(4.0, 1.1 * len(values) + 1.5), 3.4)
    heights = [float(v) for v in values.values()]
    drawn = panels[0].bar(
        list(values), heights, yerr=errors, color=[COLOURS[i % len(COLOURS)] for i in range(len(values))], capsize=4
    )
    panels[0].bar_label(drawn, [f"{v:,.0f}" if abs(v) >= 1000 else f"{v:.3g}" for v in heights], fontsize=9, padding=2)
    panels[0].margins(y=0.1)
    panels[0].set(ylabel=ylabel, yscale="log" if log else "linear")
    panels[0].grid(axis="x", visible=False)
    return panels.picture(alt)


@_styled
def heat(
    values: Tensor,
    *,
    rows: Sequence,
    columns: Sequence,
    ylabel: str,
    xlabel: str,
    label: str,
    alt: str,
    limits: tuple[float | None, float | None] = (None, None),
) -> Picture:
    """A table of numbers [rows, columns] as colours: what stands beside its rows and under its columns, and what colour means.

    limits: the values of the darkest and the lightest colour (default: the smallest and the largest).
    """
    panels = Panels(1, 1.6 + 0.9 * len(columns), 1.2 + 0.28 * len(rows))
    image = panels[0].imshow(_array(values), vmin=limits[0], vmax=limits[1], cmap="cividis", aspect="auto")
    panels[0].set_xticks(range(len(columns)), columns)
    panels[0].set_yticks(range(len(rows)), rows)
    panels[0].set(ylabel=ylabel, xlabel=xlabel)
    panels[0].grid(False)
    panels.figure.colorbar(image, label=label)
    return panels.picture(alt)


@_styled
def draw_points(
    axes: Axes, groups: Mapping[str, Tensor], *, xlabel: str = "", ylabel: str = "", title: str = "", size: float = 6
) -> None:
    """Clouds of points {"name": [N, 2]} on one plot, equal scales on both axes."""
    for i, (name, points) in enumerate(groups.items()):
        xy = _array(points.flatten(1))
        style = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]}
        axes.scatter(xy[:, 0], xy[:, 1], s=size, alpha=0.5, linewidths=0, label=name, **style)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title, aspect="equal")
    if len(groups) > 1:
        beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if len(groups) > 5 else {}
        axes.legend(fontsize=9, markerscale=2, **beside)


@_styled
def draw_histogram(axes: Axes, groups: Mapping[str, Tensor], *, xlabel: str, bins: int = 60, title: str = "") -> None:
    """Histograms {"name": values} over common bins, each with area 1."""
    flat = {name: _array(values).ravel() for name, values in groups.items()}
    if bad := [name for name, values in flat.items() if not len(values) or not np.isfinite(values).all()]:
        raise ValueError(f"The histogram {bad[0]!r} has no values, or some that are not finite numbers.")
    edges = np.histogram_bin_edges(np.concatenate(list(flat.values())), bins)
    for i, (name, values) in enumerate(flat.items()):
        style = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)], "linewidth": 2}
        axes.stairs(np.histogram(values, edges, density=True)[0], edges, label=name, **style)
    axes.set(xlabel=xlabel, ylabel="density", title=title)
    if len(groups) > 1:
        axes.legend(fontsize=9)


def scatter(groups: Mapping[str, Tensor], *, alt: str, width: float = 6.0, height: float = 4.2, **options) -> Picture:
    """One plot of points {"name": [N, 2]}; options as in ``draw_points``."""
    panels = Panels(1, width, height)
    draw_points(panels[0], groups, **options)
    return panels.picture(alt)


def histogram(groups: Mapping[str, Tensor], *, alt: str, width: float = 6.0, height: float = 3.4, **options) -> Picture:
    """One plot of histograms {"name": values}; options as in ``draw_histogram``."""
    panels = Panels(1, width, height)
    draw_histogram(panels[0], groups, **options)
    return panels.picture(alt)


def spectrum(variances: Mapping[str, Tensor], *, alt: str, share: float = 0.95, **options) -> Picture:
    """How much variance (%) the first k principal components hold, against k: {"name": their variances, largest first}.

    share: drawn as a reference line; options as in ``lines``.
    """
    held = {name: 100 * _array(v).cumsum() / _array(v).sum() for name, v in variances.items()}
    curves = {name: (np.arange(1, len(v) + 1), v) for name, v in held.items()}
    options = {"xlabel": "principal components kept", "ylabel": "variance held (%)", "log": "x", "marker": False, **options}
    return lines(curves, alt=alt, references={f"{share:.0%}": 100 * share}, **options)
