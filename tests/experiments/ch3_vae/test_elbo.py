"""Chapter 3's experiments with the ELBO, against closed forms, quadrature and torch.distributions."""

import math

import pytest
import torch
from oracles import seeded
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from course_lib.experiments.ch3_vae import elbo
from course_lib.vae import VAE, Posterior, elbo_loss, log_likelihood


def test_toy_evidence_is_the_integral_over_z():
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    joint = Normal(0.0, 1.0).log_prob(z) + Normal(0.7 * z, 0.4).log_prob(torch.tensor(1.3))
    integral = torch.trapezoid(joint.exp(), z).log().item()
    assert elbo.toy_evidence(1.3, 0.7, 0.4) == pytest.approx(integral, abs=1e-6)


def test_toy_elbo_misses_the_evidence_by_the_kl_from_the_true_posterior():
    x, w, s = 1.3, 0.7, 0.4
    variance = 1 / (1 + w**2 / s**2)
    true = Normal(variance * w * x / s**2, math.sqrt(variance))
    mean, std = torch.tensor([-1.0, 0.2, true.loc.item()]), torch.tensor([0.3, 1.5, true.scale.item()])
    gap = elbo.toy_evidence(x, w, s) - elbo.toy_elbo(x, mean, std, w, s).value
    assert_close(gap, kl_divergence(Normal(mean, std), true), atol=1e-5, rtol=1e-5)


def test_the_monte_carlo_kl_has_the_error_that_theory_gives():
    # with variance 1, log q − log p = mean·z − mean²/2, whose standard deviation is |mean|
    q = Posterior(torch.full((1, 4, 2, 2), 0.5), torch.zeros(1, 4, 2, 2))
    errors = elbo.monte_carlo_kl_error(q, [1, 16, 64], seeded())
    assert_close(torch.tensor(errors), torch.tensor([2.0, 0.5, 0.25]), rtol=0.05, atol=0)


def test_variances_of_gradients_have_their_closed_forms():
    d = 8
    estimates = elbo.estimate_gradients(lambda z: -z.square().sum(1) / 2, torch.zeros(d), torch.ones(d), 100_000, seeded())
    v = estimates.variances()
    assert v["reparameterised"] == pytest.approx(1, rel=0.03)
    assert v["score"] == pytest.approx((d + 2) * (d + 4) / 4, rel=0.05)
    assert v["baseline"] == pytest.approx((d + 4) / 2, rel=0.05)


def test_all_three_estimators_agree_on_the_gradient():
    mean, std = torch.tensor([0.5, -1.0]), torch.tensor([0.7, 1.2])
    estimates = elbo.estimate_gradients(lambda z: z.pow(3).sum(1), mean, std, 400_000, seeded())
    truth = 3 * (mean.square() + std.square())  # d/dm E[z³] of z ~ N(m, s²)
    for g in vars(estimates).values():
        assert_close(g.mean(0), truth, rtol=0.03, atol=0.03)


def test_decoder_gradients_are_those_of_the_likelihood():
    torch.manual_seed(0)
    vae = VAE(width=8).eval()
    image = torch.rand(1, 1, 32, 32) * 2 - 1
    g = elbo.estimate_decoder_gradients(vae, image, 2, seeded(3)).reparameterised
    q = vae.encode(image)
    noise = torch.randn(2, 64, generator=seeded(3))
    z = (q.mean + q.std * noise.view(2, 4, 4, 4)).detach().requires_grad_()
    Normal(vae.decode(z), vae.noise_std).log_prob(image).sum().backward()
    assert_close(g, z.grad.flatten(1), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("error", "kl"), [(1, 1), (1024, 1), (1, 64), (1024, 64)])
def test_effective_beta_gives_the_same_direction_of_descent(error, kl):
    torch.manual_seed(0)
    vae, x = VAE(width=8), torch.rand(2, 1, 32, 32) * 2 - 1
    q = vae.encode(x)
    reconstruction = vae.decode(q.sample(seeded()))
    written = ((x - reconstruction).square().flatten(1).sum(1) / error + 3 * q.kl() / kl).mean()
    right = elbo_loss(vae, x, elbo.effective_beta(3, error, kl, vae.noise_std), seeded())
    a, b = (
        torch.cat([g.flatten() for g in torch.autograd.grad(y, vae.parameters(), retain_graph=True)]) for y in (written, right)
    )
    assert_close(torch.cosine_similarity(a, b, dim=0), torch.tensor(1.0), atol=1e-5, rtol=0)


def test_effective_beta_of_the_usual_mistake_on_mnist():
    assert elbo.effective_beta(0.1, error=784, kl=5) == pytest.approx(15.68)


def test_log_likelihood_is_that_of_torch_distributions():
    x, mean = torch.tensor([[0.3], [1.0]]), torch.tensor([[0.1], [-0.4]])
    assert_close(log_likelihood(x, mean, 0.5), Normal(mean, 0.5).log_prob(x).sum(1))


@pytest.mark.parametrize(
    ("std", "match"), [(torch.tensor([0.5, 0.0]), "must be above 0"), (torch.ones(3), "must be equal"), (0.5, "std is 0.5")]
)
def test_what_is_no_standard_deviation_is_rejected(std, match):
    with pytest.raises((TypeError, ValueError), match=match):
        elbo.toy_elbo(1.0, torch.zeros(2), std)


def test_a_function_that_averages_over_the_samples_is_rejected():
    with pytest.raises(ValueError, match=r"f\(z\) has shape \(\), but must be \[5\]"):
        elbo.estimate_gradients(lambda z: z.square().mean(), torch.zeros(2), torch.ones(2), 5, seeded())


@pytest.mark.parametrize(("counts", "match"), [([1, 200], r"counts\[1\] is 200"), (8, "counts is \d, but must be a list")])
def test_counts_of_more_draws_than_there_are_are_rejected(counts, match):
    q = Posterior(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises((TypeError, ValueError), match=match):
        elbo.monte_carlo_kl_error(q, counts, seeded(), draws=100)


@pytest.mark.parametrize(
    ("arguments", "match"), [({"error": 0}, "error is 0"), ({"kl": 0.5}, "kl is 0.5"), ({"noise_std": 0.0}, "noise_std is 0.0")]
)
def test_divisors_that_cannot_be_are_rejected(arguments, match):
    with pytest.raises(ValueError, match=match):
        elbo.effective_beta(1.0, **arguments)
