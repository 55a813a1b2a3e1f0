"""Exercise `generator_loss`: what the decoder minimises, given the discriminator's scores of its patches."""

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((3, 1, 4, 5), (2, 1, 3, 3))


def _generator_loss(fake: Tensor) -> Tensor:
    return torch.dot(-fake.flatten(), torch.full_like(fake.flatten(), 1 / fake.numel()))


def _cases(draw: Draw) -> list[Case]:
    return [Case(f"fake {list(shape)} {draw.dtype_name}", (draw.normal(*shape, std=1.5, mean=-0.7),)) for shape in SHAPES]


GENERATOR_LOSS = Exercise(
    "generator_loss", points=0, difficulty=1, minutes=2, oracle=_generator_loss, cases=_cases, differentiable=True
)


@GENERATOR_LOSS.mistake("The sign is reversed: the decoder wants *high* scores, and training makes a loss *small*.")
def sign_reversed(fake: Tensor) -> Tensor:
    return fake.mean()


@GENERATOR_LOSS.mistake("The patches are summed. Take their mean, so that the loss does not depend on how many there are.")
def summed(fake: Tensor) -> Tensor:
    return -fake.sum()


@GENERATOR_LOSS.mistake(
    "This is a hinge. Only the discriminator has one: the decoder would learn nothing from patches that already pass."
)
def with_hinge(fake: Tensor) -> Tensor:
    return F.relu(1 - fake).mean()


@GENERATOR_LOSS.mistake("This is the discriminator's half of the loss: it makes the scores of fake patches low.")
def discriminators_half(fake: Tensor) -> Tensor:
    return F.relu(1 + fake).mean()


@GENERATOR_LOSS.mistake("Nothing is averaged yet. Return a scalar: the mean over all patches.")
def not_averaged(fake: Tensor) -> Tensor:
    return -fake
