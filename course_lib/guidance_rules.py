"""Other ways to combine the two estimates of guidance, for `guidance.guide(…, rule=…)`, and the scale that they amount to.

Plain guidance is ``ref + scale · (main − ref)``. A rule changes which part of the difference is added, or by how much.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from course_lib.arguments import check_number, check_same_shape, check_tensor
from course_lib.guidance import Rule
from course_lib.samplers import check_levels
from course_lib.schedule import Level, check_level


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each image: [B, 1, 1, 1]."""
    return (a * b).flatten(1).sum(1).view(-1, *[1] * (a.ndim - 1))


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0: there is no direction to project on."""
    return torch.where(b > 0, a / b, 0.0)


def effective_scale(guided: Tensor, main: Tensor, ref: Tensor) -> Tensor:
    """Return the scale of plain guidance that comes closest to a guided estimate, image by image: [B].

    It is ⟨guided − ref, main − ref⟩ / |main − ref|² ("Guidance Matters", arXiv 2602.22570), the same for x0 and for the noise.
    guided, main, ref: estimates at one level, [B, ...]. nan where main and ref agree: any scale gives the same there.
    """
    check_tensor("guided", guided, "[B, ...]", "float")
    for name, x in (("main", main), ("ref", ref)):
        check_tensor(name, x, "[B, ...]", "float")
        check_same_shape("guided", guided, name, x)
    difference = main - ref
    return (_inner(guided - ref, difference) / _inner(difference, difference)).flatten()


def projected(eta: float = 0.0, max_norm: float | None = None) -> Rule:
    """Adaptive projected guidance, APG (Sadat et al. 2024, arXiv 2410.02416, algorithm 1, without its momentum).

    main + (scale − 1) · (orthogonal + eta · parallel), where the two are parts of main − ref with respect to main. The parallel
    part makes main stronger and saturates the image. eta: 1 is plain guidance. max_norm: largest length of main − ref of an
    image; longer ones are scaled down to it (the paper's r). Raises ValueError where max_norm is not above 0.
    """
    eta = check_number("eta", eta)
    if max_norm is not None:
        check_number("max_norm", max_norm, above=0)

    def rule(main: Tensor, ref: Tensor, scale: float, x_t: Tensor, level: Level) -> Tensor:
        difference = main - ref
        if max_norm is not None:
            difference = difference * (max_norm / _inner(difference, difference).sqrt().clamp(min=max_norm))
        parallel = _ratio(_inner(difference, main), _inner(main, main)) * main
        return main + (scale - 1) * (difference - parallel + eta * parallel)

    return rule


def frequency_decoupled(low_scale: float) -> Rule:
    """Frequency-decoupled guidance, FDG (Sadat et al. 2025, arXiv 2506.19713): low spatial frequencies have a scale of their own.

    The low frequencies of main − ref are its means over blocks of 2×2, which are a projection, so that both parts add up to the
    difference. They are multiplied by low_scale, and the rest by the scale. Height and width must be even.
    """
    low_scale = check_number("low_scale", low_scale)

    def rule(main: Tensor, ref: Tensor, scale: float, x_t: Tensor, level: Level) -> Tensor:
        check_tensor("main", main, "[B, C, H, W]", "float")
        if main.shape[2] % 2 or main.shape[3] % 2:
            raise ValueError(f"the estimates have shape {tuple(main.shape)}, but frequencies are split where H and W are even.")
        difference = main - ref
        low = torch.nn.functional.avg_pool2d(difference, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return ref + low_scale * low + scale * (difference - low)

    return rule


def zero_star(zero_above: float | None = None) -> Rule:
    """CFG-Zero* (Fan et al. 2025, arXiv 2503.18886): guidance of the velocity eps − x0, with ref scaled to fit main best.

    s* · u_ref + scale · (u_main − s* · u_ref), where u are the two velocities and s* = ⟨u_main, u_ref⟩ / |u_ref|² of each image.
    zero_above: at levels with more noise over signal (sigma / alpha) than this the velocity is 0, as the paper's first steps.
    """
    if zero_above is not None:
        check_number("zero_above", zero_above, above=0)

    def rule(main: Tensor, ref: Tensor, scale: float, x_t: Tensor, level: Level) -> Tensor:
        check_level(level)
        if level.sigma == 0:
            return ref + scale * (main - ref)  # no noise is left to have a velocity
        if zero_above is not None and level.ratio > zero_above:
            return x_t / (level.alpha + level.sigma)
        u_main, u_ref = ((x_t - (level.alpha + level.sigma) * x0) / level.sigma for x0 in (main, ref))
        best = _ratio(_inner(u_main, u_ref), _inner(u_ref, u_ref))
        u = best * u_ref + scale * (u_main - best * u_ref)
        return (x_t - level.sigma * u) / (level.alpha + level.sigma)

    return rule


def cfg_plus_plus_scale(strength: float, levels: Sequence[Level]) -> Callable[[Level], float]:
    """Return the scale at which plain guidance takes the steps of CFG++ (Chung et al. 2024, arXiv 2406.08070, algorithm 2).

    CFG++ estimates x0 with the scale ``strength``, 0 to 1, and adds back the noise of the unconditional estimate. A DDIM step of
    it equals one of plain guidance at the scale strength / (1 − r' / r), with r and r' the noise over signal of this level and of
    the next: small steps have a large scale. For other samplers this is the same schedule of scales, and not CFG++ itself.

    levels: the sampler's grid. Raises ValueError for a level that is not one of the grid's, or is its last.
    """
    strength = check_number("strength", strength)
    check_levels(levels)
    scales = {here.t: strength / (1 - _fraction(there, here)) for here, there in pairwise(levels)}

    def scale_at(level: Level) -> float:
        check_level(level)
        if level.t not in scales:
            raise ValueError(f"t = {level.t} begins no step of the grid, whose steps begin at t = {list(scales)}.")
        return scales[level.t]

    return scale_at


def _fraction(there: Level, here: Level) -> float:
    """Noise over signal of the next level, as a fraction of this level's."""
    return 0.0 if math.isinf(here.ratio) else there.ratio / here.ratio
