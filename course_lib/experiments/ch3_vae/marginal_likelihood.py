"""Chapter 3's model with a known marginal likelihood: probabilistic PCA, and the linear VAE that must reach its optimum."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import LowRankMultivariateNormal
from torch.nn import functional as F

from course_lib.arguments import check_finite, check_integer, check_number, check_sizes, check_tensor
from course_lib.autoencoder import at_least_float32
from course_lib.images import to_float
from course_lib.recipes.store import build
from course_lib.training.config import MAX_SEED, MIN_SEED
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
    check_tensor("x", x, "[N, D]", least=2)
    check_finite("x", x)
    check_integer("latents", latents, 0, x.shape[1] - 1)
    mean = x.double().mean(0)
    values, vectors = torch.linalg.eigh((x.double() - mean).T.cov(correction=0).reshape(x.shape[1], -1))
    values, vectors = values.flip(0), vectors.flip(1)  # largest first
    noise = values[latents:].mean()
    if not noise > 1e-15 * values[0]:
        raise ValueError(f"x varies in no more than {latents} dimensions, but needs variance beyond its latents: give more rows.")
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
        check_sizes(dims=dims, latents=latents)
        self.encoder, self.decoder = nn.Linear(dims, latents), nn.Linear(latents, dims)
        self.logvar = nn.Parameter(torch.zeros(latents))
        self.noise_std = check_number("noise_std", noise_std, at_least=1e-6, at_most=1e6)  # its square must fit into float32

    def encode(self, x: Tensor) -> Posterior:
        mean = self.encoder(self._rows(x))
        return Posterior(mean, self.logvar.expand_as(mean))

    def decode(self, z: Tensor) -> Tensor:
        check_tensor("z", z, f"[B, {self.decoder.in_features}]", "float", least=0)
        return self.decoder(z.to(self.decoder.weight.dtype))

    def _rows(self, x: Tensor) -> Tensor:
        check_tensor("x", x, f"[B, {self.encoder.in_features}]", "float", least=0)
        return x.to(self.encoder.weight.dtype)

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
        modelled = LowRankMultivariateNormal(self.decoder.bias, self.decoder.weight, noise, validate_args=False)
        return modelled.log_prob(self._rows(x))

    def bounds(self, x: Tensor) -> tuple[float, float]:
        """Return the mean exact ELBO and the mean log p(x), in nats per row."""
        check_tensor("x", x)
        bounds = torch.stack([self.exact_elbo(x).value.mean(), self.evidence(x).mean()])
        check_finite("the likelihood of x", bounds)
        return bounds[0].item(), bounds[1].item()


def widen_posterior(net: LinearVAE, factor: float) -> LinearVAE:
    """Return a copy whose posteriors are ``factor`` times as wide: p(x) stays the same, but the encoder is now wrong."""
    check_number("factor", factor, above=0)
    copy = deepcopy(net)
    with torch.no_grad():
        copy.logvar.add_(2 * math.log(factor))
    return copy


def downsample(images: Tensor, side: int = 8) -> Tensor:
    """Average images [N, 1, S, S] (uint8) down to side × side pixels: rows [N, side²] in [-1, 1]."""
    check_tensor("images", images, "[N, 1, S, S]")
    side = check_integer("side", side, 1, images.shape[-1])
    return F.adaptive_avg_pool2d(to_float(images), side).flatten(1)


def fit_linear_vae(
    x: Tensor, latents: int, noise_std: float, steps: int = 1500, lr: float = 0.03, seed: int = 0
) -> tuple[LinearVAE, list[tuple[int, float, float]]]:
    """Train a linear VAE by its one-sample ELBO on all rows x [N, D] at once.

    Returns the network and its history: (step, mean exact ELBO, mean log p(x)), in nats per row.
    """
    check_tensor("x", x, "[N, D]", "float")
    x, seed = at_least_float32(x), check_integer("seed", seed, MIN_SEED, MAX_SEED)
    check_integer("steps", steps, 1, 100_000)
    lr = check_number("lr", lr, above=0, at_most=1)
    net = build(LinearVAE, {"dims": x.shape[1], "latents": latents, "noise_std": noise_std}, seed).to(x)
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
