"""Samplers: pure functions that follow a denoiser from noise to data. All have one signature.

``denoise``: a Denoiser. ``x_T``: the start, ``sigma_T`` · unit noise [B, C, H, W]. ``levels``: from
``schedule.grid(steps)``, noisiest first. ``callback(i, level, x_t, x0_hat)`` is called once a step, before the step is taken.
Each returns the last x_t: x0 when the grid ends at 0. Each raises ValueError for fewer than two levels, or for levels that do
not fall.

They use ``torch.no_grad``, not inference mode, because classifier guidance takes a gradient inside; and levels are
Python floats, so no step waits for the GPU.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor

from course_lib.arguments import check_number, check_tensor
from course_lib.diffusion import Denoiser, target, to_eps, x0_hat
from course_lib.schedule import Level, check_level, check_levels

Callback: TypeAlias = Callable[[int, Level, Tensor, Tensor], object]


def _check_start(x_T: Tensor, levels: Sequence[Level]) -> None:
    check_tensor("x_T", x_T, "[B, C, H, W]", "float")
    check_levels(levels)


@torch.no_grad()
def ddim(
    denoise: Denoiser,
    x_T: Tensor,
    levels: Sequence[Level],
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DDIM (Song et al. 2021, eq. 12 and 16): eta 0 is deterministic, eta 1 is DDPM's ancestral sampler (`ddpm`).

    generator: the noise of eta > 0, on x_T's device. Raises ValueError when eta is outside 0…1.
    """
    _check_start(x_T, levels)
    eta = check_number("eta", eta, at_least=0, at_most=1)
    x = x_T
    for i, (here, there) in enumerate(pairwise(levels)):
        x0 = x0_hat(denoise, x, here)
        if callback is not None:
            callback(i, here, x, x0)
        noise_std = eta * posterior_std(here, there)
        x = there.alpha * x0 + math.sqrt(max(there.sigma**2 - noise_std**2, 0.0)) * to_eps("x0", x0, x, here)
        if noise_std > 0:
            x = x + noise_std * torch.randn(x.shape, device=x.device, dtype=x.dtype, generator=generator)
    return x


def ddpm(
    denoise: Denoiser,
    x_T: Tensor,
    levels: Sequence[Level],
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DDPM's ancestral sampler (Ho et al. 2020, algorithm 2): each step samples q(x_s | x_t, x0_hat), eq. 6 and 7.

    It is DDIM with eta = 1, for any two levels and not only for neighbours; the variance is the posterior's (the paper's
    second choice, beta-tilde). generator: the noise, on x_T's device.
    """
    return ddim(denoise, x_T, levels, eta=1.0, generator=generator, callback=callback)


def posterior_std(here: Level, there: Level) -> float:
    """Standard deviation of DDPM's q(x_s | x_t, x0) (Ho et al. 2020, eq. 7), from level t (here) to level s < t (there).

    Raises ValueError where ``there`` is not the less noisy level.
    """
    for level in (here, there):
        check_level(level)
    if not here.ratio > there.ratio:
        raise ValueError(f"The step leads from {here} to {there}, but must lead to a level with less noise.")
    step = here.alpha / there.alpha  # the product of √(1 − beta) between the two levels
    return there.sigma / here.sigma * math.sqrt(max(here.sigma**2 - step**2 * there.sigma**2, 0.0))


@torch.no_grad()
def dpmpp_2m(denoise: Denoiser, x_T: Tensor, levels: Sequence[Level], callback: Callback | None = None) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second order, one network call a step.

    The last step, to clean data, is first order, as in the reference implementation.
    """
    _check_start(x_T, levels)
    x, previous, h_previous = x_T, None, math.inf
    for i, (here, there) in enumerate(pairwise(levels)):
        x0 = x0_hat(denoise, x, here)
        if callback is not None:
            callback(i, here, x, x0)
        h = there.half_log_snr - here.half_log_snr
        extrapolated = x0
        if previous is not None and there.sigma > 0:
            extrapolated = x0 + h / (2 * h_previous) * (x0 - previous)
        x = (there.sigma / here.sigma) * x - there.alpha * math.expm1(-h) * extrapolated
        previous, h_previous = x0, h
    return x


@torch.no_grad()
def heun(denoise: Denoiser, x_T: Tensor, levels: Sequence[Level], callback: Callback | None = None) -> Tensor:
    """Heun's second-order method (Karras et al. 2022, algorithm 1 without churn): two calls a step, but one in the last.

    Karras et al. step in noise over signal. A schedule that ends with almost no signal (cosine: 20,000 to 1) makes the first
    step in it so long that the correction throws x far off. We step in the angle between signal and noise, 90° to 0°, where
    the slope is v, well scaled at every level (Lu & Song 2025, section 3). The step to clean data is first order.
    """
    _check_start(x_T, levels)
    x = x_T
    for i, (here, there) in enumerate(pairwise(levels)):
        x0 = x0_hat(denoise, x, here)
        if callback is not None:
            callback(i, here, x, x0)
        eps = to_eps("x0", x0, x, here)
        x_next = there.alpha * x0 + there.sigma * eps
        if there.sigma > 0:
            slope = target("v", x0, eps, here) / _norm(here)
            x0 = x0_hat(denoise, x_next, there)
            slope = (slope + target("v", x0, to_eps("x0", x0, x_next, there), there) / _norm(there)) / 2
            turn = math.atan2(there.sigma, there.alpha) - math.atan2(here.sigma, here.alpha)
            x_next = _norm(there) * (x / _norm(here) + turn * slope)
        x = x_next
    return x


def _norm(level: Level) -> float:
    """√(alpha² + sigma²): 1 on a variance-preserving schedule; dividing by it makes any schedule variance-preserving."""
    return math.hypot(level.alpha, level.sigma)


@torch.no_grad()
def as_cuda_graph(sample: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[Tensor], Tensor]:
    """Record ``sample`` as a CUDA graph for tensors of the shape, dtype and device of ``like``; each call replays it.

        sample = as_cuda_graph(lambda x_T: dpmpp_2m(denoise, x_T, levels), noise)
        latents = sample(noise)

    A small network's kernels take less time than Python takes to launch them one by one; a graph launches all kernels of a
    sampling run at once (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). Everything that ``sample`` reads
    apart from its argument (weights, labels, levels, guidance scale) is fixed by the recording, and it must draw no random
    numbers: DDIM with eta = 0, DPM-Solver++(2M) and Heun qualify. Devices other than CUDA have no graphs: there ``sample``
    itself is returned. The returned function raises ValueError for x_T of another shape.
    """
    check_tensor("like", like, "", "float")
    if like.device.type != "cuda":
        return sample
    x = like.clone()
    warm_up = torch.cuda.Stream()
    warm_up.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(warm_up):  # a recording may not choose kernels or allocate workspaces, so they are chosen here
        for _ in range(3):
            sample(x)
    torch.cuda.current_stream().wait_stream(warm_up)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = sample(x)

    def replay(x_T: Tensor) -> Tensor:
        if x_T.shape != x.shape:
            raise ValueError(
                f"x_T is {tuple(x_T.shape)}, but this graph was recorded for {tuple(x.shape)}. "
                "To fix it: record another with as_cuda_graph."
            )
        x.copy_(x_T)
        graph.replay()
        return result.clone()

    return replay
