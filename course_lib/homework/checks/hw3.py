"""Homework 3, the variational autoencoder: what its checks compare with, and what people get wrong."""

import math

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from course_lib.homework.checks.case import Case, Mistake
from course_lib.homework.checks.exercise import Draw, Exercise, Homework, Written
from course_lib.vae import Posterior

SHAPES = ((3, 4, 2, 5), (2, 1, 3, 3))  # no two axes of the first alike, so that a swapped one shows


def _latents(draw: Draw, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return draw.normal(*shape, std=1.3, mean=0.4), draw.uniform(*shape, low=-2.5, high=1.5)


# --- reparameterise ------------------------------------------------------------------------------------------------


def _reparameterise(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar.exp().sqrt() * eps


def _reparameterise_cases(draw: Draw) -> list[Case]:
    return [
        Case(f"mean, logvar, eps {list(shape)} {draw.dtype}".replace("torch.", ""), (*_latents(draw, shape), draw.normal(*shape)))
        for shape in SHAPES
    ]


REPARAMETERISE = Exercise(
    "reparameterise", 2, 1, 5, _reparameterise, _reparameterise_cases, differentiable=True,
    mistakes=(
        Mistake("The log-variance itself multiplies the noise. A standard deviation is exp(logvar / 2).", lambda m, s, e: m + s * e),
        Mistake("exp(logvar) is the variance; the noise is multiplied by its root: a half is missing in the exponent.",
                lambda m, s, e: m + s.exp() * e),
        Mistake("The root of the log-variance was taken. First undo the logarithm, then take the root: exp(logvar / 2).",
                lambda m, s, e: m + s.abs().sqrt() * e),
        Mistake("The root of the log-variance was taken, and logarithms may be negative: exp(logvar / 2).", lambda m, s, e: m + s.sqrt() * e),
        Mistake("exp(2 · logvar): the half in the exponent became a two.", lambda m, s, e: m + (2 * s).exp() * e),
        Mistake("exp(-logvar / 2) is one over the standard deviation: the sign in the exponent is turned round.", lambda m, s, e: m + (-s / 2).exp() * e),
        Mistake("exp(logvar) is halved. The half belongs into the exponent: exp(logvar / 2).", lambda m, s, e: m + s.exp() / 2 * e),
        Mistake("The log-variance is halved, and the logarithm is still there: exp(logvar / 2).", lambda m, s, e: m + s / 2 * e),
        Mistake("The log-variance is squared. It is a logarithm: the standard deviation is exp(logvar / 2).", lambda m, s, e: m + s.square() * e),
        Mistake("eps is missing: the standard deviation is added as it is.", lambda m, s, e: m + (s / 2).exp()),
        Mistake("The standard deviation multiplies the mean. It multiplies eps: mean + std · eps.", lambda m, s, e: m * (s / 2).exp() + e),
        Mistake("The noise is missing: this is the mean, the mode of the posterior, not a draw from it.", lambda m, s, e: m),
        Mistake("The mean is missing: this is noise of the right width about zero.", lambda m, s, e: (s / 2).exp() * e),
        Mistake("The mean is multiplied by the standard deviation as well: only eps is.", lambda m, s, e: (s / 2).exp() * (m + e)),
        Mistake("The noise is subtracted. That is as random, but not the draw that eps stands for: mean + std · eps.", lambda m, s, e: m - (s / 2).exp() * e),
    ),
)  # fmt: skip


# --- kl ------------------------------------------------------------------------------------------------------------


def _kl(mean: Tensor, logvar: Tensor) -> Tensor:
    q = Independent(Normal(mean, (logvar / 2).exp()), mean.ndim - 1)
    return kl_divergence(q, Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), mean.ndim - 1))


def _kl_terms(mean: Tensor, logvar: Tensor) -> Tensor:
    return Posterior(mean, logvar).kl_per_dim()


def _kl_cases(draw: Draw) -> list[Case]:
    return [Case(f"mean, logvar {list(shape)} {draw.dtype}".replace("torch.", ""), _latents(draw, shape)) for shape in SHAPES]


KL = Exercise(
    "kl", 3, 2, 10, _kl, _kl_cases, differentiable=True,
    mistakes=(
        Mistake("It looks averaged over the numbers of a latent. Independent numbers add up: sum over them, and keep the batch.",
                lambda m, s: _kl_terms(m, s).flatten(1).mean(1)),
        Mistake("Everything is averaged, batch and latent alike. Sum over the latent's numbers; one number for each image remains.",
                lambda m, s: _kl_terms(m, s).mean()),
        Mistake("The batch is averaged as well: one number for each image, [B], is asked for.", lambda m, s: _kl_terms(m, s).flatten(1).sum(1).mean()),
        Mistake("The batch is summed as well: one number for each image, [B], is asked for.", lambda m, s: _kl_terms(m, s).sum()),
        Mistake("Nothing is summed yet: this is the KL of each latent number by itself. Sum over all axes but the batch.", _kl_terms),
        Mistake("Only the channels are summed: the rows and columns of the latent count as well. flatten(1), then sum(1).", lambda m, s: _kl_terms(m, s).sum(1)),
        Mistake("The half in front is missing.", lambda m, s: 2 * _kl_terms(m, s).flatten(1).sum(1)),
        Mistake("The sign is turned round: a KL is never negative.", lambda m, s: -_kl_terms(m, s).flatten(1).sum(1)),
        Mistake("The log-variance stands where the variance belongs: mean² + exp(logvar) - 1 - logvar.",
                lambda m, s: ((m.square() + s - 1 - s.exp().log()) / 2).flatten(1).sum(1)),
        Mistake("exp is missing: the variance is exp(logvar), so mean² + exp(logvar) - 1 - logvar.",
                lambda m, s: ((m.square() + s.square() - 1 - s) / 2).flatten(1).sum(1)),
        Mistake("exp(logvar) is the variance already, and was squared once more.", lambda m, s: ((m.square() + (2 * s).exp() - 1 - s) / 2).flatten(1).sum(1)),
        Mistake("logvar is counted twice: - logvar, which is already the logarithm of σ².",
                lambda m, s: ((m.square() + s.exp() - 1 - 2 * s) / 2).flatten(1).sum(1)),
        Mistake("The sign before logvar is turned round: mean² + exp(logvar) - 1 - logvar.",
                lambda m, s: ((m.square() + s.exp() - 1 + s) / 2).flatten(1).sum(1)),
        Mistake("The argument was taken for the variance itself: it is the logarithm of it, so exp(logvar) is the variance.",
                lambda m, s: ((m.square() + s - 1 - s.log()) / 2).flatten(1).sum(1)),
        Mistake("The argument was taken for a log standard deviation: exp(2 · logvar). The variance is exp(logvar).",
                lambda m, s: ((m.square() + (2 * s).exp() - 1 - 2 * s) / 2).flatten(1).sum(1)),
        Mistake("The standard deviation stands where the variance belongs: exp(logvar), not exp(logvar / 2).",
                lambda m, s: ((m.square() + (s / 2).exp() - 1 - s) / 2).flatten(1).sum(1)),
        Mistake("The mean is not squared.", lambda m, s: ((m + s.exp() - 1 - s) / 2).flatten(1).sum(1)),
        Mistake("The -1 is missing: the KL of the prior from itself must be 0.", lambda m, s: ((m.square() + s.exp() - s) / 2).flatten(1).sum(1)),
        Mistake("The -logvar is missing: nothing would keep the variance from falling to 0.",
                lambda m, s: ((m.square() + s.exp() - 1) / 2).flatten(1).sum(1)),
        Mistake("The mean's square is missing: nothing would pull the means to the prior.", lambda m, s: ((s.exp() - 1 - s) / 2).flatten(1).sum(1)),
        Mistake("This is KL(prior ‖ q), the wrong way round: KL(q ‖ prior) is asked for.",
                lambda m, s: (((m.square() + 1) / s.exp() - 1 + s) / 2).flatten(1).sum(1)),
        Mistake("It is in bits. The workbook counts in nats: no division by log 2.", lambda m, s: _kl_terms(m, s).flatten(1).sum(1) / math.log(2)),
    ),
)  # fmt: skip


# --- elbo ----------------------------------------------------------------------------------------------------------


def _elbo(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    return Independent(Normal(copies, noise_std), images.ndim - 1).log_prob(images) - kl


def _elbo_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 2, 5, 4), (2, 1, 6, 6)):
        images = draw.uniform(*shape, low=-1.0)
        given = (images, images + draw.normal(*shape, std=0.2), draw.uniform(shape[0], low=3.0, high=20.0), draw.number(0.1, 0.3))
        what = f"images, copies {list(shape)}, kl [{shape[0]}], {draw.dtype}, a noise_std between 0.1 and 0.3"
        cases.append(Case(what.replace("torch.", ""), given))
    return cases


def _squared(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().flatten(1)


def _constant(x: Tensor, std: float) -> float:
    """The logarithm of a Gaussian's normalising factor, for all pixels of an image."""
    return x[0].numel() * math.log(std * math.sqrt(2 * math.pi))


ELBO = Exercise(
    "elbo", 4, 3, 15, _elbo, _elbo_cases, differentiable=True,
    mistakes=(
        Mistake("The squared error is averaged over the pixels, while the KL is summed over the latent: the KL then weighs as many times too much as an "
                "image has numbers. Sum over the pixels.",
                lambda x, y, kl, s: -_squared(x, y).mean(1) / (2 * s**2) - math.log(s * math.sqrt(2 * math.pi)) - kl),
        Mistake("The squared error is averaged over the pixels, while the KL is summed over the latent. Sum both.",
                lambda x, y, kl, s: -_squared(x, y).mean(1) / (2 * s**2) - _constant(x, s) - kl),
        Mistake("The squared error is summed over the batch as well, and so every image gets the sum of all. Sum over the axes of one image: flatten(1), then sum(1).",
                lambda x, y, kl, s: -_squared(x, y).sum() / (2 * s**2) - _constant(x, s) - kl),
        Mistake("The log-likelihood is summed over the batch as well, and so every image gets the sum of all. Sum over the axes of one image: flatten(1), then sum(1).",
                lambda x, y, kl, s: (_elbo(x, y, 0 * kl, s)).sum() - kl),
        Mistake("The constant counts the numbers of the whole batch: images[0].numel(), not images.numel().",
                lambda x, y, kl, s: -_squared(x, y).sum(1) / (2 * s**2) - len(x) * _constant(x, s) - kl),
        Mistake("The squared error is averaged over everything, while the KL is summed. Sum over the pixels, and keep the batch.",
                lambda x, y, kl, s: -_squared(x, y).mean() / (2 * s**2) - _constant(x, s) - kl),
        Mistake("Plain squared error minus KL: the squared error must be divided by 2 · noise_std², and the Gaussian's constant is missing.",
                lambda x, y, kl, s: -_squared(x, y).sum(1) - kl),
        Mistake("Mean squared error minus KL: this hides a weight of hundreds between the two. Sum over pixels, divide by 2 · noise_std², add the constant.",
                lambda x, y, kl, s: -_squared(x, y).mean(1) - kl),
        Mistake("The Gaussian's constant is missing: - D · log(noise_std · √(2π)), where D counts the numbers of an image.",
                lambda x, y, kl, s: -_squared(x, y).sum(1) / (2 * s**2) - kl),
        Mistake("The constant is there once, but every one of the image's numbers brings its own: D · log(noise_std · √(2π)).",
                lambda x, y, kl, s: -_squared(x, y).sum(1) / (2 * s**2) - math.log(s * math.sqrt(2 * math.pi)) - kl),
        Mistake("The constant lacks noise_std: log(noise_std · √(2π)), not log √(2π).",
                lambda x, y, kl, s: -_squared(x, y).sum(1) / (2 * s**2) - _constant(x, 1.0) - kl),
        Mistake("The constant has 2π without its root: log(noise_std) + log(2π) / 2 for each number.",
                lambda x, y, kl, s: -_squared(x, y).sum(1) / (2 * s**2) - x[0].numel() * math.log(s * 2 * math.pi) - kl),
        Mistake("The half of the exponent is missing: (x - copy)² / (2 · noise_std²).",
                lambda x, y, kl, s: -_squared(x, y).sum(1) / s**2 - _constant(x, s) - kl),
        Mistake("noise_std is not squared: (x - copy)² / (2 · noise_std²).",
                lambda x, y, kl, s: -_squared(x, y).sum(1) / (2 * s) - _constant(x, s) - kl),
        Mistake("noise_std was squared before it was given to a Gaussian that wants a standard deviation.", lambda x, y, kl, s: _elbo(x, y, kl, s**2)),
        Mistake("The KL is added. It is what the code costs: it is taken away from the log-likelihood.", lambda x, y, kl, s: _elbo(x, y, -kl, s)),
        Mistake("The KL is missing.", lambda x, y, kl, s: _elbo(x, y, 0 * kl, s)),
        Mistake("This is minus the ELBO: the loss that training minimises. The bound itself is asked for.", lambda x, y, kl, s: -_elbo(x, y, kl, s)),
        Mistake("The batch is averaged: one number for each image, [B], is asked for.", lambda x, y, kl, s: _elbo(x, y, kl, s).mean()),
        Mistake("The absolute difference stands where its square belongs.",
                lambda x, y, kl, s: -(x - y).abs().flatten(1).sum(1) / (2 * s**2) - _constant(x, s) - kl),
    ),
)  # fmt: skip


# --- averaged ------------------------------------------------------------------------------------------------------


def _averaged(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return torch.lerp(weights.double(), average.double(), decay).to(average)


def _averaged_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((5, 3, 4, 2), (7,)):
        given = (draw.normal(*shape), draw.normal(*shape, mean=0.5), draw.number(0.8, 0.95))
        cases.append(
            Case(f"average, weights {list(shape)} {draw.dtype}, a decay between 0.8 and 0.95".replace("torch.", ""), given)
        )
    return cases


AVERAGED = Exercise(
    "averaged", 2, 1, 5, _averaged, _averaged_cases,
    mistakes=(
        Mistake("It is the wrong way round: with a decay of 0.99 the *average* keeps 99 %, and the new weights add 1 %.",
                lambda a, w, d: d * w + (1 - d) * a),
        Mistake("The new weights are added whole: only a share 1 - decay of them, or the average would grow without end.", lambda a, w, d: d * a + w),
        Mistake("The average is not made smaller before the new weights come in: decay · average.", lambda a, w, d: a + (1 - d) * w),
        Mistake("Both get the factor decay. The two shares must add up to 1: decay and 1 - decay.", lambda a, w, d: d * (a + w)),
        Mistake("This is the plain mean of the two, whatever the decay.", lambda a, w, d: (a + w) / 2),
        Mistake("The average is handed back as it was: the new weights must come in.", lambda a, w, d: a),
        Mistake("The new weights are handed back: nothing is averaged.", lambda a, w, d: w),
        Mistake("The sign of the step is turned round: the average moves away from the weights.", lambda a, w, d: a - (1 - d) * (w - a)),
        Mistake("The step is too large: the average moves by 1 - decay of the way to the weights.", lambda a, w, d: a + w - d * a),
    ),
)  # fmt: skip


# --- free_bits -----------------------------------------------------------------------------------------------------


def _free_bits(kl_per_dim: Tensor, floor: float) -> Tensor:
    mean = kl_per_dim.mean(0)
    return torch.where(mean > floor, mean, floor).sum()


def _free_bits_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((5, 3, 2, 4), (4, 2, 3, 3), (6, 16)):
        # Some numbers of a latent carry far more than the floor and some far less; images differ in each of them.
        level = draw.tensor([0.02, 0.9, 0.1, 2.0, 0.4, 0.05]).repeat(8)[: math.prod(shape[1:])].view(shape[1:])
        what = f"kl_per_dim {list(shape)} {draw.dtype}, a floor between 0.2 and 0.3 nats".replace("torch.", "")
        kl = level * draw.uniform(*shape, low=0.1, high=1.9)
        cases.append(Case(what, (kl, draw.number(0.2, 0.3))))
        cases.append(Case("the same with a floor of 40 nats, above them all", (kl, 40.0)))
    return cases


FREE_BITS = Exercise(
    "free_bits", 3, 3, 15, _free_bits, _free_bits_cases, differentiable=True,
    mistakes=(
        Mistake("There is no floor yet: this is the plain KL.", lambda k, f: k.mean(0).sum()),
        Mistake("The floor is applied to each image by itself. First average over the batch, then apply the floor: one picture may pay less, if another pays more.",
                lambda k, f: k.clamp(min=f).mean(0).sum()),
        Mistake("The floor is applied to each image by itself, and the batch is summed.", lambda k, f: k.clamp(min=f).sum()),
        Mistake("The floor is applied to the sum. Each latent number has its own floor: clamp before you sum.", lambda k, f: k.mean(0).sum().clamp(min=f)),
        Mistake("The floor acts as a ceiling: clamp(min=floor), or torch.maximum.", lambda k, f: k.mean(0).clamp(max=f).sum()),
        Mistake("Rows and columns are averaged with the batch, so that a channel has one floor. Every latent number has its own: mean(0).",
                lambda k, f: k.mean((0, 2, 3)).clamp(min=f).sum()),
        Mistake("Rows and columns are summed before the floor is applied. Every latent number has its own floor: clamp before you sum.",
                lambda k, f: k.mean(0).sum((1, 2)).clamp(min=f).sum()),
        Mistake("torch.max and torch.maximum take two tensors, and the floor is a number: clamp(min=floor).", lambda k, f: torch.max(k.mean(0), f).sum()),
        Mistake("torch.max and torch.maximum take two tensors, and the floor is a number: clamp(min=floor).", lambda k, f: torch.max(f, k.mean(0)).sum()),
        Mistake("torch.max and torch.maximum take two tensors, and the floor is a number: clamp(min=floor).", lambda k, f: torch.maximum(k.mean(0), f).sum()),
        Mistake("Python's own max compares two single numbers. For each number of a tensor: clamp(min=floor).", lambda k, f: max(k.mean(0), f).sum()),
        Mistake("Python's own max compares two single numbers. For each number of a tensor: clamp(min=floor).", lambda k, f: max(f, k.mean(0)).sum()),
        Mistake("It is averaged over the latent's numbers. The KL of an image is their sum.", lambda k, f: k.mean(0).clamp(min=f).mean()),
        Mistake("The batch is summed before the floor is applied: average over it.", lambda k, f: k.sum(0).clamp(min=f).sum()),
        Mistake("The floor is subtracted: what is above it must count whole, max(KL, floor).", lambda k, f: (k.mean(0) - f).clamp(min=0).sum()),
        Mistake("What is below the floor counts 0: it must count as the floor itself, max(KL, floor).",
                lambda k, f: torch.where(k.mean(0) > f, k.mean(0), 0.0).sum()),
        Mistake("Nothing is summed over the latent's numbers yet: one number, for the whole latent, is asked for.", lambda k, f: k.mean(0).clamp(min=f)),
        Mistake("The floor is added to every number: max(KL, floor), not KL + floor.", lambda k, f: (k.mean(0) + f).sum()),
        Mistake("The mean is over the latent's numbers and the sum over the batch: they are swapped. The batch is axis 0.",
                lambda k, f: k.flatten(1).mean(1).clamp(min=f).sum()),
    ),
)  # fmt: skip


# --- active_units --------------------------------------------------------------------------------------------------


def _active_units(mean: Tensor, threshold: float) -> Tensor:
    return (mean - mean.mean(0)).square().sum(0) / (len(mean) - 1) > threshold


def _active_units_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((9, 2, 3, 4), (12, 16)):
        # Spreads on both sides of the threshold's root and of the threshold; every third number sits far from zero and never moves.
        n = math.prod(shape[1:])
        spread = draw.tensor([1.0, 0.0, 0.05, 0.4, 0.02, 0.2]).repeat(8)[:n].view(shape[1:])
        centre = draw.tensor([0.0, 1.5, -0.3, 0.2, -2.0, 0.6]).repeat(8)[:n].view(shape[1:])
        noise = draw.normal(*shape)
        noise = (noise - noise.mean(0)) / noise.std(0)
        what = f"mean {list(shape)} {draw.dtype}, threshold 0.01".replace("torch.", "")
        cases.append(Case(what, (centre + spread * noise, 0.01)))
    return cases


ACTIVE_UNITS = Exercise(
    "active_units", 2, 2, 10, _active_units, _active_units_cases,
    mistakes=(
        Mistake("This is the mean square (or the mean size), not the variance: a number that always sits at 1.5 tells nothing of the image. Subtract the mean over the images first.",
                lambda m, t: m.square().mean(0) > t),
        Mistake("The standard deviation is compared. Burda et al. compare the variance.", lambda m, t: m.std(0) > t),
        Mistake("The answer is turned round: active is what varies more than the threshold.", lambda m, t: m.var(0) <= t),
        Mistake("The variance is taken within each image. It is over the images, axis 0: does this number change from picture to picture?",
                lambda m, t: m.flatten(1).var(1) > t),
        Mistake("The variance is over the images and over rows and columns as well: each latent number is asked by itself.", lambda m, t: m.var((0, 2, 3)) > t),
        Mistake("This is the size of the mean, not its variance: a number that never changes tells nothing of the image.", lambda m, t: m.mean(0).abs() > t),
        Mistake("The variances themselves are returned: which of them are above the threshold?", lambda m, t: m.var(0)),
        Mistake("The number of active units is returned: a mask with True or False for each latent number is asked for.", lambda m, t: (m.var(0) > t).sum()),
        Mistake("True and False were turned into numbers: return the comparison itself.", lambda m, t: (m.var(0) > t).float()),
    ),
)  # fmt: skip

hw3 = Homework(
    "hw3",
    "The variational autoencoder",
    REPARAMETERISE,
    KL,
    ELBO,
    AVERAGED,
    FREE_BITS,
    ACTIVE_UNITS,
    Written("collapse", 3, 3, 15),
)
