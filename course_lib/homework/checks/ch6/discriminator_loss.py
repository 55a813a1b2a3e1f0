"""Exercise `discriminator_loss`: the hinge loss of the scores of real and of fake patches."""

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((3, 1, 4, 5), (4, 1, 5, 5))


def _discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    wrong_real = torch.where(real < 1, 1 - real, torch.zeros_like(real))
    wrong_fake = torch.where(fake > -1, 1 + fake, torch.zeros_like(fake))
    return torch.stack([wrong_real.flatten().mean(), wrong_fake.flatten().mean()]).mean()


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, centre in zip(SHAPES, (0.5, 1.8), strict=True):  # in the second the mean score is beyond the margin
        real, fake = draw.normal(*shape, std=1.5, mean=centre), draw.normal(*shape, std=1.5, mean=0.2 - centre)
        cases.append(Case(f"real, fake {list(shape)} {draw.dtype_name}", (real, fake)))
    return cases


DISCRIMINATOR_LOSS = Exercise(
    "discriminator_loss", points=0, difficulty=2, minutes=5, oracle=_discriminator_loss, cases=_cases, differentiable=True
)


@DISCRIMINATOR_LOSS.mistake("Real and fake are swapped: scores are high for *real* patches, so real ones are pushed above +1.")
def swapped(real: Tensor, fake: Tensor) -> Tensor:
    return (F.relu(1 + real).mean() + F.relu(1 - fake).mean()) / 2


@DISCRIMINATOR_LOSS.mistake(
    "The hinge is missing: a score beyond its margin must cost nothing, so apply F.relu to 1 - real and 1 + fake."
)
def no_hinge(real: Tensor, fake: Tensor) -> Tensor:
    return ((1 - real).mean() + (1 + fake).mean()) / 2


@DISCRIMINATOR_LOSS.mistake("The margin of 1 is missing: 1 - real and 1 + fake, before the relu.")
def no_margin(real: Tensor, fake: Tensor) -> Tensor:
    return (F.relu(-real).mean() + F.relu(fake).mean()) / 2


@DISCRIMINATOR_LOSS.mistake("This is twice the loss: take the mean of the two halves, not their sum.")
def not_halved(real: Tensor, fake: Tensor) -> Tensor:
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


@DISCRIMINATOR_LOSS.mistake("The hinge is applied to the mean score. Each patch has its own: first the relu, then the mean.")
def hinge_of_mean(real: Tensor, fake: Tensor) -> Tensor:
    return (F.relu(1 - real.mean()) + F.relu(1 + fake.mean())) / 2


@DISCRIMINATOR_LOSS.mistake("The patches are summed. Take their mean, so that the loss does not depend on how many there are.")
def summed(real: Tensor, fake: Tensor) -> Tensor:
    return (F.relu(1 - real).sum() + F.relu(1 + fake).sum()) / 2


@DISCRIMINATOR_LOSS.mistake("This is the cross-entropy of the scores (Goodfellow et al.). Here the hinge loss is asked for.")
def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2


@DISCRIMINATOR_LOSS.mistake("The hinges are squared. The hinge loss is linear beyond the margin.")
def squared(real: Tensor, fake: Tensor) -> Tensor:
    return (F.relu(1 - real).square().mean() + F.relu(1 + fake).square().mean()) / 2
