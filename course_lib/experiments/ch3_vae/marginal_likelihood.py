"""Chapter 3's model with a known marginal likelihood: probabilistic PCA, and the linear VAE that must reach its optimum."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import LowRankMultivariateNormal
from torch.nn import functional as F

from course_lib.images import to_float
from course_lib.vae import ELBO, VAE, Posterior, log_likelihood


@dataclass(frozen=True)
class PPCA:
    """The maximum-likelihood model z ~ N(0, I_q), x ~ N(weight·z + mean, noise_std²·I).

    mean [D]; weight [D, q]; evidence: the mean log p(x) of the training rows, in nats per row.
    """

    mean: Tensor
    weight: Tensor
    noise_std: float
    evidence: float


def fit_ppca(x: Tensor, latents: int) -> PPCA:
    """Fit probabilistic PCA to rows x [N, D]: the maximum likelihood, in float64 (Tipping & Bishop 1999, eq. 4, 7 and 8)."""
    mean = x.double().mean(0)
    values, vectors = torch.linalg.eigh((x.double() - mean).T.cov(correction=0))
    values, vectors = values.flip(0), vectors.flip(1)  # largest first
    noise = values[latents:].mean()
    weight = vectors[:, :latents] * (values[:latents] - noise).sqrt()
    modelled = torch.cat([values[:latents], noise.expand(len(values) - latents)])
    evidence = -(len(values) * (math.log(2 * math.pi) + 1) + modelled.log().sum()) / 2
    return PPCA(mean, weight, noise.sqrt().item(), evidence.item())


class LinearVAE(nn.Module):
    """A VAE with one matrix as its encoder and one as its decoder, x [B, D] ↔ z [B, q] (Lucas et al. 2019).

    All posteriors have the same widths. noise_std: that of p(x | z), as in ``VAE``.
    """

    elbo: Callable[..., ELBO] = VAE.elbo  # the same lines that train chapter 3's VAE

    def __init__(self, dims: int, latents: int, noise_std: float) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(dims, latents), nn.Linear(latents, dims)
        self.logvar = nn.Parameter(torch.zeros(latents))
        self.noise_std = noise_std

    def encode(self, x: Tensor) -> Posterior:
        mean = self.encoder(x)
        return Posterior(mean, self.logvar.expand_as(mean))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    @torch.no_grad()
    def exact_elbo(self, x: Tensor) -> ELBO:
        """Return the ELBO without sampling, [B]: the posterior's variance adds its own squared error to that of its mean."""
        q = self.encode(x)
        spread = (self.decoder.weight.square().sum(0) * self.logvar.exp()).sum() / (2 * self.noise_std**2)
        return ELBO(log_likelihood(x, self.decode(q.mean), self.noise_std) - spread, q.kl())

    @torch.no_grad()
    def evidence(self, x: Tensor) -> Tensor:
        """Return log p(x) itself, [B]: with a linear decoder x is Gaussian, with covariance W·Wᵀ + noise_std²·I."""
        noise = torch.full_like(self.decoder.bias, self.noise_std**2)
        return LowRankMultivariateNormal(self.decoder.bias, self.decoder.weight, noise).log_prob(x)

    def bounds(self, x: Tensor) -> tuple[float, float]:
        """Return the mean exact ELBO and the mean log p(x), in nats per row."""
        return self.exact_elbo(x).value.mean().item(), self.evidence(x).mean().item()


def widen_posterior(net: LinearVAE, factor: float) -> LinearVAE:
    """Return a copy whose posteriors are ``factor`` times as wide: p(x) stays the same, but the encoder is now wrong."""
    copy = deepcopy(net)
    with torch.no_grad():
        copy.logvar.add_(2 * math.log(factor))
    return copy


def downsample(images: Tensor, side: int = 8) -> Tensor:
    """Average images [N, 1, S, S] (uint8) down to side × side pixels: rows [N, side²] in [-1, 1]."""
    return F.adaptive_avg_pool2d(to_float(images), side).flatten(1)


def fit_linear_vae(
    x: Tensor, latents: int, noise_std: float, steps: int = 1500, lr: float = 0.03, seed: int = 0
) -> tuple[LinearVAE, list[tuple[int, float, float]]]:
    """Train a linear VAE by its one-sample ELBO on all rows x [N, D] at once.

    Returns the network and its history: (step, mean exact ELBO, mean log p(x)), in nats per row.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = LinearVAE(x.shape[1], latents, noise_std).to(x)
    generator, history = torch.Generator(x.device).manual_seed(seed), []
    optimiser = torch.optim.Adam(net.parameters(), lr, betas=(0.9, 0.99))
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        if step % 20 == 0:
            history.append((step, *net.bounds(x)))
        optimiser.zero_grad()
        net.elbo(x, generator).loss().backward()
        optimiser.step()
        rate.step()
    return net.eval(), [*history, (steps, *net.bounds(x))]
