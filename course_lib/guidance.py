"""Guidance: steering a denoiser by another denoiser or by a classifier, at all noise levels or in an interval of them.

One line is behind most of it, ``ref + scale · (main − ref)``. ``guidance_scale`` 1 means no guidance, as in diffusers, EDM2 and
DiT; ``scale_from_w`` and ``w_from_scale`` convert to the convention of the classifier-free-guidance paper, where 0 means none.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor

from course_lib.arguments import check_number, check_same_shape, check_tensor
from course_lib.diffusion import Denoiser, denoiser, expand_labels, x0_hat
from course_lib.schedule import Level, check_level, check_levels

Scale: TypeAlias = float | Callable[[Level], float]
"""A guidance scale: one number, or a function of the level such as ``guidance_interval(…)``."""

Rule: TypeAlias = Callable[[Tensor, Tensor, float, Tensor, Level], Tensor]
"""(main's x0_hat, ref's x0_hat, scale, x_t, level) → the guided x0_hat: such as ``projected()``."""


def scale_from_w(w: float) -> float:
    """Return guidance_scale for the paper's weight w (Ho & Salimans 2022, eq. 6: (1 + w)·cond − w·uncond)."""
    return 1.0 + check_number("w", w)


def w_from_scale(scale: float) -> float:
    """Return the paper's weight w (0 = no guidance) for guidance_scale (1 = no guidance)."""
    return check_number("scale", scale) - 1.0


def guidance_interval(scale: float, lo: float, hi: float) -> Callable[[Level], float]:
    """Return ``scale`` only where lo < level.ratio <= hi, and 1 (no guidance) elsewhere (Kynkäänniemi et al. 2024, eq. 6).

    lo, hi: noise over signal (sigma / alpha), EDM's sigma. Raises ValueError when the interval is empty.
    """
    check_number("scale", scale)
    lo = check_number("lo", lo)
    hi = hi if isinstance(hi, float) and hi == math.inf else check_number("hi", hi)
    if not 0 <= lo < hi:
        raise ValueError(f"The guidance interval is ({lo}, {hi}], but it needs 0 <= lo < hi, in noise over signal.")

    def scale_at(level: Level) -> float:
        check_level(level)
        return scale if lo < level.ratio <= hi else 1.0

    return scale_at


def guide(main: Denoiser, ref: Denoiser, scale: Scale, rescale: float = 0.0, rule: Rule | None = None) -> Denoiser:
    """Return the guided denoiser ``ref + scale · (main − ref)``.

    - Classifier-free guidance (Ho & Salimans 2022): main conditional, ref the same network with the null label.
    - Autoguidance (Karras et al. 2024): ref a weaker version of main. Nothing else changes.
    - Negative prompt: ref conditioned on what the image should not show.

    scale: a number, or a function of the level such as ``guidance_interval(…)``. At scale 1, ref is not called and main's own
    result is returned bit for bit. rescale: 0…1, how far the standard deviation of the guided x0_hat is brought back to main's,
    image by image (guidance_rescale: Lin et al. 2023, eq. 15 and 16). It works here in x0 space; diffusers does the same to the
    predicted noise, where the same value has another effect. rule: another way to combine the two estimates: ``projected()``,
    ``frequency_decoupled(…)`` or ``zero_star()``. Raises ValueError when rescale is outside 0…1, or given with a rule.
    """
    _check_scale(scale)
    rescale = check_number("rescale", rescale, at_least=0, at_most=1)
    if rule is not None and rescale > 0:
        raise ValueError(f"rescale is {rescale:g} and a rule is given, but only one of them can combine the estimates.")

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        w = _at(scale, level)
        main_x0 = x0_hat(main, x_t, level)
        if w == 1:
            return main_x0
        ref_x0 = x0_hat(ref, x_t, level)
        if rule is not None:
            return rule(main_x0, ref_x0, w, x_t, level)
        guided = ref_x0 + w * (main_x0 - ref_x0)
        if rescale == 0:
            return guided
        if guided[0].numel() == 1:  # one number has no contrast to bring back
            return guided
        guided_std, main_std = (x.flatten(1).std(dim=1).view(-1, *[1] * (x.ndim - 1)) for x in (guided, main_x0))
        factor = torch.where(guided_std > 0, main_std / guided_std, 1.0)  # nor has a flat image
        return guided * (1 - rescale + rescale * factor)

    return denoise


def _check_scale(scale: Scale) -> None:
    if not callable(scale):
        check_number("scale", scale)


def _at(scale: Scale, level: Level) -> float:
    """The guidance scale at this level."""
    check_level(level)
    return check_number("scale(level)", scale(level)) if callable(scale) else scale


MAX_FUSED_BATCH = 32
"""Up to this many images, one call of the network on twice as many is faster than two calls (`course bench guidance`)."""


def classifier_free_guide(
    net: Callable[..., Tensor],
    prediction_type: str,
    y: Tensor | int | Sequence[int],
    null: int | Sequence[int],
    scale: Scale,
    rescale: float = 0.0,
    autocast: torch.dtype | None = None,
    rule: Rule | None = None,
) -> Denoiser:
    """Classifier-free guidance of one network: towards the labels y [B] or [B, F], away from the null label (or F of them).

    y may also be one label (or F of them, a tuple) for all images. Equal to `guide` of the network's two denoisers, conditioned
    on y and on ``null``, up to rounding. Up to MAX_FUSED_BATCH images it evaluates both in one batch: 1.3 to 1.7 times as fast
    for 1 to 32 images on two cores, while a batch of 512 may take half as long again that way (`course bench guidance`). Raises
    ValueError as `guide` does.
    """
    cond, uncond = (denoiser(net, prediction_type, labels, autocast) for labels in (y, null))
    separate = guide(cond, uncond, scale, rescale, rule)

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        check_tensor("x_t", x_t, "[B, C, H, W]", "float")
        w = _at(scale, level)
        if w == 1 or len(x_t) > MAX_FUSED_BATCH:
            return separate(x_t, level)
        towards, away = (expand_labels(labels, len(x_t), x_t.device) for labels in (y, null))
        check_same_shape("the labels y", towards, "the null labels", away)
        both = torch.cat([towards, away])
        cond_x0, uncond_x0 = denoiser(net, prediction_type, both, autocast)(torch.cat([x_t, x_t]), level).chunk(2)
        return guide(lambda *_: cond_x0, lambda *_: uncond_x0, w, rescale, rule)(x_t, level)

    return denoise


def classifier_guide(main: Denoiser, log_prob: Callable[[Tensor, Level], Tensor], scale: Scale = 1.0) -> Denoiser:
    """Guide by the gradient of a classifier on noisy data (Dhariwal & Nichol 2021, algorithm 2).

    log_prob: (x_t [B, C, H, W], level) → log p(y | x_t) [B], differentiable in x_t. By Tweedie's formula a score of
    ``scale · ∇ log p(y | x_t)`` moves x0_hat by ``scale · sigma² / alpha`` times that gradient. scale multiplies the gradient, so
    here 0 means none and 1 is Bayes' rule. Where no signal is left (alpha = 0) x_t carries no information about y, and main's
    result is returned. Raises ValueError where log_prob gives no differentiable tensor [B].
    """
    _check_scale(scale)

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        w = _at(scale, level)
        x0 = x0_hat(main, x_t, level)
        if w == 0 or level.alpha == 0:
            return x0
        with torch.enable_grad():  # samplers run without gradients
            x = x_t.detach().requires_grad_()
            log_p = log_prob(x, level)
            check_tensor("log_prob(x_t, level)", log_p, f"[{len(x)}]", "float")
            (gradient,) = torch.autograd.grad(log_p.sum(), x, allow_unused=True) if log_p.requires_grad else (None,)
        if gradient is None:
            raise ValueError("log_prob(x_t, level) does not depend on x_t by differentiable steps, so it cannot guide.")
        return x0 + (w * level.sigma**2 / level.alpha) * gradient

    return denoise


# --- rules: other ways to combine the two estimates ----------------------------------------------------------------


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
