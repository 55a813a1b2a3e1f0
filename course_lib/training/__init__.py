"""One training loop for every network of the workbook: see `loop` for the steps, `config` for the settings."""

from course_lib.training.config import Batch, DivergenceError, LossFn, OnStep, TrainConfig, TrainResult
from course_lib.training.loop import train

__all__ = ["Batch", "DivergenceError", "LossFn", "OnStep", "TrainConfig", "TrainResult", "train"]
