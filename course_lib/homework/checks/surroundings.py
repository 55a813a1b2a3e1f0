"""What a function that passes in the notebook uses that the grader will not have."""

import dis
import types
from collections.abc import Callable, Iterator

import numpy as np
import torch

CHECKS = "course_lib.homework.checks"
#: Values that a cell writes down. The grader has them from another cell; what an experiment computed it has not.
CONSTANTS = (bool, int, float, complex, str, bytes, type(None), range, slice, torch.dtype, torch.device, np.dtype)


def missing_when_graded(function: Callable) -> str:
    """Return "Note: …" about what this function uses, itself or in helpers from other cells, that is not there when it is graded.

    "" where all of it is there, and for functions of the workbook that no student wrote.
    """
    if _is_of_the_checks(function):
        return f"Note: {CHECKS} is not there when you are graded: write the function yourself."
    if not isinstance(function, types.FunctionType):
        kind = type(function).__name__
        return f"Note: it is an object of type {kind}, and the grader may not find what is in it: write a function with `def`."
    names = list(dict.fromkeys(_missing(function, set())))
    if not names:
        return ""
    if CHECKS in names:
        return f"Note: it uses {CHECKS}, which is not there when you are graded: write the function yourself."
    listed, it = ", ".join(f"`{name}`" for name in names), "it" if len(names) == 1 else "them"
    only_if = "has only where a cell writes its value down"  # and not what an experiment computed
    return f"Note: it uses {listed}, which the grader {only_if}: to be safe, define {it} inside the function."


def _is_of_the_checks(value: object) -> bool:
    owner = value if isinstance(value, (types.FunctionType, types.ModuleType, type)) else type(value)
    name = owner.__name__ if isinstance(owner, types.ModuleType) else owner.__module__
    return f"{name}.".startswith(f"{CHECKS}.")


def _missing(function: types.FunctionType, seen: set[int]) -> Iterator[str]:
    """The names of missing values, in the order of their use. seen: ids of functions that were looked at."""
    if id(function) in seen:
        return
    seen.add(id(function))
    space = function.__globals__
    for name in _global_names(function.__code__):
        if name not in space:
            continue  # a built-in name, or one that this run did not reach
        value = space[name]
        if _is_of_the_checks(value):
            yield CHECKS
        elif isinstance(value, types.FunctionType):
            if value.__globals__ is space:
                yield from _missing(value, seen)
        elif isinstance(value, type):
            for method in vars(value).values():
                if isinstance(method, types.FunctionType) and method.__globals__ is space:
                    yield from _missing(method, seen)
        elif not _is_constant(value):
            yield name


def _global_names(code: types.CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _is_constant(value: object) -> bool:
    """Whether it is a module, something of a library that can be called, or a value that a cell can write down."""
    if isinstance(value, dict):
        return all(_is_constant(key) and _is_constant(item) for key, item in value.items())
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(map(_is_constant, value))
    if isinstance(value, (torch.Tensor, np.ndarray, torch.nn.Module)):
        return False
    library = getattr(type(value), "__module__", "").split(".")[0] in (
        "typing",
        "types",
        "collections",
        "builtins",
        "numpy",
        "_abc",
    )
    return isinstance(value, (*CONSTANTS, types.ModuleType)) or (library and (callable(value) or hasattr(value, "__origin__")))
