"""The functions that a reader of notebook 7 writes: one module for each."""

from course_lib.homework.checks.ch7.attention_inside import ATTENTION_INSIDE
from course_lib.homework.checks.ch7.attention_weights import ATTENTION_WEIGHTS
from course_lib.homework.checks.ch7.contrastive_loss import CONTRASTIVE_LOSS
from course_lib.homework.checks.exercise import Practice

ch7 = Practice("ch7", "Words", CONTRASTIVE_LOSS, ATTENTION_WEIGHTS, ATTENTION_INSIDE)
