"""Chapter 3's experiments with the ELBO: its terms in closed form, its gradient by sampling, and the beta of an averaged loss."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.arguments import check_integer, check_integers, check_number, check_same_shape, check_tensor
from course_lib.codec import posterior
from course_lib.device import Machine
from course_lib.recipes.losses import beta_loss
from course_lib.recipes.store import build
from course_lib.training import TrainConfig, train
from course_lib.training.config import MAX_SEED, MIN_SEED
from course_lib.vae import ELBO, VAE, Posterior, log_likelihood

MAX_DRAWS = 2**22


def toy_elbo(x: float, mean: Tensor, std: Tensor, weight: float = 1.0, noise_std: float = 0.5) -> ELBO:
    """Return the ELBO of the one-dimensional model z ~ N(0, 1), x ~ N(weight·z, noise_std²) in closed form.

    mean, std: of q, [N]; the result is [N].
    """
    x, weight = check_number("x", x), check_number("weight", weight)
    check_number("noise_std", noise_std, above=0)
    _check_gaussian(mean, std, "[N]")
    fit = log_likelihood(torch.full_like(mean, x)[:, None], weight * mean[:, None], noise_std)
    spread = (weight * std / noise_std).square() / 2
    return ELBO(fit - spread, Posterior(mean[:, None], 2 * std.log()[:, None]).kl())


def toy_evidence(x: float, weight: float = 1.0, noise_std: float = 0.5) -> float:
    """Return log p(x) of the same model, whose x is Gaussian with variance weight² + noise_std²."""
    x, weight, noise_std = check_number("x", x), check_number("weight", weight), check_number("noise_std", noise_std, above=0)
    variance = weight**2 + noise_std**2
    return -(x**2 / variance + math.log(2 * math.pi * variance)) / 2


def monte_carlo_kl_error(q: Posterior, counts: Sequence[int], generator: torch.Generator, draws: int = 2**17) -> list[float]:
    """Return the root-mean-square error, in nats, of the Monte Carlo KL of one image's posterior ([1, C, h, w]).

    The reference is the closed form. Each draw gives log q(z | x) − log p(z); an estimate is the mean of n draws, for each n in
    counts, and ``draws`` draws make draws // n estimates.
    """
    draws = check_integer("draws", draws, 1, MAX_DRAWS)
    counts = check_integers("counts", counts, 1, draws)
    check_tensor("the posterior's mean", q.mean, "[1, ...]", "float")
    mean, logvar = q.mean.flatten(), q.logvar.flatten()
    noise = torch.randn(draws, len(mean), device=mean.device, generator=generator)
    z = mean + (logvar / 2).exp() * noise
    terms = ((z.square() - noise.square() - logvar) / 2).sum(1).double()  # the two logs of 2π cancel
    exact = q.kl().double()
    return [(terms[: draws // n * n].view(-1, n).mean(1) - exact).square().mean().sqrt().item() for n in counts]


@dataclass(frozen=True)
class GradientEstimates:
    """One-sample estimates of the gradient of E[f(z)] by the mean of z ~ N(mean, std²): each [samples, D]."""

    reparameterised: Tensor
    score: Tensor
    baseline: Tensor

    def variances(self) -> dict[str, float]:
        """Return the variance over samples of each estimator, averaged over the D components of the gradient."""
        return {name: g.var(0).mean().item() for name, g in vars(self).items()}


def estimate_gradients(
    f: Callable[[Tensor], Tensor], mean: Tensor, std: Tensor, samples: int, generator: torch.Generator
) -> GradientEstimates:
    """Estimate the gradient by three estimators from the same noise, for any f: z [samples, D] → [samples]; mean, std: [D].

    Reparameterised: ∇f(mean + std·noise). Score function (Williams 1992): f(z)·∇ log q(z). Baseline: the score function with the
    mean of the *other* samples' f subtracted, which does not change the expectation.
    """
    _check_gaussian(mean, std, "[D]")
    samples = check_integer("samples", samples, 2, MAX_DRAWS)
    noise = torch.randn(samples, len(mean), device=mean.device, generator=generator)
    z = (mean + std * noise).requires_grad_()
    values = f(z)
    check_tensor("f(z)", values, f"[{samples}]", "float")
    (path,) = torch.autograd.grad(values.sum(), z)
    values, score = values.detach(), noise / std
    others = (values.sum() - values) / (samples - 1)
    return GradientEstimates(path, values[:, None] * score, (values - others)[:, None] * score)


def _check_gaussian(mean: Tensor, std: Tensor, axes: str) -> None:
    check_tensor("mean", mean, axes, "float")
    check_tensor("std", std, axes, "float")
    check_same_shape("mean", mean, "std", std)
    if not bool((std > 0).all()):
        raise ValueError(f"std is {std.min().item():g} at its least, but a standard deviation must be above 0.")


def estimate_decoder_gradients(vae: VAE, image: Tensor, samples: int, generator: torch.Generator) -> GradientEstimates:
    """Estimate them for a VAE: f is log p(x | z) of one image [1, C, H, W], q its posterior, D the latent dimensions."""
    check_tensor("image", image, "[1, C, H, W]", "float")
    check_integer("samples", samples, 2, MAX_DRAWS)
    with torch.no_grad():
        q = vae.encode(image)

    def fit(z: Tensor) -> Tensor:
        decoded = vae.decode(z.view(-1, *q.mean.shape[1:])).float()
        return log_likelihood(image.expand_as(decoded), decoded, vae.noise_std)

    return estimate_gradients(fit, q.mean.flatten(), q.std.flatten(), samples, generator)


def effective_beta(beta: float, error: int = 1, kl: int = 1, noise_std: float = math.sqrt(0.5)) -> float:
    """Return the beta of the ELBO at ``noise_std`` that the loss  Σ(x − x̂)²/error + beta·KL/kl  really minimises.

    error, kl: the divisor of each sum (1 = summed; the number of pixels or of latent dimensions = averaged). The ELBO's own error
    is Σ(x − x̂)²/(2·noise_std²); with noise_std² = 1/2 that is the plain squared error.
    """
    beta, noise_std = check_number("beta", beta, at_least=0), check_number("noise_std", noise_std, above=0)
    error, kl = check_integer("error", error, at_least=1), check_integer("kl", kl, at_least=1)
    return beta * error / kl / (2 * noise_std**2)


def train_short_vae(images: Tensor, beta: float, machine: Machine, steps: int = 250, seed: int = 0) -> tuple[VAE, Posterior]:
    """Train a VAE on images, uint8 or in [-1, 1], for a few seconds; return it, and its posterior of the first 1,000."""
    check_tensor("images", images, "[N, 1, H, W]")
    beta = check_number("beta", beta, at_least=0)
    check_integer("steps", steps, 1, 100_000)
    net = build(VAE, {}, check_integer("seed", seed, MIN_SEED, MAX_SEED))
    config = TrainConfig(steps=steps, batch_size=64, lr=4e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=None, progress=False)
    net = train(net, beta_loss(beta), (images,), config, machine=machine).net
    return net, posterior(net, images[:1000])
