"""Estimates of intrinsic dimension, on sets of known dimension and with a second estimator."""

import pytest
import torch
from torch.testing import assert_close

from course_lib.experiments.ch1_pixel_space import intrinsic_dimension


@pytest.mark.parametrize(
    ("manifold", "d", "noise", "rank"),
    [("subspace", 3, 0.0, 3), ("subspace", 3, 0.01, 32), ("sphere", 3, 0.0, 4), ("swiss roll", 2, 0.0, 3)],
)
def test_a_manifold_lies_in_as_many_axes_as_it_claims(manifold, d, noise, rank):
    x = intrinsic_dimension.sample_manifold(manifold, d, 200, seed=0, ambient=32, noise=noise)
    assert x.shape == (200, 32)
    assert torch.linalg.matrix_rank(x) == rank
    if manifold == "sphere":
        assert_close(x.norm(dim=1), torch.ones(200, dtype=x.dtype))


def test_the_swiss_roll_is_the_textbooks_one_and_keeps_its_lengths():
    """The oracle is scikit-learn's: the distances between points have the same distribution; and the radius is the angle."""
    from sklearn.datasets import make_swiss_roll

    ours = torch.pdist(intrinsic_dimension.sample_manifold("swiss roll", 2, 1500, seed=0))
    theirs = torch.pdist(torch.from_numpy(make_swiss_roll(1500, random_state=0)[0]))
    levels = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
    assert_close(*(d[:: len(d) // 100_000].quantile(levels) for d in (ours, theirs)), rtol=0.03, atol=0)


def levina_bickel(x, k=10):
    """The maximum-likelihood dimension of Levina & Bickel 2004, eq. 9, averaged as MacKay & Ghahramani 2005 advise."""
    near = torch.cdist(x, x).sort(1).values[:, 1 : k + 1]  # in float64, where matrix products are exact enough
    return 1 / (near[:, -1:] / near[:, :-1]).log().mean().item() * (k - 2) / (k - 1)


@pytest.mark.parametrize(
    ("manifold", "d", "noise"),
    [("subspace", d, 0.0005) for d in (2, 4, 8)] + [("sphere", d, 0.0) for d in (2, 4, 8)] + [("swiss roll", 2, 0.0)],
)
def test_two_nn_and_a_second_estimator_are_within_15_percent_on_the_calibration_sets(manifold, d, noise):
    """The second estimator uses ten neighbours; on 2,000 points it underestimates 8 dimensions."""
    x = intrinsic_dimension.sample_manifold(manifold, d, 2000, seed=4, noise=noise)
    assert intrinsic_dimension.estimate_dimensions(x).two_nn == pytest.approx(d, rel=0.15)
    assert levina_bickel(x) == pytest.approx(d, rel=0.2)


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_two_nn_and_a_second_estimator_count_the_free_factors_of_teddies(k):
    x = intrinsic_dimension.render_free_factors(k, 1200, seed=7).flatten(1).double()
    assert intrinsic_dimension.estimate_dimensions(x).two_nn == pytest.approx(k, rel=0.15)
    assert levina_bickel(x) == pytest.approx(k, rel=0.25)


def test_an_unknown_manifold_is_rejected():
    with pytest.raises(ValueError, match="sphere"):
        intrinsic_dimension.sample_manifold("torus", 2, 10, seed=0)


def test_estimates_agree_with_the_truth_on_a_plane():
    found = intrinsic_dimension.estimate_dimensions(intrinsic_dimension.sample_manifold("subspace", 2, 600, seed=1))
    assert found.pca == 2
    assert found.participation == pytest.approx(2, rel=0.02)
    assert found.two_nn == pytest.approx(2, rel=0.15)


def test_teddies_vary_in_the_free_factors_only():
    assert_close(*intrinsic_dimension.render_free_factors(0, 2, seed=0, size=16))
    tilted, placed = (intrinsic_dimension.render_free_factors(k, 3, seed=0, size=16) for k in (1, 2))
    assert (tilted[0] - tilted[1]).abs().max() > 0.1
    assert (placed[0] - tilted[0]).abs().max() > 0.1  # the second factor moves what the first left in place


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n": 2.5}, "n is 2.5"),
        ({"n": 10**9}, "n is 1000000000"),
        ({"seed": None}, "seed is None"),
        ({"ambient": 3}, "ambient is 3, but must be a whole number from 4"),
        ({"noise": float("nan")}, "noise is nan"),
    ],
)
def test_a_manifold_that_cannot_be_sampled_is_rejected(arguments, match):
    with pytest.raises((TypeError, ValueError), match=match):
        intrinsic_dimension.sample_manifold(**{"manifold": "sphere", "d": 3, "n": 10, "seed": 0} | arguments)


def test_more_factors_than_there_are_are_rejected():
    with pytest.raises(ValueError, match="k is 9, but must be a whole number from 0 to 8"):
        intrinsic_dimension.render_free_factors(9, 2, seed=0)
