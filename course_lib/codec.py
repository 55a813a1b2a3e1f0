"""Codecs: the space in which diffusion happens. Pixels or latents; nothing after the codec changes."""

from typing import Protocol

import torch
from torch import Tensor

from course_lib.images import as_float
from course_lib.vae import VAE, Posterior


class Codec(Protocol):
    """Images in [-1, 1] → what diffusion works on, and back. A VAE's latents have unit variance; pixels stay as they are."""

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] → latents [B, c, h, w]."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, c, h, w] → images [B, C, H, W] in [-1, 1]."""


class PixelCodec:
    """Diffusion in pixel space: the latents are the pixels."""

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, latents: Tensor) -> Tensor:
        return latents.clamp(-1, 1)


class VAECodec:
    """Diffusion in a VAE's latent space, each channel brought to mean 0 and standard deviation 1.

    latents_mean, latents_std: [C] of the posterior means over the training set (``statistics``); the ``scaling_factor`` of other
    libraries is 1 / latents_std. Raises ValueError when they do not fit the VAE, or when a channel is dead (std 0).
    """

    def __init__(self, vae: VAE, latents_mean: Tensor, latents_std: Tensor) -> None:
        C = vae.latent_channels
        if latents_mean.shape != (C,) or latents_std.shape != (C,):
            raise ValueError(
                f"latents_mean is {tuple(latents_mean.shape)} and latents_std {tuple(latents_std.shape)}, "
                f"but this VAE has {C} latent channels: give one number for each; codec.statistics measures them."
            )
        if not bool((latents_std > 0).all()):
            raise ValueError(
                f"latents_std is {latents_std.tolist()}, but every channel must vary: a dead channel means a collapsed VAE."
            )
        device = next(vae.parameters()).device
        self.vae = vae.eval()
        self.latents_mean = latents_mean.view(1, C, 1, 1).to(device)
        self.latents_std = latents_std.view(1, C, 1, 1).to(device)

    @classmethod
    def fit(cls, vae: VAE, images: Tensor, batch: int = 500) -> "VAECodec":
        """A codec whose statistics are measured on these images (uint8 or [-1, 1] floats, [N, C, H, W])."""
        return cls(vae, *statistics(vae, images, batch))

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        return (self.vae.encode(images).mode() - self.latents_mean) / self.latents_std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents * self.latents_std + self.latents_mean).float().clamp(-1, 1)


@torch.no_grad()
def posterior(vae: VAE, images: Tensor, batch: int = 500) -> Posterior:
    """q(z | x) of many images, batch by batch: mean and logvar [N, C, h, w]."""
    parts = [vae.encode(as_float(x)) for x in images.split(batch)]
    return Posterior(torch.cat([p.mean for p in parts]), torch.cat([p.logvar for p in parts]))


def statistics(vae: VAE, images: Tensor, batch: int = 500) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each latent channel over these images: two tensors [C]."""
    mean = posterior(vae, images, batch).mean
    return mean.mean(dim=(0, 2, 3)), mean.std(dim=(0, 2, 3))


@torch.no_grad()
def cache(codec: Codec, images: Tensor, batch: int = 500) -> Tensor:
    """All images encoded once, so that no training step pays for it: [N, c, h, w] on the images' device."""
    return torch.cat([codec.encode(as_float(x)) for x in images.split(batch)])


@torch.no_grad()
def decode_all(codec: Codec, latents: Tensor, batch: int = 500) -> Tensor:
    """All latents decoded, batch by batch, so that memory stays bounded: images [N, C, H, W] in [-1, 1]."""
    return torch.cat([codec.decode(z) for z in latents.split(batch)])
