"""What a prior does to a latent space, and what it does not: samples, interpolations, perturbations, the aggregate posterior."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from course_lib.arguments import check_integer, check_labels, check_number, check_tensor
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.latents import (
    READABLE_CONFIDENCE,
    Decoder,
    Encoder,
    decode,
    encode,
    sample_fitted_gaussian,
    spherical_interpolate,
)
from course_lib.metrics import nearest_neighbours, psnr
from course_lib.recipes import NUM_CLASSES
from course_lib.vae import VAE, Posterior

ROWS = {
    "copy PSNR": "reconstruction: PSNR (dB)",
    "copy Fréchet": "reconstruction: Fréchet",
    "line readable": "halfway on the straight line: readable",
    "line Fréchet": "halfway on the straight line: Fréchet",
    "sphere readable": "halfway on the sphere about the mean: readable",
    "sphere Fréchet": "halfway on the sphere about the mean: Fréchet",
    "prior readable": "decoded N(0, I): readable",
    "prior Fréchet": "decoded N(0, I): Fréchet",
    "fitted readable": "decoded fitted Gaussian: readable",
    "fitted Fréchet": "decoded fitted Gaussian: Fréchet",
    "perturbed PSNR": "latent perturbed by half its std: PSNR (dB)",
    "same class": "10 nearest neighbours of the same class",
}


def readable_fraction(evaluator: Evaluator, images: Tensor) -> float:
    """Return the fraction of images that the classifier reads with a confidence above ``READABLE_CONFIDENCE``."""
    return (evaluator.confidence(images) > READABLE_CONFIDENCE).float().mean().item()


def decode_perturbed(net: Decoder, z: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Decode latents z [N, …] with added noise of ``strength`` times the standard deviation of each dimension."""
    check_tensor("z", z, "[N, C, h, w]", "float", least=2)
    strength = check_number("strength", strength, at_least=0)
    noise = torch.randn(z.shape, device=z.device, generator=generator)
    return decode(net, z + strength * z.std(0) * noise)


def same_class_neighbours(points: Tensor, labels: Tensor, k: int = 10) -> float:
    """Return the fraction of the k nearest neighbours of each row of points [N, …] that have its label [N], 0…1."""
    check_tensor("points", points, "[N, ...]")
    check_labels("labels", labels, NUM_CLASSES, len(points))
    return (labels[nearest_neighbours(points, k=k)[1]] == labels[:, None]).float().mean().item()


def latent_space_report(
    net: "Space", images: Tensor, labels: Tensor, evaluator: Evaluator, generator: torch.Generator
) -> dict[str, float]:
    """Measure one latent space on test images [N, 1, 32, 32] in [-1, 1] and their labels: one column of "what the prior buys".

    The names are those of `ROWS`: "… readable" is a fraction 0…1, "… Fréchet" a distance in the evaluator's features to all
    test images, "… PSNR" in dB. `PixelSpace` as net gives the column of the pixels themselves.
    """
    check_tensor("images", images, "[N, 1, 32, 32]", "float", least=2)
    check_tensor("labels", labels, f"[{len(images)}]", "integer")
    z = encode(net, images)
    half = len(images) // 2
    differ = labels[:half] != labels[half : 2 * half]
    a, b = z[:half][differ], z[half : 2 * half][differ]
    decoded = {
        "line": decode(net, (a + b) / 2),
        "sphere": decode(net, spherical_interpolate(a, b, 3, z.mean(0, keepdim=True))[:, 1]),
        "prior": decode(net, torch.randn(z.shape, device=z.device, generator=generator)),
        "fitted": decode(net, sample_fitted_gaussian(z, len(z), generator)),
    }
    copies = decode(net, z)
    report = {"copy PSNR": psnr(copies, images).item(), "copy Fréchet": evaluator.frechet(copies)}
    for name, drawn in decoded.items():
        report[f"{name} readable"] = readable_fraction(evaluator, drawn)
        report[f"{name} Fréchet"] = evaluator.frechet(drawn)
    report["perturbed PSNR"] = psnr(decode_perturbed(net, z, 0.5, generator), images).item()
    report["same class"] = same_class_neighbours(z, labels)
    return report


class Space(Encoder, Decoder, Protocol):
    """What has latents: a network that encodes and decodes, or `PixelSpace`."""


class PixelSpace:
    """The pixels themselves as a latent space: the encoder and the decoder return their argument."""

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, latents: Tensor) -> Tensor:
        return latents


@dataclass(frozen=True)
class AggregatePosterior:
    """First two moments of q(z) = mean over images of q(z | x): mean [D], covariance [D, D], float64."""

    mean: Tensor
    covariance: Tensor

    @property
    def std(self) -> Tensor:
        """Standard deviation of each dimension, [D]."""
        return self.covariance.diagonal().sqrt()

    @property
    def eigenvalues(self) -> Tensor:
        """Eigenvalues of the covariance, largest first, [D]; all 1 for N(0, I)."""
        return torch.linalg.eigvalsh(self.covariance).flip(0)

    def kl(self) -> float:
        """Return the KL in nats of the Gaussian with these moments from N(0, I): a lower bound of KL(q(z) ‖ N(0, I))."""
        trace, logdet = self.covariance.trace(), torch.logdet(self.covariance)
        return ((trace + self.mean.square().sum() - len(self.mean) - logdet) / 2).item()


def aggregate_posterior(q: Posterior) -> AggregatePosterior:
    """Compute the moments by the law of total variance: covariance of the means plus the mean of the variances."""
    mean, variance = q.mean.flatten(1).double(), q.logvar.flatten(1).double().exp()
    return AggregatePosterior(mean.mean(0), mean.T.cov(correction=0) + variance.mean(0).diag())


def rank_dims_by_kl(q: Posterior) -> Tensor:
    """Rank the latent dimensions by their mean KL, largest first: flat indices [D]."""
    return q.kl_per_dim().mean(0).flatten().argsort(descending=True)


def traverse(net: VAE, z: Tensor, index: int, value: float) -> Tensor:
    """Set the dimension ``index`` (flat) of latents z [N, C, h, w] to a value, and decode: one step of a latent traversal."""
    check_tensor("z", z, "[N, C, h, w]", "float")
    index, value = check_integer("index", index, 0, z[0].numel() - 1), check_number("value", value)
    moved = z.flatten(1).clone()
    moved[:, index] = value
    return decode(net, moved.view_as(z))
