"""The plain data of a check: inputs, known mistakes, complaints, and an assignment as the grader needs it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from course_lib.homework.answers.call import Outcome


@dataclass(frozen=True)
class Case:
    """One input of a check. what: the arguments in words, for messages ("mean, logvar: 3 latents"), without values.

    part: of an exercise that is several in one, the part that this input is about, as a message names it; "" elsewhere.
    """

    what: str
    args: tuple
    part: str = ""


@dataclass(frozen=True)
class Mistake:
    """A known way to get an exercise wrong.

    message: what the student reads: what the mistake looks like and how to fix it. function: makes exactly this mistake.
    """

    message: str
    function: Callable


@dataclass(frozen=True)
class AnswerKey:
    """What the answers to an exercise are compared with; see `Exercise` for the fields."""

    name: str
    oracle: Callable
    mistakes: tuple[Mistake, ...]
    differentiable: bool
    tolerance: float
    values: tuple[str, ...] = ()
    terms: Callable[..., dict[str, object]] | None = None


@dataclass(frozen=True)
class Complaint:
    """Why a function does not pass; any part may be empty. blank: it is not written yet.

    earned: the share of the points that right parts of the exercise earn, from 0 to 1; right: these parts. public: stands for
    problem, got and expected where hidden inputs must not be read from them.
    """

    problem: str = ""
    given: str = ""
    got: str = ""
    expected: str = ""
    likely: str = ""
    blank: bool = False
    earned: float = 0.0
    right: tuple[str, ...] = ()
    public: str = ""

    def points(self, full: int) -> float:
        """The points that the right parts earn of an exercise that is worth `full` points, rounded down to half points."""
        return math.floor(2 * full * self.earned + 1e-6) / 2

    def text(self, name: str, points: int) -> str:
        """The complaint as the student reads it, about the function of this name, worth `points` points (0: not graded)."""
        worth = "" if not points else f", {points} point{'s' * (points > 1)} to earn"
        if self.blank:
            return f"○ {name}: not written yet{worth}."
        state = f"{earned:g} of {points} points so far" if (earned := self.points(points)) else f"not yet{worth}"
        right = f" (right: {', '.join(self.right)})" if self.right else ""
        parts = {"input": self.given, "got": self.got, "expected": self.expected, "problem": self.problem, "likely": self.likely}
        return "\n".join([f"✗ {name}: {state}{right}."] + [f"  {k:<9} {v}" for k, v in parts.items() if v])


@dataclass(frozen=True, eq=False)
class Judged:
    """One input of a check, what the student's call gave for it, and what the oracle gave."""

    case: Case
    outcome: Outcome
    truth: Outcome


@dataclass(frozen=True)
class Task:
    """One exercise as the grader needs it.

    hidden_inputs: empty for a question that a person marks. explain: takes a list of these inputs and a list of outcomes of the
    same length, and returns what is wrong with them, or None. remark: takes the same, where nothing is wrong, and returns what
    the student should know all the same ("Note: …"), or "".
    """

    name: str
    points: int
    differentiable: bool = False
    hidden_inputs: tuple[Case, ...] = ()
    explain: Callable[[Sequence[Case], Sequence[Outcome]], Complaint | None] | None = None
    remark: Callable[[Sequence[Case], Sequence[Outcome]], str] | None = None


@dataclass(frozen=True)
class Assignment:
    """A homework as the grader needs it: its exercises in order, with hidden inputs that depend on a teacher's secret alone."""

    homework: str
    tasks: tuple[Task, ...]

    @property
    def programs(self) -> tuple[Task, ...]:
        """The exercises that are programs."""
        return tuple(task for task in self.tasks if task.hidden_inputs)

    @property
    def written(self) -> tuple[Task, ...]:
        """The questions that are answered in words."""
        return tuple(task for task in self.tasks if not task.hidden_inputs)
