"""A cause for a wrong answer that no known mistake explains: how it follows from the right answer, or from changed arguments.

Every guess is tried on all inputs, the ones with a right answer included, and is given only where it predicts all answers.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from course_lib.homework.answers.call import observe_call
from course_lib.homework.answers.standins import Net
from course_lib.homework.checks.case import AnswerKey, Case, Judged
from course_lib.homework.checks.compare import answers_match, is_numeric
from course_lib.homework.checks.wording import listed, short

Change = Callable[[Tensor], Tensor]
Predict = Callable[["_Trial"], object]

#: What may have happened to the right answer, as a sentence.
RESULTS: tuple[tuple[str, Change], ...] = (
    ("This is the square of the right answer: a root is missing, or something was squared once too often.", torch.square),
    ("This is the root of the right answer: a square is missing, or a root was taken once too often.", torch.sqrt),
    ("This is the exponential of the right answer.", torch.exp),
    ("This is the logarithm of the right answer: an exp is missing, or a logarithm was taken once too often.", torch.log),
    ("This is one over the right answer: a fraction is upside down.", torch.reciprocal),
    ("This is 1 minus the right answer.", lambda x: 1 - x),
    ("This is the right answer minus 1.", lambda x: x - 1),
    ("This is the right answer plus 1.", lambda x: x + 1),
    ("This is the absolute value of the right answer.", torch.abs),
    ("The right answer was clamped to [-1, 1].", lambda x: x.clamp(-1, 1)),
    ("The right answer was clamped to [0, 1].", lambda x: x.clamp(0, 1)),
    ("Negative values of the right answer became 0.", lambda x: x.clamp(min=0)),
    ("This is the right answer rounded down: // or int(…) cuts off the decimals.", torch.floor),
    ("This is the right answer rounded to an integer.", torch.round),
    ("This is the right answer divided by its largest value.", lambda x: x / x.max()),
    ("This is the right answer divided by its own norm.", lambda x: x / x.norm()),
    ("This is the right answer divided by its sum.", lambda x: x / x.sum()),
    ("The mean of the right answer was subtracted from it.", lambda x: x - x.mean()),
    ("All entries are the first entry of the right answer: the index along axis 0 is always 0.", lambda x: x[:1].expand_as(x)),
    ("These are the right entries in reverse order along axis 0.", lambda x: x.flip(0)),
    ("These are the right entries, sorted.", lambda x: x.flatten().sort().values.view_as(x)),
    ("This is only the first entry of the right answer.", lambda x: x[0]),
    ("This is only the last entry of the right answer.", lambda x: x[-1]),
    ("Every entry is the mean of the right answer.", lambda x: x.mean().expand_as(x)),
    ("Every entry is the mean of the right answer over axis 0.", lambda x: x.mean(0, keepdim=True).expand_as(x)),
    ("Every entry is the sum of the right answer.", lambda x: x.sum().expand_as(x)),
)
#: What may have been used in place of an argument {}, as words.
ARGUMENTS: tuple[tuple[str, Change], ...] = (
    ("0 in place of {0}: is {0} missing?", torch.zeros_like),
    ("1 in place of {0}: is the factor {0} missing?", torch.ones_like),
    ("-{0} in place of {0}: a sign is reversed", torch.neg),
    ("{0}² in place of {0}: it was squared once too often", torch.square),
    ("the root of {0} in place of {0}: it was not squared, or a root was taken", torch.sqrt),
    ("2 · {0} in place of {0}: a factor", lambda x: 2 * x),
    ("{0} / 2 in place of {0}: a factor", lambda x: x / 2),
    ("4 · {0} in place of {0}: a factor", lambda x: 4 * x),
    ("{0} + 1 in place of {0}", lambda x: x + 1),
    ("{0} - 1 in place of {0}", lambda x: x - 1),
    ("1 - {0} in place of {0}", lambda x: 1 - x),
    ("1 / {0} in place of {0}: multiplied in place of divided, or the other way round", torch.reciprocal),
    ("exp({0}) in place of {0}", torch.exp),
    ("log({0}) in place of {0}", torch.log),
    ("|{0}| in place of {0}", torch.abs),
    ("{0}[0] in place of {0}, for the full batch", lambda x: x[:1].expand_as(x)),
    ("{0} in reverse order", lambda x: x.flip(0)),
    ("the mean of {0} in place of {0}", lambda x: x.mean().expand_as(x)),
    ("the mean of {0} over axis 0 in place of {0}", lambda x: x.mean(0, keepdim=True).expand_as(x)),
    ("{0} minus its mean over axis 0", lambda x: x - x.mean(0)),
    ("{0} minus its mean", lambda x: x - x.mean()),
    ("rows and columns of {0} swapped", lambda x: x.transpose(-1, -2)),
    ("{0} clamped to [-1, 1]", lambda x: x.clamp(-1, 1)),
)


def gradient_names(key: AnswerKey, case: Case) -> list[str]:
    """The names of what each gradient of an outcome belongs to: an argument, or a network's weights (one name for each)."""
    names = inspect.signature(key.oracle).parameters
    weights = [f"{name}'s weights" for name, x in zip(names, case.args, strict=False) if isinstance(x, Net) for _ in vars(x)]
    tensors = [name for name, x in zip(names, case.args, strict=False) if isinstance(x, Tensor) and x.is_floating_point()]
    return weights or tensors


def guess(key: AnswerKey, rows: Sequence[Judged], select: Callable) -> str:
    """Return a sentence on what may be wrong, or "".

    rows: every input; those whose call raised count for nothing. select: takes the value that is wrong of one or several.
    """
    values = [_selected(row, select) for row in rows if not row.outcome.error]
    if any(one is None for one in values):
        return ""
    trials = [one for one in values if one is not None]
    wrong = [one for one in trials if not answers_match(one.got, one.truth, key.tolerance)]
    if not wrong:
        return ""
    # One number can be reached in many ways by chance; several, from different inputs, cannot.
    distinct = {tuple(_number(one.truth).flatten().tolist()) for one in wrong}
    wrong_floats = isinstance(wrong[0].truth, Tensor) and wrong[0].truth.is_floating_point() and wrong[0].truth.numel() > 1
    if len(distinct) < 2 and not wrong_floats:
        return ""
    for message, predict in _candidates(key, wrong[0], select):
        if all(_fits(one, predict, key.tolerance) for one in (*wrong, *trials)):
            return message
    return _factors_of_terms(key, wrong[0]) or _parts_by_gradient(key, wrong[0])


@dataclasses.dataclass(frozen=True)
class _Trial:
    """One input, the value that the student's function gave, and the right one."""

    row: Judged
    got: object
    truth: object

    @property
    def args(self) -> tuple:
        return self.row.case.args


def _selected(row: Judged, select: Callable) -> _Trial | None:
    try:
        got, truth = select(row.outcome.value), select(row.truth.value)
    except (TypeError, IndexError):
        return None
    return _Trial(row, got, truth) if is_numeric(got) and is_numeric(truth) else None


def _fits(one: _Trial, predict: Callable[[_Trial], object], tolerance: float) -> bool:
    try:
        predicted = predict(one)
    except (RuntimeError, IndexError, ValueError, TypeError, ArithmeticError):
        return False
    return is_numeric(predicted) and _match(one.got, predicted, tolerance)


def _match(got: object, predicted: object, tolerance: float) -> bool:
    """Whether the values agree, whatever their kinds of number are: 4 and 4.0 are the same here."""
    x, y = (torch.as_tensor(value).detach().to("cpu", torch.float64) for value in (got, predicted))
    return x.shape == y.shape and answers_match(x, y, tolerance)


def _number(value: object) -> Tensor:
    return (
        torch.as_tensor(value, dtype=torch.float64) if not isinstance(value, Tensor) else value.detach().to("cpu", torch.float64)
    )


def _from_truth(change: Change) -> Predict:
    return lambda one: change(_number(one.truth))


def _with_argument(i: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Predict:
    """Combine the right answer with argument i."""
    return lambda one: combine(_number(one.truth), _number(one.args[i]))


def _with_size(i: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Predict:
    """Combine the right answer with argument i as it is."""
    return lambda one: combine(_number(one.truth), one.args[i])


def _from_arguments(key: AnswerKey, select: Callable, change: Callable[[tuple], tuple]) -> Predict:
    """The oracle's answer to changed arguments."""

    def predict(one: _Trial) -> object:
        outcome = observe_call(key.oracle, change(one.args))
        if outcome.error:
            raise ValueError(outcome.error)
        return select(outcome.value)

    return predict


def _replaced(i: int, change: Change) -> Callable[[tuple], tuple]:
    return lambda args: (*args[:i], _changed(args[i], change), *args[i + 1 :])


def _swapped(i: int, j: int) -> Callable[[tuple], tuple]:
    return lambda args: tuple(args[{i: j, j: i}.get(n, n)] for n in range(len(args)))


def _used_twice(i: int, j: int) -> Callable[[tuple], tuple]:
    """Argument j in place of argument i."""
    return lambda args: (*args[:i], args[j], *args[i + 1 :])


def _argument(i: int) -> Predict:
    return lambda one: one.args[i]


#: How the right answer is combined with an argument {}, as a sentence.
COMBINATIONS: tuple[tuple[str, Callable[[Tensor, Tensor], Tensor]], ...] = (
    ("{} is added once too often, or is not subtracted.", lambda x, a: x + a),
    ("{} is subtracted once too often, or is not added.", lambda x, a: x - a),
    ("2 · {} is added once too often, or is not subtracted.", lambda x, a: x + 2 * a),
    ("2 · {} is subtracted once too often, or is not added.", lambda x, a: x - 2 * a),
    ("This is the right answer times {}: a factor too many, or a division by it is missing.", lambda x, a: x * a),
    ("This is the right answer divided by {}: one division too many, or the factor is missing.", lambda x, a: x / a),
)


def _candidates(key: AnswerKey, shown: _Trial, select: Callable) -> Iterator[tuple[str, Predict]]:
    """Sentences, and what each predicts. The more plausible come first."""
    names = list(inspect.signature(key.oracle).parameters)
    usable = [i for i, x in enumerate(shown.args) if is_numeric(x) and not isinstance(x, bool) and not _is_mask(x)]
    for i in usable:
        yield f"This is {names[i]} itself, unchanged.", _argument(i)
    for i, j in ((i, j) for i in usable for j in usable if i != j and _alike(shown.args[i], shown.args[j])):
        if i < j:
            yield f"This is the answer with {names[i]} and {names[j]} swapped.", _from_arguments(key, select, _swapped(i, j))
        yield f"This is the answer with {names[j]} in place of {names[i]}.", _from_arguments(key, select, _used_twice(i, j))
    for words, change in ARGUMENTS:
        for i in usable:
            sentence = f"This is the answer with {words.format(names[i])}"
            yield sentence if sentence.endswith("?") else f"{sentence}.", _from_arguments(key, select, _replaced(i, change))
    for sentence, change in RESULTS:
        yield sentence, _from_truth(change)
    yield from _reductions(shown)
    yield from _sizes(shown)
    for sentence, combine in COMBINATIONS:
        for i in usable:
            yield sentence.format(names[i]), _with_argument(i, combine)
    if not isinstance(shown.truth, Tensor) and _shape(shown.got) == ():
        difference = (_number(shown.got) - _number(shown.truth)).item()
        size = "large" if difference > 0 else "small"
        yield f"The result is {short(abs(difference))} too {size} for every input.", _from_truth(lambda x: x + difference)


def _is_mask(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bool


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _alike(a: object, b: object) -> bool:
    """Whether one may be used in place of the other: two tensors of one shape and kind, or two numbers."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype
    return type(a) is type(b)


def _changed(value: Tensor | float, change: Change) -> Tensor | float:
    if isinstance(value, Tensor):
        return change(value).to(value.dtype).contiguous()
    changed = change(torch.tensor(value, dtype=torch.float64)).item()
    if isinstance(value, int) and not (0 <= changed <= 2 * value + 1 and changed == int(changed)):
        raise ValueError("an oracle that makes tensors of this size could take all of the memory")
    return type(value)(changed)


def _reductions(shown: _Trial) -> Iterator[tuple[str, Predict]]:
    """The right answer, summed or averaged over axes that should stay."""
    axes: tuple[tuple[str, tuple[int, ...]], ...] = (("axis 0", (0,)), ("axis 1", (1,)), ("all axes but the first", (1, 2, 3)))
    axes += (("rows and columns", (2, 3)), ("axes 0, 2 and 3", (0, 2, 3)), ("all axes", ()))
    for where, dims in axes:
        if isinstance(shown.truth, Tensor) and all(dim < shown.truth.ndim for dim in dims):
            for words, reduce in (("averaged", Tensor.mean), ("summed", Tensor.sum)):
                yield (
                    f"This is the right answer, {words} over {where}, which should stay.",
                    _from_truth(functools.partial(_reduced, reduce=reduce, dims=dims)),
                )


def _reduced(x: Tensor, reduce: Callable[..., Tensor], dims: tuple[int, ...]) -> Tensor:
    return reduce(x, dims) if dims else reduce(x)


#: What a mean divides by: numbers of values of an argument.
SIZES: tuple[tuple[str, Callable[[Tensor], int]], ...] = (
    ("the size of the batch", len),
    ("the number of values of one image or row", lambda x: x[0].numel()),
    ("the number of all values", Tensor.numel),
    ("the number of pixels", lambda x: x[0, 0].numel()),
    ("the number of channels or columns", lambda x: x.shape[1]),
)


def _sizes(shown: _Trial) -> Iterator[tuple[str, Predict]]:
    """The right answer times or divided by a number of values: a mean where a sum belongs, or the other way round."""
    for i in [i for i, x in enumerate(shown.args) if isinstance(x, Tensor) and x.ndim >= 2][:1]:
        for words, count in SIZES:
            small = f"The result is too small by a factor, {words}: is a mean taken where a sum belongs?"
            yield small, _with_size(i, functools.partial(_scaled, count=count, power=-1))
            large = f"The result is too large by a factor, {words}: is a sum taken where a mean belongs?"
            yield large, _with_size(i, functools.partial(_scaled, count=count, power=1))


def _scaled(x: Tensor, argument: Tensor, count: Callable[[Tensor], int], power: int) -> Tensor:
    return x * float(count(argument)) ** power


def _factors_of_terms(key: AnswerKey, shown: _Trial) -> str:
    """Where the answer adds up terms, each times a number: the numbers that it should have and has.

    The terms are the arguments of the answer's shape, or what the exercise names. The numbers may differ from image to image, or
    from channel to channel.
    """
    got, truth = shown.got, shown.truth
    if not isinstance(got, Tensor) or not isinstance(truth, Tensor) or got.shape != truth.shape or truth.ndim < 1:
        return ""
    names = inspect.signature(key.oracle).parameters
    terms = key.terms(*shown.args) if key.terms else dict(zip(names, shown.args, strict=False))
    used = {k: x for k, x in terms.items() if isinstance(x, Tensor) and x.is_floating_point() and x.shape == truth.shape}
    places: list[tuple[str, tuple[slice | int, ...]]] = [("", ())]
    if truth.ndim > 2:
        places += [(f" in image {i}", (i,)) for i in range(truth.shape[0])]
        places += [(f" in channel {i}", (slice(None), i)) for i in range(truth.shape[1])]
    for where, at in places if used else ():
        table = torch.stack([_number(x)[at].flatten() for x in used.values()], 1)
        if len(table) < len(used) + 2:
            continue
        has, needs = (_factors(table, _number(value)[at].flatten(), key.tolerance) for value in (got, truth))
        if has is None or needs is None:
            continue
        smallest = 100 * key.tolerance * needs.abs().max().item()
        wrong = [name for name, a, b in zip(used, has, needs, strict=True) if abs(a - b) > smallest]
        if wrong:
            mixed, right = (_sum(used, factors, smallest) for factors in (has, needs))
            return f"This is {mixed}{where}; it should be {right}. Look at the factor of {listed(wrong)}."
    return ""


def _sum(names: Iterable[str], factors: Tensor, smallest: float) -> str:
    terms = [f"{short(factor)} · {name}" for name, factor in zip(names, factors.tolist(), strict=True) if abs(factor) > smallest]
    return " + ".join(terms).replace("+ -", "- ") or "0"


def _factors(table: Tensor, values: Tensor, tolerance: float) -> Tensor | None:
    """The factors with which the columns of a table add up to these values, or None."""
    if not bool(values.isfinite().all()):
        return None
    factors = torch.linalg.lstsq(table, values[:, None]).solution[:, 0]
    error = (table @ factors - values).abs().max().item()
    return factors if error <= 10 * tolerance * max(values.abs().max().item(), 1e-12) else None


def _parts_by_gradient(key: AnswerKey, shown: _Trial) -> str:
    """Where gradients are known: which argument's part of a wrong answer is right, and by which factor another part is wrong."""
    got, truth = shown.row.outcome.gradients, shown.row.truth.gradients
    names = gradient_names(key, shown.row.case)
    if not names or len(set(names)) < len(names) or len(got) != len(truth) or len(truth) != len(names):
        return ""
    if _shape(shown.got) != _shape(shown.truth) or any(x is None for x in (*got, *truth)):
        return ""
    right = [name for name, a, b in zip(names, got, truth, strict=True) if answers_match(a, b, 10 * key.tolerance)]
    wrong = [name for name in names if name not in right]
    if not wrong:
        difference = (_number(shown.got) - _number(shown.truth)).flatten()
        if (difference - difference[0]).abs().max() > 100 * key.tolerance * difference[0].abs():
            return ""
        off = f"{short(abs(difference[0].item()))} too {'large' if difference[0] > 0 else 'small'}"
        return (
            f"By its gradients, everything that depends on the arguments is right: a constant term is wrong. The result is {off}."
        )
    factors = {}
    for name, a, b in zip(names, got, truth, strict=True):
        assert a is not None and b is not None  # noqa: PT018  # seen above
        ratio = (_number(a) / _number(b)).flatten()
        ratio = ratio[ratio.isfinite()]
        if name in wrong and ratio.numel() > 1 and (ratio - ratio[0]).abs().max() < 100 * key.tolerance * ratio[0].abs():
            factors[name] = ratio[0].item()
    if factors:
        by_factor: dict[str, list[str]] = {}
        for name, f in factors.items():
            by_factor.setdefault(short(f), []).append(name)
        said = " and ".join(f"what depends on {listed(some)} is {f} times what it should be" for f, some in by_factor.items())
        return f"By its gradients, {said}{f'; what depends on {listed(right)} is right' if right else ''}."
    if right:
        return f"By its gradients, what depends on {listed(right)} is right: look at the terms that contain {listed(wrong)}."
    return ""
