"""Exercise `log_likelihood`: the Gaussian log-likelihood of an image given its reconstruction, in nats per image."""

import math

from torch import Tensor
from torch.distributions import Independent, Normal

from course_lib import vae
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.gaussian import draw_reconstructions, log_constant, squared_error


def _log_likelihood(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return Independent(Normal(decoded, noise_std), images.ndim - 1).log_prob(images)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 2, 5, 4), (2, 1, 6, 6)):
        given = (*draw_reconstructions(draw, shape), draw.number(0.1, 0.3))
        cases.append(Case(f"images, decoded {list(shape)}, {draw.dtype_name}, a noise_std between 0.1 and 0.3", given))
    return cases


LOG_LIKELIHOOD = Exercise(
    "log_likelihood",
    points=0,
    difficulty=2,
    minutes=4,
    oracle=_log_likelihood,
    cases=_cases,
    differentiable=True,
    block=vae.log_likelihood,
)


@LOG_LIKELIHOOD.mistake(
    "The squared error is averaged over the pixels. The log-likelihoods of independent pixels add up: sum over them."
)
def averaged_over_pixels(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, decoded).mean(1) / (2 * noise_std**2) - log_constant(images, noise_std)


@LOG_LIKELIHOOD.mistake(
    "Everything is averaged over the pixels. The log-likelihoods of independent pixels add up: sum over them."
)
def mean_of_log_prob(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return _log_likelihood(images, decoded, noise_std) / images[0].numel()


@LOG_LIKELIHOOD.mistake("The Gaussian's constant is missing: - D · log(noise_std · √(2π)) for an image of D values.")
def constant_missing(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, decoded).sum(1) / (2 * noise_std**2)


@LOG_LIKELIHOOD.mistake("The constant is subtracted once. Each of the image's D values has its own: D · log(noise_std · √(2π)).")
def constant_once(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, decoded).sum(1) / (2 * noise_std**2) - log_constant(images, noise_std) / images[0].numel()


@LOG_LIKELIHOOD.mistake("The constant counts the values of the full batch. Use images[0].numel(), not images.numel().")
def constant_of_the_batch(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, decoded).sum(1) / (2 * noise_std**2) - len(images) * log_constant(images, noise_std)


@LOG_LIKELIHOOD.mistake("The constant has the wrong sign: a wider Gaussian is lower, so log(noise_std · √(2π)) is subtracted.")
def constant_added(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, decoded).sum(1) / (2 * noise_std**2) + log_constant(images, noise_std)


@LOG_LIKELIHOOD.mistake("The root of 2π is missing from the constant: it is log(noise_std) + log(2π) / 2 for each value.")
def constant_without_root(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    constant = images[0].numel() * math.log(noise_std * 2 * math.pi)
    return -squared_error(images, decoded).sum(1) / (2 * noise_std**2) - constant


@LOG_LIKELIHOOD.mistake("The factor of one half in the exponent is missing: (images - decoded)² / (2 · noise_std²).")
def half_missing(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, decoded).sum(1) / noise_std**2 - log_constant(images, noise_std)


@LOG_LIKELIHOOD.mistake("noise_std is not squared: (images - decoded)² / (2 · noise_std²).")
def noise_std_not_squared(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, decoded).sum(1) / (2 * noise_std) - log_constant(images, noise_std)


@LOG_LIKELIHOOD.mistake(
    "noise_std is squared before it goes to a Gaussian that expects a standard deviation. Pass noise_std itself."
)
def variance_as_std(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return _log_likelihood(images, decoded, noise_std**2)


@LOG_LIKELIHOOD.mistake("This is minus the log-likelihood. Return the log-likelihood itself; the loss changes its sign later.")
def sign_reversed(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return -_log_likelihood(images, decoded, noise_std)


@LOG_LIKELIHOOD.mistake("The batch is averaged. Return one value for each image, [B].")
def batch_averaged(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return _log_likelihood(images, decoded, noise_std).mean()


@LOG_LIKELIHOOD.mistake("The batch is summed as well. Return one value for each image, [B].")
def batch_summed(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return _log_likelihood(images, decoded, noise_std).sum()


@LOG_LIKELIHOOD.mistake("The absolute difference is used instead of its square.")
def absolute_error(images: Tensor, decoded: Tensor, noise_std: float) -> Tensor:
    return -(images - decoded).abs().flatten(1).sum(1) / (2 * noise_std**2) - log_constant(images, noise_std)
