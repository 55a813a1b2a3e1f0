"""What the exercises of homework 1 share: test points, their spectrum, and mistakes that are possible in several of them."""

import numpy as np
import torch
from torch import Tensor

from course_lib.homework.checks.exercise import Draw

UNCENTRED = (
    "The mean is not subtracted, so the first axis points from the origin to the middle of the data and holds nearly all of the "
    "variance. First subtract the mean over the points."
)
TRANSPOSED = (
    "Points and coordinates are swapped: the mean is taken within each point. The points are the rows: centre each column by its "
    "mean over axis 0. (torch.cov takes the variables as rows: give it x.T.)"
)
NOT_ROTATED = (
    "These are the variances of the coordinates themselves. Principal axes are rotated: take the eigenvalues of the covariance."
)
STANDARDISED = (
    "The coordinates were divided by their standard deviations. The variances must be in the data's own units: only "
    "subtract the mean."
)
ONE_MEAN = "A single mean over all values was subtracted. Each of the D columns has its own: x.mean(0)."


def scalar_like(value: float, like: Tensor) -> Tensor:
    """One number in the precision of the inputs, so that it is compared as exactly as they allow."""
    return torch.tensor(float(value), dtype=like.dtype, device=like.device)


def eigenvalues(x: Tensor) -> Tensor:
    """Variances of points x [N, D] along their principal axes, descending: [D]."""
    return torch.linalg.eigvalsh(torch.cov(x.T)).flip(0)


def correlated_points(draw: Draw, n: int, d: int) -> Tensor:
    """Points with correlated coordinates of different widths, far from the origin: [n, d]."""
    widths = draw.tensor([3.0 * 0.75**i for i in range(d)])
    mixing = draw.normal(d, d) / d**0.5
    return draw.uniform(d, low=1.0, high=3.0) + (draw.normal(n, d) * widths) @ mixing


def exact_covariance(x: Tensor) -> np.ndarray:
    """The covariance of points x [N, D] by numpy in float64: [D, D]."""
    return np.atleast_2d(np.cov(x.detach().cpu().double().numpy(), rowvar=False))
