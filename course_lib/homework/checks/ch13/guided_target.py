"""Exercise `guided_target`: what a guided teacher predicts, at a scale of its own for each image of a batch."""

import torch
from torch import Tensor

from course_lib.distillation import guided_target
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((3, 3, 3, 3), (2, 4, 3, 5))  # in the first one, a scale along a wrong axis raises no error


def _guided_target(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    """Image by image."""
    return torch.stack([torch.lerp(n, c, w.item()) for c, n, w in zip(cond, null, scale, strict=True)])


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in SHAPES:
        scale = draw.uniform(shape[0], low=1.5, high=4.0)
        given = (draw.normal(*shape, mean=0.3), draw.normal(*shape), scale)
        cases.append(Case(f"cond, null {list(shape)}, scale [{shape[0]}] between 1.5 and 4, {draw.dtype_name}", given))
    return cases


GUIDED_TARGET = Exercise(
    "guided_target", points=0, difficulty=2, minutes=4, oracle=_guided_target, cases=_cases, block=guided_target
)


def _of_each_image(scale: Tensor) -> Tensor:
    return scale[:, None, None, None]


@GUIDED_TARGET.mistake(
    "Each column of pixels has a scale of its own: a tensor [B] is matched with the last axis. Give it the shape [B, 1, 1, 1]."
)
def scale_along_the_width(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return null + scale * (cond - null)


@GUIDED_TARGET.mistake(
    "Each row of pixels has a scale of its own: [B, 1] is matched with the height. Use the shape [B, 1, 1, 1]."
)
def scale_along_the_height(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return null + scale[:, None] * (cond - null)


@GUIDED_TARGET.mistake("Each channel has a scale of its own: [B, 1, 1] is matched with the channels. Use the shape [B, 1, 1, 1].")
def scale_along_the_channels(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return null + scale[:, None, None] * (cond - null)


@GUIDED_TARGET.mistake("All images get the mean of the scales. Each image has its own: the student must learn to read it.")
def mean_scale(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return null + scale.mean() * (cond - null)


@GUIDED_TARGET.mistake("All images get the first scale. Each image has its own: the student must learn to read it.")
def first_scale(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return null + scale[0] * (cond - null)


@GUIDED_TARGET.mistake("This is off by one: it uses the paper's w, where 0 is no guidance. Here scale 1 must give cond itself.")
def papers_convention(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return cond + _of_each_image(scale) * (cond - null)


@GUIDED_TARGET.mistake("1 is subtracted from the scale, so that scale 1 gives null. It must give cond.")
def scale_minus_1(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return null + (_of_each_image(scale) - 1) * (cond - null)


@GUIDED_TARGET.mistake("The two predictions are swapped: this moves from cond towards null. Start at null and move towards cond.")
def predictions_swapped(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return cond + _of_each_image(scale) * (null - cond)


@GUIDED_TARGET.mistake("This is only the step, scale · (cond - null). Add it to its starting point, null.")
def step_alone(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return _of_each_image(scale) * (cond - null)


@GUIDED_TARGET.mistake("The scale has no effect: this is cond, so the student would learn to sample without guidance.")
def scale_ignored(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return cond.clone()


@GUIDED_TARGET.mistake("Parentheses are missing: the scale multiplies cond alone. It multiplies the difference, (cond - null).")
def parentheses_missing(cond: Tensor, null: Tensor, scale: Tensor) -> Tensor:
    return null + _of_each_image(scale) * cond - null
