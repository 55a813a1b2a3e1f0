"""Answers to chapter 4's practice: right ones, written in several ways, and wrong ones. Its exercises are homework 4's."""

from programs.hw4 import RIGHT as HOMEWORK
from programs.hw4 import WRONG as HOMEWORK_WRONG

SHARED = ("add_noise", "training_loss", "ddim_step")
RIGHT = {name: HOMEWORK[name] for name in SHARED}
WRONG = [row for row in HOMEWORK_WRONG if row[0] in SHARED]
