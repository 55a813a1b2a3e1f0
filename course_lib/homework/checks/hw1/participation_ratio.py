"""The participation ratio of a spectrum of variances."""

import numpy as np
import torch
from torch import Tensor

from course_lib import dimension
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw1.shared import (
    NOT_ROTATED,
    ONE_MEAN,
    STANDARDISED,
    TRANSPOSED,
    UNCENTRED,
    correlated_points,
    eigenvalues,
    exact_covariance,
    scalar_like,
)


def _oracle(x: Tensor) -> Tensor:
    covariance = exact_covariance(x)
    return scalar_like(np.trace(covariance) ** 2 / np.square(covariance).sum(), x)  # trace and norm: no eigenvalue is needed


def _block(x: Tensor) -> float:
    return dimension.participation_ratio(dimension.pca_spectrum(x))


def _cases(draw: Draw) -> list[Case]:
    kinds = ((7, 12, "fewer points than axes"), (40, 6, "more points than axes"), (25, 9, "more points than axes"))
    return [Case(f"x [{n}, {d}] ({why}); {draw.dtype_name}", (correlated_points(draw, n, d),)) for n, d, why in kinds]


def _ratio(values: Tensor) -> Tensor:
    return values.sum().square() / values.square().sum()


PARTICIPATION_RATIO = Exercise(
    "participation_ratio", points=1, difficulty=2, minutes=5, oracle=_oracle, cases=_cases, block=_block, tolerance=1e-3
)


@PARTICIPATION_RATIO.mistake(UNCENTRED)
def not_centred(x: Tensor) -> Tensor:
    return _ratio(torch.linalg.svdvals(x).square())


@PARTICIPATION_RATIO.mistake(
    "Singular values of the data are standard deviations (times √(N - 1)); λ is a variance, their square."
)
def singular_values_not_squared(x: Tensor) -> Tensor:
    return _ratio(torch.linalg.svdvals(x - x.mean(0)))


@PARTICIPATION_RATIO.mistake(
    "The mean is not subtracted, and the singular values are not squared: λ is the square of the deviation from the mean."
)
def not_centred_not_squared(x: Tensor) -> Tensor:
    return _ratio(torch.linalg.svdvals(x))


@PARTICIPATION_RATIO.mistake("The eigenvalues of a covariance are the λ already, but they were squared once too often.")
def eigenvalues_squared(x: Tensor) -> Tensor:
    return _ratio(eigenvalues(x).square())


@PARTICIPATION_RATIO.mistake("Numerator and denominator are swapped: (Σλ)² is the numerator.")
def inverted(x: Tensor) -> Tensor:
    return 1 / _ratio(eigenvalues(x))


@PARTICIPATION_RATIO.mistake("The sum in the numerator is not squared: (Σλ)².")
def numerator_not_squared(x: Tensor) -> Tensor:
    return eigenvalues(x).sum() / eigenvalues(x).square().sum()


@PARTICIPATION_RATIO.mistake("The squares in the denominator are missing: this is only Σλ, the total variance.")
def total_variance(x: Tensor) -> Tensor:
    return eigenvalues(x).sum()


@PARTICIPATION_RATIO.mistake(
    "The numerator is the square of the sum, the denominator the sum of the squares. Here both are the same."
)
def numerator_equals_denominator(x: Tensor) -> Tensor:
    return eigenvalues(x).square().sum() / eigenvalues(x).square().sum()


@PARTICIPATION_RATIO.mistake(
    "The result is divided by the number of axes. Sums are asked for, not means: the result counts axes, from 1 to D."
)
def mean_for_sum(x: Tensor) -> Tensor:
    return eigenvalues(x).mean().square() / eigenvalues(x).square().mean()


@PARTICIPATION_RATIO.mistake("This divides by the largest eigenvalue, Σλ / max λ. The denominator is Σλ².")
def largest_eigenvalue(x: Tensor) -> Tensor:
    return eigenvalues(x).sum() / eigenvalues(x).max()


@PARTICIPATION_RATIO.mistake(
    "This is the exponential of the spectrum's entropy, another way to count axes. The formula here is (Σλ)² / Σλ²."
)
def entropy(x: Tensor) -> Tensor:
    fractions = eigenvalues(x).clamp(min=0) / eigenvalues(x).sum()
    return torch.special.entr(fractions).sum().exp()


@PARTICIPATION_RATIO.mistake(NOT_ROTATED)
def coordinate_variances(x: Tensor) -> Tensor:
    return _ratio(x.var(0))


@PARTICIPATION_RATIO.mistake(STANDARDISED)
def standardised(x: Tensor) -> Tensor:
    return _ratio(torch.linalg.eigvalsh(torch.corrcoef(x.T)))


@PARTICIPATION_RATIO.mistake(TRANSPOSED)
def transposed(x: Tensor) -> Tensor:
    return _ratio(torch.linalg.eigvalsh(torch.cov(x)))


@PARTICIPATION_RATIO.mistake(ONE_MEAN)
def one_mean(x: Tensor) -> Tensor:
    return _ratio(torch.linalg.svdvals(x - x.mean()).square())


@PARTICIPATION_RATIO.mistake(
    "This is computed from the values of the data themselves, not from the variances along the principal axes."
)
def values_for_variances(x: Tensor) -> Tensor:
    return _ratio(x)


@PARTICIPATION_RATIO.mistake(
    "This is the root of the ratio: Σλ over the root of Σλ². Square the numerator, and leave the denominator as it is."
)
def root_of_result(x: Tensor) -> Tensor:
    return _ratio(eigenvalues(x)).sqrt()


@PARTICIPATION_RATIO.mistake("This is Σλ² / Σλ. The ratio is (Σλ)² / Σλ².")
def upside_down_not_squared(x: Tensor) -> Tensor:
    values = eigenvalues(x)
    return values.square().sum() / values.sum()


@PARTICIPATION_RATIO.mistake("This is Σλ², the denominator. The ratio is (Σλ)² / Σλ².")
def sum_of_squares(x: Tensor) -> Tensor:
    return eigenvalues(x).square().sum()
