"""One line that tells how far a long computation is: tqdm's bar, drawn where a reader wants it.

In a notebook the line lives in one plain-text output that is rewritten in place, so that the saved notebook (and
GitHub) shows the last state alone. In a terminal it is redrawn on stdout. Anywhere else (a pipe, a log) only the last
line is printed. Nothing ever goes to stderr, which a notebook paints red.
"""

import sys

from tqdm import tqdm

_FORMAT = "{percentage:3.0f} % |{bar:24}| {desc}"


class Progress:
    """A bar from 0 to 1 with a text beside it.

    Args:
        show: False draws nothing at all.
    """

    def __init__(self, show: bool = True):
        # The bar's unit is a fraction (of the steps, or of the seconds); what tqdm would write beside it, we write.
        look = {"bar_format": _FORMAT, "ascii": False, "ncols": 120}
        self._bar = tqdm(total=1.0, file=_sink(), disable=not show, miniters=0, **look)

    def update(self, fraction: float, text: str) -> None:
        """Draw the bar at `fraction` (0 to 1) with `text` at its right; redrawn ten times a second at most."""
        if self._bar.disable:
            return
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(min(fraction, 1.0) - self._bar.n)

    def close(self) -> None:
        """Draw the last state and end the line. Closing twice does no harm."""
        if not self._bar.disable:
            self._bar.refresh()
        self._bar.close()


def minutes(seconds: float) -> str:
    """Seconds as people read them: ``"0:07"``, ``"12:34"``, ``"1:02:03"``."""
    return tqdm.format_interval(max(seconds, 0)).removeprefix("0")


def _sink():
    ipython = sys.modules.get("IPython")  # a notebook has imported it already; nobody else needs it
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and hasattr(shell, "kernel"):
        return _NotebookLine()
    return sys.stdout if sys.stdout.isatty() else _LastLine()


class _LastLine:
    """Keeps what tqdm draws and passes the last state on when the line ends."""

    encoding = "utf-8"  # tqdm asks it whether the smooth bar can be drawn

    def __init__(self):
        self.line = ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            self.line = line
            self.show()
        elif "\n" in text and self.line:
            self.finish()

    def flush(self) -> None:
        pass

    def show(self) -> None:
        pass

    def finish(self) -> None:
        print(self.line)
        self.line = ""


class _NotebookLine(_LastLine):
    """Draws every state into one output of the cell, each in place of the one before."""

    def __init__(self):
        super().__init__()
        self.handle = None

    def show(self) -> None:
        from IPython.display import display

        data = {"text/plain": self.line}
        if self.handle is None:
            self.handle = display(data, raw=True, display_id=True)
        else:
            self.handle.update(data, raw=True)

    def finish(self) -> None:
        self.line = ""
