"""Samplers against the truth: where data is a mixture of Gaussians, the denoiser is exact and every error is the sampler's own.

In the plane, in a latent space, and with a learned denoiser, for which its own solution in many steps serves as the reference.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from course_lib import recipes
from course_lib.arguments import (
    check_dictionary,
    check_finite,
    check_integer,
    check_integers,
    check_labels,
    check_numbers,
    check_same_dtype,
    check_same_shape,
    check_tensor,
)
from course_lib.diffusion import Denoiser, add_noise
from course_lib.experiments.floors import DRAWS, Floor, floor_of
from course_lib.experiments.flops import power_law_exponent
from course_lib.experiments.generate import SAMPLERS
from course_lib.experiments.limits import MAX_SAMPLES, seeded_generator
from course_lib.gaussian_mixture import GaussianMixture, gaussian_mixture
from course_lib.schedule import Level, check_level

if TYPE_CHECKING:
    import numpy as np

DETERMINISTIC = ("DDIM", "DPM-Solver++(2M)", "Heun")


def toy_mixture() -> GaussianMixture:
    """Build three tilted Gaussians in the plane, in float64: data whose denoiser is known in closed form."""
    means = torch.tensor([[1.2, 0.8], [-1.2, 0.6], [0.1, -1.3]], dtype=torch.float64)
    roots = torch.tensor([[[0.3, 0.0], [0.15, 0.1]], [[0.12, 0.0], [-0.05, 0.35]], [[0.4, 0.0], [0.0, 0.12]]])
    return gaussian_mixture(means, (roots @ roots.mT).double())


def latent_mixture(latents: Tensor, labels: Tensor) -> GaussianMixture:
    """Fit one Gaussian to each class, with the mean and full covariance of its latents [N, C, h, w]; float64, on the CPU.

    This mixture is all that means and covariances can express of a latent space, and its denoiser has a closed form.
    """
    check_tensor("latents", latents, "[N, C, h, w]", "float", least=2)
    check_tensor("labels", labels, "[N]", "integer")
    rows, labels = latents.double().cpu(), labels.cpu()
    check_labels("labels", labels, len(rows), len(rows))
    if int(labels.bincount().min()) < 2:
        raise ValueError(f"labels has classes of {labels.bincount().tolist()} latents, but a covariance needs two of each class.")
    classes = [rows[labels == k] for k in range(int(labels.max()) + 1)]
    covariances = torch.stack([x.flatten(1).T.cov() for x in classes])
    return gaussian_mixture(torch.stack([x.mean(0) for x in classes]), covariances, torch.tensor([len(x) for x in classes]))


@torch.no_grad()
def exact_flow(mixture: GaussianMixture, x_t: Tensor, here: Level, there: Level) -> Tensor:
    """Integrate the probability flow from x_t at the level ``here`` to the level ``there``, to about eight digits.

    dy/dr = -r · score(y; r) for y = x / alpha and r = sigma / alpha (Karras et al. 2022, eq. 1), by SciPy's Runge-Kutta
    method of order 8. Towards clean data it stops at r = 1e-5 and returns the denoiser's answer there.
    """
    from scipy.integrate import solve_ivp

    check_tensor("x_t", x_t, "[B, C, H, W]", "float")
    check_finite("x_t", x_t)
    for level in (here, there):
        check_level(level)
    if not 0 < here.ratio < math.inf or there.ratio == math.inf:
        raise ValueError(f"The flow leads from {here} to {there}, but must start with signal and noise and end with signal.")

    def derivative(log_r: float, y: "np.ndarray") -> "np.ndarray":  # with respect to log r: the same curve, evenly paced
        r = math.exp(log_r)
        return (-(r**2) * mixture.score(torch.from_numpy(y).view_as(x_t), Level(0, 1.0, r))).flatten().numpy()

    last = max(there.ratio, 1e-5)
    start = (x_t / here.alpha).double().flatten().numpy()
    solution = solve_ivp(derivative, (math.log(here.ratio), math.log(last)), start, method="DOP853", rtol=1e-9, atol=1e-9)
    y = torch.from_numpy(solution.y[:, -1].copy()).view_as(x_t)
    return there.alpha * y if there.sigma > 0 else mixture.denoise(y, Level(0, 1.0, last))


def evenly_spaced_levels(first: int, last: int, steps: int) -> list[Level]:
    """Return steps + 1 levels of the recipes' schedule from t = first down to t = last, evenly spaced (to the nearest t)."""
    schedule = recipes.make_schedule()
    last = check_integer("last", last, 0, schedule.T - 1)
    first = check_integer("first", first, last + 1, schedule.T)
    steps = check_integer("steps", steps, 1, first - last)
    return [schedule.level(round(first + (last - first) * i / steps)) for i in range(steps + 1)]


def median_distance(a: Tensor, b: Tensor) -> float:
    """Return the typical distance of a point of a [N, ...] from its partner in b: root mean square per dimension, median over N.

    The median, because a point that starts near a ridge between two Gaussians may fall to the other side of it: one such
    point in two hundred would outweigh all others in a mean, and hide how the error shrinks.
    """
    check_tensor("a", a, "[N, D, ...]", "float")
    check_tensor("b", b, "[N, D, ...]", "float")
    check_same_shape("a", a, "b", b)
    return (a - b).flatten(1).square().mean(1).sqrt().median().item()


def sampler_errors(
    mixture: GaussianMixture, steps: Sequence[int], first: int = 1000, last: int = 0, n: int = 200, seed: int = 0
) -> dict[str, list[float]]:
    """Measure each sampler's `median_distance` from the exact flow, from the same n points: {sampler: one error per step count}.

    All samplers use the mixture's exact denoiser, so every error is the sampler's. They go from t = first to t = last in evenly
    spaced steps; 1000 to 0 is the full trajectory.
    """
    check_integer("n", n, 1, MAX_SAMPLES)
    generator = seeded_generator(seed)
    here, there = evenly_spaced_levels(first, last, 1)
    x0 = mixture.sample(n, generator)[0]
    x_t = add_noise(x0, torch.randn(x0.shape, dtype=x0.dtype, generator=generator), here)
    return endpoint_errors(mixture.denoiser(), x_t, exact_flow(mixture, x_t, here, there), steps, first, last)


def endpoint_errors(
    denoise: Denoiser, x_t: Tensor, truth: Tensor, steps: Sequence[int], first: int, last: int
) -> dict[str, list[float]]:
    """Measure how far each deterministic sampler ends from the known truth: {sampler: one error per step count}.

    x_t: where all start, at t = first. truth: where they should end, at t = last. steps: the step counts.
    """
    steps = check_integers("steps", steps, 1)
    check_tensor("x_t", x_t, "[B, C, H, W]", "float")
    check_tensor("truth", truth, "[B, C, H, W]", "float")
    check_same_shape("x_t", x_t, "truth", truth)

    def error(name: str, count: int) -> float:
        return median_distance(SAMPLERS[name](denoise, x_t, evenly_spaced_levels(first, last, count)), truth)

    return {name: [error(name, count) for count in steps] for name in DETERMINISTIC}


def learned_denoiser_errors(
    denoise: Denoiser, x_t: Tensor, steps: Sequence[int], first: int, last: int, reference_steps: int = 400
) -> dict[str, list[float]]:
    """Measure `endpoint_errors` of a learned denoiser; its own solution in ``reference_steps`` of Heun's method is the truth."""
    steps = check_integers("steps", steps, 1)
    check_tensor("x_t", x_t, "[B, C, H, W]", "float")
    truth = SAMPLERS["Heun"](denoise, x_t, evenly_spaced_levels(first, last, reference_steps))
    return endpoint_errors(denoise, x_t, truth, steps, first, last)


def orders_on_equal_grids(
    denoisers: Mapping[str, Denoiser],
    x_t: Tensor,
    steps: Sequence[int],
    first: int = 900,
    last: int = 100,
    reference_steps: int = 200,
) -> dict[str, dict[str, float]]:
    """Fit each sampler's order with each denoiser on the same step counts, from the same points: {denoiser: {sampler: order}}.

    An order fitted on coarse steps is smaller than on fine ones, so two denoisers, for instance an exact and a trained one, can
    only be compared on one grid. Each is measured as in `learned_denoiser_errors`; the fit uses all step counts.
    """
    check_dictionary("denoisers", denoisers)
    options = {"first": first, "last": last, "reference_steps": reference_steps}
    found = {name: learned_denoiser_errors(denoise, x_t, steps, **options) for name, denoise in denoisers.items()}
    return {
        name: {sampler: convergence_order(steps, values, max(2, len(steps))) for sampler, values in errors.items()}
        for name, errors in found.items()
    }


def distribution_errors(steps: Sequence[int], n: int = 10_000, seed: int = 0) -> tuple[dict[str, list[float]], Floor]:
    """Measure how far each sampler's *distribution* is from the toy's; this includes DDPM, which follows no deterministic path.

    The distance is `sliced_wasserstein` between sets of n points, in the toy's own unit. Returns {sampler: one distance per
    step count}, and the floor: mean and range of the distance between two sets of true points, over ten pairs.
    """
    steps, n = check_integers("steps", steps), check_integer("n", n, 1, MAX_SAMPLES)
    mixture, schedule = toy_mixture().to(dtype=torch.float32), recipes.make_schedule()
    generator = seeded_generator(seed)
    truth = mixture.sample(n, generator)[0].flatten(1)
    x_T = schedule.level(schedule.T).sigma * torch.randn(n, 2, 1, 1, generator=generator)
    denoise = mixture.denoiser()

    def error(name: str, count: int) -> float:
        options = {"generator": seeded_generator(seed)} if name == "DDPM" else {}
        return sliced_wasserstein(SAMPLERS[name](denoise, x_T, schedule.grid(count), **options).flatten(1), truth)

    def distance_of_a_pair() -> float:
        one, other = (mixture.sample(n, generator)[0].flatten(1) for _ in range(2))
        return sliced_wasserstein(one, other)

    names = ("DDPM", "DDIM", "DPM-Solver++(2M)")
    errors = {name: [error(name, count) for count in steps] for name in names}
    return errors, floor_of([distance_of_a_pair() for _ in range(DRAWS)])


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = 32) -> float:
    """Return the Wasserstein-1 distance of two sets of points [N, 2], averaged over evenly spread directions of projection."""
    check_tensor("a", a, "[N, 2]", "float")
    check_tensor("b", b, "[N, 2]", "float")
    check_same_shape("a", a, "b", b)
    check_same_dtype("a", a, "b", b)
    check_integer("directions", directions, 1, 1000)
    angles = torch.arange(directions, dtype=a.dtype) * torch.pi / directions
    onto = torch.stack([angles.cos(), angles.sin()])
    return ((a @ onto).sort(0).values - (b @ onto).sort(0).values).abs().mean().item()


def convergence_order(steps: Sequence[int], errors: Sequence[float], last: int = 4) -> float:
    """Return the order of a method: minus the slope of log error against log steps, fitted to the last few points."""
    steps, errors = check_integers("steps", steps, 1), check_numbers("errors", errors, above=0)
    if len(steps) != len(errors):
        raise ValueError(f"steps has {len(steps)} values and errors {len(errors)}, but each step count needs its error.")
    check_integer("last", last, at_least=2)
    return -power_law_exponent(steps[-last:], errors[-last:])
