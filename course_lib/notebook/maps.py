"""Maps of a latent space of two dimensions: dots or clouds in the colour of their class, with the name of each class."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps, patheffects, rc_context
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from course_lib.arguments import check_finite, check_integer, check_labels, check_list, check_numbers, check_tensor
from course_lib.notebook.pictures import Picture
from course_lib.notebook.plots import render
from course_lib.notebook.style import DPI, FINE, STYLE

# Ten colours; the names on the map are for readers who cannot distinguish all of them.
CLASS_COLOURS = colormaps["tab10"](range(10))[:, :3].tolist()
CLASS_COLOURS[3] = [0.13, 0.13, 0.13]  # the palette's red is too near to its orange
NAME_SIZE = 0.17, 0.055  # width and height of a name, as fractions of the axes


def draw_codes(axes: Axes, mean: Tensor, labels: Tensor, names: Sequence[str], std: Tensor | None = None) -> None:
    """Draw points [N, 2] in the colour of their labels [N]; with std [N, 2], clouds: ellipses of one standard deviation.

    names: of the labels 0, 1, …, at most ten; each is written at the median of its points, or as near to it as
    the other names allow; set the limits of the axes before. The dashed circle has radius 2: 86 %
    of the samples of a two-dimensional standard normal distribution lie inside.
    """
    check_tensor("mean", mean, "[N, 2]", "float")
    check_finite("mean", mean)
    check_list("names", names, None, "names")
    check_labels("labels", labels, min(len(names), len(CLASS_COLOURS)), len(mean))
    xy, classes = mean.detach().cpu().float().numpy(), labels.cpu().numpy()
    colours = [CLASS_COLOURS[k] for k in classes]
    if std is None:
        axes.scatter(xy[:, 0], xy[:, 1], s=5, alpha=0.6, linewidths=0, c=colours)
    else:
        check_tensor("std", std, f"[{len(mean)}, 2]", "float")
        check_finite("std", std)
        size = 2 * std.detach().cpu().float().numpy()
        angles = np.zeros(len(xy))
        ellipses = EllipseCollection(size[:, 0], size[:, 1], angles, units="xy", offsets=xy, offset_transform=axes.transData)
        ellipses.set(
            facecolors=[(*colour, 0.14) for colour in colours], edgecolors=[(*colour, 0.5) for colour in colours], lw=0.5
        )
        axes.add_collection(ellipses)
    axes.add_patch(Circle((0, 0), 2, fill=False, linestyle="--", color="black", linewidth=1))
    present = np.unique(classes)
    medians = np.stack([np.median(xy[classes == k], axis=0) for k in present])
    span = np.ptp([axes.get_xlim(), axes.get_ylim()], axis=1)
    for k, (x, y) in zip(present, _apart(medians / span) * span, strict=True):
        halo = [patheffects.withStroke(linewidth=3, foreground="white")]
        axes.text(x, y, names[k], ha="center", va="center", fontsize=9, color=CLASS_COLOURS[k], weight=700, path_effects=halo,
                  clip_on=True)  # fmt: skip


def _inner_ticks(low: float, high: float) -> list[int]:
    """Every other integer well inside the range: a label at the edge would be cut off."""
    return [i for i in range(int(np.ceil(low)), int(high) + 1) if i % 2 == 0 and 0.04 < (i - low) / (high - low) < 0.96]


def _apart(places: np.ndarray) -> np.ndarray:
    """Move places [N, 2], in fractions of the axes, up and down until no two names overlap."""
    width, height = NAME_SIZE
    for _ in range(200):
        dx, dy = (places[:, None] - places[None]).transpose(2, 0, 1)
        near = (np.abs(dx) < width) & (np.abs(dy) < height) & ~np.eye(len(places), dtype=bool)
        if not near.any():
            break
        upwards = np.where(dy == 0, np.sign(np.arange(len(places))[:, None] - np.arange(len(places))), np.sign(dy))
        places = places + np.stack([np.zeros(len(places)), 0.1 * height * (near * upwards).sum(1)], axis=1)
    return places


def plane(
    points: Tensor,
    labels: Tensor,
    names: Sequence[str],
    x: Sequence[float],
    y: Sequence[float],
    side: int,
    std: Tensor | None = None,
) -> Picture:
    """Return a square map without margins, whose edges are at the coordinates x = (low, high) and y = (low, high).

    side: its CSS pixels. points, labels, names, std: as in `draw_codes`. Lines mark the axes, and ticks every other unit.
    """
    side = check_integer("side", side, 50, 2000)
    (left, right), (low, high) = (check_numbers(name, ends, 2) for name, ends in {"x": x, "y": y}.items())
    with rc_context(STYLE):
        figure = Figure(figsize=(side / DPI, side / DPI), dpi=DPI * FINE)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(left, right), ylim=(low, high))
        for spine in axes.spines.values():
            spine.set_visible(True)
        axes.grid(False)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.axvline(0, color="black", linewidth=0.6)
        axes.tick_params(direction="in", pad=-14, labelsize=8, length=3)
        axes.set(xticks=_inner_ticks(left, right), yticks=_inner_ticks(low, high))
        draw_codes(axes, points, labels, names, std)
        return Picture(render(figure), f"A map of {len(points)} latents of two dimensions.", side)
