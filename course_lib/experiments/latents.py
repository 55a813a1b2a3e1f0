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


def spherical_interpolate(a: Tensor, b: Tensor, points: int, centre: Tensor | None = None) -> Tensor:
    """Interpolate between a and b, both [N, …], along great circles about a centre [1, …] (default 0): [N, points, …].

    Direction by slerp (Shoemake 1985), radius linearly from that of a to that of b; ends included. Where a and b lie in one
    direction from the centre the path is straight.
    """
    for name, x in (("a", a), ("b", b)):
        check_tensor(name, x, "[N, D, ...]", "float")
    check_same_shape("a", a, "b", b)
    check_same_dtype("a", a, "b", b)
    check_integer("points", points, 2, MAX_SIZE)
    if centre is None:
        centre = torch.zeros_like(a[:1])
    check_tensor("centre", centre, f"[1, {', '.join(map(str, a.shape[1:]))}]", "float")
    check_same_dtype("a", a, "centre", centre)
    flat_a, flat_b = ((x - centre).flatten(1) for x in (a, b))
    radius_a, radius_b = (x.norm(dim=1).clamp_min(1e-12) for x in (flat_a, flat_b))
    cosine = (flat_a * flat_b).sum(1) / (radius_a * radius_b)
    angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))[:, None]  # away from 0 and π, where the weights are 0/0
    u = torch.linspace(0, 1, points, device=a.device, dtype=a.dtype)
    weight_a, weight_b = (torch.sin(w * angle) / torch.sin(angle) for w in (1 - u, u))
    radius = torch.lerp(radius_a[:, None], radius_b[:, None], u)
    path = (
        weight_a[..., None] * (flat_a / radius_a[:, None])[:, None] + weight_b[..., None] * (flat_b / radius_b[:, None])[:, None]
    )
    return (radius[..., None] * path).unflatten(2, a.shape[1:]) + centre[:, None]


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
