"""Exercise `contrastive_loss`: CLIP's symmetric cross-entropy of images and captions."""

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import contrastive
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((5, 4), (8, 3))


def _contrastive_loss(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """Pair by pair: the logarithm of all possible answers' weights, minus the right answer's logit, in both directions."""
    lengths = images.square().sum(1).sqrt()[:, None] * texts.square().sum(1).sqrt()[None, :]
    logits = scale * torch.einsum("id,jd->ij", images, texts) / lengths
    terms = [(logits[i].logsumexp(0) + logits[:, i].logsumexp(0)) / 2 - logits[i, i] for i in range(len(logits))]
    return torch.stack(terms).mean()


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in SHAPES:
        given = (draw.normal(*shape, std=1.6), draw.normal(*shape, std=1.6, mean=0.3), draw.number(2.0, 5.0))
        cases.append(Case(f"images, texts {list(shape)} {draw.dtype_name}, scale {given[2]}", given))
    return cases


CONTRASTIVE_LOSS = Exercise(
    "contrastive_loss",
    points=0,
    difficulty=2,
    minutes=5,
    oracle=_contrastive_loss,
    cases=_cases,
    differentiable=True,
    block=contrastive.contrastive_loss,
)


def _both_directions(logits: Tensor) -> Tensor:
    targets = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def _cosines(images: Tensor, texts: Tensor) -> Tensor:
    return F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T


@CONTRASTIVE_LOSS.mistake("The features are not normalised. Bring each row to length 1 first: F.normalize(x, dim=1).")
def not_normalised(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return _both_directions(scale * images @ texts.T)


@CONTRASTIVE_LOSS.mistake(
    "Only one direction: for each image, which caption? Add the other question, for each caption, which image? (the transpose)."
)
def images_only(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return F.cross_entropy(scale * _cosines(images, texts), torch.arange(len(images), device=images.device))


@CONTRASTIVE_LOSS.mistake(
    "Only one direction: for each caption, which image? Add the other question, for each image, which caption?"
)
def captions_only(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return F.cross_entropy(scale * _cosines(images, texts).T, torch.arange(len(images), device=images.device))


@CONTRASTIVE_LOSS.mistake("The similarities are divided by the scale. The scale is one over the temperature: multiply by it.")
def scale_divides(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return _both_directions(_cosines(images, texts) / scale)


@CONTRASTIVE_LOSS.mistake("The scale is missing: multiply the similarities by it before the softmax.")
def no_scale(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return _both_directions(_cosines(images, texts))


@CONTRASTIVE_LOSS.mistake("This is twice the loss: take the mean of the two directions, not their sum.")
def not_halved(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return 2 * _both_directions(scale * _cosines(images, texts))


@CONTRASTIVE_LOSS.mistake("The pairs are summed. Take their mean, so that log B is what guessing costs.")
def summed(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return len(images) * _both_directions(scale * _cosines(images, texts))


@CONTRASTIVE_LOSS.mistake("A softmax is applied twice: F.cross_entropy takes the logits and applies the softmax itself.")
def softmax_twice(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    logits, targets = scale * _cosines(images, texts), torch.arange(len(images), device=images.device)
    return (F.cross_entropy(logits.softmax(1), targets) + F.cross_entropy(logits.T.softmax(1), targets)) / 2


@CONTRASTIVE_LOSS.mistake(
    "This is the mean similarity of the pairs alone. The wrong captions must count, too: that is the softmax."
)
def no_negatives(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return -scale * _cosines(images, texts).diagonal().mean()
