"""Guidance: steering a denoiser by another one, by a classifier, at some levels or at all.

One line carries it (``ref + scale · (main − ref)``). ``guidance_scale`` 1 means no guidance, as in diffusers, EDM2 and DiT;
``scale_from_w`` and ``w_from_scale`` convert to the convention of the classifier-free-guidance paper, where 0 means none.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.diffusion import Denoiser, denoiser, labels
from course_lib.schedule import Level

Scale = float | Callable[[Level], float]


def scale_from_w(w: float) -> float:
    """guidance_scale from the paper's weight w (Ho & Salimans 2022, eq. 6: (1 + w)·cond − w·uncond)."""
    return 1.0 + w


def w_from_scale(scale: float) -> float:
    """The paper's weight w (0 = no guidance) from guidance_scale (1 = no guidance)."""
    return scale - 1.0


def guidance_interval(scale: float, lo: float, hi: float) -> Callable[[Level], float]:
    """Guidance only where lo < level.ratio <= hi, and 1 (none) elsewhere (Kynkäänniemi et al. 2024, eq. 6).

    lo, hi: noise over signal (sigma / alpha), EDM's sigma. Raises ValueError when the interval is empty.
    """
    if not 0 <= lo < hi:
        raise ValueError(f"The guidance interval is ({lo}, {hi}], but it needs 0 <= lo < hi, in noise over signal.")
    return lambda level: scale if lo < level.ratio <= hi else 1.0


def guide(main: Denoiser, ref: Denoiser, scale: Scale, rescale: float = 0.0) -> Denoiser:
    """The denoiser ``ref + scale · (main − ref)``.

    - Classifier-free guidance (Ho & Salimans 2022): main conditional, ref the same network with the null label.
    - Autoguidance (Karras et al. 2024): ref a weaker version of main. Nothing else changes.
    - Negative prompt: ref conditional on what is not wanted.

    scale: a number, or a function of the level such as ``within(…)``. At scale 1, ref is not called and main's own result is
    returned bit for bit. rescale: 0…1, how far the guided x0_hat is brought back to main's own standard deviation, picture by
    picture (Lin et al. 2023, eq. 15 and 16). It works here in x0 space; diffusers does the same to the predicted noise, where the
    same number has another effect. Raises ValueError when rescale is outside 0…1.
    """
    if not 0 <= rescale <= 1:
        raise ValueError(f"rescale is {rescale}, but it is a share from 0 (off) to 1 (full); 0.7 is usual.")

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        w = scale(level) if callable(scale) else scale
        wanted = main(x_t, level)
        if w == 1:
            return wanted
        other = ref(x_t, level)
        guided = other + w * (wanted - other)
        if rescale == 0:
            return guided
        std, wanted_std = (x.flatten(1).std(dim=1).view(-1, 1, 1, 1) for x in (guided, wanted))
        return guided * (1 - rescale + rescale * wanted_std / std)

    return denoise


MAX_FUSED_BATCH = 32  # pictures, up to which one call of twice as many is faster than two


def classifier_free(
    net: Callable[..., Tensor],
    kind: str,
    y: Tensor,
    null: int | Sequence[int],
    scale: Scale,
    rescale: float = 0.0,
    autocast: torch.dtype | None = None,
) -> Denoiser:
    """`guide` of one network by itself: led by labels y [B] or [B, F], away from the label ``null`` (or F of them).

    Equal to ``guide(denoiser(net, kind, y), denoiser(net, kind, null), scale, rescale)`` up to rounding. Up to DOUBLED pictures
    it asks both in one batch: 1.3 to 1.7 times as fast for 1 to 32 of them on two cores, where 512 may take half as long again
    that way (`course bench guidance`). Raises ValueError as `guide` does.
    """
    apart = guide(denoiser(net, kind, y, autocast), denoiser(net, kind, null, autocast), scale, rescale)

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        w = scale(level) if callable(scale) else scale
        if w == 1 or len(x_t) > MAX_FUSED_BATCH:
            return apart(x_t, level)
        both = torch.cat([y, labels(null, len(x_t), x_t.device)])
        wanted, other = denoiser(net, kind, both, autocast)(torch.cat([x_t, x_t]), level).chunk(2)
        return guide(lambda *_: wanted, lambda *_: other, w, rescale)(x_t, level)

    return denoise


def classifier_guide(main: Denoiser, log_prob: Callable[[Tensor, Level], Tensor], scale: Scale = 1.0) -> Denoiser:
    """Guidance by the gradient of a classifier on noisy data (Dhariwal & Nichol 2021, algorithm 1).

    log_prob: (x_t [B, C, H, W], level) → log p(y | x_t) [B], differentiable in x_t. By Tweedie's formula a score of
    ``scale · ∇ log p(y | x_t)`` moves x0_hat by ``scale · sigma² / alpha`` times that gradient. scale multiplies the gradient, so
    here 0 means none and 1 is Bayes' rule. Where no signal is left (alpha = 0) x_t says nothing of y, and main is returned.
    """

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        w = scale(level) if callable(scale) else scale
        x0 = main(x_t, level)
        if w == 0 or level.alpha == 0:
            return x0
        with torch.enable_grad():  # samplers run without gradients
            x = x_t.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(log_prob(x, level).sum(), x)
        return x0 + (w * level.sigma**2 / level.alpha) * gradient

    return denoise
