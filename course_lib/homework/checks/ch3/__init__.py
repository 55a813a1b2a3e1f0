"""The functions that a reader of chapter 3 and of notebook 9 writes. Three are homework 3's, without points."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from course_lib.homework.checks.ch3.bound import BOUND
from course_lib.homework.checks.ch3.log_likelihood import LOG_LIKELIHOOD
from course_lib.homework.checks.exercise import Exercise, Practice
from course_lib.homework.checks.hw3 import FREE_BITS, KL, REPARAMETERISE
from course_lib.vae import Posterior, free_bits


def _kl(mean: Tensor, logvar: Tensor) -> Tensor:
    return Posterior(mean, logvar).kl()


def _reparameterise(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (logvar / 2).exp() * eps


def _without_points(exercise: Exercise, minutes: int, block: Callable) -> Exercise:
    """The same exercise with the same known mistakes, for practice."""
    copy = replace(exercise, points=0, minutes=minutes, block=block)
    copy.mistakes.extend(exercise.mistakes)
    return copy


ch3 = Practice(
    "ch3",
    "The variational autoencoder",
    _without_points(REPARAMETERISE, 2, _reparameterise),
    _without_points(KL, 4, _kl),
    LOG_LIKELIHOOD,
    BOUND,
    _without_points(FREE_BITS, 3, free_bits),
)
