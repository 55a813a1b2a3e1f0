"""What is wrong with an answer, in words: what it gave, what was expected, and the likely mistake.

The likely mistake is found by experiment: an exercise lists functions with known mistakes, and the one that gives the student's
own values on the same inputs names the mistake. Where none does, `course_lib.homework.checks.guess` looks for one.
"""

import builtins
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from course_lib.homework.answers.call import Outcome, Unsupported, observe_call
from course_lib.homework.checks.case import AnswerKey, Case, Complaint, Judged, Mistake
from course_lib.homework.checks.compare import answers_match, form_difference, is_numeric
from course_lib.homework.checks.guess import gradient_names, guess
from course_lib.homework.checks.wording import (
    GRADIENT_HINT,
    IN_PLACE_HINT,
    error_hint,
    factor_of_all,
    first_sentence,
    format_value,
    largest_difference,
    listed,
    object_hint,
    randomness_hint,
    value_hint,
)


class OracleFailed(Exception):
    """An oracle raised on the inputs of its own check: the workbook's fault, never the student's."""


def explain(key: AnswerKey, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Complaint | None:
    """Return the complaint about these outcomes of these cases, errors among them or not, or None where all of them are right."""
    rows = [Judged(case, outcome, _truth(key, case)) for case, outcome in zip(cases, outcomes, strict=True)]
    wrong = [row for row in rows if _differs(row, key.tolerance)]
    right = [row for row in rows if row not in wrong]
    if rows and all(row.outcome.blank for row in rows):
        return Complaint(blank=True)
    changed = [row for row in (*wrong, *right) if _changed_argument(key, row)]
    if changed and not (wrong and wrong[0].outcome.error):
        return _in_place(key, changed[0])  # it makes gradients and values wrong too: name the cause
    if not wrong:
        return None
    shown, likely = _likely(key, wrong, right)
    earned, parts = _earned(key, rows)
    complaint = _complaint(key, shown, likely, wrong, [row for row in rows if row.case.part == shown.case.part])
    return replace(complaint, earned=earned, right=parts, public=_public(key, shown))


def _public(key: AnswerKey, row: Judged) -> str:
    """What is wrong, without a hidden input: of an exception its type alone, of wrong values the place where they differ most."""
    got, expected = row.outcome.value, row.truth.value
    if row.outcome.error:
        kind = row.outcome.error.partition(":")[0]
        where = f" in line {row.outcome.line} of its cell" if row.outcome.line else ""
        return f"It raised {kind if hasattr(builtins, kind) else 'an exception of its own'}{where}."
    if _is_right(row, key.tolerance):
        failed = row.outcome.gradient_error
        return "The value is right, but its gradient failed." if failed else ""  # no value is in the other sentences
    number = ""
    if isinstance(got, tuple) and isinstance(expected, tuple) and len(got) == len(expected):
        at = _first_wrong(got, expected, key.tolerance)
        got, expected, number = got[at], expected[at], f"Value {at + 1} of {len(expected)} is wrong. "
    if isinstance(got, Unsupported) or _type_name(got) != _type_name(expected):
        kind = "an object that is no answer" if isinstance(got, Unsupported) else _type_name(got)
        return f"{number}It returned {kind}, expected {_type_name(expected)}."
    if not is_numeric(got) or not is_numeric(expected):
        return f"{number}It is not what was expected."
    return number + (form_difference(got, expected) or largest_difference(got, expected))


def remarks(key: AnswerKey, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> str:
    """Return what a student should know about right outcomes: "Note: …" on what the call left changed, or on its dtype, or ""."""
    notes = []
    if settings := dict.fromkeys(name for outcome in outcomes for name in outcome.settings):
        notes.append(f"The call left {listed(settings)} of torch changed, so later cells run with another setting: restore it.")
    if random := next((hint for outcome in outcomes if (hint := randomness_hint(outcome))), ""):
        notes.append(f"The value is right, but torch's global random state was changed. {random}")
    names = list(inspect.signature(key.oracle).parameters)
    if tracked := dict.fromkeys(names[i] for outcome in outcomes for i in outcome.tracked if 0 <= i < len(names)):
        copy = f"{next(iter(tracked))}.detach().requires_grad_()"
        notes.append(f"requires_grad is still on for the caller's own {listed(tracked)}: use a copy, {copy}.")
    pairs = (_dtypes(case, outcome) for case, outcome in zip(cases, outcomes, strict=True))
    if dtypes := next((pair for pair in pairs if pair), None):
        notes.append(
            f"It returns {dtypes[0]} for arguments of {dtypes[1]}: give a tensor that you make the dtype of an argument."
        )
    return f"Note: {' '.join(notes)}" if notes else ""


def _dtypes(case: Case, outcome: Outcome) -> tuple[str, str] | None:
    """The names of the answer's dtype and of the arguments', where both are floating-point numbers and differ."""
    given = {x.dtype for x in case.args if isinstance(x, Tensor) and x.is_floating_point()}
    values = outcome.value if isinstance(outcome.value, tuple) else (outcome.value,)
    got = {x.dtype for x in values if isinstance(x, Tensor) and x.is_floating_point()} - given
    if len(given) != 1 or not got:
        return None
    return str(got.pop()).removeprefix("torch."), str(given.pop()).removeprefix("torch.")


def _truth(key: AnswerKey, case: Case) -> Outcome:
    truth = observe_call(key.oracle, case.args, key.differentiable)
    if truth.error:
        raise OracleFailed(f"the oracle of {key.name} failed on {case.what}: {truth.error}")
    return truth


def _differs(row: Judged, tolerance: float) -> bool:
    return not _is_right(row, tolerance) or bool(_gradient_fault(row.outcome, row.truth, tolerance))


def _is_right(row: Judged, tolerance: float) -> bool:
    """Whether the value is right, whatever the gradient is."""
    return not row.outcome.error and answers_match(row.outcome.value, row.truth.value, tolerance)


def _changed_argument(key: AnswerKey, row: Judged) -> str:
    """The name of an argument that the call overwrote, or ""."""
    for name, given, after in zip(inspect.signature(key.oracle).parameters, row.case.args, row.outcome.after, strict=False):
        if isinstance(given, Tensor) and not (isinstance(after, Tensor) and torch.equal(given, after)):
            return name
    return ""


def _in_place(key: AnswerKey, row: Judged) -> Complaint:
    changed = f"the argument {_changed_argument(key, row)} was changed by the call"
    if _is_right(row, key.tolerance):
        return Complaint(f"The value is right, but {changed}.", row.case.what, likely=IN_PLACE_HINT)
    got, expected = format_value(row.outcome.value), format_value(row.truth.value)
    problem = f"The value is wrong, and {changed}."
    return Complaint(problem, row.case.what, got, expected, IN_PLACE_HINT, public=problem)


def _earned(key: AnswerKey, rows: Sequence[Judged]) -> tuple[float, tuple[str, ...]]:
    """The share of the points that right parts earn, and their names. A wrong gradient earns nothing."""
    states: dict[str, bool] = {}
    for row in rows:
        right = _is_right(row, key.tolerance)
        if right and _gradient_fault(row.outcome, row.truth, key.tolerance):
            return 0.0, ()
        for part, is_right in _values_right(key, row) if key.values else [(row.case.part, right)]:
            states[part] = states.get(part, True) and is_right
    parts = tuple(part for part, is_right in states.items() if is_right) if len(states) > 1 else ()
    return (len(parts) / len(states) if parts else 0.0), parts


def _values_right(key: AnswerKey, row: Judged) -> list[tuple[str, bool]]:
    """The name of each returned value, and whether it is right."""
    got, expected = row.outcome.value, row.truth.value
    if not isinstance(got, tuple) or not isinstance(expected, tuple) or len(got) != len(expected):
        return [(name, False) for name in key.values]
    return [(name, answers_match(a, b, key.tolerance)) for name, a, b in zip(key.values, got, expected, strict=True)]


def _gradient_fault(outcome: Outcome, truth: Outcome, tolerance: float) -> str:
    """ "" where gradients agree, else "failed", "none" (nothing flows to one of the arguments) or "wrong"."""
    if outcome.gradient_error:
        return "failed"
    if len(outcome.gradients) != len(truth.gradients):
        return "wrong"
    faults = [_fault(*pair, tolerance) for pair in zip(outcome.gradients, truth.gradients, strict=True)]
    return "none" if "none" in faults else "wrong" if "wrong" in faults else ""


def _fault(got: Tensor | None, expected: Tensor | None, tolerance: float) -> str:
    """The same of one gradient."""
    if expected is None or not expected.any():
        return "wrong" if got is not None and got.abs().max() > tolerance else ""
    if got is None:
        return "none"
    return "" if answers_match(got, expected, 10 * tolerance) else "wrong"


def _likely(key: AnswerKey, wrong: Sequence[Judged], right: Sequence[Judged]) -> tuple[Judged, str]:
    """The wrong outcome that the student sees, and the message of the known mistake that explains it, or "".

    It is the first one, and of the mistakes that explain it the one that explains most others. Where none does, and others may be
    clearer (another part of the exercise, or the first is an error or of another form), it is the first one that the mistake
    explains which explains most. A mistake counts only if it explains half of the wrong outcomes of one part, and would have
    given the student's right answers: a coincidence does not.
    """
    first = wrong[0]
    mistakes = [one for one in key.mistakes if _explains(one, key, first)]
    unclear = not is_numeric(first.outcome.value) or bool(form_difference(first.outcome.value, first.truth.value))
    if not mistakes and (unclear or any(row.case.part != first.case.part for row in wrong)):
        mistakes = [one for one in key.mistakes if any(_explains(one, key, row) for row in wrong[1:])]
    best, shown, message = 0, first, ""
    for mistake in mistakes:
        fits = [row for row in wrong if _explains(mistake, key, row)]
        alike = [row for row in wrong if row.case.part == fits[0].case.part]
        typical = 2 * sum(row in fits for row in alike) >= len(alike) and (fits[0] is first or 2 * len(fits) > len(alike))
        if len(fits) > best and typical and all(_explains(mistake, key, row) for row in right):
            best, shown, message = len(fits), fits[0], mistake.message
    return shown, message


def _explains(mistake: Mistake, key: AnswerKey, row: Judged) -> bool:
    trial = observe_call(mistake.function, row.case.args, key.differentiable)
    if row.outcome.error or trial.error:
        return trial.error == row.outcome.error
    if not answers_match(row.outcome.value, trial.value, key.tolerance):
        return False
    return not (key.differentiable and _gradient_fault(row.outcome, trial, key.tolerance))


def _complaint(key: AnswerKey, row: Judged, likely: str, wrong: Sequence[Judged], rows: Sequence[Judged]) -> Complaint:
    outcome, truth, tolerance = row.outcome, row.truth, key.tolerance
    given, got, expected = row.case.what, format_value(outcome.value), format_value(truth.value)
    if outcome.error:
        where = f" in line {outcome.line} of its cell" if outcome.line else ""
        return Complaint(f"It raised {outcome.error}{where}.", given, "", expected, likely or error_hint(outcome.error))
    if _is_right(row, tolerance):
        return Complaint(_gradient_problem(key, row), given=given, likely=likely or GRADIENT_HINT)
    if outcome.value is None and truth.value is not None:
        return Complaint("It returned nothing.", given, "None", expected, likely or "The last line lacks `return`.")
    if isinstance(outcome.value, Unsupported) or _type_name(outcome.value) != _type_name(truth.value):
        problem = f"It returned {_type_name(outcome.value)}, expected {_type_name(truth.value)}."
        return Complaint(problem, given, got, expected, likely or object_hint(outcome.value))
    if isinstance(outcome.value, tuple) and isinstance(truth.value, tuple):
        return _tuple_complaint(key, row, likely, rows)
    problem = form_difference(outcome.value, truth.value) if is_numeric(truth.value) else ""
    if not problem and got == expected:
        problem = largest_difference(outcome.value, truth.value)
    factor = "" if problem else factor_of_all([(one.outcome.value, one.truth.value) for one in (row, *wrong)], tolerance)
    hint = likely or randomness_hint(outcome) or _from_values(key, rows, outcome.value, truth.value, lambda value: value)
    return Complaint(problem, given, got, expected + factor, hint)


def _from_values(key: AnswerKey, rows: Sequence[Judged], got: object, expected: object, select: Callable) -> str:
    """A hint that follows from the values, where no known mistake explains them. rows: of one part; select: takes one value."""
    return guess(key, rows, select) or value_hint(got, expected, key.tolerance)


def _tuple_complaint(key: AnswerKey, row: Judged, likely: str, rows: Sequence[Judged]) -> Complaint:
    given, got, expected = row.case.what, row.outcome.value, row.truth.value
    assert isinstance(got, tuple)  # the caller has seen that
    assert isinstance(expected, tuple)
    if len(got) != len(expected):
        problem = f"It returned {len(got)} values, expected {len(expected)}."
        hint = likely or "Return the values one by one, in the order of the statement: return a, b, c."
        return Complaint(problem, given, format_value(got), format_value(expected), hint)
    number = _first_wrong(got, expected, key.tolerance)
    a, b = got[number], expected[number]
    problem = f"Value {number + 1} of {len(expected)} is wrong."
    if _type_name(a) != _type_name(b):
        problem += f" It is {_type_name(a)}, expected {_type_name(b)}."
        likely = likely or object_hint(a)
    elif is_numeric(b):
        problem = " ".join(filter(None, [problem, form_difference(a, b)]))
        likely = likely or _from_values(key, rows, a, b, lambda value: value[number])
    return Complaint(problem, given, format_value(a), format_value(b), likely)


def _first_wrong(got: tuple, expected: tuple, tolerance: float) -> int:
    """The position of the first of several values that is wrong."""
    return next(i for i, pair in enumerate(zip(got, expected, strict=True)) if not answers_match(*pair, tolerance))


def _type_name(value: object) -> str:
    if isinstance(value, Unsupported):
        return f"an object of type {value.type_name}"
    if isinstance(value, tuple):
        return "several values"
    if value is None or isinstance(value, str):
        return "nothing" if value is None else "text"
    return "numbers"


def _gradient_problem(key: AnswerKey, row: Judged) -> str:
    outcome, truth = row.outcome, row.truth
    fault = _gradient_fault(outcome, truth, key.tolerance)
    if fault == "failed":
        return f"The value is right, but its gradient failed: {first_sentence(outcome.gradient_error)}"
    named = dict.fromkeys(gradient_names(key, row.case))
    faults: dict[str, set[str]] = {name: set() for name in named}
    if len(outcome.gradients) == len(truth.gradients):
        for name, got, expected in zip(gradient_names(key, row.case), outcome.gradients, truth.gradients, strict=True):
            faults[name].add(_fault(got, expected, key.tolerance))
    lost = [name for name in named if "none" in faults[name]]
    arrives = [name for name in named if faults[name] == {""}]
    if fault == "wrong":
        wrong = listed(name for name in named if name not in arrives)
        return f"The value is right, but its gradient with respect to {wrong} is wrong, so nothing could be trained with it."
    reaches = f" (it flows to {listed(arrives)})" if arrives else ""
    return f"The value is right, but no gradient flows back to {listed(lost)}{reaches}, so nothing could be trained with it."
