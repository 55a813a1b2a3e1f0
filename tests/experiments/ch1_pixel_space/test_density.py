"""Densities of images, against torch.distributions and SciPy."""

import math

import pytest
import torch
from torch.testing import assert_close

from course_lib.experiments.ch1_pixel_space import density


def test_a_kernel_density_agrees_with_one_computed_by_torch_distributions():
    train, validation, test = density.sample_gaussian_sets(3, (80, 40, 30), seed=0)
    found = density.kernel_density_fit(train, validation, test)
    kernels = torch.distributions.Normal(train, found.bandwidth)
    each = kernels.log_prob(test[:, None]).sum(2)
    assert_close(found.log_likelihood, (each.logsumexp(1) - math.log(80)).mean().item())
    memorised = kernels.log_prob(train[:30, None]).sum(2).logsumexp(1) - math.log(80)
    assert_close(found.train_log_likelihood, memorised.mean().item())
    contributions = torch.distributions.Categorical(logits=each)
    assert_close(found.effective_kernels, contributions.entropy().exp().median().item())


def test_principal_coordinates_have_the_largest_variances_in_order():
    x = torch.randn(300, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1.0, 3.0], [0.1, 2.0]])
    train, rest = density.principal_coordinate_sets(x, 3, (200, 100))
    assert train.shape == (200, 3)
    assert rest.shape == (100, 3)
    assert_close(train.T.cov().diagonal(), torch.linalg.eigvalsh(x[:200].flatten(1).double().T.cov()).flip(0)[:3])


@pytest.mark.parametrize("d", [1, 3])
def test_the_log_likelihood_of_one_gaussian_agrees_with_scipy(d):
    from scipy.stats import multivariate_normal

    train, test = density.sample_gaussian_sets(d, (60, 20), seed=1)
    fitted = multivariate_normal(train.mean(0).numpy(), train.T.cov().numpy())
    assert_close(density.gaussian_log_likelihood(train, test), fitted.logpdf(test.numpy()).mean().item())


POINTS = torch.linspace(0, 1, 12, dtype=torch.float64).view(6, 2) ** 2


@pytest.mark.parametrize(
    ("train", "test", "error", "match"),
    [
        (POINTS.numpy(), POINTS, TypeError, r"train is a ndarray.*torch\.as_tensor"),
        (POINTS.long(), POINTS, ValueError, "train holds torch.int64"),
        (POINTS * math.nan, POINTS, ValueError, "train contains NaN"),
        (POINTS[:1].expand(6, 2), POINTS, ValueError, "6 equal points"),
        (POINTS, POINTS[:, :1], ValueError, r"must be \[N, 2\]"),
        (POINTS[:, :1].expand(6, 2), POINTS, ValueError, "fewer dimensions than 2"),
    ],
)
def test_points_that_fit_no_density_are_rejected(train, test, error, match):
    with pytest.raises(error, match=match):
        density.gaussian_log_likelihood(train, test)


@pytest.mark.parametrize(
    ("counts", "error", "match"),
    [
        (5, TypeError, "counts is \d, but must be a list"),
        ([3, 2.5], ValueError, r"counts\[1\] is 2.5"),
        ([20, 20], ValueError, "at least 40 rows"),
    ],
)
def test_counts_that_cannot_be_are_rejected(counts, error, match):
    with pytest.raises(error, match=match):
        density.principal_coordinate_sets(torch.rand(9, 1, 4, 4), 2, counts)
