"""Homework 5, guidance: one module for each exercise."""

from course_lib.homework.checks.exercise import Homework, Written
from course_lib.homework.checks.hw5.cfg import CFG
from course_lib.homework.checks.hw5.classifier_guided import CLASSIFIER_GUIDED
from course_lib.homework.checks.hw5.frontier import FRONTIER
from course_lib.homework.checks.hw5.interval_scale import INTERVAL_SCALE
from course_lib.homework.checks.hw5.rescaled import RESCALED
from course_lib.homework.checks.hw5.to_guidance_scale import TO_GUIDANCE_SCALE

hw5 = Homework(
    "hw5",
    "Guidance",
    CFG,
    TO_GUIDANCE_SCALE,
    CLASSIFIER_GUIDED,
    INTERVAL_SCALE,
    RESCALED,
    FRONTIER,
    Written("choice", 5, 3, 20),
)
