"""The diffusion model itself: adding noise, what the network predicts, its loss, and the network as a denoiser.

Three equivalent things to predict ("kinds"), from ``x_t = alpha · x0 + sigma · eps``:

- ``"eps"``: the noise (DDPM, Ho et al. 2020, eq. 14);
- ``"x0"``: the clean data;
- ``"v"``: ``alpha · eps − sigma · x0`` (Salimans & Ho 2022, appendix D), well scaled at every level.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.schedule import Level, Schedule

Denoiser = Callable[[Tensor, Level], Tensor]
"""x_t [B, C, H, W], its level → the expected clean data x0_hat [B, C, H, W], in x_t's units."""

KINDS = ("eps", "x0", "v")


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, but a network predicts one of {', '.join(map(repr, KINDS))}.")


def add_noise(x0: Tensor, eps: Tensor, level: Level) -> Tensor:
    """q(x_t | x0) in one jump (DDPM eq. 4): alpha · x0 + sigma · eps, same shape as x0."""
    return level.alpha * x0 + level.sigma * eps


def target(kind: str, x0: Tensor, eps: Tensor, level: Level) -> Tensor:
    """What a network of this kind should output at this level; same shape as x0."""
    _check_kind(kind)
    if kind == "eps":
        return eps
    return x0 if kind == "x0" else level.alpha * eps - level.sigma * x0


def to_x0(kind: str, out: Tensor, x_t: Tensor, level: Level) -> Tensor:
    """The clean data that a network's output stands for; same shape as x_t.

    Raises ValueError for ``"eps"`` at a (float) level without signal: noise alone does not tell x0.
    """
    _check_kind(kind)
    if kind == "x0":
        return out
    if kind == "v":  # alpha² + sigma² is 1 on variance-preserving schedules, and not on the flow's straight line
        return (level.alpha * x_t - level.sigma * out) / (level.alpha**2 + level.sigma**2)
    if not isinstance(level.alpha, Tensor) and level.alpha == 0:
        raise ValueError(
            f"An 'eps' network cannot tell x0 at t={level.t}, where no signal is left (alpha = 0); "
            "use kind 'v' or 'x0' with this schedule."
        )
    return (x_t - level.sigma * out) / level.alpha


def to_eps(x0: Tensor, x_t: Tensor, level: Level) -> Tensor:
    """The noise that x0 implies at this level; same shape as x_t. The level must hold noise (sigma > 0)."""
    return (x_t - level.alpha * x0) / level.sigma


def stratified_steps(batch: int, T: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """Training steps t [batch] in 1…T, evenly spread over the batch: uniform for each picture, but the loss varies less.

    Kingma et al. 2021 (variational diffusion models), appendix I.1: one random offset, then equal strides.
    """
    offset = torch.rand(1, device=device, generator=generator)
    u = (torch.arange(batch, device=device) + offset) / batch
    return (u * T).long().clamp(max=T - 1) + 1


def drop_labels(y: Tensor, null_label: int | Sequence[int], drop: float, generator: torch.Generator | None = None) -> Tensor:
    """Labels y [B] with a share ``drop`` of them replaced by the null label (Ho & Salimans 2022, algorithm 1).

    With several labels a picture, y [B, F] and a null label for each of the F: a share ``drop`` of the pictures loses all of
    them, and in the others each label is dropped by itself with the same chance, as a caption leaves things out.
    """
    null = torch.as_tensor(null_label, device=y.device).expand(y.shape)
    dropped = torch.rand(y.shape, device=y.device, generator=generator) < drop
    if y.ndim == 2:
        dropped = dropped | (torch.rand(len(y), 1, device=y.device, generator=generator) < drop)
    return torch.where(dropped, null, y)


def loss(
    net: Callable[..., Tensor],
    x0: Tensor,
    y: Tensor | None,
    schedule: Schedule,
    kind: str,
    *,
    generator: torch.Generator | None = None,
    null_label: int | Sequence[int] | None = None,
    drop: float = 0.1,
) -> Tensor:
    """Mean squared error of the network's prediction at random levels (DDPM eq. 14, for any kind); a scalar.

    net: (x_t [B, C, H, W], t [B], y [B]) → [B, C, H, W]. x0: clean data. y: integer labels [B] or [B, F], or None.
    null_label: where given (one for each label), a share ``drop`` of the labels is replaced by it, so that one network learns
    both the conditional and the unconditional denoiser, as classifier-free guidance needs.
    """
    level = schedule.at(stratified_steps(len(x0), schedule.T, x0.device, generator))
    eps = torch.randn(x0.shape, device=x0.device, dtype=x0.dtype, generator=generator)
    if y is not None and null_label is not None:
        y = drop_labels(y, null_label, drop, generator)
    out = net(add_noise(x0, eps, level), level.t, y)
    return torch.nn.functional.mse_loss(out.float(), target(kind, x0, eps, level))


def labels(y: Tensor | int | Sequence[int] | None, n: int, device: torch.device) -> Tensor | None:
    """Labels for n pictures, [n] or [n, F]: those of a tensor as they are, one label (or F of them) the same for all."""
    if isinstance(y, int):
        return torch.full((n,), y, device=device)
    if isinstance(y, Sequence):  # filled on the device: a copy from the host would make Python wait
        return torch.stack([torch.full((n,), label, device=device) for label in y], dim=1)
    return y


def denoiser(
    net: Callable[..., Tensor], kind: str, y: Tensor | int | Sequence[int] | None = None, autocast: torch.dtype | None = None
) -> Denoiser:
    """The network as a plain function (x_t, level) → x0_hat.

    y: labels [B] or [B, F], one label (or F of them, a tuple) for all, or None. autocast: run the network (and only it) at
    this precision, e.g. ``torch.bfloat16``; everything around it stays in x_t's own.
    """
    _check_kind(kind)

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        t = torch.full((len(x_t),), level.t, device=x_t.device)
        with torch.autocast(x_t.device.type, autocast, enabled=autocast is not None):
            out = net(x_t, t, labels(y, len(x_t), x_t.device))
        return to_x0(kind, out.to(x_t.dtype), x_t, level)

    return denoise


def clamped(denoise: Denoiser, low: float = -1.0, high: float = 1.0) -> Denoiser:
    """The same denoiser with x0_hat held inside the range of the data: what pixel-space DDPM does at every step."""
    return lambda x_t, level: denoise(x_t, level).clamp(low, high)
