"""What several tests of the experiments use and is slow to build."""

import pytest

from course_lib import device
from course_lib.experiments.evaluator import Evaluator


@pytest.fixture(scope="session")
def evaluator() -> Evaluator:
    """The evaluator on the CPU in fp32: it classifies all test images once, which takes seconds."""
    return Evaluator(device.find("cpu", "fp32"))
