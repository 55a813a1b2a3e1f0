"""Judge one call with odd arguments: was the answer right, or the refusal one clear sentence of our own?"""

import ast
import contextlib
import dataclasses
import functools
import io
import math
import re
import signal
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from odd_values import Odd
from spec import Arguments, Spec
from torch import Tensor, nn

import course_lib

PACKAGE = Path(course_lib.__file__).resolve().parent
SECONDS = 5  # of processor time for one call
GIGABYTES = 4  # more than the process has at its start

OK, CLEAR = "ok", "clear sentence"
OBSCURE, UNCLEAR, SILENT = "obscure error", "unclear sentence", "silently accepted"
NOT_FINITE, SLOW, MEMORY, WARNED, CHANGED = "not finite", "too slow", "too much memory", "a warning", "input changed"
FAULTS = (OBSCURE, UNCLEAR, SILENT, NOT_FINITE, SLOW, MEMORY, WARNED, CHANGED)


class OutOfTimeError(BaseException):
    """The call took too long; not an Exception, so that the code under test does not catch it."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a call did. where: the innermost frame of an error."""

    kind: str
    detail: str = ""
    where: str = ""

    @property
    def is_fault(self) -> bool:
        return self.kind in FAULTS


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """Refuse more memory than GIGABYTES to this process, instead of letting it take the machine's."""
    import resource  # Windows has none

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + GIGABYTES * 2**30, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def limited_time() -> Iterator[None]:
    """Raise OutOfTimeError in this block after SECONDS of processor time."""

    def stop(*_: object) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def judge(spec: Spec, arguments: Arguments, odd: Mapping[str, Odd]) -> Verdict:
    """Call it with these arguments, of which those in ``odd`` are odd, and judge what happens."""
    given = list(_tensors(arguments))
    state = [(x._version, x.requires_grad) for x in given]
    said = io.StringIO()
    try:
        with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(said), limited_time():
            warnings.simplefilter("always")
            result = spec.call(**arguments)
    except OutOfTimeError:
        return Verdict(SLOW, f"more than {SECONDS} s")
    except MemoryError as error:
        return Verdict(MEMORY, str(error), _innermost(error))
    except Exception as error:
        return _judge_error(spec, error, arguments, odd)
    if not spec.changes and state != [(x._version, x.requires_grad) for x in given]:
        return Verdict(CHANGED, "a tensor that was given has other values afterwards")
    if warned:
        return Verdict(WARNED, f"{warned[0].category.__name__}: {warned[0].message}")
    if wrong := _wrongly_accepted(spec, arguments, odd):
        return Verdict(SILENT, wrong)
    finite_input = all(_is_finite(x, 1e15) for name, x in arguments.items() if name not in spec.fixed)
    if not spec.infinite and finite_input and not _is_finite(result):
        return Verdict(NOT_FINITE, f"the result holds NaN or infinity: {result!r:.150}")
    return Verdict(OK)


def _judge_error(spec: Spec, error: Exception, arguments: Arguments, odd: Mapping[str, Odd]) -> Verdict:
    where, text = _innermost(error), f"{type(error).__name__}: {error}"
    text = text.partition("\nException raised from")[0]
    if "allocate memory" in text:
        return Verdict(MEMORY, text[:200], where)
    if isinstance(error, spec.raises) or (isinstance(error, TypeError) and any(o.foreign for o in odd.values())):
        return Verdict(CLEAR, text)
    if not isinstance(error, ValueError | TypeError) or not _is_raised_by_us(error):
        return Verdict(OBSCURE, text[:400], where)
    if problem := _unclear(spec, str(error), arguments):
        return Verdict(UNCLEAR, f"{problem}: {text[:400]}", where)
    return Verdict(CLEAR, text)


def _innermost(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(frame.filename)
    name = path.relative_to(PACKAGE.parent) if path.is_relative_to(PACKAGE.parent) and ".venv" not in path.parts else path.name
    return f"{name}:{frame.lineno}"


def _is_raised_by_us(error: BaseException) -> bool:
    """Whether the innermost frame is a ``raise`` statement of course_lib, and not an operation that failed there."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return Path(frame.filename).is_relative_to(PACKAGE) and frame.lineno in _raise_lines(frame.filename)


@functools.cache
def _raise_lines(filename: str) -> frozenset[int]:
    tree = ast.parse(Path(filename).read_text(encoding="utf-8"))
    raises = [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    return frozenset(line for node in raises for line in range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _unclear(spec: Spec, message: str, arguments: Arguments) -> str:
    """What is wrong with a message; "" where it is one or two sentences that name an argument, a shape or a value."""
    if len(message) < 20 or len(message) > 700:
        return "too short or too long"
    if len(re.findall(r"[.!?](?:\s+[A-Z]|$)", message)) > 3:
        return "more than two sentences"
    names = [name for name in arguments if re.search(rf"\b{re.escape(name)}\b", message)]
    if not names and not re.search(r"\d|'|torch\.|\b(NaN|nan|inf|None|True|channel|captions?|rows?|images?|x_t)\b", message):
        return "names no argument, shape or value"
    return ""


# ------------------------------------------------------------------------------------------------- what was accepted


def _wrongly_accepted(spec: Spec, arguments: Arguments, odd: Mapping[str, Odd]) -> str:
    """What a call should have refused; "" where there is nothing."""
    for name, value in odd.items():
        if value.never and getattr(value.value, "called", True):  # a function that was not asked cannot be refused
            return f"{name}: {value.words}"
    for name, axes in spec.shapes.items():
        value = arguments.get(name)
        if name in odd and isinstance(value, Tensor) and not fits(tuple(value.shape), axes):
            return f"{name} of shape {tuple(value.shape)}, where it must be {axes}"
    for group in spec.same:
        shapes = {name: tuple(arguments[name].shape) for name in group if isinstance(arguments[name], Tensor)}
        if len(set(shapes.values())) > 1:
            return f"different shapes {shapes}"
    for group in spec.rows:
        lengths = {name: _rows(arguments[name]) for name in group if _rows(arguments[name]) is not None}
        if len(set(lengths.values())) > 1:
            return f"different numbers of rows {lengths}"
    return ""


def _rows(value: Any) -> int | None:
    if isinstance(value, Tensor):
        return len(value) if value.ndim else None
    return len(value) if isinstance(value, list | tuple | np.ndarray) or hasattr(value, "__len__") else None


def fits(shape: tuple[int, ...], axes: str) -> bool:
    """Whether a shape is as described, such as "[B, 3, H, W]" or "[N, ...]": written again, apart from ``arguments``."""
    names = axes[1:-1].split(", ")
    if names[-1] == "...":
        names, shape = names[:-1], shape[: len(names) - 1]
    return len(shape) == len(names) and all(not n.isdecimal() or int(n) == side for n, side in zip(names, shape, strict=True))


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in arguments, whatever holds it; not the weights of networks."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type | nn.Module):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name))


def _is_finite(value: Any, limit: float = math.inf) -> bool:
    """Whether all numbers in a value are finite, and none is beyond the limit (an overflow of squares is no fault)."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "fc" or bool((np.isfinite(value) & (np.abs(value) <= limit)).all())
    if isinstance(value, bool | int) or value is None:
        return isinstance(value, bool) or value is None or abs(value) <= limit
    if isinstance(value, float):
        return math.isfinite(value) and abs(value) <= limit
    if isinstance(value, Tensor):
        if not (value.is_floating_point() or value.is_complex()):
            return True
        low = min(limit, 1e3) if value.dtype == torch.float16 else limit
        return bool((value.detach().isfinite() & (value.detach().abs() <= low)).all())
    if isinstance(value, Mapping):
        return all(_is_finite(v, limit) for v in value.values())
    if isinstance(value, list | tuple):
        return all(_is_finite(v, limit) for v in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all(_is_finite(getattr(value, f.name), limit) for f in dataclasses.fields(value))
    return True
