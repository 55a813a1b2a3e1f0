"""Distillation: a student that does with one network call what its teacher does with two.

1. *Guidance in one call* (Meng et al. 2023, section 3.1): `guided_target` is what the guided teacher predicts, and the student,
   which has the guidance scale as an input, learns to predict it: `guidance_loss`.
2. *Half the steps* (progressive distillation: Salimans & Ho 2022, algorithm 2): `two_steps_as_one` is the estimate with which one
   DDIM step leads where two of the teacher's lead, and the student learns it: `halving_loss`. The student is the next teacher.

Both are regressions on noised training data: no trajectory from noise to data is sampled.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from course_lib.arguments import (
    can_look_at,
    check_choice,
    check_integer,
    check_number,
    check_numbers,
    check_same_shape,
    check_tensor,
)
from course_lib.autoencoder import at_least_float32
from course_lib.diffusion import (
    PREDICTION_TYPES,
    DrawSteps,
    add_noise,
    convert,
    expand_labels,
    stratified_steps,
    to_eps,
    to_x0,
)
from course_lib.schedule import AnyLevel, BatchLevel, Schedule, check_any_level

Network: TypeAlias = Callable[..., Tensor]
"""(x_t [B, C, H, W], t [B], y [B]) → its prediction [B, C, H, W]; where it takes a scale, also ``scale=`` [B]."""

SCALES = (1.0, 4.0)
"""The range of guidance scales that a student learns; 1 means no guidance."""


def at_scale(net: Network, scale: float) -> Network:
    """Return a network with a scale as input at one scale: (x_t, t, y) → its prediction, as `diffusion.denoiser` takes it."""
    scale = check_number("scale", scale)
    return lambda x_t, t, y: net(x_t, t, y, scale=torch.full((len(x_t),), scale, device=x_t.device))


def guided_target(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    """Return the guided prediction ``null + scale · (cond − null)``, with a scale of its own for each image.

    cond, null: the teacher's predictions with and without the label, [B, C, H, W], of any one type: all types are linear in x0,
    so each gives the same guided estimate. scale: [B]; 1 means no guidance, as in `guidance.guide`.
    """
    check_tensor("cond", cond, "[B, C, H, W]", "float")
    check_tensor("null", null, "", "float")
    check_same_shape("cond", cond, "null", null)
    check_tensor("scale", scale, f"[{len(cond)}]", "float")
    return null + scale[:, None, None, None] * (cond - null)


def guidance_loss(
    student: Network,
    teacher: Network,
    x0: Tensor,
    y: Tensor,
    schedule: Schedule,
    null_label: int | Sequence[int],
    *,
    scales: tuple[float, float] = SCALES,
    generator: torch.Generator | None = None,
    draw_steps: DrawSteps = stratified_steps,
) -> Tensor:
    """Mean squared difference between the student's prediction and the guided teacher's, at random levels and scales; a scalar.

    student: takes a scale, and is of the teacher's prediction type. x0: clean data [B, C, H, W]. y: labels [B] or [B, F].
    null_label: the teacher's label for no condition (or F of them). scales: the range from which each image's scale is drawn,
    uniformly. Meng et al. 2023, algorithm 1.
    """
    check_tensor("x0", x0, "[B, C, H, W]", "float")
    level = schedule.at(draw_steps(len(x0), schedule.T, x0.device, generator))
    x_t = _noised(x0, level, generator)
    scale = _draw_scales(scales, x0, generator)
    with torch.no_grad():
        cond, null = teacher(x_t, level.t, y), teacher(x_t, level.t, expand_labels(null_label, len(x0), x0.device))
        goal = guided_target(_precise(cond), _precise(null), scale)
    out = _precise(student(x_t, level.t, y, scale=scale))
    check_same_shape("the student's output", out, "the teacher's", goal)
    return torch.nn.functional.mse_loss(out, goal)


def ddim_step(x0: Tensor, x_t: Tensor, here: AnyLevel, there: AnyLevel) -> Tensor:
    """Return where a DDIM step with the estimate x0 leads, from x_t at one level to another; same shape as x_t.

    As a step of `samplers.ddim` with eta 0, but each image of a batch may have its own levels. ValueError for ``here`` without
    noise.
    """
    eps = to_eps("x0", x0, x_t, here)
    check_any_level(there, len(x_t) if x_t.ndim else 1)
    return there.alpha * x0 + there.sigma * eps


def two_steps_as_one(x_t: Tensor, x_end: Tensor, here: AnyLevel, end: AnyLevel) -> Tensor:
    """Return the estimate of x0 with which one DDIM step leads from x_t at ``here`` to x_end at ``end`` (less noisy).

    That step holds x0 and eps fixed in x = alpha · x0 + sigma · eps; eliminating eps leaves x0 (Salimans & Ho 2022, appendix G).
    Same shape as x_t. Raises ValueError where ``end`` is not the less noisy level (of a batch only where it is on the CPU).
    """
    check_tensor("x_t", x_t, "", "float", least=0)
    check_tensor("x_end", x_end, "", "float", least=0)
    check_same_shape("x_t", x_t, "x_end", x_end)
    for level in (here, end):
        check_any_level(level, len(x_t) if x_t.ndim else 1)
    falls = end.alpha * here.sigma > end.sigma * here.alpha
    if falls is False or (isinstance(falls, Tensor) and can_look_at(falls) and not bool(falls.all())):
        raise ValueError("The steps lead to a level that is not less noisy than their first: give here first, then end.")
    ratio = end.sigma / here.sigma
    return (x_end - ratio * x_t) / (end.alpha - ratio * here.alpha)


def halving_loss(
    student: Network,
    teacher: Network,
    x0: Tensor,
    y: Tensor,
    schedule: Schedule,
    steps: int,
    prediction_type: str,
    *,
    scales: tuple[float, float] | None = SCALES,
    generator: torch.Generator | None = None,
    measured_in: str = "v",
) -> Tensor:
    """Mean squared difference between the student's step and two DDIM steps of the teacher, at the student's levels; a scalar.

    steps: of the student, on ``schedule.grid(steps)``; the teacher takes twice as many. prediction_type: of both. scales: of
    guidance, as in `guidance_loss`; None for networks that take no scale. measured_in: the prediction type in which they are
    compared. In v the error in x0 is weighted by SNR + 1, one of the weights of Salimans & Ho 2022; in x0 by 1.
    """
    check_tensor("x0", x0, "[B, C, H, W]", "float")
    check_integer("steps", steps, 1, schedule.T // 2)
    check_choice("prediction_type", prediction_type, PREDICTION_TYPES)
    here, middle, end = _draw_levels(schedule, steps, x0, generator)
    x_t = _noised(x0, here, generator)
    more = {} if scales is None else {"scale": _draw_scales(scales, x0, generator)}

    def estimate(net: Network, x: Tensor, level: BatchLevel) -> Tensor:
        return to_x0(prediction_type, _precise(net(x, level.t, y, **more)), x, level)

    with torch.no_grad():
        x_middle = ddim_step(estimate(teacher, x_t, here), x_t, here, middle)
        x_end = ddim_step(estimate(teacher, x_middle, middle), x_middle, middle, end)
        goal = two_steps_as_one(x_t, x_end, here, end)
    out = _precise(student(x_t, here.t, y, **more))
    check_same_shape("the student's output", out, "x0", x0)
    return torch.nn.functional.mse_loss(
        convert(prediction_type, measured_in, out, x_t, here), convert("x0", measured_in, goal, x_t, here)
    )


def _draw_levels(schedule: Schedule, steps: int, x0: Tensor, generator: torch.Generator | None) -> tuple[BatchLevel, ...]:
    """For each image, a random step of the student: its first level, the teacher's level in its middle, and its last."""
    i = 2 * torch.randint(1, steps + 1, (len(x0),), device=x0.device, generator=generator)
    return tuple(schedule.at(_on_grid(i - k, 2 * steps, schedule.T)) for k in (0, 1, 2))


def _on_grid(i: Tensor, steps: int, T: int) -> Tensor:
    """Return the t of ``schedule.grid(steps)`` that is i steps from its end: T · i / steps, halves rounded to even as there.

    Computed on the device of i [B]: a table would be a copy from the host in every step.
    """
    t, rest = i * T // steps, i * T % steps
    return t + ((2 * rest > steps) | ((2 * rest == steps) & (t % 2 == 1)))


def _draw_scales(scales: tuple[float, float], x0: Tensor, generator: torch.Generator | None) -> Tensor:
    low, high = check_numbers("scales", scales, 2)
    check_number("scales[0]", low, at_most=high)
    return low + (high - low) * torch.rand(len(x0), device=x0.device, generator=generator)


def _noised(x0: Tensor, level: BatchLevel, generator: torch.Generator | None) -> Tensor:
    return add_noise(x0, torch.randn(x0.shape, device=x0.device, dtype=x0.dtype, generator=generator), level)


def _precise(out: Tensor) -> Tensor:
    """A network's output in fp32 at least: autocast returns half precision."""
    check_tensor("the network's output", out, "[B, C, H, W]", "float")
    return at_least_float32(out)
