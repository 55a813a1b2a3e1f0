"""The autoencoder: a convolutional encoder to a small latent, and a decoder back to an image.

Convolutions halve the side until it is ``factor`` times smaller; transposed convolutions restore it. Most of the work is done at
low resolution, where a convolution costs least.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib.arguments import MAX_DEPTH, check_integer, check_number, check_same_shape, check_sizes, check_tensor
from course_lib.layers import GroupNorm, ResBlock


def _resolutions(width: int, factor: int, stem: int) -> list[tuple[int, int]]:
    """(stride, channels) of each resolution on the way down: the stem first, then halvings."""
    check_sizes(width=width)
    factor, stem = check_integer("factor", factor, at_most=1024), check_integer("stem", stem)
    if any(n < 2 or n & (n - 1) for n in (stem, factor)) or stem > factor:
        raise ValueError(
            f"factor is {factor} and stem is {stem}, but the side is halved repeatedly: each must be a power of two, "
            "such as 8 and 2, and the stem at most the factor."
        )
    halvings = (factor // stem).bit_length() - 1
    return [(2 if i else stem, width * 2**i) for i in range(halvings + 1)]


def make_encoder(in_channels: int, width: int, factor: int, out_channels: int, blocks: int, stem: int = 2) -> nn.Sequential:
    """Images [B, in, S, S] → [B, out, S/factor, S/factor]; arguments as in `EncoderDecoder`."""
    check_sizes(in_channels=in_channels, out_channels=out_channels)
    check_sizes(0, MAX_DEPTH, blocks=blocks)
    layers: list[nn.Module] = []
    channels, downsampled = in_channels, 1
    for stride, out in _resolutions(width, factor, stem):
        layers.append(nn.Conv2d(channels, out, 2 * stride, stride=stride, padding=stride // 2))
        channels, downsampled = out, downsampled * stride
        # at half the side residual blocks are expensive: a nonlinearity alone
        layers += [ResBlock(channels, channels) for _ in range(blocks)] if downsampled > 2 else [nn.SiLU()]
    return nn.Sequential(*layers, GroupNorm(channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 1))


def make_decoder(out_channels: int, width: int, factor: int, in_channels: int, blocks: int, stem: int = 2) -> nn.Sequential:
    """Latents [B, in, s, s] → images [B, out, s·factor, s·factor]; arguments as in `EncoderDecoder`."""
    check_sizes(in_channels=in_channels, out_channels=out_channels)
    check_sizes(0, MAX_DEPTH, blocks=blocks)
    resolutions = _resolutions(width, factor, stem)[::-1]
    layers: list[nn.Module] = [nn.Conv2d(in_channels, resolutions[0][1], 3, padding=1)]
    remaining = factor
    for (stride, channels), (_, out) in zip(resolutions, [*resolutions[1:], (1, out_channels)], strict=True):
        if remaining > 2:
            layers += [ResBlock(channels, channels) for _ in range(blocks)]
        remaining //= stride
        if remaining == 1:
            layers += [GroupNorm(channels), nn.SiLU()]
        layers.append(nn.ConvTranspose2d(channels, out, 2 * stride, stride=stride, padding=stride // 2))
    return nn.Sequential(*layers)


class EncoderDecoder(nn.Module):
    """An encoder and a decoder of matching shapes, common to the autoencoder and the variational autoencoder.

    width: channels after the first layer, doubled at each later halving. factor: how many times the side shrinks, and stem: how
    many times in the first layer alone; both powers of two. blocks: residual blocks at each side of a quarter or less. Raises
    ValueError for a factor or stem that is not a power of two.
    """

    channels_per_latent = 1  # of the encoder's output: 2 where it gives a mean and a variance

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
        check_sizes(latent_channels=latent_channels)
        self.config: dict[str, int | float] = {
            "in_channels": in_channels,
            "width": width,
            "factor": factor,
            "latent_channels": latent_channels,
            "blocks": blocks,
            "stem": stem,
        }
        self.factor, self.latent_channels = factor, latent_channels
        self.encoder = make_encoder(in_channels, width, factor, self.channels_per_latent * latent_channels, blocks, stem)
        self.decoder = make_decoder(in_channels, width, factor, latent_channels, blocks, stem)

    def encoder_output(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] → the encoder's output [B, channels_per_latent · latent_channels, H/factor, W/factor].

        Raises ValueError for sides that are not multiples of factor, other channels, and images that are not floats.
        """
        check_tensor("images", images, f"[B, {self.config['in_channels']}, H, W]", "float", least=0)
        if images.shape[-1] % self.factor or images.shape[-2] % self.factor:
            raise ValueError(
                f"The images are {tuple(images.shape)}, but this network takes [B, C, H, W] "
                f"with sides that are multiples of {self.factor}: pad or resize them."
            )
        return self.encoder(images.to(self._dtype))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → images, roughly in [-1, 1] (not clamped, so that the loss keeps its gradient)."""
        check_tensor("latents", latents, f"[B, {self.latent_channels}, h, w]", "float", least=0)
        return self.decoder(latents.to(self._dtype))

    @property
    def _dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return next(self.parameters()).dtype


class Autoencoder(EncoderDecoder):
    """A convolutional autoencoder: images [B, C, S, S] in [-1, 1] ↔ latents [B, latent_channels, S/factor, S/factor]."""

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] → latents [B, latent_channels, H/factor, W/factor]."""
        return self.encoder_output(images)

    def forward(self, images: Tensor) -> Tensor:
        """Images → their reconstructions, same shape."""
        return self.decode(self.encode(images))


class DenseEncoderDecoder(EncoderDecoder):
    """An encoder and a decoder of three fully connected layers each, for square grey images and a latent without positions.

    size: side of the images. hidden: width of the two hidden layers. Latents are [B, latent_channels, 1, 1].
    """

    def __init__(self, size: int = 32, hidden: int = 64, latent_channels: int = 2) -> None:
        nn.Module.__init__(self)
        check_sizes(size=size, hidden=hidden, latent_channels=latent_channels)
        size, hidden, latent_channels = int(size), int(hidden), int(latent_channels)  # of NumPy, perhaps
        self.config = {"size": size, "hidden": hidden, "latent_channels": latent_channels}
        self.factor, self.latent_channels = size, latent_channels
        out = self.channels_per_latent * latent_channels
        self.encoder = nn.Sequential(nn.Flatten(), *_dense(size * size, hidden, out), nn.Unflatten(1, (out, 1, 1)))
        self.decoder = nn.Sequential(
            nn.Flatten(), *_dense(latent_channels, hidden, size * size), nn.Unflatten(1, (1, size, size))
        )

    def encoder_output(self, images: Tensor) -> Tensor:
        """Images [B, 1, size, size] → the encoder's output [B, channels_per_latent · latent_channels, 1, 1]."""
        check_tensor("images", images, f"[B, 1, {self.factor}, {self.factor}]", "float", least=0)
        return self.encoder(images.to(self._dtype))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, latent_channels, 1, 1] → images [B, 1, size, size], roughly in [-1, 1]."""
        check_tensor("latents", latents, f"[B, {self.latent_channels}, 1, 1]", "float", least=0)
        return self.decoder(latents.to(self._dtype))


def _dense(inputs: int, hidden: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)]


class DenseAutoencoder(DenseEncoderDecoder, Autoencoder):
    """A fully connected autoencoder: images [B, 1, S, S] in [-1, 1] ↔ latents [B, latent_channels, 1, 1]."""


def reconstruction_loss(net: Callable[[Tensor], Tensor], images: Tensor, noise_std: float = 0.14) -> Tensor:
    """The autoencoder's loss in nats per image, a scalar: the squared error's term of −log N(images; net(images), noise_std²)."""
    check_number("noise_std", noise_std, above=0)
    check_tensor("images", images, "[B, C, H, W]", "float")
    reconstruction = at_least_float32(net(images))
    check_same_shape("the reconstruction", reconstruction, "images", images)
    return ((reconstruction - images) / noise_std).square().flatten(1).sum(1).mean() / 2


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor in float32 where its own precision is lower."""
    check_tensor("x", x, "", "float", least=0)
    return x.to(torch.promote_types(x.dtype, torch.float32))
