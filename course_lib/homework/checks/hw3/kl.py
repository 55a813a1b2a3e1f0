"""Exercise `kl`: the KL divergence of the posterior from the prior, in nats per image."""

import math

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw3.latents import SHAPES, draw_posterior
from course_lib.vae import Posterior


def _kl(mean: Tensor, logvar: Tensor) -> Tensor:
    q = Independent(Normal(mean, (logvar / 2).exp()), mean.ndim - 1)
    return kl_divergence(q, Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), mean.ndim - 1))


def _cases(draw: Draw) -> list[Case]:
    return [Case(f"mean, logvar {list(shape)} {draw.dtype_name}", draw_posterior(draw, shape)) for shape in SHAPES]


KL = Exercise("kl", points=3, difficulty=2, minutes=10, oracle=_kl, cases=_cases, differentiable=True)


def _per_dim(mean: Tensor, logvar: Tensor) -> Tensor:
    return Posterior(mean, logvar).kl_per_dim()


def _per_image(per_dim: Tensor) -> Tensor:
    return per_dim.flatten(1).sum(1)


# --- wrong reductions ----------------------------------------------------------------------------------------------


@KL.mistake(
    "The KL seems to be averaged over the dimensions of a latent. The KLs of independent dimensions add up: "
    "sum over them, and keep the batch axis."
)
def averaged_over_latent(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_dim(mean, logvar).flatten(1).mean(1)


@KL.mistake(
    "Everything is averaged, batch and latent alike. Sum over the latent dimensions, so that one value for each image remains."
)
def averaged_over_everything(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_dim(mean, logvar).mean()


@KL.mistake("The batch is averaged as well. Return one value for each image, [B].")
def batch_averaged(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image(_per_dim(mean, logvar)).mean()


@KL.mistake("The batch is summed as well. Return one value for each image, [B].")
def batch_summed(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_dim(mean, logvar).sum()


@KL.mistake("Nothing is summed yet: this is the KL of each latent dimension. Sum over all axes but the batch.")
def nothing_summed(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_dim(mean, logvar)


@KL.mistake("Only the channels are summed. Sum over the rows and columns of the latent as well: flatten(1), then sum(1).")
def channels_summed(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_dim(mean, logvar).sum(1)


# --- wrong formulas ------------------------------------------------------------------------------------------------


@KL.mistake("The factor of one half is missing.")
def half_missing(mean: Tensor, logvar: Tensor) -> Tensor:
    return 2 * _per_image(_per_dim(mean, logvar))


@KL.mistake("The sign is reversed: a KL divergence is never negative.")
def sign_reversed(mean: Tensor, logvar: Tensor) -> Tensor:
    return -_per_image(_per_dim(mean, logvar))


@KL.mistake("The log-variance is used instead of the variance, exp(logvar): mean² + exp(logvar) - 1 - logvar.")
def log_variance_for_variance(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar - 1 - logvar.exp().log()) / 2)


@KL.mistake("exp is missing: the variance is exp(logvar), so the formula is mean² + exp(logvar) - 1 - logvar.")
def exp_missing(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar.square() - 1 - logvar) / 2)


@KL.mistake("exp(logvar) is the variance already. Do not square it again.")
def variance_squared(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + (2 * logvar).exp() - 1 - logvar) / 2)


@KL.mistake("logvar is subtracted twice. It is the logarithm of σ² already: subtract it once.")
def log_variance_doubled(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar.exp() - 1 - 2 * logvar) / 2)


@KL.mistake("The sign of logvar is reversed: mean² + exp(logvar) - 1 - logvar.")
def log_variance_added(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar.exp() - 1 + logvar) / 2)


@KL.mistake("logvar is treated as the variance itself. It is the logarithm of the variance, which is exp(logvar).")
def argument_as_variance(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar - 1 - logvar.log()) / 2)


@KL.mistake("logvar is treated as a log standard deviation, exp(2 · logvar). The variance is exp(logvar).")
def argument_as_log_std(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + (2 * logvar).exp() - 1 - 2 * logvar) / 2)


@KL.mistake("The standard deviation is used instead of the variance. The variance is exp(logvar), not exp(logvar / 2).")
def std_for_variance(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + (logvar / 2).exp() - 1 - logvar) / 2)


@KL.mistake("The mean is not squared.")
def mean_not_squared(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean + logvar.exp() - 1 - logvar) / 2)


@KL.mistake("The -1 is missing: the KL of the prior from itself must be 0.")
def minus_one_missing(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar.exp() - logvar) / 2)


@KL.mistake("The -logvar is missing: without it nothing would keep the variance from shrinking to 0.")
def log_variance_missing(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar.exp() - 1) / 2)


@KL.mistake("The squared mean is missing: without it nothing would pull the means towards the prior.")
def squared_mean_missing(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((logvar.exp() - 1 - logvar) / 2)


@KL.mistake("This is KL(prior ‖ q), the wrong way round. Compute KL(q ‖ prior).")
def reverse_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image(((mean.square() + 1) / logvar.exp() - 1 + logvar) / 2)


@KL.mistake("This is in bits. The workbook counts in nats: do not divide by log 2.")
def in_bits(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image(_per_dim(mean, logvar)) / math.log(2)


@KL.mistake("The -1 is outside of the sum, so it counts once. Each latent dimension has its own: put it inside the brackets.")
def minus_one_outside(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image(mean.square() + logvar.exp() - logvar) / 2 - 1


@KL.mistake("The -1 is outside of the sum, so it counts once. Each latent dimension has its own: put it inside the brackets.")
def minus_one_outside_halved(mean: Tensor, logvar: Tensor) -> Tensor:
    return (_per_image(mean.square() + logvar.exp() - logvar) - 1) / 2


@KL.mistake("logvar is halved twice: ½ · (mean² + exp(logvar) - 1 - logvar), without a half of its own.")
def log_variance_halved(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar.exp() - 1 - logvar / 2) / 2)


@KL.mistake("The factor of one half reaches only mean²: brackets around all four terms are missing.")
def half_of_the_mean_only(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image(mean.square() / 2 + logvar.exp() - 1 - logvar)


@KL.mistake("The factor of one half reaches only logvar: brackets around all four terms are missing.")
def half_of_the_log_variance_only(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image(mean.square() + logvar.exp() - 1 - logvar / 2)


@KL.mistake("The sign of the 1 is reversed: mean² + exp(logvar) - 1 - logvar.")
def plus_one(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar.exp() + 1 - logvar) / 2)


@KL.mistake("The sign of mean² is reversed: mean² + exp(logvar) - 1 - logvar.")
def mean_squared_subtracted(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((-mean.square() + logvar.exp() - 1 - logvar) / 2)


@KL.mistake("The sign of exp(logvar) is reversed: mean² + exp(logvar) - 1 - logvar.")
def variance_subtracted(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() - logvar.exp() - 1 - logvar) / 2)


@KL.mistake("exp(logvar) and logvar have changed places: mean² + exp(logvar) - 1 - logvar.")
def roles_of_the_variance(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar - 1 - logvar.exp()) / 2)


@KL.mistake("mean² is multiplied by exp(logvar). Add the two.")
def mean_times_variance(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() * logvar.exp() - 1 - logvar) / 2)


@KL.mistake("The absolute value of the mean is used instead of its square.")
def absolute_mean(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.abs() + logvar.exp() - 1 - logvar) / 2)


@KL.mistake("exp(logvar) is missing: mean² + exp(logvar) - 1 - logvar.")
def variance_missing(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() - 1 - logvar) / 2)


@KL.mistake("The exponent has the wrong sign: exp(logvar), not exp(-logvar).")
def inverse_variance(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + (-logvar).exp() - 1 - logvar) / 2)


@KL.mistake("Only rows and columns are summed. Sum over the channels as well: flatten(1), then sum(1).")
def rows_and_columns_summed(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_dim(mean, logvar).sum((2, 3))


@KL.mistake("The sum runs over the batch, axis 0. Sum over the other axes, so that one value for each image remains.")
def summed_over_the_batch_axis(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_dim(mean, logvar).sum(0)


@KL.mistake("This is the largest KL of a dimension. Sum over the dimensions.")
def largest(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_dim(mean, logvar).flatten(1).amax(1)


@KL.mistake("Everything is squared. Only the mean is.")
def squared_per_dim(mean: Tensor, logvar: Tensor) -> Tensor:
    return _per_image((mean.square() + logvar.exp() - 1 - logvar).square() / 2)


@KL.mistake("The means are summed before they are squared, so positive and negative ones cancel. First square, then sum.")
def mean_summed_before_squaring(mean: Tensor, logvar: Tensor) -> Tensor:
    return (_per_image(mean).square() + _per_image(logvar.exp() - 1 - logvar)) / 2
