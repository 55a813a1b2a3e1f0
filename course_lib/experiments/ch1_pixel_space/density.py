"""Densities of images: a kernel density that memorises its training points, and a single Gaussian to compare it with."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class KernelDensityFit(NamedTuple):
    """A fitted kernel density.

    log_likelihood, train_log_likelihood: of held-out points and of its own training points, in nats per point.
    effective_kernels: how many kernels contribute to the density at a held-out point.
    """

    bandwidth: float
    log_likelihood: float
    train_log_likelihood: float
    effective_kernels: float


def kernel_density_fit(train: Tensor, validation: Tensor, test: Tensor) -> KernelDensityFit:
    """Fit a Gaussian kernel density to training points [N, d], with the bandwidth that makes the validation points most likely.

    `effective_kernels` is the perplexity of the kernels' contributions at a test point (median over test points); 1 means that
    the density is a set of separate spikes. `train_log_likelihood` is of as many training points as there are test points: what
    it exceeds the held-out log-likelihood by was memorised.
    """
    d = train.shape[1]
    scale = train.std(0).square().mean().sqrt()
    bandwidths = scale * torch.logspace(-1.5, 0.3, 28, dtype=train.dtype, device=train.device)

    def log_density(squared: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        exponents = squared / (-2 * width**2)
        normal = math.log(len(train)) + d * (width.log() + math.log(2 * math.pi) / 2)
        return exponents.logsumexp(1) - normal, exponents

    squared = torch.cdist(validation, train).square()
    scores = torch.stack([log_density(squared, width)[0].mean() for width in bandwidths])
    width = bandwidths[scores.argmax()]
    density, exponents = log_density(torch.cdist(test, train).square(), width)
    memorised = log_density(torch.cdist(train[: len(test)], train).square(), width)[0]
    perplexity = torch.special.entr(exponents.softmax(1)).sum(1).exp().median()
    return KernelDensityFit(width.item(), density.mean().item(), memorised.mean().item(), perplexity.item())


def gaussian_log_likelihood(train: Tensor, test: Tensor) -> float:
    """Fit one Gaussian to training points [N, d]; return the mean log-likelihood of test points [M, d], in nats per point."""
    fitted = torch.distributions.MultivariateNormal(train.mean(0), train.T.cov().reshape(train.shape[1], -1))
    return fitted.log_prob(test).mean().item()


def sample_gaussian_sets(d: int, counts: Sequence[int], seed: int) -> list[Tensor]:
    """Sample N(0, I) in d dimensions: one set [count, d] for each count."""
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(sum(counts), d, generator=generator, dtype=torch.float64).split(list(counts)))


def principal_coordinate_sets(images: Tensor, d: int, counts: Sequence[int]) -> list[Tensor]:
    """Return the first d principal coordinates of images [N, ...], split into sets [count, d].

    The principal axes are fitted to the first set.
    """
    x = images[: sum(counts)].flatten(1).double()
    x = x - x[: counts[0]].mean(0)
    axes = torch.linalg.eigh(x[: counts[0]].T @ x[: counts[0]]).eigenvectors.flip(1)
    return list((x @ axes[:, :d]).split(list(counts)))
