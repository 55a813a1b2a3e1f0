"""The diffusion model itself: adding noise, what the network predicts, its loss, and the network as a denoiser.

Four equivalent prediction types, from ``x_t = alpha · x0 + sigma · eps``:

- ``"eps"``: the noise (DDPM, Ho et al. 2020, eq. 14);
- ``"x0"``: the clean data;
- ``"v"``: ``alpha · eps − sigma · x0`` (Salimans & Ho 2022, appendix D), well scaled at every level;
- ``"velocity"``: ``eps − x0``, the velocity of the straight line from data to noise (flow matching and rectified flow: Lipman
  et al. 2023; Liu et al. 2022), made for `schedule.flow`. Some papers run time from noise to data and so have the other sign.

x_t and any one of them give the others: `to_x0`, `to_eps`, `convert`.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import SupportsIndex, TypeAlias

import torch
from torch import Tensor

from course_lib.arguments import can_look_at, check_choice, check_integer, check_number, check_same_shape, check_tensor
from course_lib.schedule import AnyLevel, BatchLevel, Level, Schedule, check_any_level, check_level

Denoiser: TypeAlias = Callable[[Tensor, Level], Tensor]
"""x_t [B, C, H, W], its level → the expected clean data x0_hat [B, C, H, W], in x_t's units."""

PREDICTION_TYPES = ("eps", "x0", "v", "velocity")

DrawSteps: TypeAlias = Callable[[int, int, torch.device, torch.Generator | None], Tensor]
"""(batch, T, device, generator) → the steps t [batch] in 1…T of a training batch, as `stratified_steps` draws them."""

MAX_BATCH = 2**24


class NullCaption(tuple[int, ...]):
    """The tokens of the empty caption, as null label: they replace the tokens of a caption all together, never one by one."""


def _check_prediction_type(prediction_type: str) -> None:
    check_choice("prediction_type", prediction_type, PREDICTION_TYPES)


def _check_pair(name: str, a: Tensor, other_name: str, b: Tensor, level: AnyLevel) -> None:
    """Check that two tensors of images have one shape, and that this level is theirs."""
    check_tensor(name, a, "", "float", least=0)
    check_tensor(other_name, b, "", "float", least=0)
    check_same_shape(name, a, other_name, b)
    if isinstance(level, BatchLevel):
        check_tensor(name, a, "[B, C, H, W]", "float", least=0)  # else the rates would broadcast to another shape
    check_any_level(level, len(a) if a.ndim else 1)


def add_noise(x0: Tensor, eps: Tensor, level: AnyLevel) -> Tensor:
    """Sample q(x_t | x0) in one jump (DDPM eq. 4): alpha · x0 + sigma · eps, same shape as x0.

    Raises ValueError where eps has another shape, or the level another number of steps.
    """
    _check_pair("x0", x0, "eps", eps, level)
    return level.alpha * x0 + level.sigma * eps


def target(prediction_type: str, x0: Tensor, eps: Tensor, level: AnyLevel) -> Tensor:
    """What a network of this prediction type should output at this level; same shape as x0."""
    _check_prediction_type(prediction_type)
    _check_pair("x0", x0, "eps", eps, level)
    if prediction_type == "eps":
        return eps
    if prediction_type == "x0":
        return x0
    return level.alpha * eps - level.sigma * x0 if prediction_type == "v" else eps - x0


def to_x0(prediction_type: str, out: Tensor, x_t: Tensor, level: AnyLevel) -> Tensor:
    """The clean data that a network's output implies; same shape as x_t.

    Raises ValueError for ``"eps"`` at a level without signal: there the noise does not determine x0.
    """
    _check_prediction_type(prediction_type)
    _check_pair("the network's output", out, "x_t", x_t, level)
    if prediction_type == "x0":
        return out
    if prediction_type == "v":  # alpha² + sigma² is 1 on variance-preserving schedules, and not on the flow's straight line
        return (level.alpha * x_t - level.sigma * out) / (level.alpha**2 + level.sigma**2)
    if prediction_type == "velocity":  # alpha + sigma is 1 on the flow's straight line
        return (x_t - level.sigma * out) / (level.alpha + level.sigma)
    if _is_zero(level.alpha):
        raise ValueError(
            f"An 'eps' network cannot predict x0 at t={_steps(level)}, where no signal is left (alpha = 0); "
            "use prediction_type 'v', 'x0' or 'velocity' with this schedule."
        )
    return (x_t - level.sigma * out) / level.alpha


def to_eps(prediction_type: str, out: Tensor, x_t: Tensor, level: AnyLevel) -> Tensor:
    """The noise that a network's output implies; same shape as x_t.

    Raises ValueError for ``"x0"`` at a level without noise: there the clean data does not determine eps.
    """
    _check_prediction_type(prediction_type)
    _check_pair("the network's output", out, "x_t", x_t, level)
    if prediction_type == "eps":
        return out
    if prediction_type == "v":
        return (level.sigma * x_t + level.alpha * out) / (level.alpha**2 + level.sigma**2)
    if prediction_type == "velocity":
        return (x_t + level.alpha * out) / (level.alpha + level.sigma)
    if _is_zero(level.sigma):
        raise ValueError(
            f"x0 does not determine the noise at t={_steps(level)}, where none is left (sigma = 0); use a level with t > 0."
        )
    return (x_t - level.alpha * out) / level.sigma


def _is_zero(rate: float | Tensor) -> bool:
    """Whether a rate, or one of a batch on the CPU, is 0; on a GPU the values are not looked at."""
    if isinstance(rate, Tensor):
        return can_look_at(rate) and bool((rate == 0).any())
    return rate == 0


def _steps(level: AnyLevel) -> int | list[int]:
    return level.t if isinstance(level, Level) else level.t.tolist()


def convert(prediction_type: str, to: str, out: Tensor, x_t: Tensor, level: AnyLevel) -> Tensor:
    """The output of a network of one prediction type, as a network of the type ``to`` would have given it; same shape as x_t.

    Raises ValueError where the one does not determine the other: see `to_x0` and `to_eps`.
    """
    _check_prediction_type(to)
    if to == prediction_type:
        return out
    if to == "x0":
        return to_x0(prediction_type, out, x_t, level)
    if to == "eps":
        return to_eps(prediction_type, out, x_t, level)
    return target(to, to_x0(prediction_type, out, x_t, level), to_eps(prediction_type, out, x_t, level), level)


def stratified_steps(batch: int, T: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """Training steps t [batch] in 1…T, evenly spread over the batch: uniform for each image, but the loss varies less.

    Kingma et al. 2021 (variational diffusion models), appendix I.1: one random offset, then equal strides.
    """
    check_integer("T", T, 1)
    return _step_at(_strata(batch, device, generator), T)


def logit_normal_steps(
    batch: int,
    T: int,
    device: torch.device,
    generator: torch.Generator | None = None,
    mean: float = 0.0,
    std: float = 1.0,
) -> Tensor:
    """Training steps t [batch] in 1…T with logit(t / T) ~ N(mean, std²), which prefers the middle (Esser et al. 2024, eq. 19).

    On `schedule.flow` the logit is minus half the log SNR. Spread over the batch as `stratified_steps` are: equal strides in
    probability. Raises ValueError for a std that is not above 0.
    """
    check_integer("T", T, 1)
    mean, std = check_number("mean", mean), check_number("std", std, above=0)
    normal = math.sqrt(2) * torch.erfinv(2 * _strata(batch, device, generator) - 1)  # the normal distribution's quantiles
    return _step_at(torch.sigmoid(mean + std * normal), T)


def steps_between(first: int, last: int) -> DrawSteps:
    """Return what draws training steps as `stratified_steps` does, but only from first to last.

    Raises ValueError unless 1 <= first <= last; and what is returned, for a schedule of fewer than ``last`` steps.
    """
    last = check_integer("last", last, check_integer("first", first, 1))

    def draw(batch: int, T: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
        check_integer("T", T, last)
        return first - 1 + stratified_steps(batch, last - first + 1, device, generator)

    return draw


def _strata(batch: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Uniform values in 0…1, one in each of ``batch`` equal intervals, [batch]."""
    batch = check_integer("batch", batch, 1, MAX_BATCH)
    offset = torch.rand(1, device=device, generator=generator)
    return (torch.arange(batch, device=device) + offset) / batch


def _step_at(u: Tensor, T: int) -> Tensor:
    """The step in 1…T of a time u in 0…1."""
    return (u * T).long().clamp(max=T - 1) + 1


def drop_labels(y: Tensor, null_label: int | Sequence[int], drop: float, generator: torch.Generator | None = None) -> Tensor:
    """Replace each of the labels y [B] by the null label with probability ``drop`` (Ho & Salimans 2022, algorithm 1).

    With F labels an image, y is [B, F] and ``null_label`` holds one for each of the F: with probability ``drop`` an image loses
    all its labels; otherwise each label is dropped independently with the same probability, as a caption leaves things out.
    The tokens of captions, whose null label is a `NullCaption`, are dropped all together. Raises ValueError where ``drop`` is no
    probability, or the labels do not fit the null label.
    """
    check_number("drop", drop, at_least=0, at_most=1)
    check_tensor("y", y, "", "integer", least=0)
    null = expand_labels(null_label, len(y), y.device) if y.ndim else y
    if null.shape != y.shape or y.ndim not in (1, 2):
        fits = f"[{len(y)}, {null.shape[1]}]" if null.ndim == 2 and y.ndim else "[B]"
        raise ValueError(f"The labels have shape {tuple(y.shape)}, but with the null label {null_label} they must be {fits}.")
    together = isinstance(null_label, NullCaption)
    dropped = torch.rand((len(y), 1) if together else y.shape, device=y.device, generator=generator) < drop
    if y.ndim == 2 and not together:
        dropped = dropped | (torch.rand(len(y), 1, device=y.device, generator=generator) < drop)
    return torch.where(dropped, null, y)


def loss(
    net: Callable[..., Tensor],
    x0: Tensor,
    y: Tensor | None,
    schedule: Schedule,
    prediction_type: str,
    *,
    generator: torch.Generator | None = None,
    null_label: int | Sequence[int] | None = None,
    drop: float = 0.1,
    draw_steps: DrawSteps = stratified_steps,
    measured_in: str | None = None,
) -> Tensor:
    """Mean squared error of the network's prediction at random levels (DDPM eq. 14, for any prediction type); a scalar.

    net: (x_t [B, C, H, W], t [B], y [B]) → [B, C, H, W]. x0: clean data. y: integer labels [B] or [B, F], or None.
    null_label: where given (one for each label), it replaces labels with probability ``drop``, so that one network learns both
    the conditional and the unconditional denoiser, as classifier-free guidance needs. draw_steps: the distribution of the steps
    in training, uniform by default; it decides how much each level counts. measured_in: the prediction type in which the error
    is taken, by default the network's own; for instance x0 predicted and v compared (Li & He 2025, table 1). Raises ValueError
    for an unknown prediction type, for a level where the one does not determine the other (see `convert`), for x0 that is no
    batch of float images, and for a network's output of another shape.
    """
    check_tensor("x0", x0, "[B, C, H, W]", "float")
    level = schedule.at(draw_steps(len(x0), schedule.T, x0.device, generator))
    eps = torch.randn(x0.shape, device=x0.device, dtype=x0.dtype, generator=generator)
    if y is not None and null_label is not None:
        y = drop_labels(y, null_label, drop, generator)
    measured_in = measured_in or prediction_type
    x_t, goal = add_noise(x0, eps, level), target(measured_in, x0, eps, level)
    out = net(x_t, level.t, y)
    check_tensor("the network's output", out, "", "float")
    check_same_shape("the network's output", out, "x0", x0)
    out = out.to(torch.promote_types(out.dtype, torch.float32))
    return torch.nn.functional.mse_loss(convert(prediction_type, measured_in, out, x_t, level), goal)


def expand_labels(y: Tensor | int | Sequence[int], n: int, device: torch.device) -> Tensor:
    """Labels for n images, [n] or [n, F]: a tensor as it is, one label (or F of them, a sequence) repeated for all images.

    Raises ValueError for a tensor of another length, and TypeError for what is no label.
    """
    n = check_integer("n", n, 0, MAX_BATCH)
    if isinstance(y, Tensor) and y.ndim:
        check_tensor("y", y, "", "integer", least=0)
        if len(y) != n or y.ndim > 2:
            raise ValueError(f"The labels have shape {tuple(y.shape)} for {n} images, but must be [{n}] or [{n}, F].")
        return y
    if isinstance(y, Tensor):
        check_tensor("y", y, "", "integer")
        return y.expand(n)
    labels = [y] if isinstance(y, SupportsIndex) else list(y) if isinstance(y, Sequence) else []
    if not labels or not all(isinstance(one, SupportsIndex) and not isinstance(one, bool) for one in labels):
        raise TypeError(f"y is {y!r:.60}, but a label is a whole number, F of them are a tuple, and a batch has a tensor.")
    for one in labels:
        check_integer("a label of y", one)
    # filled on the device: a copy from the host would make Python wait
    columns = [torch.full((n,), operator.index(one), device=device) for one in labels]
    return columns[0] if isinstance(y, SupportsIndex) else torch.stack(columns, dim=1)


def denoiser(
    net: Callable[..., Tensor],
    prediction_type: str,
    y: Tensor | int | Sequence[int] | None = None,
    autocast: torch.dtype | None = None,
) -> Denoiser:
    """The network as a plain function (x_t, level) → x0_hat.

    net: (x_t [B, C, H, W], t [B], y) → its prediction [B, C, H, W]. y: labels [B] or [B, F], one label (or F of them, a tuple)
    for all images, or None. autocast: run the network (and only it) at this precision, e.g. ``torch.bfloat16``; everything
    around it stays in x_t's own. Raises ValueError for an unknown prediction_type; and the denoiser, for x_t that is no batch of
    float images, and for a network's output of another shape (learned variances must be cut off).
    """
    _check_prediction_type(prediction_type)
    if autocast not in (None, torch.bfloat16, torch.float16):
        raise ValueError(f"autocast is {autocast}, but must be torch.bfloat16, torch.float16 or None.")

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        check_tensor("x_t", x_t, "[B, C, H, W]", "float")
        check_level(level)
        t = torch.full((len(x_t),), level.t, device=x_t.device)
        rows = None if y is None else expand_labels(y, len(x_t), x_t.device)
        with torch.autocast(x_t.device.type, autocast, enabled=autocast is not None):
            out = net(x_t, t, rows)
        check_tensor("the network's output", out, "[B, C, H, W]", "float")
        return to_x0(prediction_type, out.to(x_t.dtype), x_t, level)

    return denoise


def x0_hat(denoise: Denoiser, x_t: Tensor, level: Level) -> Tensor:
    """The denoiser's x0_hat for x_t at this level, checked: raises ValueError where its shape is not that of x_t."""
    check_tensor("x_t", x_t, "[B, C, H, W]", "float")
    check_level(level)
    x0 = denoise(x_t, level)
    check_tensor("denoise(x_t, level)", x0, "", "float")
    check_same_shape("denoise(x_t, level)", x0, "x_t", x_t)
    return x0


def clamp_x0(denoise: Denoiser, low: float = -1.0, high: float = 1.0) -> Denoiser:
    """The same denoiser with x0_hat clamped to the range of the data, as pixel-space DDPM does at every step."""
    check_number("low", low, below=check_number("high", high))
    return lambda x_t, level: denoise(x_t, level).clamp(low, high)
