"""Homework 1: a student's statistics of pixels on photographs, garments and teddies."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import data, teddies
from course_lib.experiments.ch1_pixel_space import intrinsic_dimension, meaning
from course_lib.images import patches, to_float

#: What the figures show, for those who hear them. Kept out of the cells, where it would answer the question before the figure.
ALT = {
    "patch_statistics": "24 small pictures: three flat colours, ramps from dark to light, then stripes and checks, ever finer.",
    "explained_variance_ratio": "Share of variance against axes: squares of photographs rise first, teddies follow, noise needs them all.",
    "participation_ratio": "Rows of teddies: with one factor free they only lean, with eight they move, grow and change their light.",
    "two_nn": "On cubes TwoNN follows the truth up to about eight dimensions and then falls below it; the participation ratio stays on it.",
    "triplet_error_rate": "Four teddies; below each the same teddy elsewhere in another light; below that one in the same place that does something else.",
    "triplet_error_rate 2": "Share of wrong triplets for each word: nearly all for activity, scarf and fur colour, fewer for count and background.",
}  # fmt: skip

FREE = (1, 2, 4, 8)  # how many continuous factors of a teddy vary


@cache
def photographs(side: int = 480) -> Tensor:
    """Real photographs, [N, 3, side, side] in [-1, 1]."""
    return to_float(torch.stack(list(data.photographs(side).values())))


def axes(statistics: Callable[[Tensor, int], tuple[Tensor, Tensor]], size: int = 12, n: int = 24) -> tuple[Tensor, Tensor]:
    """The first n principal axes of photographs' patches as pictures [n, 3, size, size] in [-1, 1], and the share of the
    variance that each holds, [n]. Grey is zero; the sign of an axis means nothing."""
    _, covariance = statistics(photographs().clone(), size)
    values, vectors = torch.linalg.eigh(covariance.double())
    largest = vectors.T.flip(0)[:n]
    largest = largest / largest.abs().amax(1, keepdim=True)
    return largest.view(n, 3, size, size).float(), values.flip(0)[:n] / values.sum()


def squares(n: int = 1500) -> dict[str, Tensor]:
    """Three sets of n points with 192 numbers each, [n, 192]: 8×8 RGB squares of photographs, whole teddies, and noise."""
    generator = torch.Generator().manual_seed(0)
    cut = patches(photographs(), 8)
    bears = F.avg_pool2d(teddies.render(teddies.sample_factors(n, 0), 16), 2)
    return {
        "teddies, shrunk to 8×8": bears.flatten(1),
        "photographs, 8×8 squares": cut[torch.randperm(len(cut), generator=generator)[:n]],
        "noise": torch.rand(n, 192, generator=generator) * 2 - 1,
    }


def swaying(n: int = 800) -> dict[int, Tensor]:
    """Teddies [n, 3, 32, 32] of which 1, 2, 4 or 8 continuous factors vary, and nothing else does."""
    return {k: intrinsic_dimension.render_free_factors(k, n, seed=3) for k in FREE}


def cube(dimension: int, n: int = 1000, ambient: int = 50) -> Tensor:
    """n points of a cube of this dimension, laid flat into `ambient` axes by random directions at right angles: [n, ambient]."""
    generator = torch.Generator().manual_seed(dimension)
    directions = torch.linalg.qr(torch.randn(ambient, dimension, generator=generator, dtype=torch.float64)).Q
    return torch.rand(n, dimension, generator=generator, dtype=torch.float64) @ directions.T


def garments(n: int) -> Tensor:
    """n garments of Fashion-MNIST as points, [n, 1024]."""
    return to_float(data.fashion_mnist("train", "cpu")[0][:n]).flatten(1)


def triplets(n: int = 200) -> dict[str, meaning.Triplets]:
    """For each word of a caption, n triplets: the same words in another look and place, and the one word changed alone."""
    return {word: meaning.sample_triplets(n, word, moved=True, seed=5) for word in teddies.SEMANTIC}
