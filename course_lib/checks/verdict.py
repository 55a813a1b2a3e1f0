"""What is wrong with an answer, in words: what was got, what was expected, and the likely mistake.

The likely mistake is found by experiment: an exercise lists functions that are wrong in the ways in which people go wrong, and
the one that gives the student's own numbers on the same inputs names the mistake.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from course_lib.grading.call import Foreign, Outcome, call

if TYPE_CHECKING:
    from course_lib.checks.exercise import Exercise


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


def explain(exercise: "Exercise", cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Complaint | None:
    """The complaint about these outcomes of these cases, or None where every one of them is right."""
    wrong: list[tuple[Case, Outcome, Outcome]] = []
    for case, outcome in zip(cases, outcomes, strict=True):
        truth = call(exercise.oracle, case.args, exercise.differentiable)
        if truth.error:
            raise RuntimeError(f"the oracle of {exercise.name} failed on {case.what}: {truth.error}")
        if _differs(outcome, truth, exercise.tolerance):
            wrong.append((case, outcome, truth))
    if wrong:
        case, outcome, truth = wrong[0]
        if outcome.blank:
            return Complaint(blank=True)
        if same(outcome.value, truth.value, exercise.tolerance) and (rude := _manners(case, outcome)):
            return rude  # an in-place edit also breaks the gradient: name the cause
        return _complaint(case, outcome, truth, _likely(exercise, wrong), exercise.tolerance)
    return next((c for c in map(_manners, cases, outcomes) if c), None)


def _differs(outcome: Outcome, truth: Outcome, tolerance: float) -> bool:
    if outcome.error or not same(outcome.value, truth.value, tolerance):
        return True
    return bool(_gradient_fault(outcome, truth, tolerance))


def _manners(case: Case, outcome: Outcome) -> Complaint | None:
    """The right numbers, but at somebody else's cost: inputs overwritten, the global random numbers touched."""
    for number, (given, after) in enumerate(zip(case.args, outcome.after, strict=False), 1):
        if isinstance(given, Tensor) and not (given.shape == after.shape and torch.equal(given, after)):
            likely = "An in-place edit: x += …, x *= …, x[...] = … or a method that ends in _ changes the caller's tensor. Make a new one."
            return Complaint(f"The value is right, but argument {number} was changed by the call.", case.what, likely=likely)
    if likely := _about_randomness(outcome):
        return Complaint("The value is right, but torch's global random numbers are not as they were.", case.what, likely=likely)
    return None


def _about_randomness(outcome: Outcome) -> str:
    if outcome.seeded:
        return "torch.manual_seed inside a function resets the global seed and makes everybody else's random numbers repeat. Take it out."
    if outcome.drew:
        return "It draws random numbers of its own (torch.randn, torch.rand or the like). What is random is given as an argument: use that."
    return ""


def same(a: object, b: object, tolerance: float = 1e-4) -> bool:
    """Equal kind, shape, dtype family and device; numbers within the tolerance (see `Exercise`), and NaN nowhere but in both."""
    if isinstance(b, tuple):
        return isinstance(a, tuple) and len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if b is None or isinstance(b, str):
        return type(a) is type(b) and a == b
    if not _numeric(a) or not _numeric(b) or _frame(a, b):
        return False
    x, y = (v.detach().to("cpu", torch.float64) if isinstance(v, Tensor) else torch.tensor(float(v), dtype=torch.float64)
            for v in (a, b))  # fmt: skip
    low = any(isinstance(v, Tensor) and v.is_floating_point() and v.dtype != torch.float64 for v in (a, b))
    finite = y[y.isfinite()]
    scale = finite.abs().max().item() if finite.numel() else 0.0
    close = tolerance if low else tolerance * 1e-4
    return bool(torch.allclose(x, y, rtol=close, atol=close * scale, equal_nan=True))


def _numeric(value: object) -> bool:
    return isinstance(value, (Tensor, bool, int, float))


def _family(value: object) -> str:
    if isinstance(value, Tensor):
        return "bool" if value.dtype == torch.bool else "float" if value.is_floating_point() else "int"
    return "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"


def _frame(got: object, expected: object) -> str:
    """What differs about two values apart from their numbers, or "". A number and a tensor without axes are the same thing."""
    shapes = [list(v.shape) if isinstance(v, Tensor) else [] for v in (got, expected)]
    if shapes[0] != shapes[1]:
        return f"The shape is {shapes[0]}, expected {shapes[1]}."
    families = [_family(v) for v in (got, expected)]
    if families[0] != families[1] and "bool" in families:
        return f"The numbers are {families[0]}, expected {families[1]}."
    if isinstance(got, Tensor) and isinstance(expected, Tensor) and got.device.type != expected.device.type:
        return f"The result is on {got.device}, expected on {expected.device}, as the arguments are."
    return ""


def _gradient_fault(outcome: Outcome, truth: Outcome, tolerance: float) -> str:
    """"" where gradients agree, else "failed", "none" (nothing flows) or "wrong"."""
    if outcome.gradient_error:
        return "failed"
    if len(outcome.gradients) != len(truth.gradients):
        return "wrong"
    fault = ""
    for got, expected in zip(outcome.gradients, truth.gradients, strict=True):
        if expected is None or not expected.any():
            if got is not None and got.abs().max() > tolerance:
                fault = "wrong"
        elif got is None:
            return "none"
        elif not same(got, expected, 10 * tolerance):
            fault = "wrong"
    return fault


def _likely(exercise: "Exercise", wrong: Sequence[tuple[Case, Outcome, Outcome]]) -> str:
    """The mistake that explains most of the wrong outcomes, in words; "" where none of the known ones does."""
    best, says = 0, ""
    for mistake in exercise.mistakes:
        explained = 0
        for case, outcome, _ in wrong:
            trial = call(mistake.function, case.args, exercise.differentiable)
            equal = trial.error == outcome.error if outcome.error or trial.error else same(outcome.value, trial.value, exercise.tolerance)
            if equal and exercise.differentiable and not outcome.error:
                equal = not _gradient_fault(outcome, trial, exercise.tolerance)
            explained += equal
        if explained > best:
            best, says = explained, mistake.says
    return says


def _complaint(case: Case, outcome: Outcome, truth: Outcome, likely: str, tolerance: float) -> Complaint:
    given, got, expected = case.what, show(outcome.value), show(truth.value)
    if outcome.error:
        where = f" in line {outcome.line} of its cell" if outcome.line else ""
        return Complaint(f"It raised {outcome.error}{where}.", given, "", expected, likely or _about_error(outcome.error))
    if same(outcome.value, truth.value, tolerance):
        return Complaint(*_about_gradient(outcome, truth, tolerance), given=given, likely=likely or _GRADIENT_HINT)
    if outcome.value is None and truth.value is not None:
        return Complaint("It returned nothing.", given, "None", expected, likely or "The last line lacks `return`.")
    if isinstance(outcome.value, Foreign) or _kind(outcome.value) != _kind(truth.value):
        problem = f"It returned {_kind(outcome.value)}, expected {_kind(truth.value)}."
        return Complaint(problem, given, got, expected, likely)
    if isinstance(truth.value, tuple):
        return _about_tuple(given, outcome, truth, likely, tolerance)
    problem = _frame(outcome.value, truth.value) if _numeric(truth.value) else ""
    relation = "" if problem or not _numeric(truth.value) else _relation(outcome.value, truth.value, tolerance)
    return Complaint(problem, given, got, expected + relation, likely or _about_randomness(outcome) or _about_numbers(outcome.value, truth.value, tolerance))


def _about_tuple(given: str, outcome: Outcome, truth: Outcome, likely: str, tolerance: float) -> Complaint:
    if len(outcome.value) != len(truth.value):
        problem = f"It returned {len(outcome.value)} values, expected {len(truth.value)}."
        return Complaint(problem, given, show(outcome.value), show(truth.value), likely)
    pairs = enumerate(zip(outcome.value, truth.value, strict=True), 1)
    number, (a, b) = next((n, pair) for n, pair in pairs if not same(*pair, tolerance))
    problem = f"Value {number} of {len(truth.value)} is wrong."
    if _kind(a) != _kind(b):
        problem += f" It is {_kind(a)}, expected {_kind(b)}."
    elif _numeric(b):
        problem = " ".join(filter(None, [problem, _frame(a, b)]))
        likely = likely or _about_numbers(a, b, tolerance)
    return Complaint(problem, given, show(a), show(b), likely)


def _kind(value: object) -> str:
    if isinstance(value, Foreign):
        return f"an object of type {value.kind}"
    if isinstance(value, tuple):
        return "several values"
    if value is None or isinstance(value, str):
        return "nothing" if value is None else "text"
    return "numbers"


_GRADIENT_HINT = (
    "Training needs the gradient of every step: .item(), .detach(), float(…), torch.tensor(…), numpy or torch.no_grad() cut it off. "
    "Use torch functions on the tensors themselves."
)


def _about_gradient(outcome: Outcome, truth: Outcome, tolerance: float) -> tuple[str]:
    fault = _gradient_fault(outcome, truth, tolerance)
    if fault == "failed":
        return (f"The value is right, but its gradient failed: {outcome.gradient_error}.",)
    lost = "no gradient flows back to the arguments" if fault == "none" else "its gradient is wrong"
    return (f"The value is right, but {lost}, so nothing could be trained with it.",)


def _about_error(error: str) -> str:
    """A hint for the errors that torch words for itself alone."""
    known = {
        "Expected all tensors to be on the same device": "A tensor was made on the CPU: give torch.zeros, torch.arange, … the device of an argument.",
        "must match the size of tensor": "Two shapes do not broadcast. Axes are compared from the right; keepdim=True or view(-1, 1, 1, 1) puts missing ones in.",
        "NameError": "A name that is defined in another cell? What the function needs belongs in its own cell, or in an import.",
        "leaf Variable that requires grad": "An in-place edit of an argument (x += …, x[...] = …): training cannot go through it. Make a new tensor.",
        "takes": "Compare the names and the number of arguments with the statement above.",
    }  # fmt: skip
    return next((hint for part, hint in known.items() if part in error), "")


def _relation(got: object, expected: object, tolerance: float) -> str:
    """" = got × c" where one factor c leads from got to expected everywhere, else ""."""
    x, y = (torch.as_tensor(v).detach().to("cpu", torch.float64).flatten() for v in (got, expected))
    keep = (x != 0) & (y != 0)
    if not x.numel() or not keep.any() or not torch.equal(x == 0, y == 0) or not bool((x.isfinite() & y.isfinite()).all()):
        return ""
    ratios = y[keep] / x[keep]
    ratio = ratios.median().item()
    if (ratios - ratio).abs().max() > 10 * tolerance * abs(ratio) or abs(ratio - 1) < 100 * tolerance:
        return ""
    return f" = got × {_short(ratio)}" if abs(ratio) >= 1 else f" = got ÷ {_short(1 / ratio)}"


def _about_numbers(got: object, expected: object, tolerance: float) -> str:
    """What the numbers alone tell, where no known mistake gives them."""
    if not (_numeric(got) and _numeric(expected)):
        return ""
    x, y = (torch.as_tensor(v).detach().to("cpu", torch.float64) for v in (got, expected))
    if not bool(x.isfinite().all()):
        return "There are NaN or infinite numbers: a logarithm or a root of something negative, or a division by zero?"
    if x.shape != y.shape:
        if sorted(x.shape) == sorted(y.shape):
            return "The same numbers of axes in another order: two axes are swapped."
        if x.ndim > y.ndim:
            return "There are axes too many: something was not summed or averaged, or was broadcast by mistake."
        return "There are axes too few: something was summed or averaged that should stay."
    if same(-x, y, tolerance):
        return "The sign is turned round."
    for a in range(x.ndim):
        for b in range(a):
            if x.shape[a] == x.shape[b] and same(x.transpose(a, b), y, tolerance):
                return f"Axes {b} and {a} are swapped."
    if x.numel() > 1 and same(x - x.mean(), y - y.mean(), tolerance):
        return f"Every number is off by the same amount, {_short((y - x).mean().item())}: a constant term is missing or too much."
    if x.numel() > 1 and not x.any():
        return "All zeros."
    return ""


def show(value: object) -> str:
    """A value in one line: all of a small one, the shape and the first four numbers of a large one."""
    if isinstance(value, Foreign):
        return f"an object of type {value.kind}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(show, value)) + ")" if len(value) <= 6 else f"{len(value)} values"
    if not isinstance(value, Tensor):
        return _short(value) if isinstance(value, float) else repr(value)[:80]
    flat = value.detach().flatten()
    if value.dtype == torch.bool:
        text = f"{int(flat.sum())} of {flat.numel()} True" if value.ndim else str(bool(value))
        return f"{list(value.shape)} {text}" if value.ndim else text
    if value.ndim == 0:
        return _short(flat[0].item())
    first = ", ".join(_short(v) for v in flat[:4].tolist())
    return f"{list(value.shape)} {first}{', …' if flat.numel() > 4 else ''}"


def _short(number: float) -> str:
    if isinstance(number, int) or not math.isfinite(number):
        return str(number)
    return f"{number:.4g}"
