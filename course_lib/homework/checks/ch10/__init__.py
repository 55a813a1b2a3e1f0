"""The function that a reader of notebook 10 writes."""

from course_lib.homework.checks.ch10.multistep import MULTISTEP
from course_lib.homework.checks.exercise import Practice

ch10 = Practice("ch10", "Design choices of diffusion", MULTISTEP)
