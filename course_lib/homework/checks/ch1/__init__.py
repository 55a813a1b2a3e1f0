"""The functions that a reader of chapter 1 writes."""

from course_lib.homework.checks.ch1.components_for import COMPONENTS_FOR
from course_lib.homework.checks.ch1.mean_squared_error import MEAN_SQUARED_ERROR
from course_lib.homework.checks.ch1.noise_of_length import NOISE_OF_LENGTH
from course_lib.homework.checks.exercise import Practice

ch1 = Practice("ch1", "Pixel space", COMPONENTS_FOR, NOISE_OF_LENGTH, MEAN_SQUARED_ERROR)
