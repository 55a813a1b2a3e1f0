"""The variational autoencoder (VAE): an encoder that gives a distribution, trained with the ELBO.

Kingma & Welling 2014 (VAE, ELBO), Burda et al. 2016 (importance-weighted bound, active units), Kingma et al. 2016 (free bits),
Sønderby et al. 2016 (KL warm-up). The KL and the ELBO are in nats per image: summed over dimensions, never averaged over them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.arguments import check_integer, check_number, check_same_shape, check_tensor
from course_lib.autoencoder import DenseEncoderDecoder, EncoderDecoder, at_least_float32

MAX_SAMPLES = 1_000_000  # of the posterior, for each image


@dataclass(frozen=True)
class Posterior:
    """q(z | x): a Gaussian with a mean and log-variance for each latent dimension, each [B, C, h, w] (Kingma & Welling 2014)."""

    mean: Tensor
    logvar: Tensor

    def __post_init__(self) -> None:
        check_tensor("mean", self.mean, "[B, ...]", "float", least=0)
        check_tensor("logvar", self.logvar, "[B, ...]", "float", least=0)
        check_same_shape("mean", self.mean, "logvar", self.logvar)

    @property
    def std(self) -> Tensor:
        return torch.exp(self.logvar / 2)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Sample mean + std · noise: reparameterised, so that gradients reach mean and logvar (Kingma & Welling 2014, eq. 10)."""
        noise = torch.randn(self.mean.shape, device=self.mean.device, dtype=self.mean.dtype, generator=generator)
        return self.mean + self.std * noise

    def mode(self) -> Tensor:
        """The most likely latent, which for a Gaussian is its mean."""
        return self.mean

    def kl_per_dim(self) -> Tensor:
        """KL(q(z | x) ‖ N(0, 1)) of each latent dimension, in nats: [B, C, h, w] (Kingma & Welling 2014, appendix B)."""
        return (self.mean.square() + self.logvar.exp() - 1 - self.logvar) / 2

    def kl(self) -> Tensor:
        """KL(q(z | x) ‖ N(0, I)) in nats per image, [B]: summed over the latent's dimensions, never averaged."""
        return self.kl_per_dim().flatten(1).sum(1)


@dataclass(frozen=True)
class ELBO:
    """The two terms of log p(x) >= E[log p(x | z)] − KL (Kingma & Welling 2014, eq. 3), each [B] in nats per image."""

    log_likelihood: Tensor
    kl: Tensor

    @property
    def value(self) -> Tensor:
        return self.log_likelihood - self.kl

    def loss(self, beta: float = 1.0) -> Tensor:
        """The training loss, a scalar: beta · KL − log-likelihood, averaged over the batch (beta-VAE, Higgins et al. 2017)."""
        check_number("beta", beta)
        return (beta * self.kl - self.log_likelihood).mean()

    def bits_per_dim(self, dims: int) -> Tensor:
        """−ELBO in bits for each of an image's ``dims`` dimensions, [B]; of the continuous density over [-1, 1]."""
        check_integer("dims", dims, at_least=1)
        return -self.value / (dims * math.log(2))


class VAE(EncoderDecoder):
    """A variational autoencoder: images [B, C, S, S] in [-1, 1] → a posterior over latents → images.

    noise_std: standard deviation of p(x | z) = N(decode(z), noise_std²) for each pixel, in the units of images in [-1, 1]. It
    weighs reconstruction against KL, so that beta = 1 is the true ELBO at this noise. shape: the arguments of `EncoderDecoder`.
    Raises ValueError for a noise_std that is not above 0.
    """

    channels_per_latent = 2

    def __init__(self, in_channels: int = 1, *, noise_std: float = 0.14, **shape: int) -> None:
        super().__init__(in_channels, **shape)
        check_number("noise_std", noise_std, above=0)
        self.config["noise_std"] = noise_std
        self.noise_std = noise_std

    def encode(self, images: Tensor) -> Posterior:
        """Images [B, C, H, W] → q(z | x), with mean and logvar [B, latent_channels, H/factor, W/factor]."""
        mean, logvar = at_least_float32(self.encoder_output(images)).chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(-20, 10))  # beyond these the exponential is useless or overflows

    def forward(self, images: Tensor) -> Tensor:
        """Images → the decoded mode of their posterior, same shape."""
        return self.decode(self.encode(images).mode())

    def elbo(self, images: Tensor, generator: torch.Generator | None = None) -> ELBO:
        """Estimate the evidence lower bound of each image from one sample of its posterior."""
        posterior = self.encode(images)
        reconstruction = at_least_float32(self.decode(posterior.sample(generator)))
        return ELBO(log_likelihood(images, reconstruction, self.noise_std), posterior.kl())


class DenseVAE(DenseEncoderDecoder, VAE):
    """A fully connected VAE: images [B, 1, S, S] → a posterior over latents [B, latent_channels, 1, 1] → images.

    noise_std: as in `VAE`. shape: the arguments of `DenseEncoderDecoder`.
    """

    def __init__(self, *, noise_std: float = 0.5, **shape: int) -> None:
        DenseEncoderDecoder.__init__(self, **shape)
        check_number("noise_std", noise_std, above=0)
        self.config["noise_std"] = noise_std
        self.noise_std = noise_std


def log_likelihood(images: Tensor, reconstruction: Tensor, noise_std: float) -> Tensor:
    """log N(images; reconstruction, noise_std²) in nats per image, [B]: summed over all pixels."""
    check_number("noise_std", noise_std, above=0)
    check_tensor("images", images, "[B, ...]", "float", least=0)
    check_tensor("reconstruction", reconstruction, "", "float", least=0)
    check_same_shape("images", images, "reconstruction", reconstruction)
    squared = ((images - reconstruction) / noise_std).square().flatten(1)
    return -squared.sum(1) / 2 - squared.shape[1] * (math.log(noise_std) + math.log(2 * math.pi) / 2)


def elbo_loss(vae: VAE, images: Tensor, beta: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """The beta-weighted negative ELBO of a batch in nats per image, a scalar to minimise."""
    check_tensor("images", images, "[B, C, H, W]", "float")
    return vae.elbo(images, generator).loss(beta)


@torch.no_grad()
def log_weights(vae: VAE, images: Tensor, k: int, generator: torch.Generator | None = None) -> Tensor:
    """Log importance weights log p(x | z) + log p(z) − log q(z | x) of k samples z ~ q(z | x) for each image: [k, B] in nats.

    Their mean over the k samples is the ELBO; `iwae` makes a tighter bound of them.
    """
    k = check_integer("k", k, 1, MAX_SAMPLES)
    q, weights = vae.encode(images), []
    for _ in range(k):
        z = q.sample(generator)
        prior_to_q = (((z - q.mean) / q.std).square() + q.logvar - z.square()) / 2  # the two logs of 2π cancel
        fit = log_likelihood(images, at_least_float32(vae.decode(z)), vae.noise_std)
        weights.append(fit + prior_to_q.flatten(1).sum(1))
    return torch.stack(weights)


def iwae(log_weights: Tensor, k: int) -> Tensor:
    """The importance-weighted bound of log p(x) from K log weights per image, [K, B] → [B] in nats per image.

    It is the log of the mean of k weights (Burda et al. 2016, eq. 8), averaged over the K / k groups that the samples form; k = 1
    is the ELBO. Raises ValueError if k does not divide K.
    """
    check_tensor("log_weights", log_weights, "[K, B]", "float")
    K = len(log_weights)
    if check_integer("k", k) < 1 or K % k:
        raise ValueError(f"k is {k}, but it must be 1 or more and divide the number of samples, {K}.")
    return (log_weights.view(K // k, k, -1).logsumexp(1) - math.log(k)).mean(0)


def free_bits(kl_per_dim: Tensor, floor: float) -> Tensor:
    """The KL [B, ...] with ``floor`` nats of each latent dimension free: a scalar in nats per image (Kingma et al. 2016, eq. 15).

    The floor applies to the mean over the batch: one image may stay below it if another is above. A dimension whose mean is below
    the floor has no gradient.
    """
    check_tensor("kl_per_dim", kl_per_dim, "[B, ...]", "float")
    check_number("floor", floor, at_least=0, at_most=10_000)
    return kl_per_dim.mean(0).clamp(min=floor).sum()


def kl_warmup(step: int, steps: int) -> float:
    """The KL's weight at step 0, 1, …: it rises linearly from 0 to 1 at ``steps`` and stays there (Sønderby et al. 2016)."""
    check_integer("step", step, at_least=0)
    steps = check_integer("steps", steps, at_least=0)
    return min(1.0, step / steps) if steps else 1.0


def active_units(posterior: Posterior, threshold: float = 0.01) -> Tensor:
    """Which latent dimensions carry information: bool [C, h, w], true where the variance of the posterior mean over images is
    above the threshold (Burda et al. 2016, section 5.2). Raises ValueError for fewer than two images."""
    check_tensor("the posterior's mean", posterior.mean, "[B, ...]", "float", least=2)
    check_number("threshold", threshold, at_least=0)
    return posterior.mean.var(dim=0) > threshold
