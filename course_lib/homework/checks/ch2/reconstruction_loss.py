"""Exercise `reconstruction_loss`: the squared error of a batch as a Gaussian's nats per image."""

import math

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _loss(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    """By the distribution itself: −log N(x; x̂, σ²), without its constant."""
    density = Independent(Normal(reconstructions, sigma), images.ndim - 1)
    constant = images[0].numel() * math.log(sigma * math.sqrt(2 * math.pi))
    return -(density.log_prob(images) + constant).mean()


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 2, 5, 4), (4, 1, 6, 6)):
        images = draw.uniform(*shape, low=-1.0)
        given = (images, images + draw.normal(*shape, std=0.2), draw.number(0.1, 0.3))
        cases.append(Case(f"images, reconstructions {list(shape)}, {draw.dtype_name}, a sigma between 0.1 and 0.3", given))
    return cases


RECONSTRUCTION_LOSS = Exercise(
    "reconstruction_loss", points=0, difficulty=1, minutes=3, oracle=_loss, cases=_cases, differentiable=True
)


def _squared(images: Tensor, reconstructions: Tensor) -> Tensor:
    return (images - reconstructions).square().flatten(1)


@RECONSTRUCTION_LOSS.mistake(
    "The squared errors are averaged over the pixels. A log-likelihood adds them up: sum over each image."
)
def averaged_over_pixels(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return _squared(images, reconstructions).mean() / (2 * sigma**2)


@RECONSTRUCTION_LOSS.mistake("The batch is summed as well. Sum over each image, then average over the images.")
def summed_over_batch(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return _squared(images, reconstructions).sum() / (2 * sigma**2)


@RECONSTRUCTION_LOSS.mistake("One value for each image is returned. Average them, so that one number remains to be minimised.")
def one_for_each_image(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return _squared(images, reconstructions).sum(1) / (2 * sigma**2)


@RECONSTRUCTION_LOSS.mistake("The factor of one half is missing: a Gaussian has ‖x − x̂‖² / (2σ²) in its exponent.")
def half_missing(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return _squared(images, reconstructions).sum(1).mean() / sigma**2


@RECONSTRUCTION_LOSS.mistake("sigma is not squared: divide by 2 · sigma².")
def sigma_not_squared(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return _squared(images, reconstructions).sum(1).mean() / (2 * sigma)


@RECONSTRUCTION_LOSS.mistake("The errors are not divided by 2 · sigma².")
def not_divided(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return _squared(images, reconstructions).sum(1).mean()


@RECONSTRUCTION_LOSS.mistake("The absolute error is used instead of its square.")
def absolute_error(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return (images - reconstructions).abs().flatten(1).sum(1).mean() / (2 * sigma**2)


@RECONSTRUCTION_LOSS.mistake("The norm of the error is used: leave out the square root, and add up the squares.")
def root_taken(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return torch.sqrt(_squared(images, reconstructions).sum(1)).mean() / (2 * sigma**2)
