"""Homework 3, the variational autoencoder: one module for each exercise."""

from course_lib.homework.checks.exercise import Homework, Written
from course_lib.homework.checks.hw3.active_units import ACTIVE_UNITS
from course_lib.homework.checks.hw3.averaged import AVERAGED
from course_lib.homework.checks.hw3.elbo import ELBO
from course_lib.homework.checks.hw3.free_bits import FREE_BITS
from course_lib.homework.checks.hw3.kl import KL
from course_lib.homework.checks.hw3.reparameterise import REPARAMETERISE

hw3 = Homework(
    "hw3",
    "The variational autoencoder",
    REPARAMETERISE,
    KL,
    ELBO,
    AVERAGED,
    FREE_BITS,
    ACTIVE_UNITS,
    Written("collapse", 5, 3, 20),
)
