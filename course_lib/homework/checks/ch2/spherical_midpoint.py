"""Exercise `spherical_midpoint`: the point halfway between two latents, on the sphere about a centre."""

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _midpoint(a: Tensor, b: Tensor, centre: Tensor) -> Tensor:
    """By spherical interpolation (Shoemake 1985) with the angle itself, at u = 1/2; the radius is the mean of the two."""
    a, b = a - centre, b - centre
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    angle = torch.acos((a * b).sum(1, keepdim=True) / (length_a * length_b))
    direction = torch.sin(angle / 2) / torch.sin(angle) * (a / length_a + b / length_b)
    return centre + (length_a + length_b) / 2 * direction


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for n, d in ((4, 6), (3, 64)):
        centre = draw.normal(d, mean=1.0)
        given = (centre + draw.normal(n, d, std=2.0), centre + draw.normal(n, d, std=1.5), centre)
        cases.append(Case(f"a, b [{n}, {d}], centre [{d}], {draw.dtype_name}", given))
    return cases


SPHERICAL_MIDPOINT = Exercise("spherical_midpoint", points=0, difficulty=2, minutes=4, oracle=_midpoint, cases=_cases)


def _unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


@SPHERICAL_MIDPOINT.mistake("This is the middle of the straight line. Scale it, seen from the centre, to the radius of a and b.")
def straight(a: Tensor, b: Tensor, centre: Tensor) -> Tensor:
    return (a + b) / 2


@SPHERICAL_MIDPOINT.mistake("The sphere is about 0. Subtract the centre first, and add it again at the end.")
def about_zero(a: Tensor, b: Tensor, centre: Tensor) -> Tensor:
    return _midpoint(a, b, torch.zeros_like(centre))


@SPHERICAL_MIDPOINT.mistake("The centre is not added again at the end.")
def centre_not_added(a: Tensor, b: Tensor, centre: Tensor) -> Tensor:
    return _midpoint(a, b, centre) - centre


@SPHERICAL_MIDPOINT.mistake("The result has radius 1. Its radius must be the mean of the radii of a and b.")
def of_radius_one(a: Tensor, b: Tensor, centre: Tensor) -> Tensor:
    return centre + _unit(_unit(a - centre) + _unit(b - centre))


@SPHERICAL_MIDPOINT.mistake("The sum of two directions is shorter than 2 and not of length 1: divide it by its own norm.")
def direction_not_normalised(a: Tensor, b: Tensor, centre: Tensor) -> Tensor:
    radius = ((a - centre).norm(dim=1, keepdim=True) + (b - centre).norm(dim=1, keepdim=True)) / 2
    return centre + radius * (_unit(a - centre) + _unit(b - centre)) / 2


@SPHERICAL_MIDPOINT.mistake("The norm is taken over the batch as well. Each row has its own radius: norm(dim=1, keepdim=True).")
def norm_of_the_batch(a: Tensor, b: Tensor, centre: Tensor) -> Tensor:
    middle = (a - centre) / (a - centre).norm() + (b - centre) / (b - centre).norm()
    return centre + ((a - centre).norm() + (b - centre).norm()) / 2 * middle / middle.norm()
