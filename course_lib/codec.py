"""Codecs: the space in which diffusion runs, pixels or latents. Code that uses a codec is the same for both."""

from typing import Protocol

import torch
from torch import Tensor, nn

from course_lib.arguments import check_finite, check_integer, check_tensor
from course_lib.autoencoder import at_least_float32
from course_lib.images import as_float
from course_lib.vae import VAE, Posterior


class Codec(Protocol):
    """Maps images in [-1, 1] to the latents that diffusion works on, and back. A VAE's latents are scaled to unit variance."""

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] → latents [B, c, h, w]."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, c, h, w] → images [B, C, H, W] in [-1, 1]."""
        ...


class PixelCodec:
    """Diffusion in pixel space: the latents are the pixels."""

    def encode(self, images: Tensor) -> Tensor:
        check_tensor("images", images, "[B, C, H, W]", "float", least=0)
        return images

    def decode(self, latents: Tensor) -> Tensor:
        check_tensor("latents", latents, "[B, C, H, W]", "float", least=0)
        return latents.clamp(-1, 1)


class VAECodec:
    """Diffusion in a VAE's latent space, each channel normalised to mean 0 and standard deviation 1.

    latents_mean, latents_std: [C], of the posterior means over the training set (``channel_statistics``); diffusers'
    ``scaling_factor`` is 1 / latents_std. The VAE is put into evaluation mode. Raises ValueError for other shapes, for values
    that are not finite, and for a channel with standard deviation 0; TypeError for what is no VAE.
    """

    def __init__(self, vae: VAE, latents_mean: Tensor, latents_std: Tensor) -> None:
        if not isinstance(vae, nn.Module) or not hasattr(vae, "latent_channels"):
            raise TypeError(
                f"vae is a {type(vae).__name__}, but must be a VAE; other codecs have encode and decode of their own."
            )
        C = vae.latent_channels
        for name, values in (("latents_mean", latents_mean), ("latents_std", latents_std)):
            check_tensor(name, values, "", "float")
            check_finite(name, values)
        if latents_mean.shape != (C,) or latents_std.shape != (C,):
            raise ValueError(
                f"latents_mean is {tuple(latents_mean.shape)} and latents_std {tuple(latents_std.shape)}, "
                f"but this VAE has {C} latent channels: give one value for each; codec.channel_statistics computes them."
            )
        if not bool((latents_std > 0).all()):
            raise ValueError(
                f"latents_std is {latents_std.tolist()}, but every channel must vary: this VAE has collapsed, train another."
            )
        device = next(vae.parameters()).device
        self.vae = vae.eval()
        self.latents_mean = latents_mean.view(1, C, 1, 1).to(device)
        self.latents_std = latents_std.view(1, C, 1, 1).to(device)

    @classmethod
    def fit(cls, vae: VAE, images: Tensor, batch: int = 500) -> "VAECodec":
        """Make a codec with the statistics of these images [N, C, H, W], uint8 or floats in [-1, 1]."""
        return cls(vae, *channel_statistics(vae, images, batch))

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        return (self.vae.encode(images).mode() - self.latents_mean) / self.latents_std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        check_tensor("latents", latents, f"[B, {self.vae.latent_channels}, h, w]", "float", least=0)
        return at_least_float32(self.vae.decode(latents * self.latents_std + self.latents_mean)).clamp(-1, 1)


@torch.no_grad()
def posterior(vae: VAE, images: Tensor, batch: int = 500) -> Posterior:
    """The posterior q(z | x) of many images, batch by batch: mean and logvar [N, C, h, w]."""
    parts = [vae.encode(as_float(x)) for x in _batches("images", images, batch)]
    return Posterior(torch.cat([p.mean for p in parts]), torch.cat([p.logvar for p in parts]))


def channel_statistics(vae: VAE, images: Tensor, batch: int = 500) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each latent channel over these images: two tensors [C]."""
    mean = posterior(vae, images, batch).mean
    check_finite("the latents of images", mean)
    return mean.mean(dim=(0, 2, 3)), mean.std(dim=(0, 2, 3))


@torch.no_grad()
def cache(codec: Codec, images: Tensor, batch: int = 500) -> Tensor:
    """Encode all images once, batch by batch, so that training need not: latents [N, c, h, w] on the images' device."""
    return torch.cat([codec.encode(as_float(x)) for x in _batches("images", images, batch)])


@torch.no_grad()
def decode_all(codec: Codec, latents: Tensor, batch: int = 500) -> Tensor:
    """Decode all latents, batch by batch, so that memory stays bounded: images [N, C, H, W] in [-1, 1]."""
    return torch.cat([codec.decode(z) for z in _batches("latents", latents, batch)])


def _batches(name: str, x: Tensor, batch: int) -> tuple[Tensor, ...]:
    check_tensor(name, x, "[N, C, H, W]")
    return x.split(check_integer("batch", batch, at_least=1))
