"""Probabilistic PCA and the linear VAE, against torch.distributions, autograd and exact posteriors."""

import math

import pytest
import torch
from oracles import normal, seeded
from torch.distributions import MultivariateNormal
from torch.testing import assert_close

from course_lib.experiments.ch3_vae import marginal_likelihood
from course_lib.vae import iwae, log_weights


def rows(n: int = 400, dims: int = 6) -> torch.Tensor:
    """Rows with three wide directions and the rest narrow, around a mean that is not 0."""
    widths = torch.tensor([2.0, 1.2, 0.6] + [0.2] * (dims - 3), dtype=torch.float64)
    return normal(n, dims) * widths @ torch.linalg.qr(normal(dims, dims, seed=1)).Q + normal(dims, seed=2)


def covariance(weight: torch.Tensor, noise_std: float | torch.Tensor) -> torch.Tensor:
    return weight @ weight.mT + noise_std**2 * torch.eye(len(weight), dtype=weight.dtype)


def linear_vae(seed: int = 3, latents: int = 3) -> marginal_likelihood.LinearVAE:
    """A linear VAE with random weights, in float64."""
    net = marginal_likelihood.LinearVAE(6, latents, 0.3).double()
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(0.4 * normal(*p.shape, seed=seed + i))
    return net


def linear_vae_with_exact_posterior() -> marginal_likelihood.LinearVAE:
    """A linear VAE with orthogonal columns, so that its encoder can express the true posterior (Tipping & Bishop 1999, eq. 6)."""
    net = linear_vae()
    with torch.no_grad():
        W = torch.linalg.qr(normal(6, 3, seed=9)).Q * torch.tensor([2.0, 1.0, 0.4])
        inverse = torch.linalg.inv(W.T @ W + 0.3**2 * torch.eye(3).double())
        net.decoder.weight.copy_(W)
        net.encoder.weight.copy_(inverse @ W.T)
        net.encoder.bias.copy_(-inverse @ W.T @ net.decoder.bias)
        net.logvar.copy_((0.3**2 * inverse.diagonal()).log())
    return net


def test_ppca_has_the_evidence_that_its_gaussian_gives_to_the_data():
    x = rows()
    best = marginal_likelihood.fit_ppca(x, 3)
    model = MultivariateNormal(best.mean, covariance(best.weight, best.noise_std))
    assert best.evidence == pytest.approx(model.log_prob(x).mean().item(), abs=1e-9)


@pytest.mark.parametrize("latents", [1, 3, 5])
def test_the_likelihood_has_no_gradient_at_ppca(latents):
    x, best = rows(), marginal_likelihood.fit_ppca(rows(), latents)
    free = [t.clone().requires_grad_() for t in (best.mean, best.weight, torch.tensor(best.noise_std, dtype=torch.float64))]
    MultivariateNormal(free[0], covariance(*free[1:])).log_prob(x).mean().backward()
    for t in free:
        assert_close(t.grad, torch.zeros_like(t), atol=1e-8, rtol=0)


def test_evidence_is_the_log_density_of_the_gaussian():
    net, x = linear_vae(), rows(20)
    assert_close(net.evidence(x), MultivariateNormal(net.decoder.bias, covariance(net.decoder.weight, 0.3)).log_prob(x))


def test_the_exact_elbo_is_the_mean_of_the_one_sample_elbo():
    net, x = linear_vae(), rows(50)
    draws = torch.stack([net.elbo(x, seeded(i)).value.mean() for i in range(2000)])
    exact = net.exact_elbo(x).value.mean()
    assert exact.item() == pytest.approx(draws.mean().item(), abs=4 * draws.std().item() / 2000**0.5)
    assert exact < net.evidence(x).mean()


def test_with_the_true_posterior_every_importance_weight_is_the_evidence():
    net, x = linear_vae_with_exact_posterior(), rows(20)
    assert_close(net.exact_elbo(x).value, net.evidence(x))
    assert_close(log_weights(net, x, 3, seeded()), net.evidence(x).expand(3, -1))
    assert_close(iwae(log_weights(net, x, 6, seeded()), 3), net.evidence(x))


def test_importance_weights_close_the_gap_that_a_wrong_encoder_leaves():
    net, x = linear_vae_with_exact_posterior(), rows(20)
    with torch.no_grad():
        net.logvar += 0.8  # posteriors too wide: every bound is loose, but the weights are finite
    weights, truth = log_weights(net, x, 20_000, seeded()), net.evidence(x)
    bounds = {k: iwae(weights, k) for k in (1, 5, 50, 20_000)}
    assert_close(bounds[1].mean(), net.exact_elbo(x).value.mean(), atol=0.02, rtol=0)
    gaps = [(truth - b).mean().item() for b in bounds.values()]
    assert gaps[0] > 0.3
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert gaps[2] < 0.1 * gaps[0]
    assert_close(bounds[20_000], truth, atol=0.05, rtol=0)


def test_the_trained_linear_vae_reaches_the_closed_form_within_one_per_cent():
    x = rows().float()
    best = marginal_likelihood.fit_ppca(x, 3)
    step, bound, log_p = marginal_likelihood.fit_linear_vae(x, 3, best.noise_std, steps=1000)[1][-1]
    assert step == 1000
    assert bound <= log_p + 1e-4
    assert log_p <= best.evidence + 1e-4
    assert abs(bound - best.evidence) <= 0.01 * abs(best.evidence)
    gain = best.evidence - marginal_likelihood.fit_ppca(x, 0).evidence  # what three latent dimensions gain at all
    assert best.evidence - bound <= 0.01 * gain


def test_downsampling_averages_squares():
    images = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    images[0, :, :4, 4:8] = 255
    wanted = torch.full((2, 64), -1.0)
    wanted[0, 1] = 1.0
    assert_close(marginal_likelihood.downsample(images), wanted)


def test_without_latents_ppca_is_an_isotropic_gaussian():
    x = rows()
    variance = (x - x.mean(0)).square().mean().item()
    assert marginal_likelihood.fit_ppca(x, 0).evidence == pytest.approx(-6 * (math.log(2 * math.pi * variance) + 1) / 2)


@pytest.mark.parametrize(
    ("x", "latents", "match"),
    [
        (rows(), 6, "latents is 6, but must be a whole number from 0 to 5"),
        (rows(3), 3, "no more than 3 dimensions"),
        (rows()[:1].expand(9, 6), 0, "no more than 0 dimensions"),
        (rows() * math.nan, 2, "x contains NaN"),
    ],
)
def test_rows_without_variance_beyond_the_latents_are_rejected(x, latents, match):
    with pytest.raises(ValueError, match=match):
        marginal_likelihood.fit_ppca(x, latents)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"latents": 0}, "latents is 0"),
        ({"noise_std": 0.0}, "noise_std is 0.0"),
        ({"lr": -0.1}, "lr is -0.1"),
        ({"steps": 10**9}, "steps is 1000000000"),
        ({"x": rows().float() * math.inf}, "the likelihood of x contains NaN"),
    ],
)
def test_a_linear_vae_that_cannot_be_trained_is_rejected_at_once(arguments, match):
    with pytest.raises(ValueError, match=match):
        marginal_likelihood.fit_linear_vae(**{"x": rows().float(), "latents": 2, "noise_std": 0.5} | arguments)


def test_rows_in_another_precision_have_the_same_evidence():
    net, x = linear_vae(), rows(20)
    assert_close(net.evidence(x.float()), net.evidence(x), atol=1e-4, rtol=1e-4)
