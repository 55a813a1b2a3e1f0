"""The table of claims that closes each chapter: each claim, its measurement, its bound and its verdict. And small tables.

    claims = Claims("1 Pixel space")
    claims.claim("A 1024×1024 RGB photograph has 3,145,728 values", photo.numel(), equals=3_145_728)
    claims.claim("Four neighbours predict a pixel", r2, at_least=0.9, unit="R²")
    claims.close()

``close`` shows the table and raises AssertionError where a verdict is not the expected one.
"""

import ast
import html
import inspect
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from IPython.display import Markdown, display

from course_lib.arguments import check_flag
from course_lib.storage.console import say


@dataclass(frozen=True)
class Claim:
    """One sentence and its measurement. bound: such as "≥ 0.9". expected: False for a claim that fails here, for this reason."""

    sentence: str
    measured: float
    bound: str
    holds: bool
    expected: bool
    reason: str
    unit: str

    @property
    def verdict(self) -> str:
        return "holds" if self.holds else "does not hold"

    @property
    def as_expected(self) -> bool:
        """Whether the claim holds as expected, or fails as expected. False for a NaN."""
        return self.holds == self.expected and not math.isnan(self.measured)


class Claims:
    """The claims of one chapter."""

    def __init__(self, chapter: str) -> None:
        self.chapter = chapter
        self.claims: dict[str, Claim] = {}

    def claim(
        self,
        sentence: str,
        measured: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        equals: float | None = None,
        unit: str = "",
        expected: bool = True,
        reason: str = "",
    ) -> None:
        """Enter one claim; a second one with the same sentence replaces it.

        measured: a number (bool, tensor of one), in ``unit``. Give at_least, at_most, both, or equals. A NaN never holds.
        expected: False for a claim of the lecture that fails on this data; then a reason is required, and it is an error if
        the claim holds. Raises ValueError for a missing or contradictory bound.
        """
        check_flag("expected", expected)
        bounds = {"at_least": at_least, "at_most": at_most, "equals": equals}
        at_least, at_most, equals = (None if value is None else _real(name, value) for name, value in bounds.items())
        if any(bound is not None and math.isnan(bound) for bound in (at_least, at_most, equals)):
            raise ValueError(f"The claim {sentence!r} has a bound that is NaN, which no measurement meets.")
        ranged = at_least is not None or at_most is not None
        if ranged == (equals is not None):
            raise ValueError(f"The claim {sentence!r} needs a bound: at_least, at_most or both; or else equals, alone.")
        if at_least is not None and at_most is not None and at_least > at_most:
            raise ValueError(f"The claim {sentence!r} can never hold: at_least={at_least} is more than at_most={at_most}.")
        if not expected and not reason:
            raise ValueError(f"The claim {sentence!r} is expected to fail: give the reason.")
        value = _real("measured", measured)
        if equals is not None:
            bound, holds = f"= {format_number(equals)}", value == equals
        else:
            low, high = -math.inf if at_least is None else at_least, math.inf if at_most is None else at_most
            bound = " and ".join(
                ([f"≥ {format_number(at_least)}"] if at_least is not None else [])
                + ([f"≤ {format_number(at_most)}"] if at_most is not None else [])
            )
            holds = low <= value <= high
        self.claims[sentence] = Claim(sentence, value, bound, holds, expected, reason, unit)

    def close(self) -> None:
        """Show the table. Raises AssertionError that names every claim with an unexpected verdict.

        Raises ValueError where there is no claim.
        """
        if not self.claims:
            raise ValueError(f"There are no claims of chapter {self.chapter}: enter them before close().")
        table(
            ["claim", "measured", "bound", "verdict"],
            [
                [
                    c.sentence + (f" — {c.reason}" if c.reason else ""),
                    f"{format_number(c.measured)} {c.unit}".strip(),
                    c.bound,
                    c.verdict,
                ]
                for c in self.claims.values()
            ],
            title=f"The claims of chapter {self.chapter}",
            folded=f"{len(self.claims)} claims, {self._count()}",
        )
        failed = [c for c in self.claims.values() if not c.as_expected]
        if failed:
            lines = [f"- {c.sentence}: measured {format_number(c.measured)} {c.unit}, bound {c.bound}" for c in failed]
            raise AssertionError(f"{len(failed)} of {len(self.claims)} claims have an unexpected verdict:\n" + "\n".join(lines))

    def _count(self) -> str:
        """How many hold, and how many fail as expected, in words."""
        hold = sum(c.holds for c in self.claims.values())
        fail = len(self.claims) - hold
        return f"{hold} hold" + (f", {fail} {'do' if fail > 1 else 'does'} not" if fail else "")

    def verdicts(self) -> None:
        """Print sentence, bound and verdict, which are the same on every machine, for nbval to compare."""
        for c in self.claims.values():
            say(f"{c.verdict:13}  {c.bound:24}  {c.sentence}")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "", folded: str = "") -> None:
    """Show a small table; numbers get four significant digits. Column names carry their units.

    folded: where given, the table is hidden behind this line until it is clicked.
    """
    for name, text in {"title": title, "folded": folded}.items():
        if not isinstance(text, str):
            raise TypeError(f"{name} is a {type(text).__name__}, but must be a text.")
    for i, row in enumerate([columns, *rows] if isinstance(rows, Sequence) else [columns, rows]):
        if isinstance(row, str) or not isinstance(row, Sequence):
            raise TypeError(f"{f'row {i - 1}' if i else 'columns'} is {row!r:.60}, but must be a list of cells.")
        if len(row) != len(columns):
            raise ValueError(f"row {i - 1} has {len(row)} cells, but there are {len(columns)} columns.")
    cells = [
        [format_number(v) if isinstance(v, int | float) and not isinstance(v, bool) else str(v) for v in row] for row in rows
    ]
    head = "".join(f"<th style='text-align:left'>{html.escape(str(c))}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td style='text-align:left'>{html.escape(c)}</td>" for c in row) + "</tr>" for row in cells)
    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    grid = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    widths = [max(len(c) for c in column) for column in zip(map(str, columns), *cells, strict=True)]
    plain = [title] * bool(title) + [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in [[str(c) for c in columns], *cells]
    ]
    data = {
        "text/html": f"<details><summary>{html.escape(folded)}</summary>{grid}</details>" if folded else grid,
        "text/plain": "\n".join(plain),
    }
    display(data, raw=True)


def source(*blocks: Callable, docstring: bool = True) -> None:
    """Show the source of blocks of ``course_lib``: the lines that the notebook runs, under the name of their file.

    docstring: False omits it, where the text around the cell says the same.
    """
    for block in blocks:
        text = source_text(block, docstring)
        where = f"{block.__module__.replace('.', '/')}.py"
        display(Markdown(f"`{block.__qualname__}` in `{where}`\n\n```python\n{text}```"))


def source_text(block: Callable, docstring: bool = True) -> str:
    """The source of one function or class, not indented, with or without its docstring."""
    check_flag("docstring", docstring)
    if not inspect.isfunction(inspect.unwrap(block)) and not inspect.isclass(block):
        raise TypeError(f"block is a {type(block).__name__}, but must be a function or a class.")
    text = textwrap.dedent(inspect.getsource(block))
    return text if docstring else _without_docstring(text)


def _without_docstring(text: str) -> str:
    """The source of one function or class without its docstring."""
    block = ast.parse(text).body[0]
    assert isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    first = block.body[0]
    if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)):
        return text
    lines = text.splitlines(keepends=True)
    return "".join(lines[: first.lineno - 1] + lines[first.end_lineno :])


def _real(name: str, value: Any) -> float:
    """A number, bool or tensor of one as a float; a NaN stays one, because it is shown."""
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        number = None
    if number is None or isinstance(value, str):
        raise TypeError(f"{name} is a {type(value).__name__}, but must be a number or a tensor of one.")
    return number


def format_number(value: float) -> str:
    """Whole numbers and large ones with thousands separators, others with four significant digits."""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:,.4g}"
