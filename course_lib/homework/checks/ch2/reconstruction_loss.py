"""Exercise `reconstruction_loss`: the squared error of a batch as a Gaussian's nats per image."""

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.gaussian import draw_reconstructions, log_constant, squared_error


def _loss(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    """By the distribution itself: −log N(x; x̂, σ²), without its constant."""
    density = Independent(Normal(reconstructions, sigma), images.ndim - 1)
    return -(density.log_prob(images) + log_constant(images, sigma)).mean()


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 2, 5, 4), (4, 1, 6, 6)):
        given = (*draw_reconstructions(draw, shape), draw.number(0.1, 0.3))
        cases.append(Case(f"images, reconstructions {list(shape)}, {draw.dtype_name}, a sigma between 0.1 and 0.3", given))
    return cases


RECONSTRUCTION_LOSS = Exercise(
    "reconstruction_loss", points=0, difficulty=1, minutes=3, oracle=_loss, cases=_cases, differentiable=True
)


@RECONSTRUCTION_LOSS.mistake(
    "The squared errors are averaged over the pixels. A log-likelihood adds them up: sum over each image."
)
def averaged_over_pixels(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return squared_error(images, reconstructions).mean() / (2 * sigma**2)


@RECONSTRUCTION_LOSS.mistake("The batch is summed as well. Sum over each image, then average over the images.")
def summed_over_batch(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return squared_error(images, reconstructions).sum() / (2 * sigma**2)


@RECONSTRUCTION_LOSS.mistake("One value for each image is returned. Average them, so that one number remains to be minimised.")
def one_for_each_image(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return squared_error(images, reconstructions).sum(1) / (2 * sigma**2)


@RECONSTRUCTION_LOSS.mistake("The factor of one half is missing: a Gaussian has ‖x − x̂‖² / (2σ²) in its exponent.")
def half_missing(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return squared_error(images, reconstructions).sum(1).mean() / sigma**2


@RECONSTRUCTION_LOSS.mistake("sigma is not squared: divide by 2 · sigma².")
def sigma_notsquared_error(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return squared_error(images, reconstructions).sum(1).mean() / (2 * sigma)


@RECONSTRUCTION_LOSS.mistake("The errors are not divided by 2 · sigma².")
def not_divided(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return squared_error(images, reconstructions).sum(1).mean()


@RECONSTRUCTION_LOSS.mistake("The absolute error is used instead of its square.")
def absolute_error(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return (images - reconstructions).abs().flatten(1).sum(1).mean() / (2 * sigma**2)


@RECONSTRUCTION_LOSS.mistake("The norm of the error is used: leave out the square root, and add up the squares.")
def root_taken(images: Tensor, reconstructions: Tensor, sigma: float) -> Tensor:
    return torch.sqrt(squared_error(images, reconstructions).sum(1)).mean() / (2 * sigma**2)
