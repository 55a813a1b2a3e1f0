"""Homework 1: a student's pixel statistics on photographs, Fashion-MNIST images and teddies."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from course_lib import data, dimension, teddies
from course_lib.experiments.ch1_pixel_space import intrinsic_dimension, meaning
from course_lib.images import patches, to_float
from course_lib.storage.console import say

#: Alternative texts of the figures. They are not in the cells, where they would answer the question that precedes the figure.
ALT = {
    "patch_statistics": "24 small images: three flat colours, ramps from dark to light, then ever finer stripes and checks.",
    "explained_variance_ratio": (
        "Explained variance against the number of axes: photographs' squares rise fastest, then teddies; noise needs all axes."
    ),
    "participation_ratio": (
        "Rows of teddies: with one factor free they only lean; with eight they move, change their size and their light."
    ),
    "two_nn": (
        "For cubes TwoNN follows the truth up to about eight dimensions and then falls below it; "
        "the participation ratio follows it throughout."
    ),
    "triplet_error_rate": (
        "Four teddies; below each the same teddy at another position in another light; "
        "below that a teddy at the same position that does something else."
    ),
    "triplet_error_rate 2": (
        "Error rate for each word: nearly one for activity, scarf and fur colour, lower for count and background."
    ),
}

FREE = (1, 2, 4, 8)  # how many continuous factors of a teddy vary


@cache
def photographs(side: int = 480) -> Tensor:
    """Real photographs, [N, 3, side, side] in [-1, 1]."""
    return to_float(torch.stack(list(data.photographs(side).values())))


def principal_axes(
    statistics: Callable[[Tensor, int], tuple[Tensor, Tensor]], size: int = 12, n: int = 24
) -> tuple[Tensor, Tensor]:
    """The first n principal axes of photographs' patches as images [n, 3, size, size] in [-1, 1], and the fraction of the
    variance along each, [n]. Grey is zero; the sign of an axis is arbitrary."""
    _, covariance = statistics(photographs().clone(), size)
    values, vectors = torch.linalg.eigh(covariance.double())
    largest = vectors.T.flip(0)[:n]
    largest = largest / largest.abs().amax(1, keepdim=True)
    return largest.view(n, 3, size, size).float(), values.flip(0)[:n] / values.sum()


def point_sets(n: int = 1500) -> dict[str, Tensor]:
    """Three sets of n points with 192 dimensions, [n, 192]: 8×8 RGB squares of photographs, entire teddies, and noise."""
    generator = torch.Generator().manual_seed(0)
    squares = patches(photographs(), 8)
    small_teddies = F.avg_pool2d(teddies.render(teddies.sample_factors(n, 0), 16), 2)
    return {
        "teddies, shrunk to 8×8": small_teddies.flatten(1),
        "photographs, 8×8 squares": squares[torch.randperm(len(squares), generator=generator)[:n]],
        "noise": torch.rand(n, 192, generator=generator) * 2 - 1,
    }


def teddies_with_free_factors(n: int = 800) -> dict[int, Tensor]:
    """Teddies [n, 3, 32, 32] in which only 1, 2, 4 or 8 continuous factors vary."""
    return {k: intrinsic_dimension.render_free_factors(k, n, seed=3) for k in FREE}


def sample_cube(dimension: int, n: int = 1000, ambient: int = 50) -> Tensor:
    """n uniform points of a cube of this dimension, embedded in `ambient` axes by random orthogonal directions: [n, ambient]."""
    generator = torch.Generator().manual_seed(dimension)
    directions = torch.linalg.qr(torch.randn(ambient, dimension, generator=generator, dtype=torch.float64)).Q
    return torch.rand(n, dimension, generator=generator, dtype=torch.float64) @ directions.T


class _LargestStorage(TorchDispatchMode):
    """Record the size in bytes of the largest tensor that the operations inside make (a view makes none)."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made = [x for x in (out if isinstance(out, tuple | list) else (out,)) if isinstance(x, Tensor)]
        self.size = max([self.size, *(x.untyped_storage().nbytes() for x in made)])
        return out


def within_limits(
    two_nn: Callable[[Tensor], float], n: int, d: int, sets: int = 1, seconds: float = 60.0, memory: int = 2 * 2**30
) -> Callable[[Tensor], float]:
    """Return two_nn, or the workbook's own with a sentence where two_nn would hold too much memory, or compute for too long.

    n, d: the largest table is [n, d]. sets: how many such tables there are. Measured on [100, 32], and extrapolated.
    """
    few, dims, needed = 100, 32, float("inf")
    x = torch.rand(few, dims, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with _LargestStorage() as largest:
        two_nn(x)
    for _ in range(3):
        start = time.perf_counter()
        two_nn(x)
        needed = min(needed, (time.perf_counter() - start) * sets * (n / few) ** 2)
    has_table_of_differences = largest.size >= few**2 * dims * x.element_size()
    size = largest.size * (n / few) ** 2 * (d / dims if has_table_of_differences else 1)
    if size <= memory and needed <= seconds:
        return two_nn
    price = f"{size / 1e9:,.0f} GB of memory" if size > memory else f"about {needed:,.0f} s"
    say(f"For {n:,} points with {d:,} dimensions your two_nn would need {price}, so this cell uses the workbook's own.")
    return lambda x: dimension.two_nn(x, discard=0, method="mle").dimension


def fashion_points(n: int) -> Tensor:
    """n Fashion-MNIST images as points, [n, 1024]."""
    return to_float(data.fashion_mnist("train", "cpu")[0][:n]).flatten(1)


def triplets(n: int = 200) -> dict[str, meaning.Triplets]:
    """For each word of a caption, n triplets: the same caption in another appearance and position, and only this word changed."""
    return {word: meaning.sample_triplets(n, word, moved=True, seed=5) for word in teddies.SEMANTIC}
