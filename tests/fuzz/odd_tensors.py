"""Odd tensors: with other axes and lengths, of other dtypes, with odd values in them, and what is no tensor at all."""

import math
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from spec import Spec
from torch import Tensor


@dataclass(frozen=True)
class Odd:
    """An odd value. foreign: of a type that does not belong here, so that any TypeError will do. never: it must be refused."""

    words: str
    value: Any
    foreign: bool = False
    never: bool = False


FOREIGN = (Odd("None", None, foreign=True), Odd("a str", "three", foreign=True))


def odd_tensor(spec: Spec, name: str, x: Tensor, rng: Random) -> Odd:
    kind = rng.choices(("shape", "dtype", "values", "type"), (40, 25, 25, 10))[0]
    if kind == "shape":
        return rng.choice(_shapes(x))
    if kind == "dtype":
        return rng.choice(_dtypes(spec, name, x))
    if kind == "values":
        return rng.choice(_values(spec, name, x))
    return rng.choice([*FOREIGN, *_types(x)])


def _shapes(x: Tensor) -> list[Odd]:
    found = {
        "one axis more": x[None],
        "one axis more at the end": x[..., None],
        "flat": x.flatten(),
        "copied twice": torch.stack([x, x]),
    }
    found["0 axes"] = x.flatten()[0].clone() if x.numel() else x.new_zeros(())
    if x.ndim:
        found |= {"empty": x[:0], "one row": x[:1], "a row less": x[:-1], "a row more": torch.cat([x, x[:1]])}
        found |= {"one axis less": x[0], "the first row only, repeated": x[:1].expand_as(x)}
        found["non-contiguous"] = torch.stack([x, x], -1)[..., 0]
    if x.ndim > 1:
        found |= {
            "last axis shorter": x[..., :-1],
            "last axis longer": torch.cat([x, x[..., :1]], -1),
            "last axis empty": x[..., :0],
        }
        found |= {"second axis shorter": x[:, :-1], "second axis longer": torch.cat([x, x[:, :1]], 1), "one channel": x[:, :1]}
        found |= {"last axis of 1": x[..., :1], "transposed": x.transpose(0, 1)}
    if x.ndim == 4:
        found |= {"channels last axis": x.permute(0, 2, 3, 1), "1×1 pixels": x[..., :1, :1], "wide": torch.cat([x, x], -1)}
    return [Odd(words, value) for words, value in found.items() if value.shape != x.shape or "row" in words or "non" in words]


def _dtypes(spec: Spec, name: str, x: Tensor) -> list[Odd]:
    if x.is_floating_point():
        scaled = x.double().nan_to_num().mul(127.5).add(127.5).clamp(0, 255)
        argument = name.partition("[")[0]
        never = argument not in spec.any_dtype
        found = [Odd(f"in {d}", x.to(d)) for d in (torch.float16, torch.bfloat16, torch.float64) if d != x.dtype]
        found += [Odd("in torch.uint8", scaled.to(torch.uint8), never=never and argument not in spec.images)]
        return [*found, Odd("in torch.int64", scaled.to(torch.int64), never=never), Odd("of bool", x > 0, never=never)]
    wide = [d for d in (torch.uint8, torch.int32, torch.int64) if d != x.dtype]
    found = [Odd(f"in {d}", x.to(d)) for d in wide]
    argument = name.partition("[")[0]
    floats = Odd("of float32", x.float(), never=argument in spec.labels)
    return [*found, floats, Odd("of bool", x > 0), Odd("halves", x + 0.5, never=argument not in (*spec.any_dtype, *spec.images))]


def _values(spec: Spec, name: str, x: Tensor) -> list[Odd]:
    if x.numel() == 0:
        return [Odd("the same", x)]
    found = {
        "zeros": torch.zeros_like(x),
        "constant": torch.ones_like(x),
        "equal rows": x[:1].expand_as(x).clone() if x.ndim else x,
    }
    if x.is_floating_point():
        for words, value in {"a NaN in it": math.nan, "an inf in it": math.inf, "a -inf in it": -math.inf}.items():
            other = x.clone()
            other.view(-1)[x.numel() // 2] = value
            found[words] = other
        found |= {"huge values": x * 1e6, "enormous values": x * 1e30, "tiny values": x * 1e-30, "all NaN": x * math.nan}
        found |= {
            "negative values": -x.abs(),
            "a constant 0.3": torch.full_like(x, 0.3),
            "requires grad": x.detach().clone().requires_grad_(),
        }
        return [Odd(words, value, never=spec.number and "NaN" in words) for words, value in found.items()]
    if x.dtype == torch.bool:
        return [Odd(words, value) for words, value in found.items()]
    odds = [Odd(words, value) for words, value in found.items()]
    classes = spec.labels.get(name)
    for words, by in {
        "labels too large": classes or 1000,
        "labels far too large": 10**9,
        "negative labels": -1 - int(x.max()),
    }.items():
        if x.dtype == torch.int64:
            odds.append(Odd(words, x + by, never=classes is not None))
    return odds


def _types(x: Tensor) -> list[Odd]:
    array = (x.float() if x.dtype == torch.bfloat16 else x).detach().numpy()
    return [
        Odd("a numpy array", array),
        Odd("a list", x.tolist()),
        Odd("a number", 0.5),
        Odd("a tuple of tensors", tuple(x) if x.ndim else (x,)),
    ]
