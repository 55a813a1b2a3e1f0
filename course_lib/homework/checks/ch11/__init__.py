"""The functions that a reader of notebook 11 writes: one module for each."""

from course_lib.homework.checks.ch11.denoising_error import DENOISING_ERROR
from course_lib.homework.checks.ch11.step_sizes import STEP_SIZES
from course_lib.homework.checks.exercise import Practice

ch11 = Practice("ch11", "Six broken runs", STEP_SIZES, DENOISING_ERROR)
