"""What is wrong with an answer, in words: what was got, what was expected, and the likely mistake.

The likely mistake is found by experiment: an exercise lists functions that are wrong in the ways in which people go wrong, and
the one that gives the student's own numbers on the same inputs names the mistake.
"""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from course_lib.homework.answers.call import Outcome, Unsupported, call
from course_lib.homework.checks.case import Case, Complaint
from course_lib.homework.checks.compare import frame, numeric, same
from course_lib.homework.checks.wording import (
    GRADIENT_HINT,
    IN_PLACE_HINT,
    about_error,
    about_numbers,
    about_randomness,
    first_sentence,
    largest_difference,
    relation,
    show,
)

if TYPE_CHECKING:
    from course_lib.homework.checks.exercise import Exercise


class OracleFailed(Exception):
    """The workbook's own fault, never the student's: an oracle that raised on the inputs of its own check."""


def explain(exercise: "Exercise", cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Complaint | None:
    """The complaint about these outcomes of these cases, or None where every one of them is right."""
    wrong: list[tuple[Case, Outcome, Outcome]] = []
    for case, outcome in zip(cases, outcomes, strict=True):
        truth = call(exercise.oracle, case.args, exercise.differentiable)
        if truth.error:
            raise OracleFailed(f"the oracle of {exercise.name} failed on {case.what}: {truth.error}")
        if _differs(outcome, truth, exercise.tolerance):
            wrong.append((case, outcome, truth))
    if wrong:
        case, outcome, truth = wrong[0]
        if outcome.blank:
            return Complaint(blank=True)
        if same(outcome.value, truth.value, exercise.tolerance) and (side_effect := _side_effects(exercise, case, outcome)):
            return side_effect  # an in-place edit also breaks the gradient: name the cause
        return _complaint(case, outcome, truth, _likely(exercise, wrong), exercise.tolerance)
    return next((c for pair in zip(cases, outcomes, strict=True) if (c := _side_effects(exercise, *pair))), None)


def _differs(outcome: Outcome, truth: Outcome, tolerance: float) -> bool:
    if outcome.error or not same(outcome.value, truth.value, tolerance):
        return True
    return bool(_gradient_fault(outcome, truth, tolerance))


def _side_effects(exercise: "Exercise", case: Case, outcome: Outcome) -> Complaint | None:
    """The right numbers, but at somebody else's cost: inputs overwritten, the global random numbers touched."""
    for name, given, after in zip(inspect.signature(exercise.oracle).parameters, case.args, outcome.after, strict=False):
        if isinstance(given, Tensor) and not (given.shape == after.shape and torch.equal(given, after)):
            problem = f"The value is right, but the argument {name} was changed by the call."
            return Complaint(problem, case.what, likely=IN_PLACE_HINT)
    if likely := about_randomness(outcome):
        return Complaint("The value is right, but torch's global random numbers are not as they were.", case.what, likely=likely)
    return None


def _gradient_fault(outcome: Outcome, truth: Outcome, tolerance: float) -> str:
    """ "" where gradients agree, else "failed", "none" (nothing flows) or "wrong"."""
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
            equal = (
                trial.error == outcome.error
                if outcome.error or trial.error
                else same(outcome.value, trial.value, exercise.tolerance)
            )
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
        return Complaint(f"It raised {outcome.error}{where}.", given, "", expected, likely or about_error(outcome.error))
    if same(outcome.value, truth.value, tolerance):
        return Complaint(*_about_gradient(outcome, truth, tolerance), given=given, likely=likely or GRADIENT_HINT)
    if outcome.value is None and truth.value is not None:
        return Complaint("It returned nothing.", given, "None", expected, likely or "The last line lacks `return`.")
    if isinstance(outcome.value, Unsupported) or _kind(outcome.value) != _kind(truth.value):
        problem = f"It returned {_kind(outcome.value)}, expected {_kind(truth.value)}."
        if type(outcome.value) is tuple:
            likely = likely or "A list or a tuple came back. Give one tensor: torch.stack of tensors, torch.tensor of numbers."
        return Complaint(problem, given, got, expected, likely)
    if isinstance(truth.value, tuple):
        return _about_tuple(given, outcome, truth, likely, tolerance)
    problem = frame(outcome.value, truth.value) if numeric(truth.value) else ""
    if not problem and got == expected:
        problem = largest_difference(outcome.value, truth.value)
    factor = "" if problem or not numeric(truth.value) else relation(outcome.value, truth.value, tolerance)
    return Complaint(
        problem,
        given,
        got,
        expected + factor,
        likely or about_randomness(outcome) or about_numbers(outcome.value, truth.value, tolerance),
    )


def _about_tuple(given: str, outcome: Outcome, truth: Outcome, likely: str, tolerance: float) -> Complaint:
    if len(outcome.value) != len(truth.value):
        problem = f"It returned {len(outcome.value)} values, expected {len(truth.value)}."
        return Complaint(problem, given, show(outcome.value), show(truth.value), likely)
    pairs = enumerate(zip(outcome.value, truth.value, strict=True), 1)
    number, (a, b) = next((n, pair) for n, pair in pairs if not same(*pair, tolerance))
    problem = f"Value {number} of {len(truth.value)} is wrong."
    if _kind(a) != _kind(b):
        problem += f" It is {_kind(a)}, expected {_kind(b)}."
    elif numeric(b):
        problem = " ".join(filter(None, [problem, frame(a, b)]))
        likely = likely or about_numbers(a, b, tolerance)
    return Complaint(problem, given, show(a), show(b), likely)


def _kind(value: object) -> str:
    if isinstance(value, Unsupported):
        return f"an object of type {value.kind}"
    if isinstance(value, tuple):
        return "several values"
    if value is None or isinstance(value, str):
        return "nothing" if value is None else "text"
    return "numbers"


def _about_gradient(outcome: Outcome, truth: Outcome, tolerance: float) -> tuple[str]:
    fault = _gradient_fault(outcome, truth, tolerance)
    if fault == "failed":
        return (f"The value is right, but its gradient failed: {first_sentence(outcome.gradient_error)}",)
    lost = "no gradient flows back to the arguments" if fault == "none" else "its gradient is wrong"
    return (f"The value is right, but {lost}, so nothing could be trained with it.",)
