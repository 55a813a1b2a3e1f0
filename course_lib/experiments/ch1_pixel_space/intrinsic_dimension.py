"""The intrinsic dimension of images: three estimators, and sets of known dimension to calibrate them on.

Nothing here is random by itself: every function takes a seed.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import dimension, teddies
from course_lib.arguments import check_integer, check_number, check_sizes
from course_lib.experiments.limits import MAX_SAMPLES, seeded_generator

#: The factors of one teddy, except for its position and tilt.
FIXED_SCENE: dict[str, Any] = dict.fromkeys(set(teddies.CONTINUOUS) - {"x", "tilt"}, 0.0)
FIXED_SCENE |= {"count": "one", "fur": "pink", "activity": "waving", "scarf": "green", "background": "meadow"}
FIXED_SCENE |= {"fabric": "dots", "grain": 7}


class DimensionEstimates(NamedTuple):
    """Axes for 95 % of the variance (PCA), participation ratio, and TwoNN with its standard error."""

    pca: int
    participation: float
    two_nn: float
    two_nn_error: float


def estimate_dimensions(x: Tensor) -> DimensionEstimates:
    """Estimate the intrinsic dimension of points [N, ...] with all three estimators."""
    spectrum, two_nn = dimension.pca_spectrum(x), dimension.two_nn(x)
    axes = dimension.pca_dimension(spectrum, 0.95)
    return DimensionEstimates(axes, dimension.participation_ratio(spectrum), two_nn.dimension, two_nn.error)


def sample_manifold(manifold: str, d: int, n: int, seed: int, ambient: int = 64, noise: float = 0.0) -> Tensor:
    """Sample n points [n, ambient] of a manifold of known dimension d, embedded isometrically by random orthonormal axes.

    manifold: "subspace" (Gaussian of scale 1 in d of the axes), "sphere" (the surface of radius 1, in d + 1 of them) or "swiss
    roll" (d = 2 only: a sheet rolled up in 3 of them, Tenenbaum et al. 2000). noise: standard deviation of white noise in all
    axes; with it, the set is d-dimensional only at lengths well above noise · √(2 · ambient). Raises ValueError for any other
    manifold, or a swiss roll with d other than 2.
    """
    if manifold not in ("subspace", "sphere", "swiss roll") or (manifold == "swiss roll" and d != 2):
        raise ValueError(f'manifold is {manifold!r}, d is {d}; expected "subspace", "sphere", or "swiss roll" with d = 2.')
    check_sizes(0, d=d)
    check_sizes(1, MAX_SAMPLES, n=n)
    generator = seeded_generator(seed)
    wide = d + (manifold != "subspace")
    check_sizes(wide, ambient=ambient)
    noise = check_number("noise", noise, at_least=0)
    axes = torch.linalg.qr(torch.randn(ambient, wide, generator=generator, dtype=torch.float64)).Q
    x = torch.randn(n, wide, generator=generator, dtype=torch.float64)
    if manifold == "sphere":
        x = F.normalize(x)
    elif manifold == "swiss roll":
        turn, height = torch.rand(2, n, generator=generator, dtype=torch.float64)
        angle = 1.5 * math.pi * (1 + 2 * turn)
        x = torch.stack([angle * angle.cos(), 21 * height, angle * angle.sin()], 1)
    return x @ axes.T + noise * torch.randn(n, ambient, generator=generator, dtype=torch.float64)


def render_free_factors(k: int, n: int, seed: int, size: int = 32) -> Tensor:
    """Render n teddies [n, 3, size, size] in which k continuous factors vary, 0 to 8, and nothing else does."""
    order = ("tilt", "x", "size", "light", "y", "warmth", "brightness", "saturation")
    check_integer("k", k, 0, len(order))
    fixed = {name: value for name, value in FIXED_SCENE.items() if name not in order}
    fixed |= {name: 0.0 for name in order[k:]}
    return teddies.render(teddies.sample_factors(n, seeded_generator(seed), **fixed), size)
