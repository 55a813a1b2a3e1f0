"""The functions that a reader of notebook 13 writes."""

from course_lib.homework.checks.ch13.guided_target import GUIDED_TARGET
from course_lib.homework.checks.ch13.two_steps_as_one import TWO_STEPS_AS_ONE
from course_lib.homework.checks.exercise import Practice

ch13 = Practice("ch13", "Fewer steps, fewer calls", GUIDED_TARGET, TWO_STEPS_AS_ONE)
