"""The clinic's runs, on rows whose best silent model is known."""

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


def test_a_shallow_network_speaks_and_stays_below_the_best_linear_evidence_plus_nothing():
    x = rows()
    found = posterior_collapse.treat(x, depth=1, steps=300)
    assert found.active >= 1
    assert found.elbo > marginal_likelihood.ppca(x, 0).evidence


def test_a_beta_above_every_variance_silences_it_whatever_the_warm_up():
    # a direction pays where its variance is above beta · noise² (Lucas et al. 2019): 16 < 100 · 0.5
    found = posterior_collapse.treat(rows(), beta=100.0, warmup=100, depth=1, steps=600)
    assert found.active == 0
    assert found.posterior.kl().mean() < 0.05
    assert max(kl for _, kl in found.history) > 0.5


def test_a_floor_keeps_it_awake_under_the_same_beta():
    found = posterior_collapse.treat(rows(), beta=100.0, floor=0.5, depth=1, steps=300)
    assert found.active >= 1
    assert 0.3 < found.posterior.kl().mean() < 16 * 0.5 + 0.5  # what is free is said, and hardly more at that price


def test_the_same_seed_gives_the_same_patient():
    a, b = (posterior_collapse.treat(rows(100), depth=1, steps=20) for _ in range(2))
    assert a.history == b.history
    assert torch.equal(a.posterior.mean, b.posterior.mean)
