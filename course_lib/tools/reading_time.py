"""Honest minutes of a notebook: how long a careful first reader needs, computed from the stored notebook.

150 words a minute; 15 lines of code a minute, of cells and of displayed sources; 1 minute for a figure or table; 1.5 minutes for
a prediction; the minutes of the functions that the reader writes; and the seconds of running. What is folded (answers,
derivations) counts half. A cell that is collapsed (``hide-input``) counts by its output alone.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.homework.checks import HOMEWORKS, PRACTICES

WORDS, LINES, FIGURE, PREDICTION, FOLDED = 150, 15, 1.0, 1.5, 0.5
FOLD = re.compile(r"<details>.*?</details>", re.S)
TAG = re.compile(r"<[^>]+>")
WORD = re.compile(r"[A-Za-zÀ-ÿ0-9$][\w'’.,\-–·=+/\\{}^$]*")
PRESENTED = ("book", "claims", "viz", "explore", "panels")  # names whose calls claim, tabulate or draw


@dataclass(frozen=True)
class Reading:
    """What a reader meets in a notebook, and the share of visible code that claims, tabulates or draws."""

    words: float
    code_lines: int
    source_lines: int
    figures: int
    predictions: int
    writing: float
    running: float
    presented_lines: int

    @property
    def minutes(self) -> float:
        """Minutes of reading, guessing, writing and running."""
        read = self.words / WORDS + (self.code_lines + self.source_lines) / LINES
        return read + FIGURE * self.figures + PREDICTION * self.predictions + self.writing + self.running / 60

    @property
    def presented(self) -> float:
        """Share of the visible code lines that claim, tabulate or draw."""
        return self.presented_lines / max(1, self.code_lines)


def measure(path: Path, seconds: float = 0.0) -> Reading:
    """Measure a stored notebook. seconds: how long it runs."""
    nb = nbformat.read(path, as_version=4)
    words, code, sources, figures, predictions, presented, writing = 0.0, 0, 0, 0, 0, 0, 0.0
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            words += _words(cell.source)
            continue
        if "hide-input" not in cell.metadata.get("tags", []):
            code += len(_lines(cell.source))
            presented += _presented(cell.source)
        predictions += len(re.findall(r"\bguess\.(?:number|choice)\(", cell.source))
        writing += _writing(cell.source)
        shown, lines = _outputs(cell)
        figures, sources = figures + shown, sources + lines
    return Reading(words, code, sources, figures, predictions, writing, seconds, presented)


def _words(text: str) -> float:
    shown, folded = (TAG.sub(" ", part) for part in (FOLD.sub(" ", text), " ".join(FOLD.findall(text))))
    return len(WORD.findall(shown)) + FOLDED * len(WORD.findall(folded))


def _lines(code: str) -> list[str]:
    return [line for line in code.splitlines() if line.strip()]


def _presented(code: str) -> int:
    """Lines of statements that call something of `PRESENTED`; of compound statements, their innermost ones."""
    total = 0
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return):
            calls = (call.func for call in ast.walk(node) if isinstance(call, ast.Call))
            if any(_root(function) in PRESENTED for function in calls):
                total += (node.end_lineno or node.lineno) - node.lineno + 1
    return total


def _root(function: ast.expr) -> str:
    while isinstance(function, ast.Attribute | ast.Subscript | ast.Call):
        function = function.func if isinstance(function, ast.Call) else function.value
    return function.id if isinstance(function, ast.Name) else ""


def _outputs(cell: NotebookNode) -> tuple[int, int]:
    """How many figures and tables a cell shows, and how many lines of displayed source."""
    figures = lines = 0
    for out in cell.get("outputs", []):
        data = out.get("data", {})
        text = data.get("text/html", "")
        if "<details>" not in text:
            figures += any(mime.startswith("image/") for mime in data) or "<table" in text
        if "```python" in (source := data.get("text/markdown", "")):
            lines += max(0, len(_lines(source)) - 3)
    return figures, lines


def _writing(code: str) -> float:
    """Minutes of the exercises that a cell checks: ``ch3.kl.check(kl)``."""
    checked = re.findall(r"\b((?:ch|hw)\d+)\.(\w+)\.check\(", code)
    return sum(getattr({**HOMEWORKS, **PRACTICES}[book], name).minutes for book, name in checked)
