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


@pytest.mark.parametrize(("lr", "match"), [(1.0, "lr is 1.0"), (0.0, "lr is 0.0"), (math.nan, "lr is nan")])
def test_a_learning_rate_that_diverges_is_rejected(lr, match):
    with pytest.raises(ValueError, match=match):
        blur.least_squares_answer(blur.edge_signals(4, 0.2), lr=lr)


@pytest.mark.parametrize(
    ("images", "match"),
    [
        (torch.zeros(2, 1, 8, 1), "sides of at least 2"),
        (torch.full((2, 1, 8, 8), math.nan), "images contains NaN"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "to_float"),
    ],
)
def test_images_without_a_sharpness_are_rejected(images, match):
    with pytest.raises(ValueError, match=match):
        blur.sharpness(images)
