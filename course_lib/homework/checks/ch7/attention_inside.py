"""Exercise `attention_inside`: the share of a word's attention that falls inside an object's mask."""

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((3, 4, 5), (4, 6, 6))


def _attention_inside(attention: Tensor, mask: Tensor) -> Tensor:
    """Image by image: one minus what falls outside."""
    outside = [(one * (1 - m)).sum() / one.sum() for one, m in zip(attention, mask, strict=True)]
    return 1 - torch.stack(outside)


def _block(attention: Tensor, mask: Tensor) -> Tensor:
    return (attention * mask).flatten(1).sum(1) / attention.flatten(1).sum(1)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in SHAPES:
        attention = draw.uniform(*shape, low=0.02, high=0.6) * draw.uniform(shape[0], 1, 1, low=0.2)
        mask = draw.uniform(*shape) * (draw.uniform(*shape) < 0.4)
        cases.append(Case(f"attention, mask {list(shape)} {draw.dtype_name}", (attention, mask)))
    return cases


ATTENTION_INSIDE = Exercise(
    "attention_inside", points=0, difficulty=1, minutes=3, oracle=_attention_inside, cases=_cases, block=_block
)


def _total(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


@ATTENTION_INSIDE.mistake(
    "This is the sum inside the mask. Divide by the word's attention in the full image: a share is asked for."
)
def not_divided(attention: Tensor, mask: Tensor) -> Tensor:
    return _total(attention * mask)


@ATTENTION_INSIDE.mistake(
    "This is the mean attention inside the mask: divide by the attention of the full image, not by the mask's area."
)
def divided_by_area(attention: Tensor, mask: Tensor) -> Tensor:
    return _total(attention * mask) / _total(mask)


@ATTENTION_INSIDE.mistake(
    "This is the mean over all positions. Divide by the sum of the attention, not by the number of positions."
)
def mean_over_positions(attention: Tensor, mask: Tensor) -> Tensor:
    return (attention * mask).flatten(1).mean(1)


@ATTENTION_INSIDE.mistake("All images are added up. Return one share for each image, [N].")
def batch_summed(attention: Tensor, mask: Tensor) -> Tensor:
    return (attention * mask).sum() / attention.sum()


@ATTENTION_INSIDE.mistake("Every image is divided by the attention of the full batch. Each has its own sum.")
def divided_by_the_batch(attention: Tensor, mask: Tensor) -> Tensor:
    return _total(attention * mask) / attention.sum()


@ATTENTION_INSIDE.mistake("The share is divided by the mask's own share of the image, which is chance. Return the share itself.")
def against_chance(attention: Tensor, mask: Tensor) -> Tensor:
    return _block(attention, mask) / mask.flatten(1).mean(1)


@ATTENTION_INSIDE.mistake("This is the share *outside* the mask.")
def outside(attention: Tensor, mask: Tensor) -> Tensor:
    return 1 - _block(attention, mask)
