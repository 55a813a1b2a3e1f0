"""An exercise as a check sees it: an oracle, inputs drawn from a seed, and the mistakes that people make."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from course_lib.homework.answers.call import Outcome, observe_call
from course_lib.homework.checks.case import AnswerKey, Assignment, Case, Complaint, Mistake, Task
from course_lib.homework.checks.surroundings import missing_when_graded
from course_lib.homework.checks.verdict import explain, remarks
from course_lib.storage.console import say

DTYPES = (torch.float32, torch.float64)
HIDDEN_SEEDS = 2  # seeds of hidden inputs for each exercise
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Draw:
    """Draws inputs. The values depend on the seed alone: every dtype and device gets the same ones, rounded to its precision."""

    seed: int
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    generator: torch.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "generator", torch.Generator().manual_seed(self.seed))

    @property
    def dtype_name(self) -> str:
        """ "float32" or "float64", for a case's description."""
        return str(self.dtype).removeprefix("torch.")

    def normal(self, *shape: int, std: float = 1.0, mean: float = 0.0) -> Tensor:
        """Gaussian values, [*shape]."""
        return self._cast(mean + std * torch.randn(shape, generator=self.generator, dtype=torch.float64))

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform values from low to high, [*shape]."""
        return self._cast(low + (high - low) * torch.rand(shape, generator=self.generator, dtype=torch.float64))

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """int64 from low to high - 1."""
        return torch.randint(low, high, shape, generator=self.generator).to(self.device)

    def number(self, low: float, high: float) -> float:
        """A plain float, with three decimals so that it can be read in a message."""
        return round(low + (high - low) * torch.rand((), generator=self.generator, dtype=torch.float64).item(), 3)

    def integer(self, low: int, high: int) -> int:
        """A plain int from low to high - 1."""
        return int(torch.randint(low, high, (), generator=self.generator))

    def tensor(self, values: Tensor | Sequence) -> Tensor:
        """Given values in this draw's dtype and on its device."""
        return self._cast(torch.as_tensor(values, dtype=torch.float64))

    def _cast(self, values: Tensor) -> Tensor:
        return values.to(self.device, self.dtype)


@dataclass(frozen=True, eq=False)
class Exercise:
    """One function that a student writes.

    oracle: gives the right answer, by another method than the solution where there is one. cases: draws new inputs for each
    seed, such that every known mistake shows in at least one of them. mistakes: filled by the decorator ``mistake``.
    differentiable: training flows through it, so its gradients are compared too. block: what the notebook uses while the
    student's function does not pass; by default the oracle. tolerance: relative to the largest expected value; the same in
    float64, where a right program may compute in float32 on the way. values: names of the returned values where there are
    several; each name earns its share of the points (values of one name together). terms: takes the arguments, and returns what a
    result adds up, by name; by default the arguments that have its shape. A message names the term whose factor is wrong.
    """

    name: str
    points: int
    difficulty: int  # 1 to 5
    minutes: int
    oracle: Callable
    cases: Callable[[Draw], list[Case]]
    differentiable: bool = False
    block: Callable | None = None
    tolerance: float = 1e-4
    values: tuple[str, ...] = ()
    terms: Callable[..., dict[str, object]] | None = None
    mistakes: list[Mistake] = field(default_factory=list, init=False)

    def mistake(self, message: str) -> Callable[[Function], Function]:
        """Register the decorated function, which makes one known mistake; ``message`` is what the student then reads.

        The order counts: where two mistakes explain an answer equally well, the one registered first is named.
        """

        def register(function: Function) -> Function:
            self.mistakes.append(Mistake(message, function))
            return function

        return register

    def for_practice(self, minutes: int, block: Callable | None = None) -> "Exercise":
        """The same exercise and known mistakes without points, for a chapter: its own minutes and, if given, block."""
        copy = replace(self, points=0, minutes=minutes, block=block or self.block)
        copy.mistakes.extend(self.mistakes)
        return copy

    def draws(self, seed: int, devices: Sequence[torch.device]) -> list[Case]:
        """Every case of every dtype on the CPU, and in float32 on the other devices."""
        variants = [(dtype, device) for device in devices for dtype in (DTYPES if device.type == "cpu" else DTYPES[:1])]
        return [case for dtype, device in variants for case in self.cases(Draw(seed, dtype, device))]

    def explain(self, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Complaint | None:
        """What is wrong with these outcomes of these cases, or None."""
        return explain(self.key, cases, outcomes)

    def remark(self, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> str:
        """What a student should know about these outcomes although nothing is wrong with them, "Note: …", or ""."""
        return remarks(self.key, cases, outcomes)

    @property
    def key(self) -> AnswerKey:
        """What answers are compared with."""
        return AnswerKey(
            self.name, self.oracle, tuple(self.mistakes), self.differentiable, self.tolerance, self.values, self.terms
        )

    def complaint(self, function: Callable, seed: int = 0, devices: Sequence[torch.device] | None = None) -> Complaint | None:
        """What is wrong with a function, or None. The result depends on the function and the seed alone."""
        return self.judge(function, seed, devices)[0]

    def judge(
        self, function: Callable, seed: int = 0, devices: Sequence[torch.device] | None = None
    ) -> tuple[Complaint | None, str]:
        """The complaint about a function, and the remark where there is no complaint."""
        cases = self.draws(seed, devices or _devices())
        outcomes = [observe_call(function, case.args, self.differentiable) for case in cases]
        found = self.explain(cases, outcomes)
        return found, "" if found else self.remark(cases, outcomes)

    def check(self, function: Callable) -> Callable:
        """Check a student's function, print the verdict, and return the function that the notebook uses from here.

        That is the student's own function once it passes, and the workbook's block until then, so that a blank exercise does
        not block the rest. Where nbgrader runs the notebook, a function that fails raises AssertionError instead.
        """
        note = ""
        if not callable(function):
            found: Complaint | None = Complaint(
                problem=f"{function!r:.60} was given, but check takes the function itself: check({self.name})."
            )
        else:
            found, note = self.judge(function)
        if found is None:
            missing = missing_when_graded(function) if self.points else ""
            text = f"✓ {self.name}: passed{f', {_points(self.points)}' if self.points else ''}."
            say(" ".join(filter(None, [text, note, missing])))
            return function
        text = found.text(self.name, self.points)
        if os.environ.get("NBGRADER_EXECUTION"):
            raise AssertionError(text)
        say(f"{text}\n  The cells below use the workbook's own {self.name} until yours passes.")
        return self.block or self.oracle

    def task(self, secret: bytes) -> Task:
        """This exercise as the grader needs it. The hidden inputs depend on the secret and the exercise's name alone."""
        seed = self.seed(secret)
        inputs = tuple(case for i in range(HIDDEN_SEEDS) for case in self.draws(seed + i, [torch.device("cpu")]))
        return Task(self.name, self.points, self.differentiable, inputs, self.explain, self.remark)

    def seed(self, secret: bytes) -> int:
        """The seed of this exercise's hidden inputs, from a teacher's secret."""
        return int.from_bytes(hashlib.sha256(secret + self.name.encode()).digest()[:6], "big")


@dataclass(frozen=True)
class Written:
    """A question that is answered in words; a person marks it with the rubric of the solved notebook."""

    name: str
    points: int
    difficulty: int
    minutes: int

    def task(self, secret: bytes) -> Task:
        """This question as the grader needs it; it has no hidden inputs."""
        return Task(self.name, self.points)


class Practice:
    """The functions that a reader of a chapter writes, each under its own name and without points: ``ch3.kl.check(kl)``."""

    def __init__(self, name: str, title: str, *exercises: Exercise | Written) -> None:
        self.name, self.title = name, title
        self.exercises = tuple(one for one in exercises if isinstance(one, Exercise))
        self.order = exercises

    def __getattr__(self, name: str) -> Exercise:
        for one in self.__dict__.get("order", ()):
            if one.name == name:
                return one
        raise AttributeError(f"{self.__dict__.get('name')} has no exercise {name!r}; it has {', '.join(self.__dir__())}.")

    def __dir__(self) -> list[str]:
        return [one.name for one in self.exercises]


class Homework(Practice):
    """The exercises of one homework, each under its own name: ``hw3.kl.check(kl)``."""

    def __init__(self, name: str, title: str, *exercises: Exercise | Written) -> None:
        super().__init__(name, title, *exercises)
        self.written = tuple(one for one in exercises if isinstance(one, Written))

    @property
    def points(self) -> int:
        """Points of all exercises and questions."""
        return sum(one.points for one in self.order)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its exercises and questions, in order."""
        return tuple(one.name for one in self.order)

    def assignment(self, secret: bytes) -> Assignment:
        """This homework as the grader needs it, the same for every student and every run with the same secret."""
        return Assignment(self.name, tuple(one.task(secret) for one in self.order))

    def summary(self, *functions: Callable) -> None:
        """Check every function once more, in the order of the exercises, and print the points that they have earned so far.

        Raises ValueError unless one function is given for each exercise.
        """
        if len(functions) != len(self.exercises):
            raise ValueError(
                f"{self.name}.summary takes {len(self.exercises)} functions ({', '.join(self.__dir__())}), got {len(functions)}."
            )
        earned = 0.0
        for one, function in zip(self.exercises, functions, strict=True):
            found = one.complaint(function)
            mark = "✓" if found is None else "○" if found.blank else "✗"
            points = found.points(one.points) if found else one.points
            earned += points
            say(f"{mark} {one.name:<28} {points:g} of {_points(one.points)}")
        for question in self.written:
            say(f"  {question.name:<28} {_points(question.points)}, marked by a person")
        say(f"{earned:g} of {_points(sum(one.points for one in self.exercises))}.")


def _points(n: int) -> str:
    return f"{n} point" if n == 1 else f"{n} points"


def _devices() -> list[torch.device]:
    """The CPU, and the accelerator where there is one."""
    from course_lib import device

    return list(dict.fromkeys([torch.device("cpu"), torch.device(device.find().device.type)]))
