"""The spiral in D dimensions: its moments and distances against closed forms, and what the command stores."""

import json
import math

import pytest
import torch
from scipy.integrate import quad

from course_lib import schedule
from course_lib.experiments.ch4_latent_ddpm import target_dimension


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_spiral_has_the_moments_of_its_formula():
    radius = math.sqrt(quad(lambda u: (0.5 + 3 * math.pi * math.sqrt(u)) ** 2, 0, 1)[0] / 2)
    points = target_dimension.spiral(200_000, seeded())
    assert points.square().mean().item() == pytest.approx(1, rel=0.01)
    for coordinate, f in enumerate((math.cos, math.sin)):
        mean = quad(lambda u, f=f: (a := 0.5 + 3 * math.pi * math.sqrt(u)) * f(a) / radius, 0, 1)[0]
        assert points[:, coordinate].mean().item() == pytest.approx(mean, abs=0.01)


def test_the_plane_is_orthonormal_and_random():
    one, other = (target_dimension.plane(40, seeded(seed)) for seed in range(2))
    torch.testing.assert_close(one @ one.T, torch.eye(2), atol=1e-6, rtol=0)
    assert (one @ other.T).abs().max() < 0.7


def test_distances_of_samples_are_those_of_their_making():
    """Points of the curve, moved by known vectors at right angles to the plane."""
    directions, D = target_dimension.plane(30, seeded()), 30
    on_curve = target_dimension.curve(torch.linspace(0, 1, 500))
    away = torch.randn(500, D, generator=seeded(1))
    away -= away @ directions.T @ directions
    away *= 3 / away.norm(dim=1, keepdim=True)
    found = target_dimension.assess(on_curve @ directions + away, directions, torch.zeros(1))
    torch.testing.assert_close(found.points, on_curve, atol=1e-5, rtol=1e-5)
    assert found.off_plane == pytest.approx(3, rel=1e-5)
    assert found.off_curve == pytest.approx(3, rel=1e-4)
    assert found.uncovered < 0.02
    half = target_dimension.assess(on_curve[:250] @ directions, directions, torch.zeros(1))
    assert half.off_plane == pytest.approx(0, abs=1e-5)
    assert half.uncovered > 0.2


def test_pure_noise_is_as_far_from_the_plane_as_chi_says():
    D = 512
    found = target_dimension.assess(
        torch.randn(2000, D, generator=seeded()), target_dimension.plane(D, seeded(1)), torch.zeros(1)
    )
    assert found.off_plane == pytest.approx(
        math.sqrt(2) * math.exp(math.lgamma((D - 1) / 2) - math.lgamma((D - 2) / 2)), rel=0.005
    )


def test_every_type_determines_the_others_in_the_steps_of_the_training():
    first, last = (schedule.cosine().level(t) for t in (target_dimension.FIRST, target_dimension.LAST))
    assert first.sigma == pytest.approx(0.05, abs=0.005)
    assert last.alpha == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("target", target_dimension.TARGETS)
def test_a_short_training_learns_and_repeats_itself(target):
    one, again = (target_dimension.train_and_sample(2, target, 40, seed=3, width=32, n=50) for _ in range(2))
    assert torch.equal(one.points, again.points)
    assert one.points.shape == (50, 2)
    assert one.off_plane < 1e-5  # in two dimensions there is nothing outside the plane
    assert one.losses[-5:].mean() < one.losses[:5].mean()


def test_in_many_dimensions_x0_stays_near_the_plane():
    found = target_dimension.compare(64, steps=60, width=32)
    assert list(found) == ["x0", "v"]
    assert found["x0"].off_plane < found["v"].off_plane / 3


def test_the_command_trains_every_arm(monkeypatch, tmp_path):
    trained = []

    def train_and_sample(D, target, steps, seed, width, machine):
        trained.append((D, target, width, steps, seed))
        return target_dimension.Samples(torch.zeros(1, 2), 1.0 + seed, 2.0, 3.0, torch.ones(9))

    monkeypatch.setattr(target_dimension, "train_and_sample", train_and_sample)
    figures = json.loads(target_dimension.measure(steps=7, seed=1, out=tmp_path / "t.json").read_text())
    assert trained == [(*arm, 7, seed) for seed in (1, 2) for arm in target_dimension.arms(wider=seed == 1)]
    assert (figures["command"], figures["steps"]) == ("course measure target-dimension", 7)
    assert target_dimension.curves(figures)["v"] == (list(target_dimension.DIMENSIONS), [[2.0, 3.0]] * 5)
