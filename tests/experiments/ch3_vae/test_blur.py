"""Why reconstructions blur: the least-squares answer and the sharpness of images, against closed forms."""

import math

import pytest
import torch
from torch.testing import assert_close

from course_lib.experiments.ch3_vae import blur


def test_the_least_squares_answer_is_the_mean():
    signals = blur.edge_signals(400, 0.2)
    assert set(signals.unique().tolist()) == {-1.0, 1.0}
    assert_close(blur.least_squares_answer(signals), signals.mean(0), atol=1e-4, rtol=0)


def test_sharpness_of_stripes():
    stripes = torch.tensor([-1.0, 1.0]).repeat(4).expand(1, 1, 8, 8)
    assert blur.sharpness(stripes) == pytest.approx(math.sqrt(2.0))  # squared difference 4 across, 0 down
