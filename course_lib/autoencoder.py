"""The autoencoder and the variational autoencoder (VAE), and the ELBO in nats per image.

Both have the same network: convolutions that halve the side until it is ``factor`` times smaller, and transposed convolutions
back. Most of the work is done at low resolution, where a convolution costs least. They know nothing of diffusion.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.layers import GroupNorm, ResBlock


def _levels(width: int, factor: int, stem: int) -> list[tuple[int, int]]:
    """(how many times it shrinks the side, its channels) of each level on the way down: the stem, then halvings."""
    if any(n < 2 or n & (n - 1) for n in (stem, factor)) or stem > factor:
        raise ValueError(
            f"factor is {factor} and stem is {stem}, but the side is halved again and again: each must be a power of two, "
            "such as 8 and 2, and the stem not above the factor."
        )
    halvings = (factor // stem).bit_length() - 1
    return [(2 if i else stem, width * 2**i) for i in range(halvings + 1)]


def encoder(in_channels: int, width: int, factor: int, out_channels: int, blocks: int, stem: int = 2) -> nn.Sequential:
    """Images [B, in, S, S] → [B, out, S/factor, S/factor]."""
    layers, c, shrunk = [], in_channels, 1
    for times, out in _levels(width, factor, stem):
        layers.append(nn.Conv2d(c, out, 2 * times, stride=times, padding=times // 2))
        c, shrunk = out, shrunk * times
        layers += [ResBlock(c, c) for _ in range(blocks)] if shrunk > 2 else [nn.SiLU()]  # dear at half the side
    return nn.Sequential(*layers, GroupNorm(c), nn.SiLU(), nn.Conv2d(c, out_channels, 1))


def decoder(out_channels: int, width: int, factor: int, in_channels: int, blocks: int, stem: int = 2) -> nn.Sequential:
    """Latents [B, in, s, s] → images [B, out, s·factor, s·factor]."""
    levels = _levels(width, factor, stem)[::-1]
    layers, left = [nn.Conv2d(in_channels, levels[0][1], 3, padding=1)], factor
    for (times, c), (_, out) in zip(levels, [*levels[1:], (1, out_channels)], strict=True):
        layers += [ResBlock(c, c) for _ in range(blocks)] if left > 2 else []
        left //= times
        layers += [] if left > 1 else [GroupNorm(c), nn.SiLU()]
        layers.append(nn.ConvTranspose2d(c, out, 2 * times, stride=times, padding=times // 2))
    return nn.Sequential(*layers)


class Autoencoder(nn.Module):
    """A convolutional autoencoder: images [B, C, S, S] in [-1, 1] ↔ codes [B, latent_channels, S/factor, S/factor].

    width: channels after the first layer, doubled at each halving that follows. factor: how many times the side shrinks, and
    stem: how many times in the first layer alone, powers of two. blocks: residual blocks at each side of a quarter or less.
    Raises ValueError for a factor or stem that is no power of two.
    """

    code_parts = 1

    def __init__(
        self,
        in_channels: int = 1,
        width: int = 16,
        factor: int = 8,
        latent_channels: int = 4,
        blocks: int = 1,
        stem: int = 2,
    ) -> None:
        super().__init__()
        self.config = {
            "in_channels": in_channels,
            "width": width,
            "factor": factor,
            "latent_channels": latent_channels,
            "blocks": blocks,
            "stem": stem,
        }
        self.factor, self.latent_channels = factor, latent_channels
        self.encoder = encoder(in_channels, width, factor, self.code_parts * latent_channels, blocks, stem)
        self.decoder = decoder(in_channels, width, factor, latent_channels, blocks, stem)

    def _encode(self, images: Tensor) -> Tensor:
        side = images.shape[-1]
        if images.ndim != 4 or side % self.factor or images.shape[-2] % self.factor:
            raise ValueError(
                f"The images are {tuple(images.shape)}, but this network takes [B, C, H, W] "
                f"with sides that are multiples of {self.factor}: pad or resize them."
            )
        return self.encoder(images)

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] → codes [B, latent_channels, H/factor, W/factor]."""
        return self._encode(images)

    def decode(self, latents: Tensor) -> Tensor:
        """Codes → images, roughly in [-1, 1] (not clamped, so that the loss keeps its gradient)."""
        return self.decoder(latents)

    def forward(self, images: Tensor) -> Tensor:
        """Images → their reconstructions, same shape."""
        return self.decode(self.encode(images))


@dataclass(frozen=True)
class Posterior:
    """q(z | x): a Gaussian with its own mean and log-variance for each latent number, [B, C, h, w] (Kingma & Welling 2014)."""

    mean: Tensor
    logvar: Tensor

    @property
    def std(self) -> Tensor:
        return torch.exp(self.logvar / 2)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Reparameterised (Kingma & Welling 2014, eq. 10): mean + std · noise, so that gradients reach mean and logvar."""
        noise = torch.randn(self.mean.shape, device=self.mean.device, dtype=self.mean.dtype, generator=generator)
        return self.mean + self.std * noise

    def mode(self) -> Tensor:
        """The most likely code, which for a Gaussian is its mean."""
        return self.mean

    def kl_per_dim(self) -> Tensor:
        """KL(q(z | x) ‖ N(0, 1)) of each latent number, in nats: [B, C, h, w] (Kingma & Welling 2014, appendix B)."""
        return (self.mean.square() + self.logvar.exp() - 1 - self.logvar) / 2

    def kl(self) -> Tensor:
        """KL(q(z | x) ‖ N(0, I)) in nats per image, [B]: summed over the latent's dimensions, never averaged."""
        return self.kl_per_dim().flatten(1).sum(1)


class VAE(Autoencoder):
    """The same network as ``Autoencoder``, but the encoder gives a distribution and the decoder's noise is known.

    noise_std: standard deviation of p(x | z) = N(decode(z), noise_std²) for each pixel, in the units of images in [-1, 1]. It is
    what weighs reconstruction against KL, so beta = 1 is the true ELBO at this noise. shape: as of ``Autoencoder``.
    """

    code_parts = 2

    def __init__(self, in_channels: int = 1, *, noise_std: float = 0.14, **shape: int) -> None:
        super().__init__(in_channels, **shape)
        if noise_std <= 0:
            raise ValueError(f"noise_std is {noise_std}, but the standard deviation of a pixel must be above 0.")
        self.config["noise_std"] = noise_std
        self.noise_std = noise_std

    def encode(self, images: Tensor) -> Posterior:
        """Images [B, C, H, W] → q(z | x), with mean and logvar [B, latent_channels, H/factor, W/factor]."""
        mean, logvar = self._encode(images).float().chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(-20, 10))  # beyond these the exponential is useless or overflows

    def forward(self, images: Tensor) -> Tensor:
        """Images → the decoded mode of their posterior, same shape."""
        return self.decode(self.encode(images).mode())

    def elbo(self, images: Tensor, generator: torch.Generator | None = None) -> "ELBO":
        """One-sample estimate of the evidence lower bound, image by image."""
        posterior = self.encode(images)
        reconstruction = self.decode(posterior.sample(generator)).float()
        return ELBO(log_likelihood(images, reconstruction, self.noise_std), posterior.kl())


@dataclass(frozen=True)
class ELBO:
    """The two terms of log p(x) >= E[log p(x | z)] − KL (Kingma & Welling 2014, eq. 3), each [B] in nats per image."""

    log_likelihood: Tensor
    kl: Tensor

    @property
    def value(self) -> Tensor:
        return self.log_likelihood - self.kl

    def loss(self, beta: float = 1.0) -> Tensor:
        """What training minimises: beta · KL − log-likelihood, averaged over the batch (beta-VAE, Higgins et al. 2017)."""
        return (beta * self.kl - self.log_likelihood).mean()

    def bits_per_dim(self, dims: int) -> Tensor:
        """−ELBO in bits for each of an image's ``dims`` numbers, [B]; of the continuous density over [-1, 1]."""
        return -self.value / (dims * math.log(2))


def log_likelihood(images: Tensor, reconstruction: Tensor, noise_std: float) -> Tensor:
    """log N(images; reconstruction, noise_std²) in nats per image, [B]: summed over all pixels."""
    squared = ((images - reconstruction) / noise_std).square().flatten(1)
    return -squared.sum(1) / 2 - squared.shape[1] * (math.log(noise_std) + math.log(2 * math.pi) / 2)


def elbo_loss(vae: VAE, images: Tensor, beta: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """The beta-weighted negative ELBO of a batch in nats per image, a scalar to minimise."""
    return vae.elbo(images, generator).loss(beta)


@torch.no_grad()
def log_weights(vae: VAE, images: Tensor, k: int, generator: torch.Generator | None = None) -> Tensor:
    """log p(x | z) + log p(z) − log q(z | x) for k draws z ~ q(z | x) of each image, [k, B] in nats; their mean is the ELBO."""
    q, weights = vae.encode(images), []
    for _ in range(k):
        z = q.sample(generator)
        prior_to_q = (((z - q.mean) / q.std).square() + q.logvar - z.square()) / 2  # the two logs of 2π cancel
        fit = log_likelihood(images, vae.decode(z).float(), vae.noise_std)
        weights.append(fit + prior_to_q.flatten(1).sum(1))
    return torch.stack(weights)


def iwae(log_weights: Tensor, k: int) -> Tensor:
    """The importance-weighted bound of log p(x), [K, B] → [B] in nats per image: log of the mean of k weights (Burda et al. 2016,
    eq. 8), averaged over the K // k groups that the draws make. k = 1 is the ELBO. Raises ValueError if k does not divide K."""
    K = len(log_weights)
    if k < 1 or K % k:
        raise ValueError(f"k is {k}, but the {K} draws must fall into whole groups of k.")
    return (log_weights.view(K // k, k, -1).logsumexp(1) - math.log(k)).mean(0)


def free_bits(kl_per_dim: Tensor, floor: float) -> Tensor:
    """KL [B, ...] with ``floor`` nats of each latent number for free, a scalar in nats per image (Kingma et al. 2016, eq. 15).

    The floor is on the mean over the batch: one picture may pay less, if another pays more. Below it a number has no gradient.
    """
    return kl_per_dim.mean(0).clamp(min=floor).sum()


def kl_warmup(step: int, steps: int) -> float:
    """The KL's weight in step 0, 1, …: from 0 evenly to 1, where it stays from ``steps`` on (Sønderby et al. 2016)."""
    return min(1.0, step / steps) if steps else 1.0


def reconstruction_loss(net: Autoencoder, images: Tensor, noise_std: float = 0.14) -> Tensor:
    """The plain autoencoder's loss on the VAE's scale: the squared error's term of the negative log-likelihood, a scalar."""
    return ((net(images).float() - images) / noise_std).square().flatten(1).sum(1).mean() / 2


def active_units(posterior: Posterior, threshold: float = 0.01) -> Tensor:
    """Which latent numbers carry information: variance of the posterior mean over images above threshold (Burda et al. 2016,
    section 5.2); bool [C, h, w]."""
    return posterior.mean.var(dim=0) > threshold
