"""Exercise `multistep`: one step of DPM-Solver++(2M), with the estimate of the step before."""

import math

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((3, 2, 1, 1), (2, 4, 3, 5))


def _multistep(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    """As a DDIM step of the estimate at the middle, with alpha from the definition of h."""
    alpha = sigma * alpha_next / sigma_next * math.exp(-h)  # h is the logarithm of (alpha' / sigma') · (sigma / alpha)
    middle = torch.lerp(x0_before, x0, 1 + h / (2 * h_before))
    eps = (x - alpha * middle) / sigma
    return alpha_next * middle + sigma_next * eps


def _block(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    middle = x0 + h / (2 * h_before) * (x0 - x0_before)
    return sigma_next / sigma * x + alpha_next * (1 - math.exp(-h)) * middle


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in SHAPES:
        sigma, sigma_next = draw.number(0.6, 0.8), draw.number(0.3, 0.5)
        steps = draw.number(0.4, 0.6), draw.number(0.8, 1.1)  # h and the step before, which was longer
        alpha_next = math.sqrt(1 - sigma_next**2)
        given = (draw.normal(*shape), draw.normal(*shape, mean=0.5), draw.normal(*shape), *steps, sigma, alpha_next, sigma_next)
        cases.append(Case(f"x, x0, x0_before {list(shape)}, h and h_before between 0.4 and 1.1, {draw.dtype_name}", given))
    return cases


MULTISTEP = Exercise("multistep", points=0, difficulty=3, minutes=5, oracle=_multistep, cases=_cases, block=_block)


def _step(x: Tensor, estimate: Tensor, h: float, sigma: float, alpha_next: float, sigma_next: float) -> Tensor:
    return sigma_next / sigma * x + alpha_next * (1 - math.exp(-h)) * estimate


@MULTISTEP.mistake(
    "x0_before is not used: this is the first-order step of DDIM. Extrapolate the estimate to the middle of the step."
)
def first_order(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    return _step(x, x0, h, sigma, alpha_next, sigma_next)


@MULTISTEP.mistake("The estimate is extrapolated to the end of the step. Its middle is half as far: divide by 2 · h_before.")
def to_the_end(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    return _step(x, x0 + h / h_before * (x0 - x0_before), h, sigma, alpha_next, sigma_next)


@MULTISTEP.mistake("The estimate is moved back towards x0_before. Continue the line beyond x0: x0 + … · (x0 - x0_before).")
def backwards(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    return _step(x, x0 - h / (2 * h_before) * (x0 - x0_before), h, sigma, alpha_next, sigma_next)


@MULTISTEP.mistake("h and h_before are exchanged: the line is continued by half of *this* step, h / (2 · h_before).")
def ratio_inverted(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    return _step(x, x0 + h_before / (2 * h) * (x0 - x0_before), h, sigma, alpha_next, sigma_next)


@MULTISTEP.mistake("The steps are taken as equal. They are not in the logarithm of the signal-to-noise ratio: use h / h_before.")
def equal_steps(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    return _step(x, x0 + (x0 - x0_before) / 2, h, sigma, alpha_next, sigma_next)


@MULTISTEP.mistake("The factor of the estimate is alpha' · exp(-h). It is alpha' · (1 - exp(-h)): for h = 0 nothing may change.")
def exponential_alone(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    middle = x0 + h / (2 * h_before) * (x0 - x0_before)
    return sigma_next / sigma * x + alpha_next * math.exp(-h) * middle


@MULTISTEP.mistake("The ratio of the sigmas is inverted: x is multiplied by sigma' / sigma, below 1.")
def sigmas_inverted(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    middle = x0 + h / (2 * h_before) * (x0 - x0_before)
    return sigma / sigma_next * x + alpha_next * (1 - math.exp(-h)) * middle


@MULTISTEP.mistake("The noise that x contains is left out: add sigma' / sigma · x.")
def without_x(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    return alpha_next * (1 - math.exp(-h)) * (x0 + h / (2 * h_before) * (x0 - x0_before))


@MULTISTEP.mistake("The sign of the second term is reversed: the step leads towards the estimate.")
def away_from_the_estimate(
    x: Tensor, x0: Tensor, x0_before: Tensor, h: float, h_before: float, sigma: float, alpha_next: float, sigma_next: float
) -> Tensor:
    middle = x0 + h / (2 * h_before) * (x0 - x0_before)
    return sigma_next / sigma * x - alpha_next * (1 - math.exp(-h)) * middle
