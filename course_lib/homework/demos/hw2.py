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

#: What the figures show, for those who hear them. Kept out of the cells, where it would answer the question before the figure.
ALT = {
    "conv_output_size": "A teddy, then one channel after each convolution: coarse squares in which the teddy is soon no longer to be seen.",
    "latent_shape": "How many times fewer numbers the latents of four autoencoders have: from 12 for Stable Diffusion 3 to 96 for SANA.",
    "conv_transpose_output_size": "Four squares: kernels 2 and 4 touch every pixel equally often; kernels 3 and 5 leave a checkered pattern.",
    "bottleneck": "The loss falls steeply in the first hundred steps, then slowly.",
    "bottleneck 2": "Ten garments and their soft copies: the kind of garment and its shading are there, prints and seams are not.",
    "pca_reconstructions": "Ten garments; PCA's copies, ghostly with waves around them; the network's, softer, with fewer waves.",
    "psnr": "PSNR of PCA rises with the numbers of its code; the network's point at 16 numbers lies above PCA's curve.",
    "psnr 2": "The five garments with the worst copies, strongly patterned, and the five with the best, plain.",
    "holes": "Garments; below them what codes between two garments decode to, what a Gaussian like the codes gives, and what the standard normal gives.",
}  # fmt: skip


@torch.no_grad()
def way_down(conv_output_size: Callable[[int, int, int, int], int]) -> dict[str, Tensor]:
    """One teddy on its way through the workbook's encoder, [1, 3, 64, 64] each.

    Of each convolution the first channel, laid out as a square by ``conv_output_size``.
    """
    vae = recipes.load_or_train("teddies-vae", device.find())
    x = to_float(teddies.dataset(1, seed=12, device=device.find().device, fine=False)[0])
    side, pictures = x.shape[-1], {"the picture, 64×64": x}
    for layer in vae.encoder:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            (kernel, _), (stride, _), (padding, _) = layer.kernel_size, layer.stride, layer.padding
            side = conv_output_size(side, kernel, stride, padding)
            first = x[0, 0].reshape(side, side)
            shown = 2 * (first - first.min()) / (first.max() - first.min()) - 1
            pictures[f"stride {stride}: {side}×{side}"] = (
                shown.repeat_interleave(64 // side, 0).repeat_interleave(64 // side, 1).expand(1, 3, 64, 64)
            )
    return pictures


#: Published autoencoders: name, height, width, halvings and latent channels
#: (Rombach et al. 2022, Esser et al. 2024, Xie et al. 2024).
PUBLISHED = (
    ("SD 1", 512, 512, 3, 4),
    ("SD 3", 1024, 1024, 3, 16),
    ("SANA", 1024, 1024, 5, 32),
)


def catalogue(latent_shape: Callable[[int, int, int, int], tuple]) -> dict[str, tuple[str, float]]:
    """What an image becomes, and how many times fewer numbers that is, for some autoencoders and the workbook's own."""
    vae = recipes.load_or_train("teddies-vae", device.find())
    ours = ("this workbook", 64, 64, vae.factor.bit_length() - 1, vae.latent_channels)
    found = {}
    for name, *numbers in (ours, *PUBLISHED):
        channels, height, width, times = latent_shape(*numbers)
        found[name] = f"3 × {numbers[0]} × {numbers[1]} → {channels} × {height} × {width}", times
    return found


def stamps(conv_transpose_output_size: Callable[[int, int, int, int, int], int], side: int = 5) -> dict[str, Tensor]:
    """How many stamps of a transposed convolution with stride 2 touch each pixel, [1, 3, 32, 32] for kernels 2 to 5.

    The brightest pixels of a picture are those that most stamps touch.
    """
    pictures = {}
    for kernel in (2, 3, 4, 5):
        canvas = conv_transpose_output_size(side, kernel, 2, 0, 0)
        touched = torch.zeros(canvas, canvas)
        for row in range(side):
            for column in range(side):
                touched[2 * row : 2 * row + kernel, 2 * column : 2 * column + kernel] += 1
        inner = touched[kernel - 1 : kernel + 3, kernel - 1 : kernel + 3]  # away from the edges, where fewer stamps reach
        shown = (1.6 * inner / inner.max() - 1).repeat_interleave(8, 0).repeat_interleave(8, 1)
        pictures[f"kernel {kernel}: {int(inner.min())} to {int(inner.max())}"] = shown.expand(1, 3, 32, 32)
    return pictures


class Small(nn.Module):
    """An autoencoder of garments, 32×32 pixels to 4×4 numbers: one halving, then the given function of five tensors."""

    def __init__(self, bottleneck: Callable[..., Tensor]) -> None:
        super().__init__()
        self.bottleneck = bottleneck
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.SiLU())
        self.first, self.second = nn.Conv2d(16, 32, 4), nn.Conv2d(32, 1, 4)  # they hold the weights; the function uses them
        self.decoder = make_decoder(out_channels=1, width=12, factor=8, in_channels=1, blocks=1)

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, 1, 32, 32] → codes [B, 1, 4, 4]."""
        weights = self.first.weight, self.first.bias, self.second.weight, self.second.bias
        return self.bottleneck(self.stem(images), *weights)

    def decode(self, latents: Tensor) -> Tensor:
        """Codes → images, roughly in [-1, 1]."""
        return self.decoder(latents)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


def train_small(bottleneck: Callable[..., Tensor], steps: int = 600) -> TrainResult:
    """An autoencoder around this bottleneck, trained on garments for some seconds. See the result's ``ema`` and ``losses``."""
    machine = device.find()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Small(bottleneck)
    config = TrainConfig(
        steps=steps, batch_size=64, lr=5e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.98, channels_last=True
    )
    return train(net, autoencoder_loss, (data.fashion_mnist("train", machine.device)[0],), config, machine=machine)


def garments(part: str, n: int) -> Tensor:
    """The first n garments of "train" or "test", [n, 1, 32, 32] in [-1, 1]."""
    return to_float(data.fashion_mnist(part, device.find().device)[0][:n])


def copies(net: Small, images: Tensor) -> Tensor:
    """What the network makes of images, [N, 1, 32, 32] in [-1, 1]."""
    return latents.decode(net, latents.encode(net, images))


def linear_copies(pca_reconstructions: Callable[[Tensor, Tensor, int], Tensor], train: Tensor, images: Tensor, k: int) -> Tensor:
    """What PCA makes of images by k numbers, fitted to ``train``: [N, 1, 32, 32] in [-1, 1]."""
    return pca_reconstructions(train.flatten(1), images.flatten(1), k).view_as(images).clamp(-1, 1)


def spread(net: Small, images: Tensor) -> list[float]:
    """The standard deviation over images of each number of their codes."""
    return latents.encode(net, images).flatten(1).std(0).tolist()


def drawn(net: Small, images: Tensor, n: int = 10) -> dict[str, Tensor]:
    """Codes that are no picture's, decoded, [n, 1, 32, 32] each: between two pictures, and drawn by two Gaussians."""
    found, generator = latents.encode(net, images), torch.Generator(images.device).manual_seed(0)
    ways = {
        "half way between two garments": latents.interpolate(found[:n], found[n : 2 * n], 3)[:, 1],
        "a Gaussian like the codes": latents.sample_fitted_gaussian(found, n, generator),
        "N(0, I)": torch.randn(found[:n].shape, generator=generator, device=images.device),
    }
    return {"some garments": images[:n]} | {name: latents.decode(net, z) for name, z in ways.items()}
