"""What a check is made of: an input, a known mistake, and what a student is shown."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One input of a check. what: the arguments in words, for the message ("mean, logvar: 3 latents"); no values."""

    what: str
    args: tuple


@dataclass(frozen=True)
class Mistake:
    """A way to go wrong. says: what it looks like and how to mend it. function: does exactly that."""

    says: str
    function: Callable


@dataclass(frozen=True)
class Complaint:
    """Why a function does not pass; any part may be empty. blank: it is not written yet."""

    problem: str = ""
    given: str = ""
    got: str = ""
    expected: str = ""
    likely: str = ""
    blank: bool = False

    def text(self, name: str, points: int) -> str:
        worth = f"{points} point" if points == 1 else f"{points} points"
        if self.blank:
            return f"○ {name}: not written yet, {worth} to earn."
        parts = {"input": self.given, "got": self.got, "expected": self.expected, "problem": self.problem, "likely": self.likely}
        return "\n".join([f"✗ {name}: not yet, {worth} to earn."] + [f"  {k:<9} {v}" for k, v in parts.items() if v])
