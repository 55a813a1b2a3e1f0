"""The figures of the workbook, under one name: sheets of images, plots, and the `Picture` that a notebook shows.

Every figure is a `Picture` with an alternative text for readers who cannot see it.
"""

from course_lib.notebook.maps import draw_codes, plane
from course_lib.notebook.pictures import Picture, checked_alt, encode, side_by_side, signed, tile
from course_lib.notebook.plots import (
    Map,
    Panels,
    bars,
    draw_histogram,
    draw_lines,
    draw_points,
    heatmap,
    histogram,
    lines,
    loss_curve,
    scatter,
    spectrum,
)
from course_lib.notebook.sheets import grid, rows
from course_lib.notebook.style import COLOURS, DASHES, MARKERS

__all__ = [
    "COLOURS",
    "DASHES",
    "MARKERS",
    "Map",
    "Panels",
    "Picture",
    "bars",
    "checked_alt",
    "draw_codes",
    "draw_histogram",
    "draw_lines",
    "draw_points",
    "encode",
    "grid",
    "heatmap",
    "histogram",
    "lines",
    "loss_curve",
    "plane",
    "rows",
    "scatter",
    "side_by_side",
]
__all__ += ["signed", "spectrum", "tile"]
