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
