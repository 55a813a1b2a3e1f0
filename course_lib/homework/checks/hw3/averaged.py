"""Exercise `averaged`: one step of an exponential moving average of weights."""

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _averaged(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return torch.lerp(weights.double(), average.double(), decay).to(average)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((5, 3, 4, 2), (7,)):
        given = (draw.normal(*shape), draw.normal(*shape, mean=0.5), draw.number(0.8, 0.95))
        cases.append(Case(f"average, weights {list(shape)} {draw.dtype_name}, a decay between 0.8 and 0.95", given))
    return cases


AVERAGED = Exercise("averaged", points=1, difficulty=1, minutes=5, oracle=_averaged, cases=_cases)


@AVERAGED.mistake(
    "This is the wrong way round: with a decay of 0.99 the *average* keeps 99 % of itself, and the new weights contribute 1 %."
)
def swapped(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return decay * weights + (1 - decay) * average


@AVERAGED.mistake(
    "The new weights are added in full. Add only a fraction 1 - decay of them, or the average would grow without bound."
)
def weights_added_in_full(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return decay * average + weights


@AVERAGED.mistake("The average is not reduced before the new weights are added: decay · average.")
def average_not_reduced(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return average + (1 - decay) * weights


@AVERAGED.mistake("Both terms have the factor decay. The two fractions must add up to 1: decay and 1 - decay.")
def decay_for_both(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return decay * (average + weights)


@AVERAGED.mistake("This is the plain mean of the two, whatever the decay is.")
def plain_mean(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return (average + weights) / 2


@AVERAGED.mistake("This returns the old average unchanged. The new weights must contribute to it.")
def old_average(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return average


@AVERAGED.mistake("This returns the new weights: nothing is averaged.")
def new_weights(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return weights


@AVERAGED.mistake("The sign of the step is reversed: the average moves away from the weights.")
def step_reversed(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return average - (1 - decay) * (weights - average)


@AVERAGED.mistake("The step is too large: the average should move a fraction 1 - decay of the way to the weights.")
def step_too_large(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return average + weights - decay * average


@AVERAGED.mistake("A decay of 0.99 is written into the program. Use the argument `decay`.")
def decay_of_099(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return 0.99 * average + 0.01 * weights


@AVERAGED.mistake("A decay of 0.999 is written into the program. Use the argument `decay`.")
def decay_of_0999(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return 0.999 * average + 0.001 * weights


@AVERAGED.mistake("A decay of 0.9 is written into the program. Use the argument `decay`.")
def decay_of_09(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return 0.9 * average + 0.1 * weights


@AVERAGED.mistake("The result is divided by 1 - decay. The two fractions add up to 1 already: nothing is to be divided.")
def divided_by_1_minus_decay(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return (decay * average + (1 - decay) * weights) / (1 - decay)


@AVERAGED.mistake("The two are added in full. Their fractions must add up to 1: decay and 1 - decay.")
def sum_of_both(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return average + weights


@AVERAGED.mistake("Both terms have the factor 1 - decay. The average has the factor decay.")
def both_by_1_minus_decay(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return (1 - decay) * (average + weights)


@AVERAGED.mistake("The weights are subtracted: the factor is 1 - decay, not decay - 1.")
def weights_subtracted(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return decay * average - (1 - decay) * weights


@AVERAGED.mistake("Brackets are missing: 1 - decay * weights multiplies first. Write (1 - decay) * weights.")
def brackets_missing(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return decay * average + 1 - decay * weights


@AVERAGED.mistake("The average is missing: this is only the fraction 1 - decay of the weights.")
def average_missing(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return (1 - decay) * weights


@AVERAGED.mistake("The weights are missing: this is only the fraction decay of the average.")
def weights_missing(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return decay * average


@AVERAGED.mistake("The result is halved. decay and 1 - decay add up to 1 already.")
def halved(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return (decay * average + (1 - decay) * weights) / 2


@AVERAGED.mistake("Everything is multiplied. The two parts are added.")
def all_multiplied(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return decay * average * (1 - decay) * weights
