"""The TwoNN estimate of the intrinsic dimension."""

import math

import numpy as np
from scipy.spatial import KDTree
from torch import Tensor

from course_lib import dimension
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw1.shared import scalar_like


def _oracle(x: Tensor) -> Tensor:
    points = x.detach().cpu().double().numpy()
    distances = KDTree(points).query(points, k=3)[0]  # the first of the three is the point itself
    return scalar_like((len(points) - 1) / np.log(distances[:, 2] / distances[:, 1]).sum(), x)


def _block(x: Tensor) -> float:
    return dimension.two_nn(x, discard=0, method="mle").dimension


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for n, d in ((23, 4), (31, 2), (17, 6)):
        x = draw.normal(n, d) + draw.uniform(d, low=-2.0, high=2.0)
        cases.append(Case(f"x [{n}, {d}], no two points alike; {draw.dtype_name}", (x,)))
    return cases


def _nearest(x: Tensor, power: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """Distances of each point to itself (0), r1 and r2, ascending."""
    return tuple((x[:, None] - x[None]).abs().pow(power).sum(-1).pow(1 / power).sort(1).values[:, :3].T)


def _sorted_distances(x: Tensor, descending: bool = False) -> Tensor:
    return (x[:, None] - x[None]).norm(dim=-1).sort(1, descending=descending).values


def _log_ratios(x: Tensor, power: float = 2.0) -> Tensor:
    _, r1, r2 = _nearest(x, power)
    return (r2 / r1).log()


def _from_distances(pairs: Tensor) -> Tensor:
    """The estimate as if these columns [N, 2] were r1 and r2."""
    return (len(pairs) - 1) / pairs.log().diff(dim=1).sum()


_FARTHEST = "These are the *farthest* points: topk takes the largest unless you pass largest=False."

TWO_NN = Exercise("two_nn", points=4, difficulty=3, minutes=20, oracle=_oracle, cases=_cases, block=_block, tolerance=1e-3)


@TWO_NN.mistake(
    "Each point was taken for its own nearest neighbour, at distance 0. Leave it out: the first of the sorted "
    "distances is the point itself."
)
def itself_as_neighbour(x: Tensor) -> Tensor | float:
    itself, r1, _ = _nearest(x)
    return (len(x) - 1) / (r1 / itself).log().sum()


@TWO_NN.mistake(
    "Neighbours 2 and 3 were compared: one position too far. Sorted distances begin with the point itself, then come r1 and r2."
)
def one_neighbour_too_far(x: Tensor) -> Tensor | float:
    return _from_distances(_sorted_distances(x)[:, 2:4])


@TWO_NN.mistake("Squared distances double every logarithm, so the dimension comes out half as large: take their square root.")
def distances_squared(x: Tensor) -> Tensor | float:
    return (len(x) - 1) / (2 * _log_ratios(x)).sum()


@TWO_NN.mistake("The ratio is upside down, r1 / r2: its logarithm is negative.")
def ratio_inverted(x: Tensor) -> Tensor | float:
    return -(len(x) - 1) / _log_ratios(x).sum()


@TWO_NN.mistake("The logarithm is missing: it is log(r2 / r1) that follows the exponential distribution, not r2 / r1.")
def logarithm_missing(x: Tensor) -> Tensor | float:
    return (len(x) - 1) / _log_ratios(x).exp().sum()


@TWO_NN.mistake("The logarithm is missing: it is log(r2 / r1) that follows the exponential distribution, not r2 / r1 - 1.")
def logarithm_missing_minus_one(x: Tensor) -> Tensor | float:
    return (len(x) - 1) / (_log_ratios(x).exp() - 1).sum()


@TWO_NN.mistake(
    "This is one over the dimension: the mean logarithm itself. A large dimension means small ratios: take the reciprocal."
)
def mean_logarithm(x: Tensor) -> Tensor | float:
    return _log_ratios(x).sum() / (len(x) - 1)


@TWO_NN.mistake("This is one over the dimension: the mean logarithm itself. Take the reciprocal, with N - 1 in the numerator.")
def mean_logarithm_over_n(x: Tensor) -> Tensor | float:
    return _log_ratios(x).mean()


@TWO_NN.mistake(
    "N is in the numerator: that is the maximum-likelihood estimate, a little too large on average. The statement asks for N - 1."
)
def n_in_numerator(x: Tensor) -> Tensor | float:
    return len(x) / _log_ratios(x).sum()


@TWO_NN.mistake("N counts the points, len(x), not the columns.")
def columns_counted(x: Tensor) -> Tensor | float:
    return (x.shape[1] - 1) / _log_ratios(x).sum()


@TWO_NN.mistake(_FARTHEST)
def farthest_first(x: Tensor) -> Tensor | float:
    return _from_distances(_sorted_distances(x, descending=True)[:, [0, 1]])


@TWO_NN.mistake(_FARTHEST)
def farthest_first_reversed(x: Tensor) -> Tensor | float:
    return _from_distances(_sorted_distances(x, descending=True)[:, [1, 0]])


@TWO_NN.mistake(_FARTHEST)
def farthest_second(x: Tensor) -> Tensor | float:
    return _from_distances(_sorted_distances(x, descending=True)[:, [1, 2]])


@TWO_NN.mistake(_FARTHEST)
def farthest_second_reversed(x: Tensor) -> Tensor | float:
    return _from_distances(_sorted_distances(x, descending=True)[:, [2, 1]])


@TWO_NN.mistake("The number of points is counted twice: a mean divides by it already. The formula is N - 1 over the *sum*.")
def divided_by_mean(x: Tensor) -> Tensor | float:
    return (len(x) - 1) / _log_ratios(x).mean()


@TWO_NN.mistake("The number of points is missing: (N - 1) / Σ, not 1 / Σ.")
def number_of_points_missing(x: Tensor) -> Tensor | float:
    return 1 / _log_ratios(x).sum()


@TWO_NN.mistake("The logarithm is to the base 2. The natural one is asked for: torch.log.")
def logarithm_base_2(x: Tensor) -> Tensor | float:
    return (len(x) - 1) / (_log_ratios(x) / math.log(2)).sum()


@TWO_NN.mistake("The logarithm is to the base 10. The natural one is asked for: torch.log.")
def logarithm_base_10(x: Tensor) -> Tensor | float:
    return (len(x) - 1) / (_log_ratios(x) / math.log(10)).sum()


@TWO_NN.mistake("The distances are sums of absolute differences (Manhattan). Euclidean distances are asked for.")
def manhattan_distance(x: Tensor) -> Tensor | float:
    return (len(x) - 1) / _log_ratios(x, 1.0).sum()


@TWO_NN.mistake(
    "This averages the reciprocal of each logarithm. First sum the logarithms, then divide: a single near tie would "
    "dominate the average."
)
def mean_of_reciprocals(x: Tensor) -> Tensor | float:
    return (1 / _log_ratios(x)).mean()


@TWO_NN.mistake("The distances are averaged before the ratio is taken. Each point has its own ratio r2 / r1.")
def distances_averaged(x: Tensor) -> Tensor | float:
    _, r1, r2 = _nearest(x)
    return 1 / (r2.mean() / r1.mean()).log()


@TWO_NN.mistake("The ratios are averaged before the logarithm is taken. Take the logarithm of each point's ratio, then sum.")
def ratios_averaged(x: Tensor) -> Tensor | float:
    return 1 / _log_ratios(x).exp().mean().log()


@TWO_NN.mistake("This uses the median. The statement's formula sums all logarithms.")
def median(x: Tensor) -> Tensor | float:
    return math.log(2) / _log_ratios(x).median()


@TWO_NN.mistake("Neighbours were searched for among the D columns. The points are the rows.")
def columns_as_points(x: Tensor) -> Tensor | float:
    return (x.shape[1] - 1) / _log_ratios(x.T).sum()


@TWO_NN.mistake("This is the line fit of the paper. The statement's formula uses the sum of all logarithms.")
def line_fit(x: Tensor) -> Tensor | float:
    return dimension.two_nn(x, discard=0).dimension


@TWO_NN.mistake(
    "This is the workbook's block with its default, which discards some points. The statement's formula uses every point."
)
def block_defaults(x: Tensor) -> Tensor | float:
    return dimension.two_nn(x).dimension


@TWO_NN.mistake("The distances are subtracted in the logarithm. Divide them: log(r2 / r1).")
def difference_of_distances(x: Tensor) -> Tensor | float:
    _, r1, r2 = _nearest(x)
    return (len(x) - 1) / (r2 - r1).log().sum()


@TWO_NN.mistake("N - 2 is in the numerator. The statement asks for N - 1.")
def two_subtracted(x: Tensor) -> Tensor | float:
    return (len(x) - 2) / _log_ratios(x).sum()


@TWO_NN.mistake("N + 1 is in the numerator. The statement asks for N - 1.")
def one_added(x: Tensor) -> Tensor | float:
    return (len(x) + 1) / _log_ratios(x).sum()


@TWO_NN.mistake("The third neighbour is compared with the first: one position too far. Take the second, r2.")
def third_neighbour(x: Tensor) -> Tensor | float:
    distances = _sorted_distances(x)
    return _from_distances(distances[:, [1, 3]])
