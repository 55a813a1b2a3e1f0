"""Homework 2: a student's shapes, bottleneck, PCA and PSNR in real autoencoders."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib import data, device, recipes, teddies
from course_lib.autoencoder import make_decoder
from course_lib.experiments import latents
from course_lib.images import to_float
from course_lib.recipes.losses import autoencoder_loss
from course_lib.training import TrainConfig, TrainResult, train

#: Alternative texts of the figures. They are not in the cells, where they would answer the question that precedes the figure.
ALT = {
    "conv_output_size": (
        "A teddy, then one channel after each convolution: coarse squares in which the teddy soon cannot be recognised."
    ),
    "latent_shape": "Compression ratios of four autoencoders: from 12 for Stable Diffusion 3 to 96 for SANA.",
    "conv_transpose_output_size": (
        "Four squares: kernels 2 and 4 touch every pixel equally often; kernels 3 and 5 leave a checkered pattern."
    ),
    "bottleneck": "The loss on a logarithmic axis: it falls steeply in the first fifty steps, then ever more slowly.",
    "bottleneck 2": (
        "Ten Fashion-MNIST images and their soft reconstructions: the type of item and its shading are there, "
        "prints and seams are not."
    ),
    "pca_reconstructions": (
        "Ten Fashion-MNIST images; PCA's reconstructions, ghostly, with waves around them; the network's, softer, fewer waves."
    ),
    "psnr": "PSNR of PCA rises with the latent dimensions; the network's point at 16 dimensions lies above PCA's curve.",
    "psnr 2": "The six images with the worst reconstructions, strongly patterned, and the six with the best, plain.",
    "holes": (
        "Fashion-MNIST images; below them the decoded images of latents half way between two images, "
        "of a Gaussian fitted to the latents, and of the standard normal."
    ),
}


@torch.no_grad()
def encoder_channels(conv_output_size: Callable[[int, int, int, int], int]) -> dict[str, Tensor]:
    """One teddy, and the first channel of each convolution of the workbook's encoder, [1, 3, 64, 64] each.

    The channel's values are reshaped to a square by ``conv_output_size``.
    """
    vae = recipes.load_or_train("teddies-vae", device.find())
    x = to_float(teddies.dataset(1, seed=12, device=device.find().device, fine=False)[0])
    size, images = x.shape[-1], {"the image, 64×64": x}
    for layer in vae.encoder:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            assert not isinstance(layer.padding, str)  # PyTorch also takes "same" and "valid"
            kernel, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
            size = conv_output_size(size, kernel, stride, padding)
            channel = x[0, 0].reshape(size, size)
            channel = 2 * (channel - channel.min()) / (channel.max() - channel.min()) - 1
            enlarged = channel.repeat_interleave(64 // size, 0).repeat_interleave(64 // size, 1)
            images[f"stride {stride}: {size}×{size}"] = enlarged.expand(1, 3, 64, 64)
    return images


#: Published autoencoders: name, height, width, halvings and latent channels
#: (Rombach et al. 2022, Esser et al. 2024, Xie et al. 2024).
PUBLISHED = (
    ("SD 1", 512, 512, 3, 4),
    ("SD 3", 1024, 1024, 3, 16),
    ("SANA", 1024, 1024, 5, 32),
)


def compression_ratios(latent_shape: Callable[[int, int, int, int], tuple]) -> dict[str, tuple[str, float]]:
    """The shapes of image and latent, and the compression ratio, of some published autoencoders and the workbook's own."""
    vae = recipes.load_or_train("teddies-vae", device.find())
    ours = ("this workbook", 64, 64, vae.factor.bit_length() - 1, vae.latent_channels)
    ratios = {}
    for name, height, width, halvings, latent_channels in (ours, *PUBLISHED):
        channels, latent_height, latent_width, ratio = latent_shape(height, width, halvings, latent_channels)
        ratios[name] = f"3 × {height} × {width} → {channels} × {latent_height} × {latent_width}", ratio
    return ratios


def kernel_overlaps(conv_transpose_output_size: Callable[[int, int, int, int, int], int], size: int = 5) -> dict[str, Tensor]:
    """How many stamps of a transposed convolution with stride 2 touch each pixel, [1, 3, 32, 32] for kernels 2 to 5.

    The more stamps touch a pixel, the brighter it is.
    """
    images = {}
    for kernel in (2, 3, 4, 5):
        canvas = conv_transpose_output_size(size, kernel, 2, 0, 0)
        touched = torch.zeros(canvas, canvas)
        for row in range(size):
            for column in range(size):
                touched[2 * row : 2 * row + kernel, 2 * column : 2 * column + kernel] += 1
        inner = touched[kernel - 1 : kernel + 3, kernel - 1 : kernel + 3]  # away from the edges, where fewer stamps reach
        shown = (1.6 * inner / inner.max() - 1).repeat_interleave(8, 0).repeat_interleave(8, 1)
        images[f"kernel {kernel}: {int(inner.min())} to {int(inner.max())}"] = shown.expand(1, 3, 32, 32)
    return images


class SmallAutoencoder(nn.Module):
    """An autoencoder of Fashion-MNIST, 32×32 pixels to a 4×4 latent: one halving, then the given function of five tensors."""

    def __init__(self, bottleneck: Callable[..., Tensor]) -> None:
        super().__init__()
        self.bottleneck = bottleneck
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.SiLU())
        self.first, self.second = nn.Conv2d(16, 32, 4), nn.Conv2d(32, 1, 4)  # only their weights are used, by the function
        self.decoder = make_decoder(out_channels=1, width=12, factor=8, in_channels=1, blocks=1)

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, 1, 32, 32] → latents [B, 1, 4, 4]."""
        weights = self.first.weight, self.first.bias, self.second.weight, self.second.bias
        return self.bottleneck(self.stem(images), *weights)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → images, roughly in [-1, 1]."""
        return self.decoder(latents)

    def forward(self, images: Tensor) -> Tensor:
        """Images → their reconstructions."""
        return self.decode(self.encode(images))


def train_autoencoder(bottleneck: Callable[..., Tensor], steps: int = 600) -> TrainResult[SmallAutoencoder]:
    """Train an autoencoder around this bottleneck on Fashion-MNIST, for some seconds. See the result's ``ema`` and ``losses``."""
    machine = device.find()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SmallAutoencoder(bottleneck)
    config = TrainConfig(
        steps=steps, batch_size=64, lr=5e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.98, channels_last=True
    )
    return train(net, autoencoder_loss, (data.fashion_mnist("train", machine.device)[0],), config, machine=machine)


def fashion_images(part: str, n: int) -> Tensor:
    """The first n Fashion-MNIST images of "train" or "test", [n, 1, 32, 32] in [-1, 1]."""
    return to_float(data.fashion_mnist(part, device.find().device)[0][:n])


def reconstruct(net: SmallAutoencoder, images: Tensor) -> Tensor:
    """The network's reconstructions of images, [N, 1, 32, 32] in [-1, 1]."""
    return latents.decode(net, latents.encode(net, images))


def reconstruct_by_pca(
    pca_reconstructions: Callable[[Tensor, Tensor, int], Tensor], train: Tensor, images: Tensor, k: int
) -> Tensor:
    """PCA's reconstructions of images from k dimensions, fitted to ``train``: [N, 1, 32, 32] in [-1, 1]."""
    return pca_reconstructions(train.flatten(1), images.flatten(1), k).view_as(images).clamp(-1, 1)


def latent_stds(net: SmallAutoencoder, images: Tensor) -> list[float]:
    """The standard deviation over images of each latent dimension."""
    return latents.encode(net, images).flatten(1).std(0).tolist()


def decode_new_latents(net: SmallAutoencoder, images: Tensor, n: int = 10) -> dict[str, Tensor]:
    """Decoded latents of no image, [n, 1, 32, 32] each: interpolated between two images, and sampled from two Gaussians."""
    encoded, generator = latents.encode(net, images), torch.Generator(images.device).manual_seed(0)
    new = {
        "half way between two images": latents.interpolate(encoded[:n], encoded[n : 2 * n], 3)[:, 1],
        "a Gaussian fitted to the latents": latents.sample_fitted_gaussian(encoded, n, generator),
        "N(0, I)": torch.randn(encoded[:n].shape, generator=generator, device=images.device),
    }
    return {"images": images[:n]} | {name: latents.decode(net, z) for name, z in new.items()}
