"""Checks of arguments: what a public function says of one that it cannot use, in one sentence.

Each function here checks once, before any work. The wrong Python type raises TypeError; a wrong shape, dtype or value raises
ValueError. Shapes and dtypes are known without asking the device. To look at values makes Python wait for a GPU: `check_finite`
is for functions that return a number anyway, and `check_labels` looks only at what is on the CPU.
"""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple, SupportsIndex

import torch
from torch import Tensor

MAX_SIZE = 65_536
MAX_DEPTH = 1_000
_DTYPES = {"float": "floats", "integer": "integers", "number": "real numbers", "bool": "True and False (bool)"}


def check_tensor(name: str, x: Any, axes: str = "", dtype: str = "number", least: int = 1) -> None:
    """Check that x is a tensor, of this shape and dtype.

    axes: for example ``"[B, 3, H, W]"``: a number must be the length of its axis, a letter stands for any length, and the same
    letter for the same length. ``"[B, ...]"`` allows more axes; "" allows any. dtype: "float" (of any precision), "integer" (not
    bool), "number" (either), "bool", or "any". least: the least length of the first axis (0 allows empty tensors).
    """
    if not isinstance(x, Tensor):
        how = f": torch.as_tensor({name}) makes one" if type(x).__module__ == "numpy" or isinstance(x, list | tuple) else ""
        raise TypeError(f"{name} is {_a_value(x)}, but must be a torch.Tensor{' ' + axes if axes else ''}{how}.")
    if not _HOLDS[dtype](x):
        hint = ""
        if dtype == "float" and x.dtype == torch.uint8:
            hint = ": uint8 images become floats in [-1, 1] with course_lib.images.to_float"
        raise ValueError(f"{name} holds {x.dtype}, but must hold {_DTYPES[dtype]}{hint}.")
    shape = x.shape
    if (axes and not _fits(shape, axes)) or (0 in shape and 0 in shape[1:]):
        raise ValueError(f"{name} has shape {tuple(shape)}, but must be {axes or 'a tensor without an empty axis'}.")
    if shape and shape[0] < least:
        raise ValueError(f"{name} has shape {tuple(x.shape)}, but needs at least {least} {'row' if least == 1 else 'rows'}.")


def check_same_shape(name: str, x: Tensor, other_name: str, other: Tensor) -> None:
    """Check that two tensors have one shape, so that nothing is broadcast unasked."""
    if x.shape != other.shape:
        raise ValueError(f"{name} has shape {tuple(x.shape)} and {other_name} {tuple(other.shape)}, but they must be equal.")


def check_same_dtype(name: str, x: Tensor, other_name: str, other: Tensor) -> None:
    """Check that two tensors have one dtype."""
    if x.dtype != other.dtype:
        raise ValueError(f"{name} holds {x.dtype} and {other_name} {other.dtype}: convert one of them.")


def check_float_dtype(name: str, dtype: Any) -> None:
    """Check a dtype of floating-point numbers, or None."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(f"{name} is {dtype!r}, but must be a dtype of floats, such as torch.float32, or None.")


def check_same_length(name: str, x: Tensor, other_name: str, other: Tensor) -> None:
    """Check that two tensors have equally many rows. The sizes are compared as they are: a trace keeps the batch size free."""
    if x.shape[0] != other.shape[0]:
        raise ValueError(f"{name} has {len(x)} rows and {other_name} {len(other)}, but row i of both must belong together.")


def check_finite(name: str, x: Tensor) -> None:
    """Check that a tensor holds no NaN and no infinity. It waits for the device."""
    if x.is_floating_point() and not bool(x.isfinite().all()):
        raise ValueError(f"{name} contains NaN or infinite values: look for the first layer or file that produces them.")


def check_labels(name: str, y: Any, classes: int, rows: int | None = None) -> None:
    """Check labels [N], integers in 0…classes − 1; on a GPU their values are not looked at."""
    check_tensor(name, y, "[N]", "integer", least=0)
    if rows is not None and len(y) != rows:
        raise ValueError(f"{name} has {len(y)} labels for {rows} rows, but needs one for each.")
    if can_look_at(y) and len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise ValueError(f"{name} holds labels from {int(y.min())} to {int(y.max())}, but must be in 0 to {classes - 1}.")


def can_look_at(x: Tensor) -> bool:
    """Whether the values of x can be read without waiting: on the CPU, and not while torch traces the program."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def check_integer(name: str, value: Any, at_least: int | None = None, at_most: int | None = None) -> int:
    """Check a whole number of at most 64 bits and its range; return it as an int."""
    expected = f"a whole number{_range(at_least, at_most, None, None)}"
    if isinstance(value, bool | Tensor) or not isinstance(value, SupportsIndex):
        if isinstance(value, Real) and not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}, but must be {expected}.")
        raise TypeError(f"{name} is {_a_value(value)}, but must be {expected}.")
    try:
        number = operator.index(value)
    except TypeError:  # an array of several numbers
        raise TypeError(f"{name} is {_a_value(value)}, but must be {expected}.") from None
    if (at_least is not None and number < at_least) or (at_most is not None and number > at_most):
        raise ValueError(f"{name} is {number}, but must be {expected}.")
    if at_most is None and number >= 2**63:
        raise ValueError(f"{name} is {number}, but must be a whole number that fits into 64 bits.")
    return number


def check_sizes(at_least: int = 1, at_most: int = MAX_SIZE, **sizes: Any) -> None:
    """Check the sizes of a network. There is an upper limit because a mistyped one would ask for all memory of the machine."""
    for name, size in sizes.items():
        check_integer(name, size, at_least, at_most)


def check_number(
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """Check a finite number and its range (`above` and `below` exclude their ends); return it as a float.

    A tensor of one element counts as a number where it is on the CPU.
    """
    expected = f"a finite number{_range(at_least, at_most, above, below)}"
    if isinstance(value, Tensor) and value.numel() == 1 and can_look_at(value):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {_a_value(value)}, but must be {expected}.")
    number = float(value)
    # written so that NaN passes none of them
    inside = (
        math.isfinite(number)
        and (at_least is None or number >= at_least)
        and (at_most is None or number <= at_most)
        and (above is None or number > above)
        and (below is None or number < below)
    )
    if not inside:
        raise ValueError(f"{name} is {value!r}, but must be {expected}.")
    return number


def check_flag(name: str, value: Any) -> None:
    """Check that a value is True or False: 1 or "no" would be taken for True unasked."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {_a_value(value)}, but must be True or False.")


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Check that a value is one of the names that there are."""
    names = tuple(choices)
    if value not in names:
        raise ValueError(f"{name} is {value!r}, but must be one of {', '.join(map(repr, names))}.")


def check_dictionary(name: str, values: Any) -> None:
    """Check a dictionary of one or more names and values."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} is {_a_value(values)}, but must be a dictionary of names and values.")
    if not values:
        raise ValueError(f"{name} is empty, but must have one or more names and values.")


def check_list(name: str, values: Any, length: int | None, what: str) -> None:
    """Check that values are a list or tuple of this length (None: one or more); what: a plural noun for the message."""
    if not isinstance(values, Sequence):
        raise TypeError(f"{name} is {_a_value(values)}, but must be a list of {what}.")
    if len(values) == 0 or len(values) != (length or len(values)):
        raise ValueError(f"{name} has {len(values)} values, but must be a list of {length or 'one or more'} {what}.")


def check_integers(name: str, values: Any, at_least: int | None = None, at_most: int | None = None) -> list[int]:
    """Check a list of one or more whole numbers in this range; return them as ints."""
    check_list(name, values, None, "whole numbers")
    return [check_integer(f"{name}[{i}]", value, at_least, at_most) for i, value in enumerate(values)]


def check_numbers(name: str, values: Any, length: int | None = None, **limits: float | None) -> list[float]:
    """Check a list of this many (default: one or more) finite numbers, within limits as in `check_number`; return floats."""
    check_list(name, values, length, "numbers")
    return [check_number(f"{name}[{i}]", value, **limits) for i, value in enumerate(values)]


def _is_integer(x: Tensor) -> bool:
    return not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool or x.is_quantized)


_HOLDS = {
    "float": Tensor.is_floating_point,
    "integer": _is_integer,
    "number": lambda x: x.is_floating_point() or _is_integer(x),
    "bool": lambda x: x.dtype == torch.bool,
    "any": lambda x: True,
}
_is_compiling = torch.compiler.is_compiling


class _Axes(NamedTuple):
    """What a shape must be: its number of axes, whether more may follow, the lengths of some, and which must be equal."""

    number: int
    more: bool
    lengths: tuple[tuple[int, int], ...]
    equal: tuple[tuple[int, int], ...]


_PARSED: dict[str, _Axes] = {}  # networks check the same axes in every layer of every step


def _fits(shape: torch.Size, text: str) -> bool:
    axes = _parse(text) if _is_compiling() else _PARSED.get(text) or _remember(text)
    if len(shape) != axes.number and not (axes.more and len(shape) > axes.number):
        return False
    for axis, length in axes.lengths:
        if shape[axis] != length:
            return False
    return not axes.equal or all(shape[i] == shape[j] for i, j in axes.equal)


def _remember(text: str) -> _Axes:
    if len(_PARSED) > 10_000:
        _PARSED.clear()
    return _PARSED.setdefault(text, _parse(text))


def _parse(text: str) -> _Axes:
    names = [name for name in text.strip("[]").replace(" ", "").split(",") if name]
    more = names[-1:] == ["..."]
    names = names[:-1] if more else names
    lengths = tuple((i, int(name)) for i, name in enumerate(names) if name.isdigit())
    equal = tuple((names.index(name), i) for i, name in enumerate(names) if not name.isdigit() and names.index(name) < i)
    return _Axes(len(names), more, lengths, equal)


def _range(at_least: float | None, at_most: float | None, above: float | None, below: float | None) -> str:
    if at_least is not None and at_most is not None:
        return f" from {at_least} to {at_most}"
    bounds = (("of at least", at_least), ("above", above), ("of at most", at_most), ("below", below))
    words = [f"{word} {bound}" for word, bound in bounds if bound is not None]
    return f" {' and '.join(words)}" if words else ""


def _a_value(value: Any) -> str:
    """A value of a wrong type, named by its type; short ones are shown."""
    shown = repr(value) if value is None or isinstance(value, bool | int | float | str) else ""
    if 0 < len(shown) <= 40:
        return shown
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiouAEIOU" else f"a {kind}"
