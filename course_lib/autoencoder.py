"""The autoencoder and the variational autoencoder (VAE), and the ELBO in nats per image.

Both have the same network: convolutions that halve the side until it is ``factor`` times smaller, and transposed convolutions
back. Most of the work is done at low resolution, where a convolution costs least. They know nothing of diffusion.
"""

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


def reconstruction_loss(net: Autoencoder, images: Tensor, noise_std: float = 0.14) -> Tensor:
    """The plain autoencoder's loss on the VAE's scale: the squared error's term of the negative log-likelihood, a scalar."""
    return ((net(images).float() - images) / noise_std).square().flatten(1).sum(1).mean() / 2
