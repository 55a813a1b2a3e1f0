"""Exercise `projected`: adaptive projected guidance, without the part of the step that is parallel to the estimate."""

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((3, 4, 3, 5), (2, 1, 4, 4))


def _projected(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    """By the matrix that projects onto the complement of cond, image by image."""
    steps = []
    for c, n in zip(cond.flatten(1), null.flatten(1), strict=True):
        complement = torch.eye(len(c)).to(c) - torch.outer(c, c) / (c @ c)
        steps.append(complement @ (c - n))
    return cond + (scale - 1) * torch.stack(steps).view_as(cond)


def _block(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    step = cond - null
    parallel = (step * cond).sum((1, 2, 3), keepdim=True) / cond.square().sum((1, 2, 3), keepdim=True) * cond
    return cond + (scale - 1) * (step - parallel)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in SHAPES:
        what = f"cond, null {list(shape)}, a scale between 2 and 5, {draw.dtype_name}"
        cases.append(Case(what, (draw.normal(*shape, mean=0.8), draw.normal(*shape, mean=0.3), draw.number(2.0, 5.0))))
    return cases


PROJECTED = Exercise("projected", points=0, difficulty=3, minutes=5, oracle=_projected, cases=_cases, block=_block)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2, 3), keepdim=True)


@PROJECTED.mistake("Nothing is projected out: this is plain guidance.")
def plain(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + scale * (cond - null)


@PROJECTED.mistake("The parallel part is what is left. Subtract it from the step: the orthogonal part is wanted.")
def parallel_part(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    step = cond - null
    return cond + (scale - 1) * _dot(step, cond) / _dot(cond, cond) * cond


@PROJECTED.mistake("The step is projected on null. Remove the part that is parallel to cond, the estimate that is shown.")
def parallel_to_null(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    step = cond - null
    return cond + (scale - 1) * (step - _dot(step, null) / _dot(null, null) * null)


@PROJECTED.mistake("All images of the batch share one inner product. Every image has its own: sum over channels and pixels.")
def one_for_the_batch(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    step = cond - null
    return cond + (scale - 1) * (step - (step * cond).sum() / cond.square().sum() * cond)


@PROJECTED.mistake("The inner product is taken pixel by pixel. Take it over the image: channels, rows and columns.")
def pixel_by_pixel(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    step = cond - null
    return cond + (scale - 1) * (step - (step * cond).sum(1, keepdim=True) / cond.square().sum(1, keepdim=True) * cond)


@PROJECTED.mistake(
    "The inner product is divided by the length of cond. Divide by its square: ⟨step, cond⟩ / ⟨cond, cond⟩ · cond."
)
def divided_once(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    step = cond - null
    return cond + (scale - 1) * (step - _dot(step, cond) / _dot(cond, cond).sqrt() * cond)


@PROJECTED.mistake("The inner product is not divided by ⟨cond, cond⟩, so that the part removed is too long.")
def not_divided(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    step = cond - null
    return cond + (scale - 1) * (step - _dot(step, cond) * cond)


@PROJECTED.mistake("The step is multiplied by the scale. It starts at cond, so multiply it by scale - 1: scale 1 must give cond.")
def scale_too_large(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return _projected(cond, null, scale + 1)


@PROJECTED.mistake("The step starts at null. Here it starts at cond: cond + (scale - 1) · orthogonal part.")
def starts_at_null(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + scale * (_projected(cond, null, 2.0) - cond)


@PROJECTED.mistake("This is the step alone. Add it to cond.")
def step_alone(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return _projected(cond, null, scale) - cond


@PROJECTED.mistake("The sign of the step is reversed: it moves from null to cond and beyond.")
def step_reversed(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return _projected(cond, null, 2 - scale)
