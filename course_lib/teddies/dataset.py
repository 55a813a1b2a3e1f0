"""Many teddies at once, as the images of a data set: uint8, on the device, with the factors that they show."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.images import to_uint8

from .factors import Factors, held_out, sample_factors
from .render import render

AT_ONCE = 2048


def dataset(n: int, seed: int, size: int = 64, device=None, unseen: bool = False, **drawn) -> tuple[Tensor, Factors]:
    """n random pictures, uint8 [n, 3, size, size], and their factors, both on the device.

    Only combinations that are not `held_out` appear; with `unseen` only those that are. `drawn`: options of `render`, such as
    ``fine=False``. Memory beside the pictures themselves does not grow with n.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.empty(n, 3, size, size, dtype=torch.uint8, device=device)
    some, done = [sample_factors(0, device=device)], 0
    while done < n:
        factors = sample_factors(AT_ONCE, generator)
        factors = factors[held_out(factors) == unseen][: n - done].to(device)
        images[done : done + len(factors)] = to_uint8(render(factors, size, **drawn))
        some.append(factors)
        done += len(factors)
    return images, Factors(**{name: torch.cat([getattr(part, name) for part in some]) for name, _ in some[0].items()})
