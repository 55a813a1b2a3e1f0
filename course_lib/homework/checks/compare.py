"""Whether two answers agree, and how their forms differ."""

from typing import TypeGuard

import torch
from torch import Tensor


def answers_match(a: object, b: object, tolerance: float = 1e-4) -> bool:
    """Return whether type, shape, dtype family, device and values agree; NaN matches NaN alone. tolerance: see `Exercise`."""
    if isinstance(b, tuple):
        return (
            isinstance(a, tuple) and len(a) == len(b) and all(answers_match(x, y, tolerance) for x, y in zip(a, b, strict=True))
        )
    if b is None or isinstance(b, str):
        return type(a) is type(b) and a == b
    if not is_numeric(a) or not is_numeric(b) or form_difference(a, b):
        return False
    x, y = _in_float64(a), _in_float64(b)
    finite = y[y.isfinite()]
    scale = finite.abs().max().item() if finite.numel() else 0.0
    return bool(torch.allclose(x, y, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def _in_float64(value: Tensor | float) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", torch.float64)
    return torch.tensor(float(value), dtype=torch.float64)


def is_numeric(value: object) -> TypeGuard[Tensor | float]:
    """Return whether a value is a tensor or a plain number."""
    return isinstance(value, (Tensor, bool, int, float))


def _family(value: object) -> str:
    if isinstance(value, Tensor):
        return "bool" if value.dtype == torch.bool else "float" if value.is_floating_point() else "int"
    return "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"


def form_difference(got: object, expected: object) -> str:
    """Say how two answers differ apart from their values, or return "". A number and a tensor without axes have the same form."""
    shapes = [list(v.shape) if isinstance(v, Tensor) else [] for v in (got, expected)]
    if shapes[0] != shapes[1]:
        return f"The shape is {shapes[0]}, expected {shapes[1]}."
    families = [_family(v) for v in (got, expected)]
    if families[0] != families[1] and "bool" in families:
        return f"The values are {families[0]}, expected {families[1]}."
    if isinstance(got, Tensor) and isinstance(expected, Tensor) and got.device.type != expected.device.type:
        return f"The result is on {got.device}, expected on {expected.device}, as the arguments are."
    return ""
