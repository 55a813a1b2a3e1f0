"""Samplers against the truth: closed forms, and errors and orders that are known beforehand."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from course_lib import recipes, schedule
from course_lib.diffusion import add_noise
from course_lib.experiments.ch4_latent_ddpm import sampler_order
from course_lib.gaussian_mixture import gaussian_mixture


def test_the_exact_flow_of_one_gaussian_rescales_it():
    """The probability flow of N(m, s²) keeps (x_t − alpha m) / √(alpha² s² + sigma²) (Karras et al. 2022, appendix B.2)."""
    mixture = gaussian_mixture(torch.tensor([[0.7, -0.4]], dtype=torch.float64), 0.6)
    s, x_t = schedule.cosine(), torch.tensor([[0.3, 2.0], [-1.5, 0.1]], dtype=torch.float64).view(2, 2, 1, 1)
    here, mean = s.level(800), mixture.means.view(1, 2, 1, 1)
    for t in (200, 0):
        there = s.level(t)
        width = [math.hypot(0.6 * level.alpha, level.sigma) for level in (here, there)]
        wanted = there.alpha * mean + (x_t - here.alpha * mean) * width[1] / width[0]
        torch.testing.assert_close(sampler_order.exact_flow(mixture, x_t, here, there), wanted, atol=1e-6, rtol=1e-6)


def test_convergence_order_is_the_exponent():
    steps = (5, 10, 20, 40)
    assert sampler_order.convergence_order(steps, [3 / n**2 for n in steps]) == pytest.approx(2)
    assert sampler_order.convergence_order(steps, [99.0, *(3 / n for n in steps[1:])], last=3) == pytest.approx(1)


def test_outliers_do_not_change_the_median_distance():
    a = torch.randn(101, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    b = a + 0.25
    b[:10] += 100
    assert sampler_order.median_distance(a, b) == pytest.approx(0.25, rel=1e-4)


def test_samplers_have_the_known_orders_in_the_middle():
    steps = (20, 40, 80)
    errors = sampler_order.sampler_errors(sampler_order.toy_mixture(), steps, first=900, last=100, n=50)
    found = {name: sampler_order.convergence_order(steps, values, last=3) for name, values in errors.items()}
    assert found == pytest.approx({"DDIM": 1, "DPM-Solver++(2M)": 2, "Heun": 2}, abs=0.2)


def test_the_latent_mixture_has_the_means_and_covariances_of_its_classes():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(9000) % 3
    latents = torch.randn(9000, 2, 1, 2, generator=generator) * (1 + labels.view(-1, 1, 1, 1)) + 5 * labels.view(-1, 1, 1, 1)
    mixture = sampler_order.latent_mixture(latents, labels)
    torch.testing.assert_close(mixture.weights, torch.full((3,), 1 / 3, dtype=torch.float64))
    drawn, y = mixture.sample(9000, generator)
    assert drawn.shape[1:] == latents.shape[1:]
    for k in range(3):
        own = drawn[y == k].flatten(1)
        torch.testing.assert_close(own.mean(0), torch.full((4,), 5.0 * k, dtype=torch.float64), atol=0.3, rtol=0)
        torch.testing.assert_close(own.T.cov(), (1 + k) ** 2 * torch.eye(4, dtype=torch.float64), atol=0.9, rtol=0)


def test_a_learned_denoiser_that_is_exact_shows_the_same_errors():
    """Its own finest solution serves as the truth: within the error of that solution, nothing changes."""
    mixture, steps = sampler_order.toy_mixture(), (5, 10)
    generator = torch.Generator().manual_seed(1)
    here, there = sampler_order.evenly_spaced_levels(900, 100, 1)
    x0 = mixture.sample(40, generator)[0]
    x_t = add_noise(x0, torch.randn(x0.shape, dtype=x0.dtype, generator=generator), here)
    truth = sampler_order.exact_flow(mixture, x_t, here, there)
    exact = sampler_order.endpoint_errors(mixture.denoiser(), x_t, truth, steps, 900, 100)
    learned = sampler_order.learned_denoiser_errors(mixture.denoiser(), x_t, steps, 900, 100, reference_steps=200)
    for name, values in exact.items():
        assert learned[name] == pytest.approx(values, rel=0.05)


def test_evenly_spaced_levels_end_where_they_should():
    assert [level.t for level in sampler_order.evenly_spaced_levels(900, 100, 4)] == [900, 700, 500, 300, 100]
    assert sampler_order.evenly_spaced_levels(1000, 0, 20) == recipes.make_schedule().grid(20)


def test_sliced_wasserstein_distance_of_a_shift_is_its_mean_projection():
    """A shift by d moves a projection at angle a by d·|cos a|, whose mean over all directions is 2 d / pi."""
    points = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    shifted = points + torch.tensor([3.0, 0.0])
    assert sampler_order.sliced_wasserstein(points, shifted, directions=256) == pytest.approx(6 / math.pi, rel=1e-3)


def test_the_floor_is_the_expected_distance_of_two_samples():
    """E|F_n − G_n| of two empirical distribution functions is √(2 F (1 − F) / n) · √(2 / pi), integrated over each projection."""
    n, mixture = 2000, sampler_order.toy_mixture()
    means, covariances = mixture.means.numpy(), (mixture.axes * mixture.variances[:, None] @ mixture.axes.mT).numpy()
    x, expected = np.linspace(-6, 6, 4001), []
    for angle in np.arange(32) * math.pi / 32:
        d = np.array([math.cos(angle), math.sin(angle)])
        below = np.mean([norm.cdf(x, m @ d, math.sqrt(d @ c @ d)) for m, c in zip(means, covariances, strict=True)], 0)
        expected.append(np.trapezoid(np.sqrt(2 * below * (1 - below) / n) * math.sqrt(2 / math.pi), x))
    floors = [sampler_order.distribution_errors((2,), n, seed)[1] for seed in range(5)]
    assert sum(floor.mean for floor in floors) / 5 == pytest.approx(np.mean(expected), rel=0.12)
    for floor in floors:
        assert 0 < floor.low < floor.mean < floor.high


def test_orders_on_equal_grids_are_those_of_the_theory_where_steps_are_fine():
    mixture = sampler_order.toy_mixture()
    x_t = torch.randn(30, 2, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    steps = (20, 40)
    denoisers = {"exact": mixture.denoiser(), "one class": mixture.denoiser(1)}
    found = sampler_order.orders_on_equal_grids(denoisers, x_t, steps, 800, 200, reference_steps=400)
    for orders in found.values():
        assert orders == pytest.approx({"DDIM": 1, "DPM-Solver++(2M)": 2, "Heun": 2}, abs=0.25)
    by_hand = sampler_order.learned_denoiser_errors(mixture.denoiser(), x_t, steps, 800, 200, 400)["Heun"]
    assert found["exact"]["Heun"] == pytest.approx(math.log2(by_hand[0] / by_hand[1]))
