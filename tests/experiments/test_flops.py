"""Operations and bytes, counted by hand."""

import pytest
import torch
from torch import nn

from course_lib import device
from course_lib.experiments import flops
from course_lib.experiments.ch4_latent_ddpm import equal_time


class Net(nn.Module):
    """12 values → 5 → ReLU → 3."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(12, 5), nn.Linear(5, 3)

    def forward(self, x, t, y):
        return self.two(torch.relu(self.one(x.flatten(1))))


def test_operations_of_linear_layers():
    assert flops.flops_per_step(Net(), (3, 2, 2)) == 2 * 12 * 5 + 2 * 5 * 3
    assert flops.flops_per_step(Net().to("meta"), (3, 2, 2)) == 2 * 12 * 5 + 2 * 5 * 3


def test_bytes_held_in_training():
    """The first layer saves its input, 12 values, for its gradient; ReLU and the second layer save the same 5."""
    weights = 12 * 5 + 5 + 5 * 3 + 3
    assert flops.training_memory(Net(), (3, 2, 2), 7) == 4 * (7 * (12 + 5) + 5 * weights)


def test_the_networks_are_those_of_the_comparison_at_equal_time():
    cost = flops.cost_at_side(32)
    assert cost.pixel == flops.flops_per_step(
        equal_time.untrained_pixel_denoiser(device.find("cpu", "fp32")), equal_time.SHAPES["pixel"]
    )
    assert flops.input_shapes(32) == {"pixel": equal_time.SHAPES["pixel"], "latent": equal_time.SHAPES["latent"]}
    assert cost.ratio(10) == pytest.approx(10 * cost.pixel / (10 * cost.latent + cost.decoding))
    assert flops.cost_at_side(64).decoding == 4 * cost.decoding  # a decoder of convolutions alone


def test_a_power_law_is_extrapolated_exactly():
    assert flops.extrapolate_power_law((16, 32, 64), [3 * s**1.5 for s in (16, 32, 64)], 1024) == pytest.approx(3 * 1024**1.5)


def test_exponent_of_a_power_law():
    sides = [16, 32, 80]
    assert flops.power_law_exponent(sides, [0.3 * side**2.7 for side in sides]) == pytest.approx(2.7)
    with pytest.raises(ValueError, match="2 x and 1 y"):
        flops.power_law_exponent([1, 2], [1])
