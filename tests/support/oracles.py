"""Oracles of the diffusion tests: a small exact mixture, and its probability flow, integrated by SciPy's solver. And a context in
which a copy between host and device is an error."""

import math
from collections.abc import Callable

import numpy as np
import torch

from course_lib import schedule
from course_lib.gaussian_mixture import GaussianMixture, gaussian_mixture
from course_lib.schedule import Level

VARIANCE_PRESERVING = {"linear": schedule.linear, "cosine": schedule.cosine, "scaled_linear": schedule.scaled_linear}
SCHEDULES = VARIANCE_PRESERVING | {"flow": schedule.flow}


def seeded(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def toy(dtype: torch.dtype = torch.float64) -> GaussianMixture:
    """Four tilted Gaussians in the plane, of three classes and unequal weights."""
    means = torch.tensor([[1.0, 1.0], [-1.0, 0.5], [0.0, -1.2], [1.5, -1.0]], dtype=dtype)
    roots = torch.tensor(
        [[[0.4, 0.0], [0.1, 0.3]], [[0.2, 0.0], [0.0, 0.5]], [[0.3, 0.0], [-0.2, 0.3]], [[0.25, 0.0], [0.0, 0.25]]]
    )
    weights, labels = torch.tensor([1.0, 2.0, 1.0, 0.5]), torch.tensor([0, 1, 2, 2])
    return gaussian_mixture(means, (roots @ roots.mT).to(dtype), weights, labels)


def probability_flow(mixture: GaussianMixture, x_t: torch.Tensor, here: Level, there: Level) -> torch.Tensor:
    """Where the probability flow of a mixture carries x_t."""
    return flow_of_score(mixture.score, x_t, here, there)


def flow_of_score(
    score: Callable[[torch.Tensor, Level], torch.Tensor],
    x_t: torch.Tensor,
    here: Level,
    there: Level,
    tolerance: float = 1e-11,
) -> torch.Tensor:
    """Where the probability flow of any score carries x_t: dy/dr = -r · score(y; r) (Karras et al. 2022, eq. 1) for
    y = x / alpha and r = sigma / alpha, solved by SciPy's Runge-Kutta method of order 8, to ten digits by default."""
    from scipy.integrate import solve_ivp

    def slope(log_r: float, y: np.ndarray) -> np.ndarray:  # in log r, where the curve is smoother
        r = math.exp(log_r)
        return (-(r**2) * score(torch.from_numpy(y).view_as(x_t), Level(0, 1.0, r))).flatten().numpy()

    span = math.log(here.ratio), math.log(there.ratio)
    solution = solve_ivp(slope, span, (x_t / here.alpha).flatten().numpy(), method="DOP853", rtol=tolerance, atol=tolerance)
    return there.alpha * torch.from_numpy(solution.y[:, -1].copy()).view_as(x_t)
