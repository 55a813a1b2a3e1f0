"""The ledger that closes each chapter: every claim, what was measured, the bound, and whether it holds. And small tables.

    ledger = Ledger("1 Pixel space")
    ledger.claim("A 1024×1024 RGB photograph has 3,145,728 numbers", photo.numel(), equals=3_145_728)
    ledger.claim("Four neighbours predict a pixel", r2, at_least=0.9, unit="R²")
    ledger.close()

``close`` shows the table and raises AssertionError where a claim does not do what is said of it.
"""

import ast
import html
import inspect
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from IPython.display import Markdown, display


@dataclass(frozen=True)
class Claim:
    """One sentence and its measurement. bound reads like "≥ 0.9"; expected False: announced not to hold here, for this reason."""

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
        """Whether the claim does what is said of it: holds, or does not where that was announced. A NaN does neither."""
        return self.holds == self.expected and not math.isnan(self.measured)


class Claims:
    """The claims of one chapter."""

    def __init__(self, chapter: str) -> None:
        self.chapter, self.claims = chapter, {}

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
        """Enter one claim; a second time under the same sentence replaces it.

        measured: a number (bool, tensor of one), in ``unit``. Give at_least, at_most, both, or equals. A NaN never holds.
        expected: False for a claim of the lecture that does not hold on this data; then a reason is required, and it is an
        error if the claim holds after all. Raises ValueError for a missing or contradictory bound.
        """
        ranged = at_least is not None or at_most is not None
        if ranged == (equals is not None):
            raise ValueError(f"The claim {sentence!r} needs a bound: at_least, at_most or both; or else equals, alone.")
        if at_least is not None and at_most is not None and at_least > at_most:
            raise ValueError(f"The claim {sentence!r} can never hold: at_least={at_least} is more than at_most={at_most}.")
        if not expected and not reason:
            raise ValueError(f"The claim {sentence!r} is said not to hold: give the reason.")
        value = float(measured)
        if equals is not None:
            bound, holds = f"= {_number(equals)}", value == equals
        else:
            low, high = -math.inf if at_least is None else at_least, math.inf if at_most is None else at_most
            bound = " and ".join(
                ([f"≥ {_number(at_least)}"] if at_least is not None else [])
                + ([f"≤ {_number(at_most)}"] if at_most is not None else [])
            )
            holds = low <= value <= high
        self.claims[sentence] = Claim(sentence, value, bound, holds, expected, reason, unit)

    def close(self) -> None:
        """Show the table; raise AssertionError naming every claim that does not do what is said of it.

        Raises ValueError where there is no claim at all.
        """
        if not self.claims:
            raise ValueError(f"The ledger of chapter {self.chapter} is empty: enter its claims first.")
        table(
            ["claim", "measured", "bound", "verdict"],
            [
                [
                    c.sentence + (f" — {c.reason}" if c.reason else ""),
                    f"{_number(c.measured)} {c.unit}".strip(),
                    c.bound,
                    c.verdict,
                ]
                for c in self.claims.values()
            ],
            title=f"Ledger of chapter {self.chapter}",
        )
        failed = [c for c in self.claims.values() if not c.as_expected]
        if failed:
            lines = [f"- {c.sentence}: measured {_number(c.measured)} {c.unit}, bound {c.bound}" for c in failed]
            raise AssertionError(f"{len(failed)} of {len(self.claims)} claims are not as said:\n" + "\n".join(lines))

    def verdicts(self) -> None:
        """Print sentence, bound and verdict only: what is the same on every machine, for nbval to compare."""
        for c in self.claims.values():
            print(f"{c.verdict:13}  {c.bound:24}  {c.sentence}")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Show a small table; numbers are given four significant digits. Column names carry their units."""
    cells = [[_number(v) if isinstance(v, int | float) and not isinstance(v, bool) else str(v) for v in row] for row in rows]
    head = "".join(f"<th style='text-align:left'>{html.escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td style='text-align:left'>{html.escape(c)}</td>" for c in row) + "</tr>" for row in cells)
    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    widths = [max(len(c) for c in column) for column in zip(columns, *cells, strict=True)]
    plain = [title] * bool(title) + [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in [columns, *cells]
    ]
    data = {
        "text/html": f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>",
        "text/plain": "\n".join(plain),
    }
    display(data, raw=True)


def source(*blocks: Callable, docstring: bool = True) -> None:
    """Show the source of blocks of ``course_lib`` in place: the very lines that the notebook runs, under their file's name.

    docstring: False leaves it out, where the text around the cell says the same.
    """
    for block in blocks:
        text = textwrap.dedent(inspect.getsource(block))
        if not docstring:
            text = _without_docstring(text)
        where = f"{block.__module__.replace('.', '/')}.py"
        display(Markdown(f"`{block.__qualname__}` in `{where}`\n\n```python\n{text}```"))


def _without_docstring(text: str) -> str:
    """The source of one function or class, its first docstring cut out by line numbers."""
    first = ast.parse(text).body[0].body[0]
    if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)):
        return text
    lines = text.splitlines(keepends=True)
    return "".join(lines[: first.lineno - 1] + lines[first.end_lineno :])


def _number(value: float) -> str:
    """Whole numbers and large ones with thousands separators, others with four significant digits."""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:,.4g}"
