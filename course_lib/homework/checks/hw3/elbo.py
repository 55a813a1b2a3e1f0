"""Exercise `elbo`: the evidence lower bound with one sample, in nats per image."""

import math

from torch import Tensor
from torch.distributions import Independent, Normal

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.gaussian import draw_reconstructions, log_constant, log_normaliser, squared_error


def _elbo(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return Independent(Normal(copies, noise_std), images.ndim - 1).log_prob(images) - cost


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 2, 5, 4), (2, 1, 6, 6)):
        given = (*draw_reconstructions(draw, shape), draw.uniform(shape[0], low=3.0, high=20.0), draw.number(0.1, 0.3))
        what = f"images, copies {list(shape)}, cost [{shape[0]}], {draw.dtype_name}, a noise_std between 0.1 and 0.3"
        cases.append(Case(what, given))
    return cases


ELBO = Exercise("elbo", points=5, difficulty=3, minutes=20, oracle=_elbo, cases=_cases, differentiable=True)


# --- wrong reductions ----------------------------------------------------------------------------------------------


@ELBO.mistake(
    "The squared error is averaged over the pixels, but the KL is summed over the latent: this multiplies the KL's weight "
    "by the number of values in an image. Sum over the pixels."
)
def averaged_over_pixels_onelog_constant(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).mean(1) / (2 * noise_std**2) - log_normaliser(noise_std) - cost


@ELBO.mistake("The squared error is averaged over the pixels, but the KL is summed over the latent. Sum both.")
def averaged_over_pixels(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).mean(1) / (2 * noise_std**2) - log_constant(images, noise_std) - cost


@ELBO.mistake(
    "The squared error is summed over the batch as well, so every image gets the error of the full batch. "
    "Sum over the axes of one image: flatten(1), then sum(1)."
)
def squared_error_summed_over_batch(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum() / (2 * noise_std**2) - log_constant(images, noise_std) - cost


@ELBO.mistake(
    "The log-likelihood is summed over the batch as well, so every image gets the total of the full batch. "
    "Sum over the axes of one image: flatten(1), then sum(1)."
)
def log_likelihood_summed_over_batch(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, 0 * cost, noise_std).sum() - cost


@ELBO.mistake("The constant counts the values of the full batch. Use images[0].numel(), not images.numel().")
def constant_of_the_batch(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    constant = len(images) * log_constant(images, noise_std)
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - cost


@ELBO.mistake("The squared error is averaged over everything, but the KL is summed. Sum over the pixels, and keep the batch.")
def averaged_over_everything(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).mean() / (2 * noise_std**2) - log_constant(images, noise_std) - cost


# --- an incomplete Gaussian ----------------------------------------------------------------------------------------


@ELBO.mistake(
    "This is the squared error minus the KL. Divide the squared error by 2 · noise_std², and add the Gaussian's constant."
)
def plainsquared_error(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) - cost


@ELBO.mistake(
    "This is the mean squared error minus the KL, which hides a weight of hundreds between the two. "
    "Sum over the pixels, divide by 2 · noise_std², and add the constant."
)
def meansquared_error(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).mean(1) - cost


@ELBO.mistake("The Gaussian's constant is missing: - D · log(noise_std · √(2π)), where D is the number of values in an image.")
def constant_missing(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - cost


@ELBO.mistake("The constant is subtracted once. Each of the image's D values has its own: D · log(noise_std · √(2π)).")
def constant_once(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - log_normaliser(noise_std) - cost


@ELBO.mistake("noise_std is missing from the constant: it is log(noise_std · √(2π)), not log √(2π).")
def constant_without_noise_std(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - log_constant(images, 1.0) - cost


@ELBO.mistake("The root of 2π is missing from the constant: it is log(noise_std) + log(2π) / 2 for each value.")
def constant_without_root(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    constant = images[0].numel() * math.log(noise_std * 2 * math.pi)
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - cost


@ELBO.mistake("The factor of one half in the exponent is missing: (images - copies)² / (2 · noise_std²).")
def half_missing(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / noise_std**2 - log_constant(images, noise_std) - cost


@ELBO.mistake("noise_std is not squared: (images - copies)² / (2 · noise_std²).")
def noise_std_not_squared(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std) - log_constant(images, noise_std) - cost


@ELBO.mistake("noise_std is squared before it goes to a Gaussian that expects a standard deviation. Pass noise_std itself.")
def variance_as_std(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, cost, noise_std**2)


# --- a wrong combination -------------------------------------------------------------------------------------------


@ELBO.mistake("The KL is added. It is the cost of the latent: subtract it from the log-likelihood.")
def kl_added(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, -cost, noise_std)


@ELBO.mistake("The KL is missing.")
def kl_missing(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, 0 * cost, noise_std)


@ELBO.mistake("This is minus the ELBO, the loss that training minimises. Return the bound itself.")
def negative_elbo(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -_elbo(images, copies, cost, noise_std)


@ELBO.mistake("The batch is averaged. Return one value for each image, [B].")
def batch_averaged(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, cost, noise_std).mean()


@ELBO.mistake("The absolute difference is used instead of its square.")
def absolute_error(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -(images - copies).abs().flatten(1).sum(1) / (2 * noise_std**2) - log_constant(images, noise_std) - cost


@ELBO.mistake(
    "Brackets are missing: x / 2 * noise_std**2 divides by 2 and then multiplies by noise_std². Write / (2 * noise_std**2)."
)
def divided_then_multiplied(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / 2 * noise_std**2 - log_constant(images, noise_std) - cost


@ELBO.mistake("The squared error is multiplied by noise_std². Divide by 2 · noise_std².")
def noise_variance_multiplied(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) * noise_std**2 - log_constant(images, noise_std) - cost


@ELBO.mistake("The 2 is squared as well: the denominator is 2 * noise_std**2, not (2 * noise_std)**2.")
def two_squared_as_well(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std) ** 2 - log_constant(images, noise_std) - cost


@ELBO.mistake(
    "The sign of log(noise_std) is reversed. Both parts of the constant are subtracted: - D · (log(noise_std) + log(2π) / 2)."
)
def log_noise_std_added(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    d = images[0].numel()
    constant = -d * math.log(noise_std) + d * math.log(2 * math.pi) / 2
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - cost


@ELBO.mistake("The sign of the constant is reversed: subtract D · log(noise_std · √(2π)).")
def constant_added(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) + log_constant(images, noise_std) - cost


@ELBO.mistake("The sign of the squared error is reversed: a worse copy makes log p smaller, so subtract it.")
def squared_error_added(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return squared_error(images, copies).sum(1) / (2 * noise_std**2) - log_constant(images, noise_std) - cost


@ELBO.mistake("The constant counts pixels. D counts the values of an image, channels included: images[0].numel().")
def channels_not_counted(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    constant = images[0, 0].numel() * log_normaliser(noise_std)
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - cost


@ELBO.mistake("The KL is averaged over the batch. Each image has its own: subtract the vector as it is.")
def cost_averaged(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, cost.mean().expand_as(cost), noise_std)


@ELBO.mistake("The KL is summed over the batch. Each image has its own: subtract the vector as it is.")
def cost_summed(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, cost.sum().expand_as(cost), noise_std)


@ELBO.mistake("The KL is subtracted from every value before the sum, D times in all. Sum first, then subtract it once.")
def cost_off_every_value(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, images[0].numel() * cost, noise_std)


@ELBO.mistake("The KL is divided by the number of values of an image. Both parts of the bound are sums: subtract it as it is.")
def cost_divided(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, cost / images[0].numel(), noise_std)


@ELBO.mistake("The logarithm in the constant is missing: D · log(noise_std · √(2π)).")
def log_missing(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    constant = images[0].numel() * noise_std * math.sqrt(2 * math.pi)
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - cost


@ELBO.mistake("log(2π) / 2 is missing from the constant: it is log(noise_std) + log(2π) / 2 for each value.")
def log_of_2_pi_missing(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    constant = images[0].numel() * math.log(noise_std)
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - cost


@ELBO.mistake("log(2π) / 2 is subtracted once. Each of the image's D values has it.")
def log_of_2_pi_once(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    constant = images[0].numel() * math.log(noise_std) + math.log(2 * math.pi) / 2
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - cost


@ELBO.mistake("log(noise_std) is subtracted once. Each of the image's D values has it.")
def log_noise_std_once(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    constant = math.log(noise_std) + images[0].numel() * math.log(2 * math.pi) / 2
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - cost


@ELBO.mistake(
    "Half the constant is missing or too much: log of the variance noise_std² needs a factor ½, log of noise_std has none."
)
def variance_without_half(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    constant = images[0].numel() * (math.log(noise_std**2) + math.log(2 * math.pi) / 2)
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - constant - cost


@ELBO.mistake("The constant is twice too large: log(2π · noise_std²) needs a factor ½.")
def variance_with_full_log(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - 2 * log_constant(images, noise_std) - cost


@ELBO.mistake("The logarithm in the constant is to the base 10. The natural one is asked for: math.log.")
def logarithm_base_10(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return -squared_error(images, copies).sum(1) / (2 * noise_std**2) - log_constant(images, noise_std) / math.log(10) - cost


@ELBO.mistake("The differences are summed before they are squared, so positive and negative ones cancel. First square, then sum.")
def summed_before_squaring(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    error = (images - copies).flatten(1).sum(1).square()
    return -error / (2 * noise_std**2) - log_constant(images, noise_std) - cost


@ELBO.mistake("The root of the squared error is taken. The Gaussian contains the squared error itself.")
def root_of_squared_error(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    error = squared_error(images, copies).sum(1).sqrt()
    return -error / (2 * noise_std**2) - log_constant(images, noise_std) - cost


@ELBO.mistake(
    "The root of noise_std goes to a Gaussian that expects a standard deviation. Pass noise_std itself: it is no variance."
)
def root_of_noise_std(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, cost, math.sqrt(noise_std))


@ELBO.mistake("noise_std is not used: this is the likelihood with a standard deviation of 1.")
def noise_std_1(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, cost, 1.0)


@ELBO.mistake("This is divided by the number of values of an image. Return nats for each image, a sum.")
def bits_per_value(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    return _elbo(images, copies, cost, noise_std) / images[0].numel()
