"""Plots: curves, bars, points, histograms and tables as colours.

No pyplot and no rcParams: a figure is created, rendered and dropped, so that nothing leaks and nothing depends on global state.
"""

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib.arguments import check_choice, check_dictionary, check_flag, check_integer, check_list, check_number
from course_lib.notebook.pictures import Picture, compress
from course_lib.notebook.style import COLOURS, DASHES, DPI, FINE, MARKERS, STYLE

Params = ParamSpec("Params")
Result = TypeVar("Result")


class Panels:
    """One row of plots: ``panels = Panels(2)``, draw on ``panels[0]`` (matplotlib axes), then ``panels.picture(alt)``.

    n: plots side by side. width, height: of each, in inches of 100 CSS pixels.
    """

    def __init__(self, n: int = 1, width: float = 4.6, height: float = 3.4) -> None:
        n = check_integer("n", n, 1, 24)
        width = check_number("width", width, at_least=1, at_most=40)
        height = check_number("height", height, at_least=1, at_most=40)
        with rc_context(STYLE):
            self.figure = Figure(figsize=(n * width + 0.4, height), dpi=DPI * FINE, layout="constrained")
            self.axes = self.figure.subplots(1, n, squeeze=False)[0]

    def __getitem__(self, i: int) -> Axes:
        return self.axes[i]

    def picture(self, alt: str) -> Picture:
        with rc_context(STYLE):
            return Picture(render(self.figure), alt, round(self.figure.get_figwidth() * DPI))


class Map:
    """A plot that is drawn once, and on which a dot moves fast enough for a slider.

    panels: one finished plot. pixels: the plot without the dot, uint8 [H, W, 3], one pixel per CSS pixel.
    """

    def __init__(self, panels: Panels) -> None:
        panels.figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(panels.figure)
        with rc_context(STYLE):
            canvas.draw()
        self.pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        self._axes = panels[0]

    def at(self, x: float, y: float, radius: int = 8) -> np.ndarray:
        """The plot with a dot at these values of its axes: uint8 [H, W, 3]."""
        x, y = check_number("x", x), check_number("y", y)
        radius = check_integer("radius", radius, 1, 1000)
        pixels = Image.fromarray(self.pixels)
        column, row = self._axes.transData.transform((x, y))
        row = self.pixels.shape[0] - row
        box = [column - radius, row - radius, column + radius, row + radius]
        ImageDraw.Draw(pixels).ellipse(box, fill=COLOURS[1], outline="black", width=2)
        return np.asarray(pixels)


def render(figure: Figure) -> bytes:
    """Render to PNG with a palette of 255 colours, three times smaller; in full colour where the difference would be visible."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    palette = Image.fromarray(pixels.copy()).quantize(255, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    if np.abs(np.asarray(palette.convert("RGB")).astype(int) - pixels).max() > 24:
        return compress(pixels)
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _styled(draw: Callable[Params, Result]) -> Callable[Params, Result]:
    """Draw with our style, which Matplotlib would otherwise take from global settings."""

    @functools.wraps(draw)
    def styled(*args: Params.args, **options: Params.kwargs) -> Result:
        with rc_context(STYLE):
            return draw(*args, **options)

    return styled


class _Between(LogFormatter):
    """Label the ticks between powers of ten that Matplotlib chooses, but write 0.6 rather than 6e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return super().__call__(x, pos) and f"{x:,g}"


def _plain_ticks(axes: Axes, log: str, curves: Mapping[str, tuple]) -> None:
    """Set logarithmic axes with plain numbers; where the curves have few x, these are the ticks."""
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
    """Convert values, also bfloat16 and tensors on a GPU, to an array of at least one dimension."""
    try:
        return np.atleast_1d(values.detach().cpu().double().numpy() if isinstance(values, Tensor) else np.asarray(values, float))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{values!r:.60} cannot be drawn: numbers are expected.") from error


def _check_curves(curves: Any) -> None:
    check_dictionary("curves", curves)
    for name, curve in curves.items():
        if not isinstance(curve, tuple | list) or len(curve) not in (2, 3):
            raise TypeError(f"The curve {name!r} is a {type(curve).__name__}, but must be (x, y) or (x, y, error).")
        x, y, *error = (_array(values) for values in curve)
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"The curve {name!r} has {len(x)} x and {len(y)} y, but needs a y for each x.")
        if not len(x):
            raise ValueError(f"The curve {name!r} has no points.")
        if error and (error[0].shape not in (x.shape, (1,)) or (error[0] < 0).any()):
            raise ValueError(f"The errors of the curve {name!r} must be one for each point, and none below 0.")


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
    """Draw curves {"name": (x, y)} or {"name": (x, y, error)} on one plot; axis labels carry units.

    Up to 40 points are marked. log: "x", "y" or "xy". error: half-width of a bar, or with more than 12 points of a band.
    references: named horizontal lines.
    """
    _check_curves(curves)
    check_choice("log", log, ("", "x", "y", "xy"))
    check_flag("marker", marker)
    for i, (name, (x, y, *error)) in enumerate(curves.items()):
        x, y, colour = _array(x), _array(y), COLOURS[i % len(COLOURS)]
        mark = MARKERS[i % len(MARKERS)] if marker and len(x) <= 40 else None
        axes.plot(x, y, color=colour, linestyle=DASHES[i % len(DASHES)], marker=mark, label=name)
        if error and len(x) <= 12:
            axes.errorbar(x, y, _array(error[0]), fmt="none", ecolor=colour, elinewidth=1.2, capsize=3)
        elif error:
            axes.fill_between(x, y - _array(error[0]), y + _array(error[0]), color=colour, alpha=0.2, linewidth=0)
    if references is not None:
        check_dictionary("references", references)
    for name, value in (references or {}).items():
        check_number(f"the reference {name!r}", value)
        axes.axhline(value, color="#555555", linestyle="--", linewidth=1.2)
        background = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}  # a curve may pass behind the name
        axes.annotate(name, (0.99, value), xytext=(0, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                      ha="right", va="bottom", fontsize=9, bbox=background)  # fmt: skip
    _plain_ticks(axes, log, curves)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if len(curves) > 1 or next(iter(curves), ""):
        axes.legend(fontsize=9)


def lines(curves: Mapping[str, tuple], *, alt: str, width: float = 6.0, height: float = 3.6, **options: Any) -> Picture:
    """Plot curves; options as in ``draw_lines``."""
    panels = Panels(1, width, height)
    draw_lines(panels[0], curves, **options)
    return panels.picture(alt)


@_styled
def loss_curve(values: Tensor, *, ylabel: str, alt: str, first: int = 1, log: str = "", smooth: int = 50) -> Picture:
    """Plot a training loss [steps] from step ``first`` on: each step faint, and the mean over ``smooth`` steps at their middle.

    log: "y" for a logarithmic axis.
    """
    losses = _array(values)
    if losses.ndim != 1 or not losses.size or not np.isfinite(losses).all():
        raise ValueError(f"values has shape {losses.shape}, but must be [steps], of finite numbers.")
    check_choice("log", log, ("", "y"))
    first = check_integer("first", first, 1, len(losses))
    smooth = min(check_integer("smooth", smooth, at_least=1), len(losses))
    means = np.convolve(losses, np.ones(smooth) / smooth, "valid")
    middles = np.arange(len(means)) + (smooth + 1) / 2
    shown, steps = middles >= first, np.arange(first, len(losses) + 1)
    panels = Panels(1, 6.0, 3.2)
    # Neither smoothed nor transparent: a third fewer bytes in the notebook.
    panels[0].plot(steps, losses[first - 1 :], color="#bfe0f3", linewidth=1, antialiased=False, label="each step", zorder=1)
    curve = {f"mean of {smooth} steps": (middles[shown], means[shown])}
    draw_lines(panels[0], curve, xlabel="training step", ylabel=ylabel, log=log, marker=False)
    return panels.picture(alt)


@_styled
def bars(
    values: Mapping[str, float], *, ylabel: str, alt: str, errors: Sequence[float] | None = None, log: bool = False
) -> Picture:
    """Plot named bars with their values on top. errors: half-widths, one for each bar."""
    check_dictionary("values", values)
    check_flag("log", log)
    heights = [check_number(f"the bar {name!r}", value) for name, value in values.items()]
    if errors is not None:
        errors = [check_number("an error", e, at_least=0) for e in _array(errors).ravel().tolist()]
        if len(errors) != len(values):
            raise ValueError(f"There are {len(errors)} errors for {len(values)} bars: give one for each.")
    panels = Panels(1, min(40.0, max(4.0, 1.1 * len(values) + 1.5)), 3.4)
    drawn = panels[0].bar(
        list(values), heights, yerr=errors, color=[COLOURS[i % len(COLOURS)] for i in range(len(values))], capsize=4
    )
    panels[0].bar_label(drawn, [f"{v:,.0f}" if abs(v) >= 1000 else f"{v:.3g}" for v in heights], fontsize=9, padding=2)
    panels[0].margins(y=0.1)
    panels[0].set(ylabel=ylabel, yscale="log" if log else "linear")
    panels[0].grid(axis="x", visible=False)
    return panels.picture(alt)


@_styled
def heatmap(
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
    """Plot a table of numbers [rows, columns] as colours, with tick labels for rows and columns and a labelled colour bar.

    limits: the values of the darkest and the lightest colour (default: the smallest and the largest).
    """
    table = _array(values)
    check_list("rows", rows, None, "labels")
    check_list("columns", columns, None, "labels")
    if table.shape != (len(rows), len(columns)) or not np.isfinite(table).all():
        raise ValueError(
            f"values has shape {table.shape}, but must be [{len(rows)} rows, {len(columns)} columns] of finite numbers."
        )
    check_list("limits", limits, 2, "numbers, or None for either")
    low, high = (None if limit is None else check_number("a limit", limit) for limit in limits)
    if low is not None and high is not None and low >= high:
        raise ValueError(f"limits is ({low}, {high}), but the first must be below the second.")
    panels = Panels(1, min(40.0, 1.6 + 0.9 * len(columns)), min(40.0, 1.2 + 0.28 * len(rows)))
    image = panels[0].imshow(table, vmin=low, vmax=high, cmap="cividis", aspect="auto")
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
    """Draw clouds of points {"name": [N, 2]} on one plot, equal scales on both axes."""
    check_dictionary("groups", groups)
    check_number("size", size, above=0, at_most=10_000)
    for i, (name, points) in enumerate(groups.items()):
        xy = _array(points)
        if xy.ndim < 2 or not xy.size or xy[0].size != 2:
            raise ValueError(f"The points {name!r} have shape {xy.shape}, but must be [N, 2].")
        xy = xy.reshape(len(xy), 2)
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]
        axes.scatter(xy[:, 0], xy[:, 1], s=size, alpha=0.5, linewidths=0, label=name, color=colour, marker=marker)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title, aspect="equal")
    if len(groups) > 1:
        outside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if len(groups) > 5 else {}
        axes.legend(fontsize=9, markerscale=2, **outside)


@_styled
def draw_histogram(axes: Axes, groups: Mapping[str, Tensor], *, xlabel: str, bins: int = 60, title: str = "") -> None:
    """Draw histograms {"name": values} over common bins, each with area 1."""
    check_dictionary("groups", groups)
    bins = check_integer("bins", bins, 1, 10_000)
    flat = {name: _array(values).ravel() for name, values in groups.items()}
    if bad := [name for name, values in flat.items() if not len(values) or not np.isfinite(values).all()]:
        raise ValueError(f"The histogram {bad[0]!r} has no values, or some that are not finite numbers.")
    edges = np.histogram_bin_edges(np.concatenate(list(flat.values())), bins)
    for i, (name, values) in enumerate(flat.items()):
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        density = np.histogram(values, edges, density=True)[0]
        axes.stairs(density, edges, label=name, color=colour, linestyle=dash, linewidth=2)
    axes.set(xlabel=xlabel, ylabel="density", title=title)
    if len(groups) > 1:
        axes.legend(fontsize=9)


def scatter(groups: Mapping[str, Tensor], *, alt: str, width: float = 6.0, height: float = 4.2, **options: Any) -> Picture:
    """Plot points {"name": [N, 2]}; options as in ``draw_points``."""
    panels = Panels(1, width, height)
    draw_points(panels[0], groups, **options)
    return panels.picture(alt)


def histogram(groups: Mapping[str, Tensor], *, alt: str, width: float = 6.0, height: float = 3.4, **options: Any) -> Picture:
    """Plot histograms {"name": values}; options as in ``draw_histogram``."""
    panels = Panels(1, width, height)
    draw_histogram(panels[0], groups, **options)
    return panels.picture(alt)


def spectrum(variances: Mapping[str, Tensor], *, alt: str, fraction: float = 0.95, **options: Any) -> Picture:
    """Plot the variance (%) explained by the first k principal components over k: {"name": their variances, largest first}.

    fraction: drawn as a reference line; options as in ``lines``.
    """
    check_dictionary("variances", variances)
    fraction = check_number("fraction", fraction, above=0, at_most=1)
    for name, values in variances.items():
        v = _array(values)
        if v.ndim != 1 or not v.size or not np.isfinite(v).all() or (v < 0).any() or v.sum() <= 0:
            raise ValueError(f"The variances {name!r} have shape {v.shape}, but must be [D], none below 0 and not all 0.")
    explained = {name: 100 * _array(v).cumsum() / _array(v).sum() for name, v in variances.items()}
    curves = {name: (np.arange(1, len(v) + 1), v) for name, v in explained.items()}
    options = {"xlabel": "principal components", "ylabel": "variance explained (%)", "log": "x", "marker": False, **options}
    return lines(curves, alt=alt, references={f"{fraction:.0%}": 100 * fraction}, **options)
