"""What is wrong with an answer, in words: what it gave, what was expected, and the likely mistake.

The likely mistake is found by experiment: an exercise lists functions with known mistakes, and the one that gives the student's
own values on the same inputs names the mistake.
"""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor

from course_lib.homework.answers.call import Outcome, Unsupported, observe_call
from course_lib.homework.checks.case import AnswerKey, Case, Complaint, Mistake
from course_lib.homework.checks.compare import answers_match, form_difference, is_numeric
from course_lib.homework.checks.wording import (
    GRADIENT_HINT,
    IN_PLACE_HINT,
    common_factor,
    error_hint,
    first_sentence,
    format_value,
    largest_difference,
    randomness_hint,
    value_hint,
)


class OracleFailed(Exception):
    """An oracle raised on the inputs of its own check: the workbook's fault, never the student's."""


def explain(key: AnswerKey, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Complaint | None:
    """Return the complaint about these outcomes of these cases, or None where all of them are right."""
    wrong: list[tuple[Case, Outcome, Outcome]] = []
    for case, outcome in zip(cases, outcomes, strict=True):
        truth = observe_call(key.oracle, case.args, key.differentiable)
        if truth.error:
            raise OracleFailed(f"the oracle of {key.name} failed on {case.what}: {truth.error}")
        if _differs(outcome, truth, key.tolerance):
            wrong.append((case, outcome, truth))
    if wrong:
        case, outcome, truth = wrong[0]
        if outcome.blank:
            return Complaint(blank=True)
        if answers_match(outcome.value, truth.value, key.tolerance) and (side_effect := _side_effects(key, case, outcome)):
            return side_effect  # an in-place edit also breaks the gradient: name the cause
        return _complaint(case, outcome, truth, _likely(key, wrong), key.tolerance)
    return next((c for pair in zip(cases, outcomes, strict=True) if (c := _side_effects(key, *pair))), None)


def _differs(outcome: Outcome, truth: Outcome, tolerance: float) -> bool:
    if outcome.error or not answers_match(outcome.value, truth.value, tolerance):
        return True
    return bool(_gradient_fault(outcome, truth, tolerance))


def _side_effects(key: AnswerKey, case: Case, outcome: Outcome) -> Complaint | None:
    """A complaint about right values with a side effect (inputs overwritten, the global random state touched), or None."""
    for name, given, after in zip(inspect.signature(key.oracle).parameters, case.args, outcome.after, strict=False):
        if isinstance(given, Tensor) and not (isinstance(after, Tensor) and torch.equal(given, after)):
            problem = f"The value is right, but the argument {name} was changed by the call."
            return Complaint(problem, case.what, likely=IN_PLACE_HINT)
    if likely := randomness_hint(outcome):
        return Complaint("The value is right, but torch's global random state was changed.", case.what, likely=likely)
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
        elif not answers_match(got, expected, 10 * tolerance):
            fault = "wrong"
    return fault


def _likely(key: AnswerKey, wrong: Sequence[tuple[Case, Outcome, Outcome]]) -> str:
    """The message of the known mistake that explains the first wrong outcome, which the student sees, and most of the others.

    Where none explains the first one, the message of the mistake that explains most; "" where none explains any.
    """
    best, message = (False, 0), ""
    for mistake in key.mistakes:
        fits = [_explains(mistake, key, case, outcome) for case, outcome, _ in wrong]
        explained = fits[0], sum(fits)
        if explained > best:
            best, message = explained, mistake.message
    return message


def _explains(mistake: Mistake, key: AnswerKey, case: Case, outcome: Outcome) -> bool:
    trial = observe_call(mistake.function, case.args, key.differentiable)
    if outcome.error or trial.error:
        return trial.error == outcome.error
    if not answers_match(outcome.value, trial.value, key.tolerance):
        return False
    return not (key.differentiable and _gradient_fault(outcome, trial, key.tolerance))


def _complaint(case: Case, outcome: Outcome, truth: Outcome, likely: str, tolerance: float) -> Complaint:
    given, got, expected = case.what, format_value(outcome.value), format_value(truth.value)
    if outcome.error:
        where = f" in line {outcome.line} of its cell" if outcome.line else ""
        return Complaint(f"It raised {outcome.error}{where}.", given, "", expected, likely or error_hint(outcome.error))
    if answers_match(outcome.value, truth.value, tolerance):
        return Complaint(_gradient_problem(outcome, truth, tolerance), given=given, likely=likely or GRADIENT_HINT)
    if outcome.value is None and truth.value is not None:
        return Complaint("It returned nothing.", given, "None", expected, likely or "The last line lacks `return`.")
    if isinstance(outcome.value, Unsupported) or _type_name(outcome.value) != _type_name(truth.value):
        problem = f"It returned {_type_name(outcome.value)}, expected {_type_name(truth.value)}."
        if type(outcome.value) is tuple:
            likely = likely or "It is a list or a tuple. Return one tensor: torch.stack of tensors, torch.tensor of numbers."
        return Complaint(problem, given, got, expected, likely)
    if isinstance(outcome.value, tuple) and isinstance(truth.value, tuple):
        return _tuple_complaint(given, outcome.value, truth.value, likely, tolerance)
    problem = form_difference(outcome.value, truth.value) if is_numeric(truth.value) else ""
    if not problem and got == expected:
        problem = largest_difference(outcome.value, truth.value)
    factor = "" if problem or not is_numeric(truth.value) else common_factor(outcome.value, truth.value, tolerance)
    return Complaint(
        problem,
        given,
        got,
        expected + factor,
        likely or randomness_hint(outcome) or value_hint(outcome.value, truth.value, tolerance),
    )


def _tuple_complaint(given: str, got: tuple, expected: tuple, likely: str, tolerance: float) -> Complaint:
    if len(got) != len(expected):
        problem = f"It returned {len(got)} values, expected {len(expected)}."
        return Complaint(problem, given, format_value(got), format_value(expected), likely)
    pairs = enumerate(zip(got, expected, strict=True), 1)
    number, (a, b) = next((n, pair) for n, pair in pairs if not answers_match(*pair, tolerance))
    problem = f"Value {number} of {len(expected)} is wrong."
    if _type_name(a) != _type_name(b):
        problem += f" It is {_type_name(a)}, expected {_type_name(b)}."
    elif is_numeric(b):
        problem = " ".join(filter(None, [problem, form_difference(a, b)]))
        likely = likely or value_hint(a, b, tolerance)
    return Complaint(problem, given, format_value(a), format_value(b), likely)


def _type_name(value: object) -> str:
    if isinstance(value, Unsupported):
        return f"an object of type {value.type_name}"
    if isinstance(value, tuple):
        return "several values"
    if value is None or isinstance(value, str):
        return "nothing" if value is None else "text"
    return "numbers"


def _gradient_problem(outcome: Outcome, truth: Outcome, tolerance: float) -> str:
    fault = _gradient_fault(outcome, truth, tolerance)
    if fault == "failed":
        return f"The value is right, but its gradient failed: {first_sentence(outcome.gradient_error)}"
    lost = "no gradient flows back to the arguments" if fault == "none" else "its gradient is wrong"
    return f"The value is right, but {lost}, so nothing could be trained with it."
