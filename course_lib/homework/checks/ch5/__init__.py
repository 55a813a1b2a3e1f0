"""The functions that a reader of chapter 5 writes: two of homework 5's, without points, and one of its own."""

from course_lib.homework.checks.ch5.projected import PROJECTED
from course_lib.homework.checks.exercise import Practice
from course_lib.homework.checks.hw5 import CFG, CLASSIFIER_GUIDED

ch5 = Practice("ch5", "Guidance", CFG.for_practice(2), CLASSIFIER_GUIDED.for_practice(5), PROJECTED)
