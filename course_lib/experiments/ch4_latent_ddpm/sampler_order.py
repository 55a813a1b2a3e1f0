"""Samplers against the truth: where data is a mixture of Gaussians, what a sampler misses is the sampler's own.

In the plane, in a latent space, and beside a learned denoiser, whose own finest walk must stand in for the truth.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from course_lib import recipes
from course_lib.diffusion import Denoiser, add_noise
from course_lib.experiments.generate import SAMPLERS
from course_lib.gaussian_mixture import GaussianMixture, gaussian_mixture
from course_lib.schedule import Level

if TYPE_CHECKING:
    import numpy as np

DETERMINISTIC = ("DDIM", "DPM-Solver++(2M)", "Heun")


def toy() -> GaussianMixture:
    """Three tilted Gaussians in the plane, in float64: data whose denoiser is known in closed form."""
    means = torch.tensor([[1.2, 0.8], [-1.2, 0.6], [0.1, -1.3]], dtype=torch.float64)
    roots = torch.tensor([[[0.3, 0.0], [0.15, 0.1]], [[0.12, 0.0], [-0.05, 0.35]], [[0.4, 0.0], [0.0, 0.12]]])
    return gaussian_mixture(means, (roots @ roots.mT).double())


def latent_mixture(latents: Tensor, labels: Tensor) -> GaussianMixture:
    """One Gaussian for each class, with the mean and full covariance of its latents [N, C, h, w]; float64, on the CPU.

    The best that means and covariances alone can know of a latent space, and its denoiser is closed-form.
    """
    rows, labels = latents.double().cpu(), labels.cpu()
    own = [rows[labels == k] for k in range(int(labels.max()) + 1)]
    covariances = torch.stack([x.flatten(1).T.cov() for x in own])
    return gaussian_mixture(torch.stack([x.mean(0) for x in own]), covariances, torch.tensor([len(x) for x in own]))


def exact_flow(mixture: GaussianMixture, x_t: Tensor, here: Level, there: Level) -> Tensor:
    """Where the probability flow carries x_t, to about eight digits.

    dy/dr = -r · score(y; r) for y = x / alpha and r = sigma / alpha (Karras et al. 2022, eq. 1), by SciPy's Runge-Kutta
    method of order 8. Towards clean data it stops at r = 1e-5 and takes the denoiser's word from there.
    """
    from scipy.integrate import solve_ivp

    def slope(log_r: float, y: "np.ndarray") -> "np.ndarray":  # against log r: the same curve, at an even pace
        r = math.exp(log_r)
        return (-(r**2) * mixture.score(torch.from_numpy(y).view_as(x_t), Level(0, 1.0, r))).flatten().numpy()

    last = max(there.ratio, 1e-5)
    y = (x_t / here.alpha).flatten().numpy()
    found = solve_ivp(slope, (math.log(here.ratio), math.log(last)), y, method="DOP853", rtol=1e-9, atol=1e-9)
    y = torch.from_numpy(found.y[:, -1].copy()).view_as(x_t)
    return there.alpha * y if there.sigma > 0 else mixture.denoise(y, Level(0, 1.0, last))


def strides(first: int, last: int, steps: int) -> list[Level]:
    """The levels from t = first down to t = last in so many equal strides (to the nearest t), steps + 1 of them."""
    schedule = recipes.make_schedule()
    return [schedule.level(round(first + (last - first) * i / steps)) for i in range(steps + 1)]


def typical_distance(a: Tensor, b: Tensor) -> float:
    """How far apart a point of a [N, ...] and its partner in b are: root mean square over its numbers, median over points.

    The median, because a point that starts near a ridge between two Gaussians may fall to the other side of it: one such
    point in two hundred would outweigh all others in a mean, and hide how the error shrinks.
    """
    return (a - b).flatten(1).square().mean(1).sqrt().median().item()


def sampler_errors(
    mixture: GaussianMixture, steps: Sequence[int], first: int = 1000, last: int = 0, n: int = 200, seed: int = 0
) -> dict[str, list[float]]:
    """Typical distance between where each sampler ends and where the exact flow ends, from the same n points.

    All use the mixture's exact denoiser, so that all error is the sampler's. They walk from t = first to t = last in equal
    strides; 1000 to 0 is the whole way. Returns name → one number for each of steps.
    """
    generator = torch.Generator().manual_seed(seed)
    here, there = strides(first, last, 1)
    x0 = mixture.sample(n, generator)[0]
    x_t = add_noise(x0, torch.randn(x0.shape, dtype=x0.dtype, generator=generator), here)
    return walk_errors(mixture.denoiser(), x_t, exact_flow(mixture, x_t, here, there), steps, first, last)


def walk_errors(
    denoise: Denoiser, x_t: Tensor, truth: Tensor, steps: Sequence[int], first: int, last: int
) -> dict[str, list[float]]:
    """Typical distance from the truth [N, ...] after a walk from x_t [N, ...] in each number of steps, by each sampler."""

    def error(name: str, count: int) -> float:
        return typical_distance(SAMPLERS[name](denoise, x_t, strides(first, last, count)), truth)

    return {name: [error(name, count) for count in steps] for name in DETERMINISTIC}


def learned_errors(
    denoise: Denoiser, x_t: Tensor, steps: Sequence[int], first: int, last: int, fine: int = 400
) -> dict[str, list[float]]:
    """The same for a learned denoiser, whose true end nobody knows: compared with its own walk in ``fine`` steps of Heun."""
    truth = SAMPLERS["Heun"](denoise, x_t, strides(first, last, fine))
    return walk_errors(denoise, x_t, truth, steps, first, last)


def set_errors(steps: Sequence[int], n: int = 10_000, seed: int = 0) -> tuple[dict[str, list[float]], float]:
    """How far each sampler's *set* of points is from the toy's own, also for DDPM, which follows no single path.

    The distance is the Wasserstein distance of projections on 32 directions, averaged, in the toy's own unit. Returns name →
    one number for each of steps, and the distance between two sets of true points: no sampler can be told from the
    truth below it.
    """
    mixture, schedule = toy().to(dtype=torch.float32), recipes.make_schedule()
    generator = torch.Generator().manual_seed(seed)
    truth, other = (mixture.sample(n, generator)[0].flatten(1) for _ in range(2))
    x_T = schedule.level(schedule.T).sigma * torch.randn(n, 2, 1, 1, generator=generator)
    denoise = mixture.denoiser()

    def error(name: str, count: int) -> float:
        options = {"generator": torch.Generator().manual_seed(seed)} if name == "DDPM" else {}
        return sliced_distance(SAMPLERS[name](denoise, x_T, schedule.grid(count), **options).flatten(1), truth)

    names = ("DDPM", "DDIM", "DPM-Solver++(2M)")
    return {name: [error(name, count) for count in steps] for name in names}, sliced_distance(truth, other)


def sliced_distance(a: Tensor, b: Tensor, directions: int = 32) -> float:
    """Wasserstein-1 distance of two sets of points [N, 2], averaged over evenly spread directions of projection."""
    angles = torch.arange(directions, dtype=a.dtype) * torch.pi / directions
    onto = torch.stack([angles.cos(), angles.sin()])
    return ((a @ onto).sort(0).values - (b @ onto).sort(0).values).abs().mean().item()


def order(steps: Sequence[int], errors: Sequence[float], last: int = 4) -> float:
    """The order of a method: minus the slope of log error against log steps, fitted to the last few points."""
    x, y = (torch.tensor(values, dtype=torch.float64)[-last:].log() for values in (list(steps), list(errors)))
    return (-((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()
