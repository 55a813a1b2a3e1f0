"""Exercise `posterior_mean`: the best guess of x0 from x_t, where x0 is one of N known points (Bayes)."""

import math

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SIZES = ((5, 4, 3), (8, 3, 6))  # N points, M noisy ones, D dimensions


def _posterior_mean(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    """By Bayes, point by point, with densities instead of a softmax."""
    rows = []
    for x in x_t:
        total = x.new_zeros(())
        mean = torch.zeros_like(x)
        for point in points:
            density = torch.exp(-((x - alpha * point).pow(2) / (2 * sigma**2)).sum())
            total, mean = total + density, mean + density * point
        rows.append(mean / total)
    return torch.stack(rows)


def _block(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    squared = _squared(points, x_t, alpha)
    return (-squared / (2 * sigma**2)).softmax(1) @ points


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for n, m, d in SIZES:
        alpha = draw.number(0.6, 0.8)
        sigma = round(math.sqrt(1 - alpha**2), 3)
        points = draw.normal(n, d, std=0.8, mean=0.2)
        x_t = alpha * points[:m] + sigma * draw.normal(m, d)
        where = f"points {[n, d]}, x_t {[m, d]} {draw.dtype_name}, alpha {alpha}, sigma {sigma}"
        cases.append(Case(where, (points, x_t, alpha, sigma)))
    return cases


POSTERIOR_MEAN = Exercise("posterior_mean", points=0, difficulty=2, minutes=5, oracle=_posterior_mean, cases=_cases, block=_block)


def _squared(points: Tensor, x_t: Tensor, alpha: float) -> Tensor:
    """|x_t − alpha · point|², [M, N]."""
    return (x_t[:, None] - alpha * points[None]).square().sum(2)


def _mean(exponent: Tensor, points: Tensor) -> Tensor:
    return exponent.softmax(1) @ points


@POSTERIOR_MEAN.mistake("alpha is missing: x_t = alpha · x0 + sigma · eps, so compare x_t with alpha · points.")
def no_alpha(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return _block(points, x_t, 1.0, sigma)


@POSTERIOR_MEAN.mistake("sigma is not squared: the exponent of a Gaussian is −|x_t − alpha · point|² / (2 sigma²).")
def sigma_not_squared(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return _mean(-_squared(points, x_t, alpha) / (2 * sigma), points)


@POSTERIOR_MEAN.mistake("The factor 2 is missing: the exponent of a Gaussian is −|x_t − alpha · point|² / (2 sigma²).")
def no_half(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return _mean(-_squared(points, x_t, alpha) / sigma**2, points)


@POSTERIOR_MEAN.mistake("sigma is not used: the noisier x_t is, the more points it may come from.")
def no_sigma(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return _mean(-_squared(points, x_t, alpha) / 2, points)


@POSTERIOR_MEAN.mistake("The distance is not squared in the exponent.")
def distance_not_squared(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return _mean(-_squared(points, x_t, alpha).sqrt() / (2 * sigma**2), points)


@POSTERIOR_MEAN.mistake("The sign of the exponent is reversed: far points get the most weight.")
def far_points(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return _mean(_squared(points, x_t, alpha) / (2 * sigma**2), points)


@POSTERIOR_MEAN.mistake("The weights add up to 1 over x_t. They are probabilities of the points: softmax over the points' axis.")
def over_the_wrong_axis(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return (-_squared(points, x_t, alpha) / (2 * sigma**2)).softmax(0) @ points


@POSTERIOR_MEAN.mistake("The weights do not add up to 1: divide by their sum, or take the softmax of the exponents.")
def not_normalised(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return (-_squared(points, x_t, alpha) / (2 * sigma**2)).exp() @ points


@POSTERIOR_MEAN.mistake("This is the nearest point. The mean weighs all points by their probability.")
def nearest(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return points[_squared(points, x_t, alpha).argmin(1)]


@POSTERIOR_MEAN.mistake("All points have the same weight. x_t says which of them are likely.")
def equal_weights(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return points.mean(0).expand(len(x_t), -1)


@POSTERIOR_MEAN.mistake("This is the mean of alpha · x0. Return that of x0: weights @ points.")
def scaled_mean(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return alpha * _block(points, x_t, alpha, sigma)


@POSTERIOR_MEAN.mistake("This is x_t / alpha, in which all of the noise is left. Weigh the points by their probability.")
def noise_left(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return x_t / alpha


@POSTERIOR_MEAN.mistake("The squared differences are averaged over the dimensions. Sum them: a Gaussian's exponent adds them up.")
def averaged_over_dimensions(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    return _mean(-_squared(points, x_t, alpha) / points.shape[1] / (2 * sigma**2), points)
