"""The functions that a reader of chapter 2 writes."""

from course_lib.homework.checks.ch2.reconstruction_loss import RECONSTRUCTION_LOSS
from course_lib.homework.checks.ch2.spherical_midpoint import SPHERICAL_MIDPOINT
from course_lib.homework.checks.ch2.train_step import TRAIN_STEP
from course_lib.homework.checks.exercise import Practice

ch2 = Practice("ch2", "Autoencoder", RECONSTRUCTION_LOSS, TRAIN_STEP, SPHERICAL_MIDPOINT)
