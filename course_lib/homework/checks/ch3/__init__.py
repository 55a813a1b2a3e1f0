"""The functions that a reader of chapter 3 and of notebook 9 writes. Three are homework 3's, without points."""

from torch import Tensor

from course_lib.homework.checks.ch3.bound import BOUND
from course_lib.homework.checks.ch3.log_likelihood import LOG_LIKELIHOOD
from course_lib.homework.checks.exercise import Practice
from course_lib.homework.checks.hw3 import FREE_BITS, KL, REPARAMETERISE
from course_lib.vae import Posterior, free_bits


def _kl(mean: Tensor, logvar: Tensor) -> Tensor:
    return Posterior(mean, logvar).kl()


def _reparameterise(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (logvar / 2).exp() * eps


ch3 = Practice(
    "ch3",
    "The variational autoencoder",
    REPARAMETERISE.for_practice(2, _reparameterise),
    KL.for_practice(4, _kl),
    LOG_LIKELIHOOD,
    BOUND,
    FREE_BITS.for_practice(3, free_bits),
)
