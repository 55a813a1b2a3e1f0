"""One line that shows how far a long computation is: tqdm's bar, with the text that the caller gives.

In a terminal and in a notebook the line is redrawn on stdout. JupyterLab and `nbclient` (with ``coalesce_streams``) resolve
the carriage returns, so a saved notebook holds only the last state. Anywhere else (a pipe, a log) only the last
line is printed. Nothing is ever written to stderr, which a notebook shows in red.
"""

import sys

from tqdm import tqdm

from course_lib.storage.console import encodable, say

_FORMAT = "{percentage:3.0f} % |{bar:24}| {desc}"


class Progress:
    """A bar from 0 to 1 followed by a text.

    Args:
        show: False draws nothing at all.
    """

    def __init__(self, show: bool = True) -> None:
        self._show, self._live = show, _is_redrawn()
        self._last_line = ""  # where nothing is redrawn
        # The bar's unit is a fraction (of the steps, or of the seconds). It is drawn in the characters that stdout can encode.
        hidden = not (self._show and self._live)
        self._bar = tqdm(total=1.0, file=sys.stdout, disable=hidden, miniters=0, bar_format=_FORMAT, ncols=120)

    def update(self, fraction: float, text: str) -> None:
        """Draw the bar at `fraction` (0 to 1) with `text` at its right; redrawn ten times a second at most."""
        if not self._show:
            return
        text = encodable(text)
        if not self._live:
            self._last_line = f"{100 * fraction:3.0f} % | {text}"
            return
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(min(fraction, 1.0) - self._bar.n)

    def note(self, text: str) -> None:
        """Print a sentence above the bar, also where the bar is not shown."""
        if self._bar.disable:
            say(text)
        else:
            self._bar.write(encodable(text), file=sys.stdout)

    def close(self) -> None:
        """Draw the last state and end the line. Closing twice does no harm."""
        if self._last_line:
            say(self._last_line)
            self._last_line = ""
        if not self._bar.disable:
            self._bar.refresh()
        self._bar.close()


def format_duration(seconds: float) -> str:
    """Format seconds as ``"0:07"``, ``"12:34"`` or ``"1:02:03"``."""
    return tqdm.format_interval(max(seconds, 0)).removeprefix("0")


def _is_redrawn() -> bool:
    """Whether a carriage return on stdout begins the line again: in a terminal, and in a notebook's output."""
    return sys.stdout.isatty() or type(sys.stdout).__module__ == "ipykernel.iostream"
