"""The density that guidance samples, against closed forms, a histogram of samples, and a mass of 1."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from course_lib import schedule
from course_lib.experiments.ch5_guidance.guided_densities import (
    classifier_gradient,
    exact_guidance,
    log_density,
    mass_outside,
    plane_grid,
    sample_points,
    sampled_density,
    sharpened_density,
    total_variation,
    two_class_mixture,
    two_gaussians,
)
from course_lib.gaussian_mixture import gaussian_mixture
from course_lib.guidance import guide


def gaussian(mean: tuple[float, ...], std: float):
    return gaussian_mixture(torch.tensor([mean], dtype=torch.float64), std)


@cache
def guided_density(scale: float, side: int = 64) -> torch.Tensor:
    """The integrated density of class 0 guided at this scale; several tests use it, and none changes it."""
    return sampled_density(exact_guidance(two_class_mixture(), 0, scale), plane_grid(side))


def test_the_histogram_counts_points_in_their_cells():
    plane = plane_grid(side=4, half=2.0)
    points = torch.tensor([[-1.9, -1.9], [1.9, -1.9], [1.9, -1.1], [9.0, 0.0]], dtype=torch.float64).view(4, 2, 1, 1)
    fractions = plane.histogram(points)  # rows from the bottom up
    assert fractions[0, 0] == 0.25
    assert fractions[0, 3] == 0.5
    assert fractions.sum() == 0.75  # one lies outside
    assert torch.equal(plane.histogram(plane.points), torch.full((4, 4), 1 / 16, dtype=torch.float64))
    assert plane.area == 1.0
    corner = torch.zeros(4, 4, dtype=torch.float64)
    corner[0, 3] = 0.5  # the mean does not depend on the total mass
    assert plane.mean(corner).tolist() == [1.5, -1.5]


def test_sharpening_at_scale_1_is_the_class_itself_and_0_is_everything():
    mixture, plane = two_class_mixture(), plane_grid(side=40, half=4.0)
    for scale, y in ((1.0, 0), (0.0, None)):
        wanted = mixture.log_prob(plane.points, y=y).exp().view(40, 40) * plane.area
        torch.testing.assert_close(sharpened_density(mixture, plane, 0, scale), wanted, atol=2e-4, rtol=0.01)


def test_the_integrated_density_at_scale_1_is_the_classs_own():
    mixture, plane = two_class_mixture(), plane_grid()
    own = mixture.log_prob(plane.points, y=0).exp().view(64, 64) * plane.area
    assert total_variation(guided_density(1.0), own) < 1e-4


@pytest.mark.parametrize("scale", [2.0, 4.0])
def test_the_integrated_density_is_a_density(scale):
    """Nothing in the change of variables normalises: where nothing lies outside the grid, the masses must add up to 1."""
    assert guided_density(scale).sum().item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_gaussians_of_equal_std_are_moved_and_keep_their_std(scale):
    """Guiding N(m1, s²) away from N(m0, s²) is exact: N(m0 + scale · (m1 - m0), s²), and there CFG *is* sharpening."""
    main, ref = gaussian((0.4, -0.1), 0.5), gaussian((-0.2, 0.3), 0.5)
    x = torch.randn(200, 2, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = torch.tensor([-0.2 + scale * 0.6, 0.3 - scale * 0.4], dtype=torch.float64)
    wanted = torch.distributions.Normal(mean, 0.5).log_prob(x.flatten(1)).sum(1)
    found = log_density(guide(main.denoiser(), ref.denoiser(), scale), x)
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0])
def test_gaussians_of_unequal_std_are_not_sharpened(scale):
    """N(0, s1²) guided away from N(0, s0²): the flow dy/dr = r·y·(w/(s1² + r²) + (1 - w)/(s0² + r²)) has a solution in closed
    form, whose width is s1^w · s0^(1 - w); the sharpened one has 1/s² = w/s1² + (1 - w)/s0²."""
    s1, s0 = 0.6, 1.0
    x = 0.3 * torch.randn(200, 2, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = torch.distributions.Normal(0.0, s1**scale * s0 ** (1 - scale)).log_prob(x.flatten(1)).sum(1)
    found = log_density(guide(gaussian((0, 0), s1).denoiser(), gaussian((0, 0), s0).denoiser(), scale), x)
    torch.testing.assert_close(found, wanted, atol=5e-3, rtol=1e-3)
    sharp = (scale / s1**2 + (1 - scale) / s0**2) ** -0.5
    assert math.isclose(sharp, s1**scale * s0 ** (1 - scale)) == (scale == 1.0)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_the_integrated_density_is_that_of_the_samples(scale):
    """A sampler that shares nothing with the integration but the denoiser: its histogram is no further from the density than
    as many true draws from the density's cells are."""
    mixture, plane, generator = two_class_mixture(), plane_grid(side=32), torch.Generator().manual_seed(1)
    density = guided_density(scale, side=96).view(32, 3, 32, 3).sum((1, 3))  # the mass of a coarse cell, by nine points in it

    def distance(points: torch.Tensor) -> float:
        return total_variation(plane.histogram(points), density)

    draws = (torch.multinomial(density.flatten(), 20_000, replacement=True, generator=generator) for _ in range(10))
    noise = max(distance(plane.points[drawn]) for drawn in draws)
    assert distance(sample_points(exact_guidance(mixture, 0, scale))) < 1.1 * noise < 0.05


def test_at_scale_4_the_samples_are_not_sharpened():
    mixture, plane = two_class_mixture(), plane_grid()
    said, found = sharpened_density(mixture, plane, 0, 4.0), guided_density(4.0)
    assert total_variation(said, found) > 0.5
    assert plane.mean(said)[0] - plane.mean(found)[0] > 0.3  # away from the other class
    assert mass_outside(said, said) == pytest.approx(0.01, abs=2e-3)
    assert mass_outside(found, said) > 0.02


def test_mass_outside_the_densest_cells():
    q = torch.tensor([[0.5, 0.3], [0.15, 0.05]])
    p = torch.tensor([[0.1, 0.2], [0.3, 0.4]])
    assert mass_outside(p, q, fraction=0.7) == pytest.approx(0.7)  # two cells hold 0.8
    assert mass_outside(p, q, fraction=0.9) == pytest.approx(0.4)  # three hold 0.95


def test_the_classifier_gradient_is_the_difference_of_two_scores():
    """Bayes' rule: ∇ log p(y | x_t) = ∇ log p(x_t | y) - ∇ log p(x_t)."""
    mixture, x, level = two_class_mixture(), plane_grid(side=6).points, schedule.cosine().level(400)
    wanted = mixture.score(x, level, 1) - mixture.score(x, level)
    torch.testing.assert_close(classifier_gradient(mixture, x, 1, level), wanted.flatten(1), atol=1e-9, rtol=1e-9)


def test_in_many_dimensions_guidance_acts_along_the_line_between_two_classes_alone():
    """Its ODE in that coordinate, dy/dr = -r · score with y = x_t / alpha and r = sigma / alpha, is solved by scipy."""
    scale, n, T = 4.0, 20, schedule.cosine().level(1000)
    samples = sample_points(exact_guidance(two_gaussians(5, 1.0), 0, scale), n, steps=400, dimensions=5).flatten(1)
    x_T = T.sigma * torch.randn(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(samples[:, 1:], x_T[:, 1:], atol=0.02, rtol=0)

    def slope(r, y):
        without = -(y - np.tanh(y / (1 + r**2))) / (1 + r**2)
        return -r * (without + scale * (-(y - 1) / (1 + r**2) - without))

    solved = solve_ivp(slope, (T.ratio, 0.0), x_T[:, 0].numpy() / T.alpha, method="LSODA", rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(samples[:, 0], solved.y[:, -1], atol=0.02)
