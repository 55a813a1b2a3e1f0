"""Samplers: pure functions that walk a denoiser from noise to data. All have one signature.

``denoise``: a Denoiser. ``x_T``: the start, ``sigma_T`` · unit noise [B, C, H, W]. ``levels``: from
``schedule.grid(steps)``, noisiest first. ``callback(i, level, x_t, x0_hat)`` is called with what each step saw. Each
returns the last x_t: x0 when the grid ends at 0.

They use ``torch.no_grad``, not inference mode, because classifier guidance takes a gradient inside; and levels are
Python floats, so no step waits for the GPU.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from course_lib.diffusion import Denoiser, target, to_eps
from course_lib.schedule import Level

Callback = Callable[[int, Level, Tensor, Tensor], None]


def _check_levels(levels: Sequence[Level]) -> None:
    if len(levels) < 2 or any(a.ratio <= b.ratio for a, b in pairwise(levels)):
        raise ValueError(
            "A sampler needs at least two levels, noisiest first, but was given "
            f"t = {[level.t for level in levels][:8]}; schedule.grid(steps) makes them."
        )


@torch.no_grad()
def ddim(
    denoise: Denoiser,
    x_T: Tensor,
    levels: Sequence[Level],
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DDIM (Song et al. 2021, eq. 12 and 16): eta 0 is deterministic, eta 1 is DDPM's ancestral sampler.

    generator: the noise of eta > 0, on x_T's device. Raises ValueError when eta is outside 0…1.
    """
    _check_levels(levels)
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}, but it is a share from 0 (DDIM) to 1 (DDPM).")
    x = x_T
    for i, (here, there) in enumerate(pairwise(levels)):
        x0 = denoise(x, here)
        if callback is not None:
            callback(i, here, x, x0)
        fresh = eta * _posterior_std(here, there)
        x = there.alpha * x0 + math.sqrt(max(there.sigma**2 - fresh**2, 0.0)) * to_eps(x0, x, here)
        if fresh > 0:
            x = x + fresh * torch.randn(x.shape, device=x.device, dtype=x.dtype, generator=generator)
    return x


def _posterior_std(here: Level, there: Level) -> float:
    """Standard deviation of DDPM's q(x_s | x_t, x0) (Ho et al. 2020, eq. 7), for any two levels."""
    step = here.alpha / there.alpha  # the product of √(1 − beta) between the two levels
    return there.sigma / here.sigma * math.sqrt(max(here.sigma**2 - step**2 * there.sigma**2, 0.0))


@torch.no_grad()
def dpmpp_2m(denoise: Denoiser, x_T: Tensor, levels: Sequence[Level], callback: Callback | None = None) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second order, one network call a step.

    The last step, to clean data, is first order, as in the reference implementation.
    """
    _check_levels(levels)
    x, previous, h_previous = x_T, None, math.inf
    for i, (here, there) in enumerate(pairwise(levels)):
        x0 = denoise(x, here)
        if callback is not None:
            callback(i, here, x, x0)
        h = there.half_log_snr - here.half_log_snr
        ahead = x0
        if previous is not None and there.sigma > 0:
            ahead = x0 + h / (2 * h_previous) * (x0 - previous)
        x = (there.sigma / here.sigma) * x - there.alpha * math.expm1(-h) * ahead
        previous, h_previous = x0, h
    return x


@torch.no_grad()
def heun(denoise: Denoiser, x_T: Tensor, levels: Sequence[Level], callback: Callback | None = None) -> Tensor:
    """Heun's second-order method (Karras et al. 2022, algorithm 1 without churn): two calls a step, but the last.

    Karras et al. step in noise over signal. There a schedule that ends with next to no signal (cosine: 20,000 to 1)
    takes so long a first step that the correction throws x far off. We step in the angle between signal and noise, 90°
    to 0°, where the slope is v, well scaled at every level (Lu & Song 2025, section 3). The step to clean data is first
    order.
    """
    _check_levels(levels)
    x = x_T
    for i, (here, there) in enumerate(pairwise(levels)):
        x0 = denoise(x, here)
        if callback is not None:
            callback(i, here, x, x0)
        eps = to_eps(x0, x, here)
        ahead = there.alpha * x0 + there.sigma * eps
        if there.sigma > 0:
            slope = target("v", x0, eps, here) / _length(here)
            x0 = denoise(ahead, there)
            slope = (slope + target("v", x0, to_eps(x0, ahead, there), there) / _length(there)) / 2
            turn = math.atan2(there.sigma, there.alpha) - math.atan2(here.sigma, here.alpha)
            ahead = _length(there) * (x / _length(here) + turn * slope)
        x = ahead
    return x


def _length(level: Level) -> float:
    """√(alpha² + sigma²): 1 on a variance-preserving schedule; dividing by it makes any schedule one."""
    return math.hypot(level.alpha, level.sigma)


@torch.no_grad()
def as_cuda_graph(walk: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[Tensor], Tensor]:
    """``walk`` for tensors of the shape, dtype and device of ``like``, recorded once and replayed at each call.

        draw = captured(lambda x_T: dpmpp_2m(denoise, x_T, levels), noise)
        latents = draw(noise)

    A small network's kernels take less time than Python takes to launch them one by one; a graph launches all of a walk at once
    (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). What the walk reads beside its argument (weights, labels,
    levels, scale) is fixed by the recording, and it must draw no random numbers: DDIM with eta = 0, DPM-Solver++(2M) and Heun
    qualify. Other devices than CUDA have no graphs: they get ``walk`` itself. Raises ValueError for x of another shape.
    """
    if like.device.type != "cuda":
        return walk
    x = like.clone()
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # a recording may not choose kernels or allocate workspaces: done here
        for _ in range(3):
            walk(x)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        drawn = walk(x)

    def replay(x_T: Tensor) -> Tensor:
        if x_T.shape != x.shape:
            raise ValueError(f"x_T is {tuple(x_T.shape)}, but this walk was captured for {tuple(x.shape)}: capture it anew.")
        x.copy_(x_T)
        graph.replay()
        return drawn.clone()

    return replay
