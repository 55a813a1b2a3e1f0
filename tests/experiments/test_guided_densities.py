"""The density that guidance samples, against closed forms, a histogram of samples, and a mass of 1."""

import math

import pytest
import torch

from course_lib import schedule
from course_lib.experiments.ch5_guidance import guided_densities
from course_lib.gaussian_mixture import gaussian_mixture
from course_lib.guidance import guide


def gaussian(mean: tuple[float, ...], spread: float):
    return gaussian_mixture(torch.tensor([mean], dtype=torch.float64), spread)


def test_shares_count_points_in_their_cells():
    plane = guided_densities.plane(side=4, half=2.0)
    points = torch.tensor([[-1.9, -1.9], [1.9, -1.9], [1.9, -1.1], [9.0, 0.0]], dtype=torch.float64).view(4, 2, 1, 1)
    shares = plane.shares(points)  # rows from the bottom up
    assert shares[0, 0] == 0.25
    assert shares[0, 3] == 0.5
    assert shares.sum() == 0.75  # one lies outside
    assert torch.equal(plane.shares(plane.points), torch.full((4, 4), 1 / 16, dtype=torch.float64))
    assert plane.area == 1.0
    corner = torch.zeros(4, 4, dtype=torch.float64)
    corner[0, 3] = 0.5  # a mean does not ask how much there is in all
    assert plane.mean(corner).tolist() == [1.5, -1.5]


def test_sharpening_at_scale_1_is_the_class_itself_and_0_is_everything():
    mixture, plane = guided_densities.two_classes(), guided_densities.plane(side=40, half=4.0)
    for scale, y in ((1.0, 0), (0.0, None)):
        wanted = mixture.log_prob(plane.points, y=y).exp().view(40, 40) * plane.area
        torch.testing.assert_close(guided_densities.sharpened(mixture, plane, 0, scale), wanted, atol=2e-4, rtol=0.01)


def test_the_integrated_density_at_scale_1_is_the_classs_own():
    mixture, plane = guided_densities.two_classes(), guided_densities.plane()
    own = mixture.log_prob(plane.points, y=0).exp().view(64, 64) * plane.area
    assert guided_densities.total_variation(guided_densities.sampled(guided_densities.cfg(mixture, 0, 1.0), plane), own) < 1e-4


@pytest.mark.parametrize("scale", [2.0, 4.0])
def test_the_integrated_density_is_a_density(scale):
    """Nothing in the change of variables normalises: where nothing lies outside the grid, the shares must sum to 1."""
    found = guided_densities.sampled(guided_densities.cfg(guided_densities.two_classes(), 0, scale), guided_densities.plane())
    assert found.sum().item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_a_pair_of_equal_width_moves_and_keeps_its_width(scale):
    """Guiding N(m1, s²) away from N(m0, s²) is exact: N(m0 + scale · (m1 - m0), s²), and there CFG *is* sharpening."""
    main, ref = gaussian((0.4, -0.1), 0.5), gaussian((-0.2, 0.3), 0.5)
    x = torch.randn(200, 2, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = torch.tensor([-0.2 + scale * 0.6, 0.3 - scale * 0.4], dtype=torch.float64)
    wanted = torch.distributions.Normal(mean, 0.5).log_prob(x.flatten(1)).sum(1)
    found = guided_densities.log_density(guide(main.denoiser(), ref.denoiser(), scale), x)
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0])
def test_a_pair_of_unequal_width_is_not_sharpened(scale):
    """N(0, s1²) guided away from N(0, s0²): the flow dy/dr = r·y·(w/(s1² + r²) + (1 - w)/(s0² + r²)) has a solution in closed
    form, whose width is s1^w · s0^(1 - w); the sharpened one has 1/s² = w/s1² + (1 - w)/s0²."""
    s1, s0 = 0.6, 1.0
    x = 0.3 * torch.randn(200, 2, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = torch.distributions.Normal(0.0, s1**scale * s0 ** (1 - scale)).log_prob(x.flatten(1)).sum(1)
    found = guided_densities.log_density(guide(gaussian((0, 0), s1).denoiser(), gaussian((0, 0), s0).denoiser(), scale), x)
    torch.testing.assert_close(found, wanted, atol=5e-3, rtol=1e-3)
    sharp = (scale / s1**2 + (1 - scale) / s0**2) ** -0.5
    assert math.isclose(sharp, s1**scale * s0 ** (1 - scale)) == (scale == 1.0)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_the_integrated_density_is_that_of_the_samples(scale):
    """A sampler that shares nothing with the integration but the denoiser: its histogram is no further from the density than
    as many true draws from the density's cells are."""
    mixture, plane, generator = guided_densities.two_classes(), guided_densities.plane(side=32), torch.Generator().manual_seed(1)
    fine = guided_densities.sampled(guided_densities.cfg(mixture, 0, scale), guided_densities.plane(side=96))
    density = fine.view(32, 3, 32, 3).sum((1, 3))  # the mass of a coarse cell, by nine points in it

    def distance(points: torch.Tensor) -> float:
        return guided_densities.total_variation(plane.shares(points), density)

    draws = (torch.multinomial(density.flatten(), 20_000, replacement=True, generator=generator) for _ in range(10))
    noise = max(distance(plane.points[drawn]) for drawn in draws)
    assert distance(guided_densities.guided_points(guided_densities.cfg(mixture, 0, scale))) < 1.1 * noise < 0.05


def test_at_scale_4_the_samples_are_not_sharpened():
    mixture, plane = guided_densities.two_classes(), guided_densities.plane()
    said, found = (
        guided_densities.sharpened(mixture, plane, 0, 4.0),
        guided_densities.sampled(guided_densities.cfg(mixture, 0, 4.0), plane),
    )
    assert guided_densities.total_variation(said, found) > 0.5
    assert plane.mean(said)[0] - plane.mean(found)[0] > 0.3  # away from the other class
    assert guided_densities.beyond(said, said) == pytest.approx(0.01, abs=2e-3)
    assert guided_densities.beyond(found, said) > 0.02


def test_beyond_counts_what_lies_outside_the_densest_cells():
    q = torch.tensor([[0.5, 0.3], [0.15, 0.05]])
    p = torch.tensor([[0.1, 0.2], [0.3, 0.4]])
    assert guided_densities.beyond(p, q, share=0.7) == pytest.approx(0.7)  # two cells hold 0.8
    assert guided_densities.beyond(p, q, share=0.9) == pytest.approx(0.4)  # three hold 0.95


def test_the_classifier_pulls_as_the_two_denoisers_differ():
    """Bayes' rule: ∇ log p(y | x_t) = ∇ log p(x_t | y) - ∇ log p(x_t)."""
    mixture, x, level = guided_densities.two_classes(), guided_densities.plane(side=6).points, schedule.cosine().level(400)
    wanted = mixture.score(x, level, 1) - mixture.score(x, level)
    torch.testing.assert_close(guided_densities.pull(mixture, x, 1, level), wanted.flatten(1), atol=1e-9, rtol=1e-9)
