"""Homework 4, latent DDPM: one module for each exercise."""

from course_lib.homework.checks.exercise import Homework, Written
from course_lib.homework.checks.hw4.add_noise import ADD_NOISE
from course_lib.homework.checks.hw4.ddim_step import DDIM_STEP
from course_lib.homework.checks.hw4.target import TARGET
from course_lib.homework.checks.hw4.to_x0 import TO_X0
from course_lib.homework.checks.hw4.training_loss import TRAINING_LOSS
from course_lib.homework.checks.hw4.unscale import UNSCALE

hw4 = Homework("hw4", "Latent DDPM", ADD_NOISE, TARGET, TO_X0, DDIM_STEP, TRAINING_LOSS, UNSCALE, Written("diagnosis", 5, 3, 20))
