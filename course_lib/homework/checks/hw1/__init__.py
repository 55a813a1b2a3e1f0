"""Homework 1, pixel space: what its checks compare with, and what people get wrong. A file for each exercise."""

from course_lib.homework.checks.exercise import Homework, Written
from course_lib.homework.checks.hw1.explained_variance_ratio import EXPLAINED_VARIANCE_RATIO
from course_lib.homework.checks.hw1.participation_ratio import PARTICIPATION_RATIO
from course_lib.homework.checks.hw1.patch_statistics import PATCH_STATISTICS
from course_lib.homework.checks.hw1.triplet_error_rate import TRIPLET_ERROR_RATE
from course_lib.homework.checks.hw1.two_nn import TWO_NN

hw1 = Homework(
    "hw1",
    "Pixel space",
    PATCH_STATISTICS,
    EXPLAINED_VARIANCE_RATIO,
    PARTICIPATION_RATIO,
    TWO_NN,
    TRIPLET_ERROR_RATE,
    Written("far_and_near", 5, 2, 20),
)
