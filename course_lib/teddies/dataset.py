"""A data set of teddies: uint8 images on the device, with their factors."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.arguments import check_flag, check_integer
from course_lib.images import to_uint8

from .factors import MAX_IMAGES, Factors, is_held_out, sample_factors
from .render import LARGEST, SMALLEST, render

BATCH_SIZE = 2048


def dataset(
    n: int,
    seed: int,
    size: int = 64,
    device: torch.device | str | None = None,
    unseen: bool = False,
    fine: bool = True,
    grain: bool = True,
) -> tuple[Tensor, Factors]:
    """Render n random images, uint8 [n, 3, size, size]; return them and their factors, both on the device.

    Only combinations that are not held out appear; with `unseen` only the held-out ones (`is_held_out`). `fine`, `grain`: as
    in `render`. Apart from the images, memory does not grow with n. Raises ValueError for numbers out of range.
    """
    n = check_integer("n", n, 0, MAX_IMAGES)
    seed = check_integer("seed", seed, 0, 2**63 - 1)
    check_integer("size", size, SMALLEST, LARGEST)
    check_flag("unseen", unseen)
    check_flag("fine", fine)
    check_flag("grain", grain)
    generator = torch.Generator().manual_seed(seed)
    images = torch.empty(n, 3, size, size, dtype=torch.uint8, device=device)
    parts, done = [sample_factors(0, device=device)], 0
    while done < n:
        factors = sample_factors(BATCH_SIZE, generator)
        factors = factors[is_held_out(factors) == unseen][: n - done].to(device)
        images[done : done + len(factors)] = to_uint8(render(factors, size, fine=fine, grain=grain))
        parts.append(factors)
        done += len(factors)
    return images, Factors(**{name: torch.cat([getattr(part, name) for part in parts]) for name, _ in parts[0].items()})
