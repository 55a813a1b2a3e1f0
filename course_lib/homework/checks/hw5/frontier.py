"""Exercise `frontier`: which runs no other run dominates."""

import math

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _frontier(distance: Tensor, agreement: Tensor) -> Tensor:
    """By definition, one pair of runs at a time."""
    runs = list(zip(distance.tolist(), agreement.tolist(), strict=True))

    def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
        return one != other and one[0] <= other[0] and one[1] >= other[1]

    return torch.tensor([not any(dominates(other, run) for other in runs) for run in runs], device=distance.device)


#: Distance and agreement of each run: dominated runs, ties in one of the two, equal runs on the frontier and off it.
RUNS = (
    ((4.0, 0.9), (1.5, 0.1), (6.0, 0.9), (1.0, 0.2), (5.0, 0.6), (3.0, 0.5), (5.0, 0.6), (2.0, 0.4), (2.0, 0.5), (2.0, 0.5)),
    ((3.0, 0.3), (2.0, 0.2), (1.0, 0.8), (2.0, 0.7), (4.0, 0.75), (1.0, 0.8)),
    ((3.0, 0.6), (1.0, 0.2), (4.0, 0.9), (2.0, 0.5)),
)
#: How many runs stay last when the others are shuffled. In the first set the worse of two runs with equal distance then comes
#: first, which a sweep by distance alone gets wrong.
FIXED_LAST = (3, 0, 0)
DESCRIPTIONS = (
    "10 runs, some tied and some equal",
    "6 runs, two of them equal and better than all others",
    "4 runs, each good at something",
)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for runs, last, description in zip(RUNS, FIXED_LAST, DESCRIPTIONS, strict=True):
        free = len(runs) - last
        order = [*torch.randperm(free, generator=draw.generator).tolist(), *range(free, len(runs))]
        distance, agreement = draw.tensor([runs[i] for i in order]).T.contiguous()
        distance, agreement = draw.number(2.0, 9.0) * distance, draw.number(0.6, 1.0) * agreement
        cases.append(Case(f"distance, agreement [{len(runs)}]: {description}, {draw.dtype_name}", (distance, agreement)))
    return cases


FRONTIER = Exercise("frontier", points=5, difficulty=4, minutes=25, oracle=_frontier, cases=_cases)


# --- good and bad confused -----------------------------------------------------------------------------------------


@FRONTIER.mistake("The distance is compared in the wrong direction: a low distance is good.")
def high_distance_is_good(distance: Tensor, agreement: Tensor) -> Tensor:
    return _frontier(-distance, agreement)


@FRONTIER.mistake("The agreement is compared in the wrong direction: a high agreement is good.")
def low_agreement_is_good(distance: Tensor, agreement: Tensor) -> Tensor:
    return _frontier(distance, -agreement)


@FRONTIER.mistake(
    "Both are compared in the wrong direction, or the table of comparisons was reduced along the wrong axis: "
    "this is the frontier of the worst runs."
)
def frontier_of_the_worst(distance: Tensor, agreement: Tensor) -> Tensor:
    return _frontier(-distance, -agreement)


@FRONTIER.mistake("The mask is inverted: it marks the runs that are dominated.")
def inverted(distance: Tensor, agreement: Tensor) -> Tensor:
    return ~_frontier(distance, agreement)


# --- another definition of "dominates" -----------------------------------------------------------------------------


def _not_dominated(dominates: Tensor) -> Tensor:
    """The runs that no other run dominates; dominates [i, j]: run j dominates run i. A run does not dominate itself."""
    return ~(dominates & ~torch.eye(len(dominates), dtype=torch.bool, device=dominates.device)).any(1)


def _dominance(distance: Tensor, agreement: Tensor) -> Tensor:
    """The table [i, j]: run j dominates run i."""
    as_good = (distance[None] <= distance[:, None]) & (agreement[None] >= agreement[:, None])
    return as_good & ((distance[None] < distance[:, None]) | (agreement[None] > agreement[:, None]))


@FRONTIER.mistake(
    "A run counts as dominated only if another is better in both. Equal in one and better in the other is enough to dominate."
)
def better_in_both(distance: Tensor, agreement: Tensor) -> Tensor:
    return _not_dominated((distance[None] < distance[:, None]) & (agreement[None] > agreement[:, None]))


@FRONTIER.mistake("Two equal runs dominate each other. To dominate, a run must also be better in at least one of the two.")
def equal_runs_dominate(distance: Tensor, agreement: Tensor) -> Tensor:
    return _not_dominated((distance[None] <= distance[:, None]) & (agreement[None] >= agreement[:, None]))


@FRONTIER.mistake("Better in one of the two is not enough to dominate: the run must not be worse in the other.")
def better_in_either(distance: Tensor, agreement: Tensor) -> Tensor:
    return _not_dominated((distance[None] < distance[:, None]) | (agreement[None] > agreement[:, None]))


@FRONTIER.mistake(
    "Every run dominates itself, because it is as good as itself in both. "
    "To dominate, a run must also be better in at least one of the two."
)
def runs_dominate_themselves(distance: Tensor, agreement: Tensor) -> Tensor:
    return torch.zeros_like(distance, dtype=torch.bool)


# --- too few runs --------------------------------------------------------------------------------------------------


@FRONTIER.mistake(
    "Of equal runs only the first is on the frontier. Neither is better than the other in anything, so neither is dominated."
)
def first_of_equal_runs(distance: Tensor, agreement: Tensor) -> Tensor:
    equal = (distance[:, None] == distance[None]) & (agreement[:, None] == agreement[None])
    return _frontier(distance, agreement) & ~equal.tril(-1).any(1)


@FRONTIER.mistake(
    "A sweep in order of distance must break ties: among runs at the same distance the one with the highest agreement "
    "comes first, and runs equal to it stay on the frontier."
)
def sweep_without_ties(distance: Tensor, agreement: Tensor) -> Tensor:
    mask, best = torch.zeros_like(distance, dtype=torch.bool), -math.inf
    for i in distance.argsort(stable=True).tolist():
        mask[i] = agreement[i] > best
        best = max(best, agreement[i].item())
    return mask


@FRONTIER.mistake(
    "Only the run with the least distance is marked. A more distant run is on the frontier too "
    "if its agreement is higher than that of all nearer ones."
)
def nearest_run(distance: Tensor, agreement: Tensor) -> Tensor:
    return distance == distance.min()


@FRONTIER.mistake(
    "Only the run with the highest agreement is marked. A run with lower agreement is on the frontier too "
    "if it is nearer than all with higher agreement."
)
def run_with_highest_agreement(distance: Tensor, agreement: Tensor) -> Tensor:
    return agreement == agreement.max()


@FRONTIER.mistake("Only the best run in each of the two is marked. The frontier also contains the runs between them.")
def best_in_each(distance: Tensor, agreement: Tensor) -> Tensor:
    return (distance == distance.min()) | (agreement == agreement.max())


# --- the right runs in another form --------------------------------------------------------------------------------


@FRONTIER.mistake("The mask is in the order of increasing distance. Return it in the order in which the runs were given.")
def in_sorted_order(distance: Tensor, agreement: Tensor) -> Tensor:
    return _frontier(distance, agreement)[distance.argsort(stable=True)]


@FRONTIER.mistake("These are the indices of the runs. Return a mask: True or False for each run.")
def indices(distance: Tensor, agreement: Tensor) -> Tensor:
    return _frontier(distance, agreement).nonzero()[:, 0]


@FRONTIER.mistake("The mask contains the numbers 0 and 1. It must be bool, so that it can select runs: distance[mask].")
def mask_as_numbers(distance: Tensor, agreement: Tensor) -> Tensor:
    return _frontier(distance, agreement).to(distance)


@FRONTIER.mistake("This returns the distances of the frontier's runs. Return a mask: True or False for each run.")
def distances(distance: Tensor, agreement: Tensor) -> Tensor:
    return distance[_frontier(distance, agreement)]


@FRONTIER.mistake(
    "A run counts as dominated only if another is nearer. At equal distance a higher agreement is enough to dominate."
)
def strict_in_distance(distance: Tensor, agreement: Tensor) -> Tensor:
    return _not_dominated((distance[None] < distance[:, None]) & (agreement[None] >= agreement[:, None]))


@FRONTIER.mistake(
    "A run counts as dominated only if another has a higher agreement. At equal agreement a lower distance is enough to dominate."
)
def strict_in_agreement(distance: Tensor, agreement: Tensor) -> Tensor:
    return _not_dominated((distance[None] <= distance[:, None]) & (agreement[None] > agreement[:, None]))


@FRONTIER.mistake("Each run is compared with the mean. Compare it with every other run: is there one that dominates it?")
def better_than_the_mean(distance: Tensor, agreement: Tensor) -> Tensor:
    return (distance < distance.mean()) & (agreement > agreement.mean())


@FRONTIER.mistake("Each run is compared with the median. Compare it with every other run: is there one that dominates it?")
def better_than_the_median(distance: Tensor, agreement: Tensor) -> Tensor:
    return (distance <= distance.median()) & (agreement >= agreement.median())


@FRONTIER.mistake(
    "Only the run with the best ratio of the two is marked. The frontier holds every run that no other one dominates."
)
def best_ratio(distance: Tensor, agreement: Tensor) -> Tensor:
    return agreement / distance == (agreement / distance).amax()


@FRONTIER.mistake("Each run is compared only with those before it. Compare it with all others.")
def compared_with_earlier_runs(distance: Tensor, agreement: Tensor) -> Tensor:
    return _not_dominated(_dominance(distance, agreement).tril())


@FRONTIER.mistake("Each run is compared only with those after it. Compare it with all others.")
def compared_with_later_runs(distance: Tensor, agreement: Tensor) -> Tensor:
    return _not_dominated(_dominance(distance, agreement).triu())


@FRONTIER.mistake("A run counts as dominated only if *all* others dominate it, or none is looked at. One is enough: any.")
def all_for_any(distance: Tensor, agreement: Tensor) -> Tensor:
    return torch.ones_like(distance, dtype=torch.bool)


@FRONTIER.mistake(
    "A sweep in order of agreement must break ties: among runs with the same agreement the nearest one comes "
    "first, and runs equal to it stay on the frontier."
)
def last_of_a_sweep_by_agreement(distance: Tensor, agreement: Tensor) -> Tensor:
    mask, best = torch.zeros_like(distance, dtype=torch.bool), math.inf
    for i in agreement.argsort(descending=True, stable=True).tolist():
        mask[i] = distance[i] < best
        best = min(best, distance[i].item())
    return mask


@FRONTIER.mistake(
    "The sweep starts at the lowest agreement. Start at the highest one, and mark every run that is nearer than all before it."
)
def sweep_from_the_worst(distance: Tensor, agreement: Tensor) -> Tensor:
    mask, best = torch.zeros_like(distance, dtype=torch.bool), math.inf
    for i in agreement.argsort(stable=True).tolist():
        mask[i] = distance[i] < best
        best = min(best, distance[i].item())
    return mask


@FRONTIER.mistake("This is the table of comparisons, a row and a column for each run. Reduce it: which rows hold no True?")
def table(distance: Tensor, agreement: Tensor) -> Tensor:
    return _dominance(distance, agreement)
