"""What the fuzz test calls: a `Spec` for each public function, method and constructor, with a valid call to start from.

    @spec("metrics.kid", shapes={"a": "[N, D]", "b": "[M, D]"})
    def _():
        return {"a": normal(6, 3), "b": normal(7, 3)}

The name is that of the callable below ``course_lib``. For a method the valid call has the object as "self"; where a call needs
more than keyword arguments, ``call`` makes it.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Spec:
    """One callable and what is known of its arguments.

    make: returns the arguments of a valid call, new ones each time. call: called with them. shapes: the shapes that an argument
    may have, as in ``check_tensor``; others must be refused. same: groups of arguments of one shape. rows: groups of arguments of
    one length. labels: how many classes an argument of labels has. any_dtype: float arguments that may also hold integers.
    images: those that may be uint8 or floats. may_be_nan: numbers that may be NaN. text: arguments of free text. fixed: arguments
    that are left as they are. infinite: whether the result may be infinite or NaN for finite input. raises: further documented
    exceptions. changes: whether the call may change tensors that it is given. number: the result is a number, so that NaN in a
    tensor must be refused. slow: a call takes tens of milliseconds, so that there are fewer.
    """

    name: str
    make: Callable[[], Arguments]
    call: Callable[..., Any]
    shapes: Mapping[str, str] = field(default_factory=dict)
    same: Sequence[tuple[str, ...]] = ()
    rows: Sequence[tuple[str, ...]] = ()
    labels: Mapping[str, int] = field(default_factory=dict)
    any_dtype: Sequence[str] = ()
    images: Sequence[str] = ()
    may_be_nan: Sequence[str] = ()
    text: Sequence[str] = ()
    fixed: Sequence[str] = ()
    infinite: bool = False
    raises: tuple[type[Exception], ...] = ()
    changes: bool = False
    number: bool = False
    slow: bool = False

    @functools.cached_property
    def module(self) -> str:
        """The module of the callable, below ``course_lib``, with dots."""
        return locate(self.name)[0]


SPECS: dict[str, Spec] = {}
EXCLUDED: dict[str, str] = {}
"""Public callables that are not called, each with the reason."""


def spec(name: str, call: Callable[..., Any] | None = None, **facts: Any) -> Callable[[Callable[[], Arguments]], None]:
    """Register the decorated function, which makes the arguments of a valid call, as the spec of this callable."""

    def register(make: Callable[[], Arguments]) -> None:
        key, number = name, 2
        while key in SPECS:  # a second way to call the same thing
            key, number = f"{name}#{number}", number + 1
        SPECS[key] = Spec(key, make, call or caller(name), **facts)

    return register


def exclude(reason: str, *names: str) -> None:
    """Leave out these callables, for this reason."""
    EXCLUDED.update(dict.fromkeys(names, reason))


def exclude_module(reason: str, module: str) -> None:
    """Leave out all callables of a module."""
    exclude(reason, *public_callables(module))


def locate(name: str) -> tuple[str, Any]:
    """(module below course_lib, object) of a dotted name below course_lib."""
    parts = name.partition("#")[0].split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        try:
            found = importlib.import_module(f"course_lib.{module}")
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return module, found
    raise ValueError(f"There is nothing of the name course_lib.{name}.")


def caller(name: str) -> Callable[..., Any]:
    """How a callable is called by keywords: a method on "self", a network's forward as network(…)."""
    method = name.partition("#")[0].split(".")[-1]

    def call(**arguments: Any) -> Any:
        if "self" in arguments:
            bound = arguments.pop("self")
            return bound(**arguments) if method in ("forward", "__call__") else getattr(bound, method)(**arguments)
        return locate(name)[1](**arguments)

    return call


def public_callables(module: str) -> list[str]:
    """The functions, constructors and methods that a module of course_lib defines, by their names below course_lib.

    NamedTuples and protocols have no code of their own, and properties are not called.
    """
    found = []
    path = f"course_lib.{module}"
    for name, value in vars(importlib.import_module(path)).items():
        if name.startswith("_") or getattr(value, "__module__", None) != path or not callable(value):
            continue
        if not inspect.isclass(value):
            found.append(f"{module}.{name}")
        elif not getattr(value, "_is_protocol", False):
            record = issubclass(value, tuple) or issubclass(value, Exception)
            found += [] if record else [f"{module}.{name}"]
            methods = {n: m for n, m in vars(value).items() if not n.startswith("_") or n == "__call__"}
            found += [f"{module}.{name}.{n}" for n, m in methods.items() if inspect.isroutine(m) or isinstance(m, classmethod)]
    return found
