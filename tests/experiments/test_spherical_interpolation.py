"""Paths between latents, against angles and radii computed by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from course_lib.experiments.latents import spherical_interpolate
from course_lib.homework.checks.ch2 import ch2


def random_pair(n: int = 5, d: int = 8, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))


def test_a_quarter_of_a_circle_is_walked_in_equal_angles():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    path = spherical_interpolate(a, b, 4)[0]
    angles = torch.linspace(0, math.pi / 2, 4)
    assert_close(path, 2 * torch.stack([angles.cos(), angles.sin()], 1), rtol=1e-5, atol=1e-5)


def test_the_ends_are_the_points_and_the_radius_changes_linearly():
    a, b = random_pair()
    centre = torch.ones(1, 8, dtype=torch.float64)
    path = spherical_interpolate(a, b, 5, centre)
    assert_close(path[:, 0], a)
    assert_close(path[:, -1], b)
    radius = (path - centre[:, None]).norm(dim=2)
    assert_close(radius, torch.lerp(radius[:, :1], radius[:, -1:], torch.linspace(0, 1, 5, dtype=torch.float64)))


def test_its_middle_is_the_exercises():
    a, b = random_pair(seed=1)
    centre = torch.full((8,), 0.5, dtype=torch.float64)
    assert_close(spherical_interpolate(a, b, 3, centre[None])[:, 1], ch2.spherical_midpoint.oracle(a, b, centre))


def test_points_in_one_direction_are_joined_by_a_straight_line():
    a = torch.tensor([[1.0, 1.0]])
    assert_close(spherical_interpolate(a, 3 * a, 3)[0], torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), rtol=1e-3, atol=1e-3)


def test_latents_keep_their_axes():
    z = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    assert spherical_interpolate(z[:1], z[1:], 7, z.mean(0, keepdim=True)).shape == (1, 7, 4, 3, 3)


@pytest.mark.parametrize("other", [torch.zeros(1, 3), torch.zeros(2, 2)])
def test_points_of_different_shapes_raise(other):
    with pytest.raises(ValueError, match="shape"):
        spherical_interpolate(torch.ones(1, 2), other, 3)
