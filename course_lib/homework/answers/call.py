"""One call of a student's function, and everything about it that a check examines.

The same code runs in a notebook's check and inside the grader's sandbox. The grader judges the outcome with
`course_lib.homework.checks.verdict`, in a process that the student's code cannot reach.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from course_lib.homework.answers.standins import Net

DTYPES: tuple[torch.dtype, ...] = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
DTYPES += (torch.float16, torch.bfloat16, torch.float32, torch.float64)

MAX_NUMEL = 10**6  # a larger tensor is Unsupported; no exercise returns one as large


#: Torch settings of the process that a call may leave changed, as a message names them.
SETTINGS = ("gradients", "the default dtype", "the default device", "the number of threads", "deterministic algorithms")


class Unsupported(NamedTuple):
    """Stands for a returned object that is neither a tensor, a number, text nor a collection of them."""

    type_name: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of one call.

    value: what was returned. error: where it raised, "ValueError: its message", and `line`, the line number within the student's
    cell (0 where unknown). blank: its stub raised, as an exercise that is not written yet does (`is_blank`). after: the
    arguments as the call left them. gradients: of the sum of `value` with respect to each floating-point argument, or, where a
    network is among them, to each of the network's parameters instead (what training needs); None where no gradient arrives;
    empty where none was asked for. seeded, drew: torch's global random generator was seeded, or used. settings: which of
    `SETTINGS` the call left changed. tracked: the positions of the arguments whose requires_grad it left on.
    """

    value: object = None
    error: str = ""
    line: int = 0
    blank: bool = False
    after: tuple = ()
    gradients: tuple = ()
    gradient_error: str = ""
    seeded: bool = False
    drew: bool = False
    settings: tuple = ()
    tracked: tuple = ()


def copy_arguments(args: tuple, grad: bool = False) -> tuple:
    """Copy arguments, so that a call cannot change the originals. grad: floating-point tensors require gradients."""
    return tuple(_copy(value, grad) for value in args)


def _copy(value: object, grad: bool) -> object:
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(grad and value.is_floating_point())
    if isinstance(value, Net) and grad:
        return Net(*(torch.tensor(parameter, requires_grad=True) for parameter in vars(value).values()))
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(_copy(item, grad) for item in value)
    return value


def observe_call(function: Callable, args: tuple, differentiable: bool = False) -> Outcome:
    """Call ``function(*args)`` on copies of the arguments. differentiable: call it a second time, for the gradients.

    Torch's global random state and `SETTINGS` are restored. Only Exception is caught: an interrupt propagates.
    """
    given = copy_arguments(args)
    with torch.random.fork_rng(devices=[]), _settings_restored() as settings:
        seed, state = torch.initial_seed(), torch.get_rng_state()
        try:
            value = _plain(function(*given))
        except Exception as error:  # whatever a student's code raises becomes a message to the student
            return Outcome(error=f"{type(error).__name__}: {error}"[:400], line=_line(error, function), blank=is_blank(error))
        seeded = torch.initial_seed() != seed
        drew = not seeded and not torch.equal(state, torch.get_rng_state())
        gradients, gradient_error = _gradients(function, args) if differentiable else ((), "")
    tracked = tuple(i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad)
    return Outcome(value, "", 0, False, given, gradients, gradient_error, seeded, drew, tuple(settings), tracked)


def _read_settings() -> tuple:
    """What `SETTINGS` name, in their order."""
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    threads = torch.get_num_threads()
    return torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device(), threads, deterministic


@contextmanager
def _settings_restored() -> Iterator[list[str]]:
    """Restore torch's settings at the end. The list, empty until then, names those that had changed."""
    before, changed = _read_settings(), list[str]()
    try:
        yield changed
    finally:
        after = _read_settings()
        changed.extend(name for name, a, b in zip(SETTINGS, before, after, strict=True) if a != b)
        if changed:
            grad, dtype, device, threads, (deterministic, warn_only) = before
            torch.set_grad_enabled(grad)
            torch.set_default_dtype(dtype)
            if device != after[2]:  # setting it, even to the same one, makes every later call of torch a little slower
                torch.set_default_device(None if device == torch.device("cpu") else device)
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def is_blank(error: Exception) -> bool:
    """Whether an exercise's own stub raised this. Torch's own NotImplementedError has another text."""
    return isinstance(error, NotImplementedError) and (not str(error) or str(error).endswith("is not written yet"))


def _gradients(function: Callable, args: tuple) -> tuple[tuple, str]:
    """The gradients that `Outcome` describes, and why they failed ("" where they did not)."""
    given = copy_arguments(args, grad=True)
    parameters = [parameter for net in given if isinstance(net, Net) for parameter in vars(net).values()]
    inputs = parameters or [x for x in given if isinstance(x, Tensor) and x.requires_grad]
    try:
        with torch.enable_grad():
            out = function(*given)
            if not isinstance(out, Tensor) or not out.requires_grad:
                return tuple(None for _ in inputs), ""
            found = torch.autograd.grad(out.sum(), inputs, allow_unused=True)
    except Exception as error:  # as above
        return (), f"{type(error).__name__}: {error}"[:400]
    return tuple(found), ""


def _plain(value: object, depth: int = 0) -> object:
    """The returned value with every unsupported object in it replaced by its type's name."""
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.dtype not in DTYPES:
            return Unsupported(f"Tensor of {value.dtype}")
        return value.detach() if value.numel() <= MAX_NUMEL else Unsupported(f"Tensor of {value.numel():,} values")
    if type(value) is int and abs(value) >= 2**63:
        return Unsupported("int of more than 64 bits")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (np.floating, np.integer, np.bool_)):
        return value.item()
    if isinstance(value, (tuple, list)) and depth < 3 and len(value) <= 1000:
        return tuple(_plain(item, depth + 1) for item in value)
    return Unsupported(type(value).__name__[:60])


def _line(error: Exception, function: Callable) -> int:
    """The last line of the student's own file that the error passed through."""
    code = getattr(function, "__code__", None)
    if code is None:
        return 0
    lines = [step.lineno for step in traceback.extract_tb(error.__traceback__) if step.filename == code.co_filename]
    return lines[-1] or 0 if lines else 0
