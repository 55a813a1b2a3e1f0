"""The functions that a reader of notebook 12 writes: one module for each."""

from course_lib.homework.checks.ch12.high_frequency_share import HIGH_FREQUENCY_SHARE
from course_lib.homework.checks.ch12.posterior_mean import POSTERIOR_MEAN
from course_lib.homework.checks.exercise import Practice

ch12 = Practice("ch12", "Which latents are best to generate in?", HIGH_FREQUENCY_SHARE, POSTERIOR_MEAN)
