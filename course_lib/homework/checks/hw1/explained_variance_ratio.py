"""The fraction of the variance that the first principal axes hold."""

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


def _oracle(x: Tensor, k: int) -> Tensor:
    values = np.linalg.eigvalsh(exact_covariance(x))[::-1]
    return scalar_like(values[:k].sum() / values.sum(), x)


def _block(x: Tensor, k: int) -> float:
    spectrum = dimension.pca_spectrum(x)
    return (spectrum[:k].sum() / spectrum.sum()).item()


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for n, d, k, why in (
        (7, 12, 2, "fewer points than axes"),
        (40, 6, 3, "more points than axes"),
        (25, 9, 4, "more points than axes"),
    ):
        cases.append(Case(f"x [{n}, {d}] ({why}), k = {k}; {draw.dtype_name}", (correlated_points(draw, n, d), k)))
    # Principal axes that are the columns, of integer widths, the narrowest first: a solver that does not sort leaves them so.
    pairs = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    signs = torch.kron(torch.kron(pairs, pairs), pairs)[:, 1:]
    widths = torch.tensor([1.0 + draw.integer(0, 2) + 2 * i for i in range(7)])
    return [*cases, Case(f"x [8, 7] (orthogonal columns), k = 3; {draw.dtype_name}", (draw.tensor(3 + signs * widths), 3))]


def _first(values: Tensor, k: int) -> Tensor:
    """The fraction of the sum that the first k values hold."""
    return values[:k].sum() / values.sum()


EXPLAINED_VARIANCE_RATIO = Exercise(
    "explained_variance_ratio", points=3, difficulty=2, minutes=10, oracle=_oracle, cases=_cases, block=_block, tolerance=1e-3
)


@EXPLAINED_VARIANCE_RATIO.mistake(UNCENTRED)
def not_centred(x: Tensor, k: int) -> Tensor:
    return _first(torch.linalg.svdvals(x).square(), k)


@EXPLAINED_VARIANCE_RATIO.mistake("Singular values are standard deviations (times √(N - 1)). A variance is their square.")
def singular_values_not_squared(x: Tensor, k: int) -> Tensor:
    return _first(torch.linalg.svdvals(x - x.mean(0)), k)


@EXPLAINED_VARIANCE_RATIO.mistake(
    "The mean is not subtracted, and the singular values are not squared: a variance is the square of the deviation "
    "from the mean."
)
def not_centred_not_squared(x: Tensor, k: int) -> Tensor:
    return _first(torch.linalg.svdvals(x), k)


@EXPLAINED_VARIANCE_RATIO.mistake("The eigenvalues of a covariance are variances already, but they were squared again.")
def eigenvalues_squared(x: Tensor, k: int) -> Tensor:
    return _first(eigenvalues(x).square(), k)


@EXPLAINED_VARIANCE_RATIO.mistake(
    "torch.linalg.eigvals promises no order. A covariance is symmetric: use torch.linalg.eigvalsh, which sorts in "
    "ascending order, and take the last k."
)
def eigenvalues_unsorted(x: Tensor, k: int) -> Tensor:
    return _first(torch.linalg.eigvals(torch.cov(x.T)).real, k)


@EXPLAINED_VARIANCE_RATIO.mistake(
    "torch.linalg.eigvals gives complex numbers. A covariance is symmetric: use torch.linalg.eigvalsh, which gives "
    "real ones in ascending order."
)
def eigenvalues_complex(x: Tensor, k: int) -> Tensor:
    return _first(torch.linalg.eigvals(torch.cov(x.T)), k)


@EXPLAINED_VARIANCE_RATIO.mistake(
    "These are the k smallest: eigh and eigvalsh sort in ascending order. Reverse them, or take the last k."
)
def smallest(x: Tensor, k: int) -> Tensor:
    return _first(eigenvalues(x).flip(0), k)


@EXPLAINED_VARIANCE_RATIO.mistake("This is the variance along the k-th axis. Add up the first k, and divide by the sum of all.")
def one_variance(x: Tensor, k: int) -> Tensor:
    return eigenvalues(x)[k - 1]


@EXPLAINED_VARIANCE_RATIO.mistake("This is the fraction of the k-th axis alone. Add up the first k.")
def one_fraction(x: Tensor, k: int) -> Tensor:
    return eigenvalues(x)[k - 1] / eigenvalues(x).sum()


@EXPLAINED_VARIANCE_RATIO.mistake("One axis too few: x[:k] has k entries, x[:k - 1] one fewer.")
def one_axis_too_few(x: Tensor, k: int) -> Tensor:
    return _first(eigenvalues(x), k - 1)


@EXPLAINED_VARIANCE_RATIO.mistake("One axis too many: Python counts from 0, so the first k are [:k].")
def one_axis_too_many(x: Tensor, k: int) -> Tensor:
    return _first(eigenvalues(x), k + 1)


@EXPLAINED_VARIANCE_RATIO.mistake(
    "This is the fraction that the first k axes leave out. Return the fraction that they hold: 1 minus this."
)
def complement(x: Tensor, k: int) -> Tensor:
    return 1 - _first(eigenvalues(x), k)


@EXPLAINED_VARIANCE_RATIO.mistake("This is a percentage. Return a fraction from 0 to 1.")
def percentage(x: Tensor, k: int) -> Tensor:
    return 100 * _first(eigenvalues(x), k)


@EXPLAINED_VARIANCE_RATIO.mistake(
    "This is the variance that the first k axes hold. For the fraction, divide by the variance of all axes."
)
def not_divided(x: Tensor, k: int) -> Tensor:
    return eigenvalues(x)[:k].sum()


@EXPLAINED_VARIANCE_RATIO.mistake("This is the entire curve, for every k. Return one number.")
def cumulative_curve(x: Tensor, k: int) -> Tensor:
    return eigenvalues(x).cumsum(0) / eigenvalues(x).sum()


@EXPLAINED_VARIANCE_RATIO.mistake(
    "The mean is taken instead of the sum: over k axes in the numerator, over all axes in the denominator."
)
def mean_for_sum(x: Tensor, k: int) -> Tensor:
    return eigenvalues(x)[:k].mean() / eigenvalues(x).mean()


@EXPLAINED_VARIANCE_RATIO.mistake(NOT_ROTATED)
def coordinate_variances_sorted(x: Tensor, k: int) -> Tensor:
    return _first(x.var(0).sort(descending=True).values, k)


@EXPLAINED_VARIANCE_RATIO.mistake(
    "These are the first k columns of the data, not the first k principal axes: take the eigenvalues of the covariance."
)
def coordinate_variances(x: Tensor, k: int) -> Tensor:
    return _first(x.var(0), k)


@EXPLAINED_VARIANCE_RATIO.mistake(STANDARDISED)
def standardised(x: Tensor, k: int) -> Tensor:
    return _first(torch.linalg.eigvalsh(torch.corrcoef(x.T)).flip(0), k)


@EXPLAINED_VARIANCE_RATIO.mistake(TRANSPOSED)
def transposed(x: Tensor, k: int) -> Tensor:
    return _first(torch.linalg.eigvalsh(torch.cov(x)).flip(0), k)


@EXPLAINED_VARIANCE_RATIO.mistake(ONE_MEAN)
def one_mean(x: Tensor, k: int) -> Tensor:
    return _first(torch.linalg.svdvals(x - x.mean()).square(), k)


@EXPLAINED_VARIANCE_RATIO.mistake("The root of the fraction is taken. A variance is a square: return the fraction itself.")
def root_of_fraction(x: Tensor, k: int) -> Tensor:
    return _first(eigenvalues(x), k).sqrt()


@EXPLAINED_VARIANCE_RATIO.mistake("The first k fractions are averaged. Add them up.")
def mean_of_first(x: Tensor, k: int) -> Tensor:
    return _first(eigenvalues(x), k) / k


@EXPLAINED_VARIANCE_RATIO.mistake("The sums of singular values are squared. Square each one, then sum.")
def square_of_fraction_of_roots(x: Tensor, k: int) -> Tensor:
    return _first(torch.linalg.svdvals(x - x.mean(0)), k).square()


@EXPLAINED_VARIANCE_RATIO.mistake("This divides by the variance of the other axes. Divide by that of all axes.")
def over_the_rest(x: Tensor, k: int) -> Tensor:
    values = eigenvalues(x)
    return values[:k].sum() / values[k:].sum()


@EXPLAINED_VARIANCE_RATIO.mistake("The first axis is left out: Python counts from 0, so the first k are [:k].")
def first_left_out(x: Tensor, k: int) -> Tensor:
    values = eigenvalues(x)
    return values[1 : k + 1].sum() / values.sum()


@EXPLAINED_VARIANCE_RATIO.mistake("These are the fractions of all axes or of the first k. Return one number: add up the first k.")
def fractions(x: Tensor, k: int) -> Tensor:
    return eigenvalues(x)[:k] / eigenvalues(x).sum()
