"""Exercise `elbo`: the evidence lower bound with one sample, in nats per image."""

import math

from torch import Tensor
from torch.distributions import Independent, Normal

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.gaussian import draw_reconstructions, log_constant, log_normaliser, squared_error


def _elbo(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return Independent(Normal(copies, noise_std), images.ndim - 1).log_prob(images) - kl


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 2, 5, 4), (2, 1, 6, 6)):
        given = (*draw_reconstructions(draw, shape), draw.uniform(shape[0], low=3.0, high=20.0), draw.number(0.1, 0.3))
        what = f"images, copies {list(shape)}, kl [{shape[0]}], {draw.dtype_name}, a noise_std between 0.1 and 0.3"
        cases.append(Case(what, given))
    return cases


ELBO = Exercise("elbo", points=4, difficulty=3, minutes=15, oracle=_elbo, cases=_cases, differentiable=True)


# --- wrong reductions ----------------------------------------------------------------------------------------------


@ELBO.mistake(
    "The squared error is averaged over the pixels, but the KL is summed over the latent: this multiplies the KL's weight "
    "by the number of values in an image. Sum over the pixels."
)
def averaged_over_pixels_onelog_constant(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).mean(1) / (2 * noise_std**2) - log_normaliser(noise_std) - kl


@ELBO.mistake("The squared error is averaged over the pixels, but the KL is summed over the latent. Sum both.")
def averaged_over_pixels(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).mean(1) / (2 * noise_std**2) - log_constant(images, noise_std) - kl


@ELBO.mistake(
    "The squared error is summed over the batch as well, so every image gets the error of the full batch. "
    "Sum over the axes of one image: flatten(1), then sum(1)."
)
def squared_error_summed_over_batch(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum() / (2 * noise_std**2) - log_constant(images, noise_std) - kl


@ELBO.mistake(
    "The log-likelihood is summed over the batch as well, so every image gets the total of the full batch. "
    "Sum over the axes of one image: flatten(1), then sum(1)."
)
def log_likelihood_summed_over_batch(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, 0 * kl, noise_std).sum() - kl


@ELBO.mistake("The constant counts the values of the full batch. Use images[0].numel(), not images.numel().")
def constant_of_the_batch(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    constant = len(images) * log_constant(images, noise_std)
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - kl


@ELBO.mistake("The squared error is averaged over everything, but the KL is summed. Sum over the pixels, and keep the batch.")
def averaged_over_everything(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).mean() / (2 * noise_std**2) - log_constant(images, noise_std) - kl


# --- an incomplete Gaussian ----------------------------------------------------------------------------------------


@ELBO.mistake(
    "This is the squared error minus the KL. Divide the squared error by 2 · noise_std², and add the Gaussian's constant."
)
def plainsquared_error(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) - kl


@ELBO.mistake(
    "This is the mean squared error minus the KL, which hides a weight of hundreds between the two. "
    "Sum over the pixels, divide by 2 · noise_std², and add the constant."
)
def meansquared_error(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).mean(1) - kl


@ELBO.mistake("The Gaussian's constant is missing: - D · log(noise_std · √(2π)), where D is the number of values in an image.")
def constant_missing(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - kl


@ELBO.mistake("The constant is subtracted once. Each of the image's D values has its own: D · log(noise_std · √(2π)).")
def constant_once(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - log_normaliser(noise_std) - kl


@ELBO.mistake("noise_std is missing from the constant: it is log(noise_std · √(2π)), not log √(2π).")
def constant_without_noise_std(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - log_constant(images, 1.0) - kl


@ELBO.mistake("The root of 2π is missing from the constant: it is log(noise_std) + log(2π) / 2 for each value.")
def constant_without_root(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    constant = images[0].numel() * math.log(noise_std * 2 * math.pi)
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - kl


@ELBO.mistake("The factor of one half in the exponent is missing: (images - copies)² / (2 · noise_std²).")
def half_missing(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / noise_std**2 - log_constant(images, noise_std) - kl


@ELBO.mistake("noise_std is not squared: (images - copies)² / (2 · noise_std²).")
def noise_std_not_squared(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std) - log_constant(images, noise_std) - kl


@ELBO.mistake("noise_std is squared before it goes to a Gaussian that expects a standard deviation. Pass noise_std itself.")
def variance_as_std(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, kl, noise_std**2)


# --- a wrong combination -------------------------------------------------------------------------------------------


@ELBO.mistake("The KL is added. It is the cost of the latent: subtract it from the log-likelihood.")
def kl_added(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, -kl, noise_std)


@ELBO.mistake("The KL is missing.")
def kl_missing(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, 0 * kl, noise_std)


@ELBO.mistake("This is minus the ELBO, the loss that training minimises. Return the bound itself.")
def negative_elbo(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -_elbo(images, copies, kl, noise_std)


@ELBO.mistake("The batch is averaged. Return one value for each image, [B].")
def batch_averaged(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, kl, noise_std).mean()


@ELBO.mistake("The absolute difference is used instead of its square.")
def absolute_error(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return -(images - copies).abs().flatten(1).sum(1) / (2 * noise_std**2) - log_constant(images, noise_std) - kl
