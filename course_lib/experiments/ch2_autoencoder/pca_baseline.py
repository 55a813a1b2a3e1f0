"""The best that a linear method can do: principal components, and a linear autoencoder that must reach the same error."""

import torch
from torch import Tensor, nn

from course_lib.arguments import check_finite, check_integer, check_same_shape, check_tensor
from course_lib.autoencoder import at_least_float32
from course_lib.device import Machine
from course_lib.dimension import pca_spectrum
from course_lib.training import TrainConfig, train


def pca_reconstruct(train_images: Tensor, images: Tensor, k: int) -> Tensor:
    """Reconstruct images in [-1, 1] from their first k principal components, which are fitted to train_images."""
    train_images, images = _image_sets(train_images, images)
    check_integer("k", k, 1, images[0].numel())
    mean = train_images.mean(0, keepdim=True)
    flat = (train_images - mean).flatten(1)
    scatter = flat.T @ flat
    check_finite("the scatter matrix of train_images", scatter)
    _, vectors = torch.linalg.eigh(scatter)  # ascending
    basis = vectors[:, -k:]
    return ((images - mean).flatten(1) @ basis @ basis.T).view_as(images) + mean


def pca_error(images: Tensor, k: int) -> float:
    """Return the least mean squared error per pixel of any linear autoencoder with k latent dimensions: the spectrum's tail."""
    check_tensor("images", images, "[N, D, ...]", least=2)
    check_integer("k", k, 0, images[0].numel())
    spectrum = pca_spectrum(images)
    return (spectrum[k:].sum() / images[0].numel()).item()


def linear_autoencoder_error(images: Tensor, k: int, machine: Machine, steps: int = 1500) -> float:
    """Train a linear autoencoder with k latent dimensions on images [N, C, H, W]; return its mean squared error per pixel."""
    check_tensor("images", images, "[N, D, ...]", "float")
    check_finite("images", images)
    check_integer("k", k, 1, images[0].numel())
    check_integer("steps", steps, 1, 100_000)
    images = images.float()  # as the weights
    x = (images - images.mean(0, keepdim=True)).flatten(1).to(machine.device)
    encoder, decoder = nn.Linear(x.shape[1], k, bias=False), nn.Linear(k, x.shape[1], bias=False)
    for layer in (encoder, decoder):
        nn.init.orthogonal_(layer.weight, generator=torch.Generator().manual_seed(0))

    def squared_error(net: nn.Module, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        return (net(batch[0]).float() - batch[0]).square().mean()

    config = TrainConfig(steps=steps, batch_size=500, lr=3e-3, ema_decay=0.99, progress=False)
    ema = train(nn.Sequential(encoder, decoder), squared_error, (x,), config, machine=machine).ema
    with torch.no_grad():
        return (ema(x) - x).square().mean().item()


def _image_sets(train_images: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets of images in one precision, float32 or better; their images must be of one shape."""
    check_tensor("train_images", train_images, "[N, D, ...]", "float")
    check_tensor("images", images, "[N, D, ...]", "float")
    check_same_shape("an image", images[0], "a training image", train_images[0])
    train_images = at_least_float32(train_images)
    return train_images, images.to(train_images.dtype)
