"""The look of all figures: colours, dashes, fonts and resolution.

The colours are those of Okabe and Ito, which colour-blind readers can distinguish; lines also differ in dash and marker. The
background is white in a dark theme, too.
"""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # "building the font cache" would show as a red box in a notebook

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
DPI, FINE = 100, 1.5  # CSS pixels per inch; picture pixels per CSS pixel, so that letters are sharp on a fine screen
STYLE: dict["RcKeyType", Any] = {
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
