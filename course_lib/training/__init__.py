"""One training loop for every network of the workbook: see `loop` for the steps, `config` for the settings."""

from course_lib.training.config import Diverged, TrainConfig, TrainResult
from course_lib.training.loop import Batch, LossFn, train

__all__ = ["Batch", "Diverged", "LossFn", "TrainConfig", "TrainResult", "train"]
