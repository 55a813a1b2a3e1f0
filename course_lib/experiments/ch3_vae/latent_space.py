"""What a prior does to a latent space, and what it does not: samples, interpolations, perturbations, the aggregate posterior."""

from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.arguments import check_integer, check_number, check_same_shape, check_tensor
from course_lib.autoencoder import Autoencoder
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.latents import READABLE_CONFIDENCE, decode, encode, sample_fitted_gaussian
from course_lib.metrics import neighbour_agreement, psnr
from course_lib.vae import VAE, Posterior


def readable_fraction(evaluator: Evaluator, images: Tensor) -> float:
    """Return the fraction of images that the classifier reads with a confidence above ``READABLE_CONFIDENCE``."""
    return (evaluator.confidence(images) > READABLE_CONFIDENCE).float().mean().item()


def decode_midpoints(net: Autoencoder, a: Tensor, b: Tensor) -> Tensor:
    """Decode the points halfway between the latents of images a and b, uint8 or in [-1, 1]: [N, C, H, W] → [N, C, H, W]."""
    check_tensor("a", a, "[N, C, H, W]")
    check_tensor("b", b, "[N, C, H, W]")
    check_same_shape("a", a, "b", b)
    return decode(net, (encode(net, a) + encode(net, b)) / 2)


def decode_perturbed(net: Autoencoder, z: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Decode latents z [N, …] with added noise of ``strength`` times the standard deviation of each dimension."""
    check_tensor("z", z, "[N, C, h, w]", "float", least=2)
    strength = check_number("strength", strength, at_least=0)
    noise = torch.randn(z.shape, device=z.device, generator=generator)
    return decode(net, z + strength * z.std(0) * noise)


def latent_space_report(
    net: Autoencoder, images: Tensor, labels: Tensor, evaluator: Evaluator, generator: torch.Generator
) -> dict[str, float]:
    """Measure one latent space on test images [N, 1, 32, 32] in [-1, 1] and their labels: one column of "what the prior buys".

    Fréchet distances are in the evaluator's features, fractions in 0…1, PSNR in dB.
    """
    check_tensor("images", images, "[N, 1, 32, 32]", "float", least=2)
    check_tensor("labels", labels, f"[{len(images)}]", "integer")
    z = encode(net, images)
    half = len(images) // 2
    differ = labels[:half] != labels[half : 2 * half]
    midpoints = decode_midpoints(net, images[:half][differ], images[half : 2 * half][differ])
    prior_samples = decode(net, torch.randn(z.shape, device=z.device, generator=generator))
    fitted_samples = decode(net, sample_fitted_gaussian(z, len(z), generator))
    perturbed = decode_perturbed(net, z, 0.5, generator)
    some = slice(0, min(2000, half))
    return {
        "reconstruction: PSNR (dB)": psnr(decode(net, z), images).item(),
        "reconstruction: Fréchet": evaluator.frechet(decode(net, z)),
        "halfway: readable (fraction)": readable_fraction(evaluator, midpoints),
        "halfway: Fréchet": evaluator.frechet(midpoints),
        "decoded N(0, I): readable (fraction)": readable_fraction(evaluator, prior_samples),
        "decoded N(0, I): Fréchet": evaluator.frechet(prior_samples),
        "decoded fitted Gaussian: readable (fraction)": readable_fraction(evaluator, fitted_samples),
        "decoded fitted Gaussian: Fréchet": evaluator.frechet(fitted_samples),
        "same 10 neighbours as in pixels (fraction)": neighbour_agreement(images[some], z[some]),
        "latents perturbed by half their std: PSNR (dB)": psnr(perturbed, images).item(),
    }


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
