"""Whether two answers are the same, and what differs about their form."""

import torch
from torch import Tensor


def same(a: object, b: object, tolerance: float = 1e-4) -> bool:
    """Equal kind, shape, dtype family and device; numbers within the tolerance (see `Exercise`), and NaN nowhere but in both."""
    if isinstance(b, tuple):
        return isinstance(a, tuple) and len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if b is None or isinstance(b, str):
        return type(a) is type(b) and a == b
    if not numeric(a) or not numeric(b) or frame(a, b):
        return False
    x, y = (v.detach().to("cpu", torch.float64) if isinstance(v, Tensor) else torch.tensor(float(v), dtype=torch.float64)
            for v in (a, b))  # fmt: skip
    low = any(isinstance(v, Tensor) and v.is_floating_point() and v.dtype != torch.float64 for v in (a, b))
    finite = y[y.isfinite()]
    scale = finite.abs().max().item() if finite.numel() else 0.0
    close = tolerance if low else tolerance * 1e-4
    return bool(torch.allclose(x, y, rtol=close, atol=close * scale, equal_nan=True))


def numeric(value: object) -> bool:
    return isinstance(value, (Tensor, bool, int, float))


def _family(value: object) -> str:
    if isinstance(value, Tensor):
        return "bool" if value.dtype == torch.bool else "float" if value.is_floating_point() else "int"
    return "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"


def frame(got: object, expected: object) -> str:
    """What differs about two values apart from their numbers, or "". A number and a tensor without axes are the same thing."""
    shapes = [list(v.shape) if isinstance(v, Tensor) else [] for v in (got, expected)]
    if shapes[0] != shapes[1]:
        return f"The shape is {shapes[0]}, expected {shapes[1]}."
    families = [_family(v) for v in (got, expected)]
    if families[0] != families[1] and "bool" in families:
        return f"The numbers are {families[0]}, expected {families[1]}."
    if isinstance(got, Tensor) and isinstance(expected, Tensor) and got.device.type != expected.device.type:
        return f"The result is on {got.device}, expected on {expected.device}, as the arguments are."
    return ""
