"""Experiments with the latents of an autoencoder: encode, decode, interpolate between them, and sample a Gaussian like them."""

from typing import Protocol

import torch
from torch import Tensor

from course_lib.arguments import MAX_SIZE, check_finite, check_integer, check_same_dtype, check_same_shape, check_tensor
from course_lib.experiments.limits import MAX_SAMPLES
from course_lib.images import as_float
from course_lib.metrics import nearest_neighbours
from course_lib.vae import Posterior

READABLE_CONFIDENCE = 0.9  # an image is called readable if the classifier's confidence is above this


class Encoder(Protocol):
    """What `encode` needs of a network: an autoencoder's latents, or a VAE's posterior."""

    def encode(self, images: Tensor) -> Tensor | Posterior: ...


class Decoder(Protocol):
    """What `decode` needs of a network."""

    def decode(self, latents: Tensor) -> Tensor: ...


@torch.no_grad()
def encode(net: Encoder, images: Tensor, batch: int = 500) -> Tensor:
    """Encode images [N, C, H, W] (uint8 or [-1, 1]) batch by batch: latents [N, c, h, w], the posterior means for a VAE."""
    check_tensor("images", images, "[N, C, H, W]")
    batch = check_integer("batch", batch, at_least=1)
    parts = []
    for x in images.split(batch):
        encoded = net.encode(as_float(x))
        parts.append(encoded.mode() if isinstance(encoded, Posterior) else encoded)
    return torch.cat(parts)


@torch.no_grad()
def decode(net: Decoder, latents: Tensor, batch: int = 500) -> Tensor:
    """Decode latents [N, c, h, w] batch by batch: images in [-1, 1]."""
    check_tensor("latents", latents, "[N, C, h, w]", "float")
    batch = check_integer("batch", batch, at_least=1)
    return torch.cat([net.decode(z).float().clamp(-1, 1) for z in latents.split(batch)])


def interpolate(a: Tensor, b: Tensor, points: int) -> Tensor:
    """Interpolate linearly between a and b, both [N, …]: [N, points, …], ends included."""
    for name, x in (("a", a), ("b", b)):
        check_tensor(name, x, "[N, ...]", "float")
    check_same_shape("a", a, "b", b)
    check_same_dtype("a", a, "b", b)
    check_integer("points", points, 2, MAX_SIZE)
    u = torch.linspace(0, 1, points, device=a.device).view(1, -1, *[1] * (a.ndim - 1))
    return torch.lerp(a[:, None], b[:, None], u)


def sample_fitted_gaussian(x: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Sample n points from the Gaussian with the mean and the full covariance of x [N, …]: [n, …]."""
    check_tensor("x", x, "[N, D, ...]", "float", least=2)
    check_finite("x", x)
    check_integer("n", n, 1, MAX_SAMPLES)
    flat = x.flatten(1).double()
    root, failed = torch.linalg.cholesky_ex(flat.T.cov() + 1e-9 * torch.eye(flat.shape[1], device=x.device))
    if failed:
        raise ValueError(
            f"x has shape {tuple(x.shape)} and lies in fewer dimensions, with values that are too large: rescale it."
        )
    noise = torch.randn(n, flat.shape[1], generator=generator, device=x.device, dtype=torch.float64)
    return (flat.mean(0) + noise @ root.T).to(x.dtype).view(n, *x.shape[1:])


def distance_to_nearest(x: Tensor, references: Tensor) -> Tensor:
    """Return the Euclidean distance of each row of x to the nearest row of the references: [N]."""
    return nearest_neighbours(x, references)[0][:, 0]
