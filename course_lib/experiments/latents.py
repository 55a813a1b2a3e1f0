"""Experiments with the codes of an autoencoder: what they keep, what lies between them, and what noise decodes to."""

import torch
from torch import Tensor, nn

from course_lib import teddies
from course_lib.autoencoder import Autoencoder
from course_lib.device import Machine
from course_lib.dimension import pca_spectrum
from course_lib.images import as_float
from course_lib.metrics import nearest
from course_lib.recipes.losses import autoencoder_loss
from course_lib.training import TrainConfig, train
from course_lib.vae import VAE

READABLE = 0.9  # the confidence above which we call a picture readable


@torch.no_grad()
def codes(net: Autoencoder, images: Tensor, batch: int = 500) -> Tensor:
    """Images [N, C, H, W] (uint8 or [-1, 1]) → their codes; for a VAE the means of the posteriors. [N, c, h, w]."""
    parts = []
    for x in images.split(batch):
        code = net.encode(as_float(x))
        parts.append(code.mode() if isinstance(net, VAE) else code)
    return torch.cat(parts)


@torch.no_grad()
def decode(net: Autoencoder, latents: Tensor, batch: int = 500) -> Tensor:
    """Codes → images in [-1, 1], batch by batch."""
    return torch.cat([net.decode(z).float().clamp(-1, 1) for z in latents.split(batch)])


def line(a: Tensor, b: Tensor, points: int) -> Tensor:
    """Straight lines from a to b, both [N, …]: [N, points, …], ends included."""
    u = torch.linspace(0, 1, points, device=a.device).view(1, -1, *[1] * (a.ndim - 1))
    return torch.lerp(a[:, None], b[:, None], u)


def gaussian_like(x: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """n draws from the Gaussian with the mean and the full covariance of x [N, …]: [n, …]."""
    flat = x.flatten(1).double()
    root = torch.linalg.cholesky(flat.T.cov() + 1e-9 * torch.eye(flat.shape[1], device=x.device))
    noise = torch.randn(n, flat.shape[1], generator=generator, device=x.device, dtype=torch.float64)
    return (flat.mean(0) + noise @ root.T).to(x.dtype).view(n, *x.shape[1:])


def pca_decode(train_images: Tensor, images: Tensor, k: int) -> Tensor:
    """Images [-1, 1] → their best linear summary by k numbers, learned on train_images (principal components)."""
    mean = train_images.mean(0, keepdim=True)
    flat = (train_images - mean).flatten(1)
    _, vectors = torch.linalg.eigh(flat.T @ flat)  # ascending
    basis = vectors[:, -k:]
    return ((images - mean).flatten(1) @ basis @ basis.T).view_as(images) + mean


def pca_error(images: Tensor, k: int) -> float:
    """The least mean squared error, per number, of any linear autoencoder with k numbers: the spectrum's tail."""
    spectrum = pca_spectrum(images)
    return (spectrum[k:].sum() / images[0].numel()).item()


def linear_autoencoder_error(images: Tensor, k: int, machine: Machine, steps: int = 1500) -> float:
    """Mean squared error per number of a linear autoencoder trained by gradients on images [N, C, H, W], k numbers."""
    x = (images - images.mean(0, keepdim=True)).flatten(1).to(machine.device)
    net = nn.Sequential(nn.Linear(x.shape[1], k, bias=False), nn.Linear(k, x.shape[1], bias=False))
    for layer in net:
        nn.init.orthogonal_(layer.weight, generator=torch.Generator().manual_seed(0))

    def squared_error(net: nn.Module, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        return (net(batch[0]).float() - batch[0]).square().mean()

    config = TrainConfig(steps=steps, batch_size=500, lr=3e-3, ema_decay=0.99, progress=False)
    ema = train(net, squared_error, (x,), config, machine=machine).ema
    with torch.no_grad():
        return (ema(x) - x).square().mean().item()


def teddy_autoencoder(images: Tensor, channels: int, machine: Machine, steps: int = 220) -> Autoencoder:
    """An autoencoder of 64×64 teddies (uint8), 12,288 numbers to 16 for each latent channel, factor 16; some seconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Autoencoder(in_channels=3, width=16, factor=16, latent_channels=channels)
    config = TrainConfig(
        steps=steps, batch_size=32, lr=6e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.98, channels_last=True, progress=False
    )
    return train(net, autoencoder_loss, (images,), config, machine=machine).ema


def teddy_difference(net: Autoencoder, factors: teddies.Factors, name: str, seed: int = 1) -> tuple[float, float]:
    """How far one factor moves a 64×64 picture, and how far it moves the decoded picture: two root mean squares.

    The factor ``name`` is drawn anew for every picture, all others stay. Their ratio says how much of it fits through.
    """
    other = teddies.sample_factors(len(factors), torch.Generator().manual_seed(seed))
    changed = factors.replace(**{name: getattr(other, name)})
    device = next(net.parameters()).device
    a, b = (teddies.render(f.to(device), 64) for f in (factors, changed))
    decoded = decode(net, codes(net, a)) - decode(net, codes(net, b))
    return (a - b).square().mean().sqrt().item(), decoded.square().mean().sqrt().item()


def distance_to_data(x: Tensor, bank: Tensor) -> Tensor:
    """Euclidean distance of each row of x to the nearest row of the bank: [N]."""
    return nearest(x, bank)[0][:, 0]
