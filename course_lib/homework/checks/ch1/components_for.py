"""Exercise `components_for`: the number of principal components that hold a share of the variance."""

import torch
from torch import Tensor

from course_lib import dimension
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _components_for(eigenvalues: Tensor, share: float) -> int:
    """One component after the other, until what is left out is small enough."""
    values = eigenvalues.detach().double().tolist()
    total, held, count = sum(values), 0.0, 0
    while held < share * total:
        held += values[count]
        count += 1
    return count


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for d, share in ((6, 0.5), (12, 0.7), (20, 0.9), (30, 0.8), (40, 0.95)):
        variances = draw.uniform(d, low=0.1, high=30.0).sort(descending=True).values
        cases.append(Case(f"eigenvalues [{d}] from large to small, {draw.dtype_name}, share {share}", (variances, share)))
    return cases


COMPONENTS_FOR = Exercise(
    "components_for",
    points=0,
    difficulty=1,
    minutes=3,
    oracle=_components_for,
    cases=_cases,
    block=dimension.pca_dimension,
)


def _shares(eigenvalues: Tensor) -> Tensor:
    return eigenvalues.cumsum(0) / eigenvalues.sum()


@COMPONENTS_FOR.mistake(
    "This is one too few: it counts the components that together hold *less* than the share. The next one is needed, too: add 1."
)
def one_too_few(eigenvalues: Tensor, share: float) -> int:
    return int((_shares(eigenvalues) < share).sum())


@COMPONENTS_FOR.mistake("This is one too many. Count the components whose running share is below the given one, and add 1.")
def one_too_many(eigenvalues: Tensor, share: float) -> int:
    return int((_shares(eigenvalues) < share).sum()) + 2


@COMPONENTS_FOR.mistake("The eigenvalues are variances already. Here their squares are added up.")
def squared(eigenvalues: Tensor, share: float) -> int:
    return int((_shares(eigenvalues.square()) < share).sum()) + 1


@COMPONENTS_FOR.mistake("The eigenvalues are variances. Here their square roots, the standard deviations, are added up.")
def standard_deviations(eigenvalues: Tensor, share: float) -> int:
    return int((_shares(eigenvalues.sqrt()) < share).sum()) + 1


@COMPONENTS_FOR.mistake("The components are taken from the smallest on. Start with the first eigenvalue, the largest.")
def smallest_first(eigenvalues: Tensor, share: float) -> int:
    return int((_shares(eigenvalues.flip(0)) < share).sum()) + 1


@COMPONENTS_FOR.mistake("The eigenvalues are compared with the share one by one. Add them up first: eigenvalues.cumsum(0).")
def not_accumulated(eigenvalues: Tensor, share: float) -> int:
    return int((eigenvalues / eigenvalues.sum() < share).sum()) + 1


@COMPONENTS_FOR.mistake("This is the share of the number of components. The share of the *variance* is asked for.")
def share_of_the_count(eigenvalues: Tensor, share: float) -> int:
    return round(share * len(eigenvalues))


@COMPONENTS_FOR.mistake("This is the running share itself. Return how many components it takes, one whole number.")
def running_share(eigenvalues: Tensor, share: float) -> Tensor:
    return torch.cumsum(eigenvalues, 0) / eigenvalues.sum()
