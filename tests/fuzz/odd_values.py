"""Odd values of an argument, as people pass them: other shapes, dtypes, lengths and types, and numbers out of range."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from odd_tensors import FOREIGN, Odd, odd_tensor
from spec import Spec
from torch import Tensor, nn

from course_lib.schedule import BatchLevel, Level
from course_lib.teddies import Factors


def odd(spec: Spec, name: str, value: Any, rng: Random) -> Odd | None:
    """One odd value in the place of this valid one; None where there is none."""
    if name in spec.fixed or value is None:
        return None
    argument = name.partition("[")[0]
    if argument in spec.text and (name == argument or isinstance(value, str)):
        return rng.choice(_texts(value))
    for kind, make in _KINDS:
        if isinstance(value, kind):
            return make(spec, name, value, rng)
    return None


def describe(value: Any) -> str:
    """A value as a report writes it, in one line."""
    if isinstance(value, Tensor):
        return f"tensor{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, np.ndarray):
        return f"array{value.shape} {value.dtype}"
    if isinstance(value, nn.Module) or (is_dataclass(value) and not isinstance(value, type)):
        return type(value).__name__
    if isinstance(value, BatchLevel):
        return f"BatchLevel of {describe(value.t)}"
    if isinstance(value, Level):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {describe(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return type(value).__name__ + "(" + ", ".join(describe(v) for v in value[:6]) + (", …" if len(value) > 6 else "") + ")"
    return repr(value)[:60]


# ------------------------------------------------------------------------------------------------------------ numbers


def _flag(spec: Spec, name: str, value: bool, rng: Random) -> Odd:
    return rng.choice(
        [Odd("2", 2, never=True), Odd("0.5", 0.5, never=True), Odd("'no'", "no", never=True), Odd("None", None, foreign=True)]
    )


def _integer(spec: Spec, name: str, value: int, rng: Random) -> Odd:
    odds = [Odd(repr(v), v) for v in (0, 1, -1, 2, 7, 10**9, 2**63, -(2**63), True)]
    never = name.partition("[")[0] not in spec.any_dtype
    odds += [Odd(repr(v), v, never=never) for v in (value + 0.5, 0.5, math.nan, math.inf, -math.inf)]
    odds += [Odd("float of it", float(value)), Odd("numpy integer", np.int64(value)), Odd("a tensor of it", torch.tensor(value))]
    return rng.choice([*odds, *FOREIGN])


def _number(spec: Spec, name: str, value: float, rng: Random) -> Odd:
    odds = [Odd(repr(v), v) for v in (0, 0.0, 1, -1, 0.5, -0.5, 2, 1e9, 10**9, 2**63, 1e-12, 1e30, True, math.inf, -math.inf)]
    odds += [Odd("nan", math.nan, never=name.partition("[")[0] not in spec.may_be_nan)] * 2
    odds += [
        Odd("numpy float", np.float32(value)),
        Odd("a tensor of it", torch.tensor(value)),
        Odd("two of it", torch.tensor([value, value])),
    ]
    return rng.choice([*odds, *FOREIGN])


# ------------------------------------------------------------------------------------------------------------ others


def _texts(value: Any) -> list[Odd]:
    if not isinstance(value, str):
        return [
            Odd("empty", type(value)()),
            Odd("shorter", value[:-1]),
            Odd("longer", [*value, "x"]),
            Odd("numbers", [3] * len(value)),
            *FOREIGN,
        ]
    texts = ("", " ", "long " * 200, "x" * 300, "größer ≥ 1 → β", "two\nlines", "from $5_ to $10", "<b>&", "a/b\\c")
    return [*(Odd(f"text {t[:20]!r}", t) for t in texts), Odd("a number", 3, foreign=True), FOREIGN[0]]


def _choice(spec: Spec, name: str, value: str, rng: Random) -> Odd:
    odds = [Odd("an unknown name", "nonsense", never=True), Odd("empty text", ""), Odd("in capitals", value.upper())]
    return rng.choice([*odds, Odd("a number", 3, foreign=True), FOREIGN[0]])


def _level(spec: Spec, name: str, value: Level, rng: Random) -> Odd:
    t = torch.tensor([value.t])
    other = BatchLevel(t.expand(9), torch.rand(9, 1, 1, 1), torch.rand(9, 1, 1, 1))
    odds = [
        Odd("NaN alpha", value._replace(alpha=math.nan), never=True),
        Odd("NaN sigma", value._replace(sigma=math.nan), never=True),
    ]
    odds += [Odd("negative sigma", value._replace(sigma=-0.5), never=True), Odd("no rates", Level(3, 0.0, 0.0), never=True)]
    odds += [Odd("infinite sigma", value._replace(sigma=math.inf), never=True), Odd("pure noise", Level(1000, 0.0, 1.0))]
    odds += [Odd("clean", Level(0, 1.0, 0.0)), Odd("a k-diffusion level", Level(5, 1.0, 14.6)), Odd("a bare sigma", 0.5)]
    odds += [Odd("a plain tuple", (5, 0.6, 0.8)), Odd("t beyond T", value._replace(t=10**9)), Odd("t 2.5", value._replace(t=2.5))]
    return rng.choice([*odds, Odd("the level of nine images", other), *FOREIGN])


def _batch_level(spec: Spec, name: str, value: BatchLevel, rng: Random) -> Odd:
    fewer = BatchLevel(*(x[:-1] for x in value))
    flat = BatchLevel(value.t, value.alpha.flatten(), value.sigma.flatten())
    odds = [Odd("of fewer images", fewer, never=True), Odd("rates without axes", flat), Odd("one level", Level(500, 0.6, 0.8))]
    return rng.choice([*odds, Odd("all clean", BatchLevel(value.t * 0, value.alpha * 0 + 1, value.sigma * 0)), *FOREIGN])


def _factors(spec: Spec, name: str, value: Factors, rng: Random) -> Odd:
    field = rng.choice([f.name for f in fields(Factors)])
    x = getattr(value, field)
    change = {"too large": x + 10**6, "negative": x - 10**6}  # Factors themselves refuse other shapes
    if x.is_floating_point():
        change |= {"NaN": x * math.nan}
    if rng.random() < 0.3:
        return rng.choice([Odd("no images", value[:0]), Odd("one image", value[0]), *FOREIGN])
    words = rng.choice(list(change))
    return Odd(f"{field} {words}", replace(value, **{field: change[words]}))


def _sequence(spec: Spec, name: str, value: Any, rng: Random) -> Odd:
    kind = type(value) if type(value) in (list, tuple) else list
    odds = [
        Odd("empty", kind()),
        Odd("the first only", kind(value[:1])),
        Odd("one less", kind(value[:-1])),
        Odd("reversed", kind(value[::-1])),
    ]
    odds += [Odd("one more", kind([*value, *value[-1:]])), Odd("a bare one", value[0] if len(value) else 3)]
    odds += [Odd("a set", set(value))] if all(isinstance(v, int | float | str) for v in value) else []
    if value and all(isinstance(v, int | float) for v in value):
        odds += [Odd("a tensor", torch.tensor(value)), Odd("an array", np.array(value))]
    if len(value):
        for _ in range(6):
            i = rng.randrange(len(value))
            one = odd(spec, f"{name}[{i}]", value[i], rng)
            if one is not None:
                odds.append(replace(one, words=f"[{i}] {one.words}", value=kind([*value[:i], one.value, *value[i + 1 :]])))
    return rng.choice([*odds, *FOREIGN])


def _mapping(spec: Spec, name: str, value: Mapping, rng: Random) -> Odd:
    odds = [Odd("empty", {}), Odd("its values only", list(value.values())), *FOREIGN[:1]]
    for key in value:
        for _ in range(3):
            one = odd(spec, f"{name}[{key!r}]", value[key], rng)
            if one is not None:
                odds.append(replace(one, words=f"[{key!r}] {one.words}", value={**value, key: one.value}))
    return rng.choice(odds)


def _array(spec: Spec, name: str, value: np.ndarray, rng: Random) -> Odd:
    one = odd_tensor(replace(spec, any_dtype=(name,)), name, torch.from_numpy(value.copy()), rng)
    if isinstance(one.value, Tensor) and one.value.dtype not in (torch.bfloat16,):
        return replace(one, value=one.value.detach().numpy(), never=False)
    return replace(one, never=False)


def _path(spec: Spec, name: str, value: Path, rng: Random) -> Odd:
    return rng.choice(
        [
            Odd("a missing file", value.with_name("missing.x")),
            Odd("its folder", value.parent),
            Odd("a number", 3, foreign=True),
            FOREIGN[0],
        ]
    )


def _dtype(spec: Spec, name: str, value: torch.dtype, rng: Random) -> Odd:
    return rng.choice(
        [Odd("int64", torch.int64, never=True), Odd("float64", torch.float64), Odd("its name", "float32", foreign=True)]
    )


def _generator(spec: Spec, name: str, value: torch.Generator, rng: Random) -> Odd:
    return rng.choice([Odd("None", None, foreign=True), Odd("a seed", 5, foreign=True)])


class Denoise:
    """A denoiser, network or other function of the valid call, whose result is changed to be odd.

    strict: whether another result must be refused.
    """

    def __init__(self, function: Any, words: str = "", change: Any = None, strict: bool = True) -> None:
        self.function, self.words, self.change, self.strict, self.called = function, words, change, strict, False

    def __call__(self, *args: Any, **options: Any) -> Any:
        out, self.called = self.function(*args, **options), True
        return out if self.change is None else self.change(out)

    def __repr__(self) -> str:
        return f"a function that returns {self.words or 'what it should'}"


def _denoise(spec: Spec, name: str, value: Denoise, rng: Random) -> Odd:
    changes = {
        "a row less": lambda x: x[:-1] if x.ndim else x[None],
        "more channels": lambda x: torch.cat([x, x], min(1, x.ndim - 1)) if x.ndim else x[None],
        "a channel less": lambda x: x[..., :-1] if x.ndim else x[None],
        "one value": lambda x: x.double().mean() if x.ndim else x[None],
        "None": lambda x: None,
        "a tuple": lambda x: (x, x),
        "integers": lambda x: x.long(),
    }
    words = rng.choice(list(changes))
    return Odd(f"returns {words}", Denoise(value.function, words, changes[words]), never=value.strict and words != "integers")


_KINDS: tuple[tuple[Any, Any], ...] = (
    (Tensor, odd_tensor),
    (bool, _flag),
    (int, _integer),
    (float, _number),
    (str, _choice),
    (Level, _level),
    (BatchLevel, _batch_level),
    (Factors, _factors),
    (np.ndarray, _array),
    (Denoise, _denoise),
    (Path, _path),
    (torch.dtype, _dtype),
    (torch.Generator, _generator),
    (Mapping, _mapping),
    ((list, tuple), _sequence),
)
