"""What an exercise is to a check: an oracle, inputs drawn from a seed, and the mistakes that people make."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from course_lib.homework.answers.call import call
from course_lib.homework.checks.case import Case, Complaint, Mistake
from course_lib.homework.checks.verdict import explain

DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Draw:
    """Draws inputs. The numbers depend on the seed alone: every dtype and device gets the same ones, rounded to its own."""

    seed: int
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    generator: torch.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "generator", torch.Generator().manual_seed(self.seed))

    def normal(self, *shape: int, std: float = 1.0, mean: float = 0.0) -> Tensor:
        return self._ours(mean + std * torch.randn(shape, generator=self.generator, dtype=torch.float64))

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return self._ours(low + (high - low) * torch.rand(shape, generator=self.generator, dtype=torch.float64))

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """int64 from low to high - 1."""
        return torch.randint(low, high, shape, generator=self.generator).to(self.device)

    def number(self, low: float, high: float) -> float:
        """A plain float, with three decimals so that it can be read in a message."""
        return round(low + (high - low) * torch.rand((), generator=self.generator, dtype=torch.float64).item(), 3)

    def whole(self, low: int, high: int) -> int:
        """A plain int from low to high - 1."""
        return int(torch.randint(low, high, (), generator=self.generator))

    def tensor(self, values: Tensor | Sequence) -> Tensor:
        """Values of your own, in this draw's dtype and on its device."""
        return self._ours(torch.as_tensor(values, dtype=torch.float64))

    def _ours(self, values: Tensor) -> Tensor:
        return values.to(self.device, self.dtype)


@dataclass(frozen=True)
class Exercise:
    """One function that a student writes.

    oracle: gives the right answer, in another way than the solution where there is one. cases: inputs drawn anew for each
    seed, such that every known mistake shows in at least one. differentiable: training flows through it, so its
    gradients are compared too. block: what the notebook goes on with while the student's own does not pass; by default
    the oracle. tolerance: of the largest expected number, in float32; float64 is held ten thousand times closer.
    """

    name: str
    points: int
    difficulty: int  # 1 to 5
    minutes: int
    oracle: Callable
    cases: Callable[[Draw], list[Case]]
    mistakes: tuple[Mistake, ...] = ()
    differentiable: bool = False
    block: Callable | None = None
    tolerance: float = 1e-4

    def draws(self, seed: int, devices: Sequence[torch.device]) -> list[Case]:
        """Every case of every dtype on the CPU, and in float32 on the other devices."""
        kinds = [(dtype, device) for device in devices for dtype in (DTYPES if device.type == "cpu" else DTYPES[:1])]
        return [case for dtype, device in kinds for case in self.cases(Draw(seed, dtype, device))]

    def complaint(self, function: Callable, seed: int = 0, devices: Sequence[torch.device] | None = None) -> Complaint | None:
        """What is wrong with a function, or None. The answer depends on the function and the seed alone."""
        cases = self.draws(seed, devices or _devices())
        outcomes = []
        for case in cases:
            outcomes.append(call(function, case.args, self.differentiable))
            if outcomes[-1].is_fatal:
                break  # one is enough to read
        return explain(self, cases[: len(outcomes)], outcomes)

    def check(self, function: Callable) -> Callable:
        """Check a student's function, print the verdict, and return what the notebook goes on with.

        That is the student's own function once it passes, and the workbook's block until then, so that an exercise left
        blank stops nobody. Where nbgrader runs the notebook, a function that fails raises AssertionError instead.
        """
        if not callable(function):
            found = Complaint(problem=f"{function!r:.60} was given, but check takes the function itself: check({self.name}).")
        else:
            found = self.complaint(function)
        if found is None:
            print(f"✓ {self.name}: passed, {_points(self.points)}.")
            return function
        text = found.text(self.name, self.points)
        if os.environ.get("NBGRADER_EXECUTION"):
            raise AssertionError(text)
        print(f"{text}\n  The cells below go on with the workbook's own {self.name} until yours passes.")
        return self.block or self.oracle

    def seed(self, secret: bytes) -> int:
        """The seed of this exercise's hidden inputs, from a teacher's secret."""
        return int.from_bytes(hashlib.sha256(secret + self.name.encode()).digest()[:6], "big")


@dataclass(frozen=True)
class Written:
    """A question that is answered in words; a person marks it with the rubric of the instructor's notebook."""

    name: str
    points: int
    difficulty: int
    minutes: int


class Homework:
    """The exercises of one homework, each under its own name: ``hw3.kl.check(kl)``."""

    def __init__(self, name: str, title: str, *exercises: Exercise | Written) -> None:
        self.name, self.title = name, title
        self.exercises = tuple(one for one in exercises if isinstance(one, Exercise))
        self.written = tuple(one for one in exercises if isinstance(one, Written))
        self.order = exercises

    @property
    def points(self) -> int:
        return sum(one.points for one in self.order)

    def summary(self, *functions: Callable) -> None:
        """Check every function once more, in the order of the exercises, and print the points that they have earned so far.

        Raises ValueError unless one function is given for each exercise.
        """
        if len(functions) != len(self.exercises):
            raise ValueError(
                f"{self.name} has {len(self.exercises)} functions, and {len(functions)} were given: {', '.join(self.__dir__())}."
            )
        earned = 0
        for one, function in zip(self.exercises, functions, strict=True):
            found = one.complaint(function)
            mark, points = ("✓", one.points) if found is None else ("○" if found.blank else "✗", 0)
            earned += points
            print(f"{mark} {one.name:<28} {points} of {_points(one.points)}")
        for one in self.written:
            print(f"  {one.name:<28} {_points(one.points)}, read by a person")
        print(f"{earned} of {_points(sum(one.points for one in self.exercises))}.")

    def __getattr__(self, name: str) -> Exercise:
        for one in self.__dict__.get("order", ()):
            if one.name == name:
                return one
        raise AttributeError(f"{self.__dict__.get('name')} has no exercise {name!r}; it has {', '.join(self.__dir__())}.")

    def __dir__(self) -> list[str]:
        return [one.name for one in self.exercises]


def _points(n: int) -> str:
    return f"{n} point" if n == 1 else f"{n} points"


def _devices() -> list[torch.device]:
    """The CPU, and the accelerator where there is one."""
    from course_lib import device

    return list(dict.fromkeys([torch.device("cpu"), torch.device(device.find().device.type)]))
