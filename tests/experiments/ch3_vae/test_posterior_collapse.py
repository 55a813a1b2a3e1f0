"""Runs with and without posterior collapse, on rows whose best collapsed model is known."""

import pytest
import torch
from oracles import normal
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from course_lib.experiments.ch3_vae import marginal_likelihood, posterior_collapse


def rows(n: int = 500, dims: int = 16) -> torch.Tensor:
    """Rows with one direction far above the noise of a plain squared error (standard deviation 4 against 0.7)."""
    axis = torch.nn.functional.normalize(normal(1, dims, seed=1), dim=1)
    return 4 * normal(n, 1) * axis + 0.1 * normal(n, dims, seed=2)


def test_the_elbo_is_that_of_torch_distributions():
    torch.manual_seed(0)
    net, x = posterior_collapse.PlainVAE(16, depth=2).double(), rows(5)
    q = net.encode(x)
    bound = net.elbo(x, torch.Generator().manual_seed(3))
    z = q.sample(torch.Generator().manual_seed(3))
    assert_close(bound.kl, kl_divergence(Normal(q.mean, q.std), Normal(0.0, 1.0)).sum(1))
    assert_close(bound.log_likelihood, Normal(net.decode(z), 0.5**0.5).log_prob(x).sum(1))


def test_a_shallow_network_does_not_collapse_and_beats_the_best_model_without_latents():
    x = rows()
    found = posterior_collapse.train_with_remedy(x, depth=1, steps=300)
    assert found.active >= 1
    assert found.elbo > marginal_likelihood.fit_ppca(x, 0).evidence


def test_a_beta_above_every_variance_collapses_it_in_spite_of_the_warm_up():
    # a direction is worth its KL if its variance is above beta · noise² (Lucas et al. 2019): 16 < 100 · 0.5
    found = posterior_collapse.train_with_remedy(rows(), beta=100.0, warmup_steps=100, depth=1, steps=600)
    assert found.active == 0
    assert found.posterior.kl().mean() < 0.05
    assert max(kl for _, kl in found.history) > 0.5


def test_free_bits_prevent_the_collapse_at_the_same_beta():
    found = posterior_collapse.train_with_remedy(rows(), beta=100.0, floor=0.5, depth=1, steps=300)
    assert found.active >= 1
    assert 0.3 < found.posterior.kl().mean() < 16 * 0.5 + 0.5  # the free nats are used, and hardly more at this beta


def test_the_same_seed_gives_the_same_run():
    a, b = (posterior_collapse.train_with_remedy(rows(100), depth=1, steps=20) for _ in range(2))
    assert a.history == b.history
    assert torch.equal(a.posterior.mean, b.posterior.mean)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"x": rows(9) * torch.nan}, "x contains NaN"),
        ({"beta": -1.0}, "beta is -1.0"),
        ({"floor": -0.5}, "floor is -0.5"),
        ({"warmup_steps": 2.5}, "warmup_steps is 2.5"),
        ({"steps": 0}, "steps is 0"),
        ({"depth": 10**9}, "depth is 1000000000"),
    ],
)
def test_a_run_that_cannot_be_is_rejected_at_once(arguments, match):
    with pytest.raises(ValueError, match=match):
        posterior_collapse.train_with_remedy(**{"x": rows(9), "steps": 2, "depth": 1} | arguments)
