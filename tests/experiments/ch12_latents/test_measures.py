"""What is measured of latents: against SciPy's transforms and integrals, torch.distributions, and closed forms."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.fft
import torch
from oracles import normal, seeded
from scipy.integrate import quad
from torch.distributions import Normal, kl_divergence

from course_lib.autoencoder import Autoencoder
from course_lib.experiments.ch12_latents import measures
from course_lib.experiments.ch12_latents.codecs import LatentCodec
from course_lib.vae import VAE

TIMES = [(i + 0.5) / 20 for i in range(20)]


# --- the spectrum --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_the_basis_is_scipys(side):
    x = normal(side, seed=1)
    expected = scipy.fft.dct(x.numpy(), norm="ortho")
    torch.testing.assert_close(measures.cosine_basis(side) @ x, torch.from_numpy(expected))


@pytest.mark.parametrize("side", [2, 4, 8])
def test_the_share_is_that_of_scipys_transform(side):
    latents = normal(20, 3, side, side) * torch.linspace(0.1, 2, side, dtype=torch.float64)
    power = (scipy.fft.dctn(latents.numpy(), axes=(2, 3), norm="ortho") ** 2).sum((0, 1))
    high = sum(power[k, m] for k in range(side) for m in range(side) if max(k, m) >= side / 2)
    assert measures.high_frequency_share(latents) == pytest.approx(high / power.sum(), rel=1e-9)


@pytest.mark.parametrize("side", [2, 4, 8])
def test_white_noise_has_the_same_share_at_every_side(side):
    assert measures.high_frequency_share(normal(5000, 4, side, side)) == pytest.approx(measures.WHITE_NOISE, abs=0.01)


def test_the_extremes_of_the_share():
    flat, board = torch.full((2, 1, 4, 4), 0.7), 1 - 2 * ((torch.arange(4)[:, None] + torch.arange(4)) % 2).float()
    assert measures.high_frequency_share(flat) == pytest.approx(0, abs=1e-12)
    assert measures.high_frequency_share(board.expand(1, 1, 4, 4)) > 0.8


# --- scale equivariance, and the KL --------------------------------------------------------------------------------


def test_the_scale_psnr_is_that_of_halved_images():
    net = SimpleNamespace(encode=lambda x: x, decode=lambda z: z + 0.1)
    images = torch.rand(7, 1, 8, 8, generator=seeded()) - 0.5
    assert measures.scale_psnr(net, images) == pytest.approx(10 * math.log10(4 / 0.01), abs=1e-3)


def test_the_kl_is_that_of_torch_distributions_and_none_without_a_posterior():
    torch.manual_seed(0)
    x, nets = torch.rand(9, 1, 16, 16, generator=seeded()) * 2 - 1, (VAE(width=8).eval(), Autoencoder(width=8).eval())
    with torch.no_grad():
        q = nets[0].encode(x)
    expected = kl_divergence(Normal(q.mean, q.std), Normal(0.0, 1.0)).flatten(1).sum(1).mean().item()
    assert measures.kl_nats(LatentCodec(nets[0], x), x) == pytest.approx(expected, rel=1e-5)
    assert measures.kl_nats(LatentCodec(nets[1], x), x) is None


# --- the irreducible variance --------------------------------------------------------------------------------------


def test_many_samples_of_a_gaussian_give_its_closed_form():
    """Per dimension, Var(eps − x0 | x_t) = s² / ((1 − t)² s² + t²) for x0 ~ N(0, s²)."""
    scales = torch.tensor([0.5, 2.0], dtype=torch.float64)
    points = normal(8000, 2) * scales
    truth = np.mean([s**2 / ((1 - t) ** 2 * s**2 + t**2) for s in (0.5, 2.0) for t in TIMES])
    low, high = measures.irreducible_variance(points, normal(300, 2, seed=1) * scales, seeded(2))
    assert low == pytest.approx(truth, rel=0.06)
    assert high == pytest.approx(truth, rel=0.06)


def test_in_many_dimensions_the_bounds_enclose_the_truth():
    truth = np.mean([1 / ((1 - t) ** 2 + t**2) for t in TIMES])
    low, high = measures.irreducible_variance(normal(1000, 32), normal(100, 32, seed=1), seeded(2))
    assert low < 0.8 * truth < truth == pytest.approx(high, rel=0.02)  # for a Gaussian the best denoiser is linear


def test_one_point_leaves_nothing():
    points = torch.full((50, 3), 0.4)
    assert measures.irreducible_variance(points, points[:10], seeded()) == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize("a", [0.3, 1.5])
def test_two_points_give_the_integral(a):
    """Of x0 = ± a, given x_t: mean a·tanh(α a x_t / σ²), so the variance is a² E sech²(α a x_t / σ²)."""

    def variance(t: float) -> float:
        def integrand(eps: float) -> float:
            x_t = (1 - t) * a + t * eps
            return math.exp(-(eps**2) / 2) / math.sqrt(2 * math.pi) / math.cosh(min((1 - t) * a * abs(x_t) / t**2, 300)) ** 2

        return a**2 * quad(integrand, -9, 9, points=[-(1 - t) * a / t] if (1 - t) * a / t < 9 else None, limit=300)[0] / t**2

    truth = np.mean([variance(t) for t in TIMES])
    points = a * (1 - 2 * (torch.arange(2000) % 2).double())[:, None]
    low, high = measures.irreducible_variance(points, points, seeded())
    assert low == pytest.approx(truth, rel=0.05)
    assert high == pytest.approx(truth, rel=0.05)


def test_the_posterior_is_bayes_by_hand():
    points, x_t, alpha, sigma = normal(5, 3), normal(4, 3, seed=1), 0.7, 0.4
    densities = torch.stack([Normal(alpha * p, torch.tensor(sigma)).log_prob(x_t).sum(1).exp() for p in points], 1)
    weights = densities / densities.sum(1, keepdim=True)
    mean, variance = measures.empirical_posterior(points, x_t, alpha, sigma)
    torch.testing.assert_close(mean, weights @ points)
    spread = torch.stack([(weights[i] * (points - mean[i]).square().sum(1)).sum() for i in range(4)])
    torch.testing.assert_close(variance, spread)


def test_a_generator_repeats_the_estimate():
    points, probes = normal(60, 4, 2, 2).float(), normal(20, 4, 2, 2, seed=1).float()
    first, again, other = (measures.irreducible_variance(points, probes, seeded(s)) for s in (0, 0, 1))
    assert first == again != other


# --- wrong arguments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: measures.high_frequency_share(normal(2, 1, 3, 3)), "even side"),
        (lambda: measures.high_frequency_share(normal(2, 1, 4, 2)), "square"),
        (lambda: measures.high_frequency_share(torch.zeros(2, 1, 4, 4)), "no spectrum"),
        (lambda: measures.high_frequency_share(normal(2, 1, 4, 4) * torch.nan), "NaN"),
        (lambda: measures.irreducible_variance(normal(5, 3), normal(6, 3), seeded()), "number of points is 5"),
        (lambda: measures.irreducible_variance(normal(5, 3), normal(5, 4), seeded()), "a probe"),
        (lambda: measures.irreducible_variance(normal(5, 3), normal(5, 3), seeded(), times=0), "times is 0"),
        (lambda: measures.empirical_posterior(normal(5, 3), normal(4, 2), 1.0, 1.0), "x_t"),
        (lambda: measures.cosine_basis(0), "side is 0"),
    ],
)
def test_what_cannot_be_measured_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
