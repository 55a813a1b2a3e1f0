"""The functions that a reader of notebook 6 writes: one module for each."""

from course_lib.homework.checks.ch6.discriminator_loss import DISCRIMINATOR_LOSS
from course_lib.homework.checks.ch6.feature_distance import FEATURE_DISTANCE
from course_lib.homework.checks.ch6.generator_loss import GENERATOR_LOSS
from course_lib.homework.checks.exercise import Practice

ch6 = Practice("ch6", "A sharper VAE", FEATURE_DISTANCE, DISCRIMINATOR_LOSS, GENERATOR_LOSS)
