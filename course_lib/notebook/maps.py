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


def draw_codes(axes: Axes, mean: Tensor, labels: Tensor, names: Sequence[str], std: Tensor | None = None) -> None:
    """Draw points [N, 2] in the colour of their labels [N]; with std [N, 2], clouds: ellipses of one standard deviation.

    names: of the labels 0, 1, …, at most ten; each is written at the median of its points. The dashed circle has radius 2: 86 %
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
    for k in np.unique(classes):
        x, y = np.median(xy[classes == k], axis=0)
        halo = [patheffects.withStroke(linewidth=3, foreground="white")]
        axes.text(x, y, names[k], ha="center", va="center", fontsize=9, color=CLASS_COLOURS[k], weight=700, path_effects=halo,
                  clip_on=True)  # fmt: skip


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
        draw_codes(axes, points, labels, names, std)
        return Picture(render(figure), f"A map of {len(points)} latents of two dimensions.", side)
