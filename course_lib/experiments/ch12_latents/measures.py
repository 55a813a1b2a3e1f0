"""What is measured of latents before anything is generated in them: spectrum, scale equivariance, and the least possible loss."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.arguments import check_finite, check_integer, check_number, check_same_dtype, check_same_shape, check_tensor
from course_lib.codec import posterior
from course_lib.dimension import pca_spectrum
from course_lib.experiments.ch12_latents.codecs import LatentCodec, Net
from course_lib.experiments.latents import decode, encode
from course_lib.images import as_float
from course_lib.metrics import off_mps, psnr
from course_lib.vae import VAE

MAX_TIMES, MAX_POINTS, MAX_RATE = 1000, 100_000, 1e6
WHITE_NOISE = 0.75  # its high-frequency share, whatever the side


def cosine_basis(side: int) -> Tensor:
    """Return the orthonormal cosine basis of a side (DCT-II), float64 [side, side]: row k has frequency k."""
    side = check_integer("side", side, 1, 1024)
    k, position = torch.arange(side, dtype=torch.float64)[:, None], torch.arange(side, dtype=torch.float64)
    basis = torch.cos(math.pi * k * (position + 0.5) / side) * math.sqrt(2 / side)
    basis[0] /= math.sqrt(2)
    return basis


def high_frequency_share(latents: Tensor) -> float:
    """Return the share (0…1) of the power of latents [N, C, h, h] in the high half of the frequencies of a cosine transform.

    High: at least one of a coefficient's two frequencies k, l is h/2 or more. It is what is lost where the side is halved, and
    three quarters of white noise's power, for every even side. Raises ValueError for a side that is odd.
    """
    check_tensor("latents", latents, "[N, C, h, w]", "float")
    check_finite("latents", latents)
    side = latents.shape[-1]
    if latents.shape[-2] != side or side % 2:
        raise ValueError(f"The latents are {tuple(latents.shape)}, but must be square with an even side, so that it has halves.")
    basis = cosine_basis(side).to(off_mps(latents).device)
    power = (basis @ off_mps(latents).double() @ basis.T).square().sum((0, 1))
    total, low = power.sum(), power[: side // 2, : side // 2].sum()
    if not total > 0:
        raise ValueError("The latents are 0 everywhere: they have no spectrum.")
    return (1 - low / total).item()


@torch.no_grad()
def scale_psnr(net: Net, images: Tensor) -> float:
    """Return the PSNR in dB of halved latents decoded, compared with halved images [N, 1, H, W] (uint8 or in [-1, 1]).

    Both are halved by averaging 2×2. A network whose latents scale as images do (EQ-VAE, 2502.09509) scores high.
    """
    check_tensor("images", images, "[N, C, H, W]")
    if min(images.shape[-2:]) < 2:
        raise ValueError(f"The images are {tuple(images.shape)}, but must be [N, C, H, W] with sides that can be halved.")
    halves = F.avg_pool2d(as_float(images), 2)
    return psnr(decode(net, F.avg_pool2d(encode(net, images), 2)), halves).item()


def kl_nats(codec: LatentCodec, images: Tensor) -> float | None:
    """Return the mean KL of a VAE's posteriors in nats per image, and None of a network that has no posterior."""
    net = codec.net
    return posterior(net, images).kl().mean().item() if isinstance(net, VAE) else None


class IrreducibleVariance(NamedTuple):
    """A lower and an upper bound of the least possible flow-matching loss per dimension; both hold in expectation.

    low: of the denoiser that knows every point, at noise added to these very points: no denoiser has less loss on them, and its
    expectation over sets of points is at most the true value. high: of denoisers at points they do not know, at each time the
    better of two: that same one, and the best linear one. No loss on new points is below the true value.
    """

    low: float
    high: float


@torch.no_grad()
def irreducible_variance(points: Tensor, probes: Tensor, generator: torch.Generator, times: int = 20) -> IrreducibleVariance:
    """Bound the velocity's irreducible variance E |v − E[v | x_t]|² of latents, averaged over times and per dimension.

    The velocity of x_t = (1 − t) x0 + t eps is v = eps − x0; Zhong et al. (2026, 2606.03578) found its irreducible variance a
    good predictor of how well latents can be generated. Given x_t, v = (x_t − x0) / t, so its variance is that of x0, over t². Of
    the points' empirical distribution the posterior of x0 is known by Bayes (`empirical_posterior`).

    points: [N, ...], the empirical distribution. probes: [M, ...], other latents, to which noise is added; the first M points get
    the same noise. times: t = 1/2K, 3/2K … (2K − 1)/2K, for K of them.
    """
    for name, x in (("points", points), ("probes", probes)):
        check_tensor(name, x, "[N, D, ...]", "float", least=2)
        check_finite(name, x)
    check_same_shape("a point", points[0], "a probe", probes[0])
    check_integer("the number of points", len(points), len(probes), MAX_POINTS)
    times = check_integer("times", times, 1, MAX_TIMES)
    data, new = (off_mps(x).flatten(1).double() for x in (points, probes))
    D, spectrum = data.shape[1], pca_spectrum(data)
    low = high = 0.0
    for t in ((i + 0.5) / times for i in range(times)):
        eps = torch.randn(new.shape, generator=generator, dtype=torch.float64).to(new.device)
        _, variance = empirical_posterior(data, (1 - t) * data[: len(new)] + t * eps, 1 - t, t)
        mean, _ = empirical_posterior(data, (1 - t) * new + t * eps, 1 - t, t)
        linear = (spectrum * t**2 / ((1 - t) ** 2 * spectrum + t**2)).sum()  # what the best linear denoiser leaves of x0
        low += variance.mean().item() / t**2 / D / times
        high += min((new - mean).square().sum(1).mean().item(), linear.item()) / t**2 / D / times
    return IrreducibleVariance(low, high)


def empirical_posterior(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> tuple[Tensor, Tensor]:
    """Return mean [M, D] and total variance [M] of x0, one of the points [N, D] at random, given x_t = alpha · x0 + sigma · eps.

    Bayes: point i has the weight softmax(−|x_t − alpha x_i|² / 2 sigma²). x_t: [M, D]. Holds [M, N] in memory.
    """
    check_tensor("points", points, "[N, D]", "float")
    check_tensor("x_t", x_t, f"[M, {points.shape[1]}]", "float")
    check_same_dtype("points", points, "x_t", x_t)
    alpha, sigma = check_number("alpha", alpha, at_least=0, at_most=MAX_RATE), check_number("sigma", sigma, above=0)
    squares = points.square().sum(1)
    exponent = (alpha * (x_t @ points.T) - alpha**2 * squares / 2) / sigma**2  # without |x_t|², which all points share
    weights = exponent.softmax(1)
    mean = weights @ points
    return mean, (weights @ squares - mean.square().sum(1)).clamp(min=0)
