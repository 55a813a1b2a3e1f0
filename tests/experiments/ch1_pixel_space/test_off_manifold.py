"""Distances from the set of images, against plain loops."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from course_lib.experiments.ch1_pixel_space import off_manifold


def test_distance_to_the_bank_is_the_least_of_all_pairs():
    generator = torch.Generator().manual_seed(0)
    bank = torch.randint(0, 256, (50, 1, 4, 4), generator=generator, dtype=torch.uint8)
    x = torch.rand(6, 1, 4, 4, generator=generator) * 2 - 1
    table = (x[:, None] - (bank / 127.5 - 1)[None]).flatten(2).norm(dim=2)
    assert_close(off_manifold.distance_to_bank(x, bank, rows=7).float(), table.amin(1))


def test_tilt_and_noise_take_steps_of_the_same_length():
    bank = off_manifold.teddy_bank(20, seed=0, size=16)
    found = off_manifold.compare_tilt_and_noise([0.0, 0.5], 4, bank, seed=1)
    assert_close(found.tilted[0], found.noisy[0])
    assert found.distance[0].abs().max() == 0
    for images in (found.tilted, found.noisy):
        assert_close((images[1] - found.tilted[0]).flatten(1).norm(dim=1), found.distance[1])


def test_shift_right_moves_to_the_right():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    assert_close(off_manifold.shift_right(image, 1)[0, 0, 0], torch.tensor([-1.0, 0, 1, 2]))


def test_confidence_and_accuracy_of_a_classifier_with_known_answers():
    class Judge(nn.Module):
        def features(self, x):
            return x.flatten(1)

        head = nn.Identity()

    images = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).view(3, 1, 1, 2)
    confidence, correct = off_manifold.classifier_confidence_and_accuracy(Judge(), images, torch.tensor([0, 1, 0]))
    assert confidence == pytest.approx(math.e / (1 + math.e))
    assert correct == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("steps", "match"),
    [(0.5, "steps is 0.5, but must be a list"), ([0.2, 1.5], r"steps\[1\] is 1.5"), ([], "one or more numbers")],
)
def test_steps_of_tilt_that_cannot_be_are_rejected(steps, match):
    with pytest.raises((TypeError, ValueError), match=match):
        off_manifold.compare_tilt_and_noise(steps, 2, torch.zeros(3, 3, 16, 16), seed=0)


@pytest.mark.parametrize(
    ("images", "pixels", "match"),
    [
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), 2, "to_float"),
        (torch.zeros(2, 1, 8, 8), -1, "pixels is -1"),
        (torch.zeros(1, 8, 8), 2, r"must be \[B, C, H, W\]"),
    ],
)
def test_images_and_shifts_that_cannot_be_are_rejected(images, pixels, match):
    with pytest.raises(ValueError, match=match):
        off_manifold.shift_right(images, pixels)


def test_uint8_images_and_their_floats_are_at_the_same_distance():
    images = torch.randint(256, (4, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    bank = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(2)) * 2 - 1
    assert_close(off_manifold.distance_to_bank(images, bank), off_manifold.distance_to_bank(images / 127.5 - 1, bank))
