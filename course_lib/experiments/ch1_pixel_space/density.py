"""Densities of images: a kernel density that memorises its training points, and a single Gaussian to compare it with."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.arguments import check_finite, check_integer, check_integers, check_sizes, check_tensor
from course_lib.experiments.limits import MAX_SAMPLES, seeded_generator
from course_lib.metrics import off_mps


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
    train, validation, test = _points(train=train, validation=validation, test=test)
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
    train, test = _points(train=train, test=test)
    root, failed = torch.linalg.cholesky_ex(train.T.cov().reshape(train.shape[1], -1))
    if failed:
        raise ValueError(
            f"train holds {len(train)} points that lie in fewer dimensions than {train.shape[1]}: give more of them."
        )
    fitted = torch.distributions.MultivariateNormal(train.mean(0), scale_tril=root)
    return fitted.log_prob(test).mean().item()


def sample_gaussian_sets(d: int, counts: Sequence[int], seed: int) -> list[Tensor]:
    """Sample N(0, I) in d dimensions: one set [count, d] for each count."""
    check_sizes(d=d)
    counts, generator = check_integers("counts", counts, 1, MAX_SAMPLES), seeded_generator(seed)
    return list(torch.randn(sum(counts), d, generator=generator, dtype=torch.float64).split(counts))


def principal_coordinate_sets(images: Tensor, d: int, counts: Sequence[int]) -> list[Tensor]:
    """Return the first d principal coordinates of images [N, ...], split into sets [count, d].

    The principal axes are fitted to the first set.
    """
    counts = check_integers("counts", counts, 1, MAX_SAMPLES)
    check_tensor("images", images, "[N, C, ...]", least=sum(counts))
    check_finite("images", images)
    check_integer("d", d, 1, images[0].numel())
    x = images[: sum(counts)].flatten(1).double()
    x = x - x[: counts[0]].mean(0)
    axes = torch.linalg.eigh(x[: counts[0]].T @ x[: counts[0]]).eigenvectors.flip(1)
    return list((x @ axes[:, :d]).split(counts))


def _points(**sets: Tensor) -> list[Tensor]:
    """Sets of points [N, d], finite and of the same d, in float64. The first is fitted: it must vary."""
    (first, train), *_ = sets.items()
    check_tensor(first, train, "[N, d]", "float", least=2)
    for name, x in sets.items():
        check_tensor(name, x, f"[N, {train.shape[1]}]", "float")
        check_finite(name, x)
    if bool((train == train[0]).all()):
        raise ValueError(f"{first} holds {len(train)} equal points, but a density is fitted to points that differ.")
    return [off_mps(x).double() for x in sets.values()]
