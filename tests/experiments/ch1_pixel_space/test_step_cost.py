"""The cost of a denoising step, against textbook counts and networks of known speed."""

import time

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from course_lib.device import Machine
from course_lib.experiments.ch1_pixel_space import step_cost


def test_flops_of_a_convolution_are_those_of_the_textbook():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 7, 3, padding=1)

        def forward(self, x, t):
            return self.conv(x)

    assert step_cost.step_flops(lambda side: Net(), 20) == 2 * 20 * 20 * 7 * 3 * 9


def test_flops_of_attention_include_the_table_of_all_pairs():
    dim, depth = 32, 2
    side = 48

    def rest(side):  # everything that is not the table of pairs
        return step_cost.step_flops(step_cost.attention_denoiser, side) - depth * 4 * side**4 * dim

    per_pixel = (rest(2 * side) - rest(side)) / (3 * side**2)
    assert_close(per_pixel, float(2 * (depth * 12 * dim**2 + 2 * 3 * dim)))  # qkv 3, out 1, mlp 8; embedding and head


@pytest.mark.parametrize("patch", [2, 8])
def test_patches_divide_the_tokens_by_the_square_of_their_side(patch):
    dim, depth, side = 32, 2, 64
    tokens = (side // patch) ** 2
    each = 2 * (depth * 12 * dim**2 + 2 * 3 * patch**2 * dim)  # qkv 3, out 1, mlp 8; embedding and head of a patch
    pairs = depth * 4 * tokens**2 * dim
    counted = step_cost.step_flops(lambda s: step_cost.attention_denoiser(s, patch), side)
    conditioning = step_cost.step_flops(step_cost.attention_denoiser, side) - depth * 4 * side**4 * dim
    conditioning -= side**2 * 2 * (depth * 12 * dim**2 + 2 * 3 * dim)  # what does not depend on the tokens
    assert counted == tokens * each + pairs + conditioning


def test_a_patch_that_does_not_tile_the_image_is_rejected():
    with pytest.raises(ValueError, match="multiple of patch"):
        step_cost.attention_denoiser(30, patch=4)


def test_a_step_of_convolutions_costs_the_same_for_each_pixel():
    counts = [step_cost.step_flops(step_cost.convolutional_denoiser, side) for side in (128, 256, 512)]
    assert counts[2] - counts[1] == 4 * (counts[1] - counts[0])


def test_seconds_are_those_of_a_slow_network():
    class Slow(nn.Module):
        def forward(self, x, t):
            assert x.shape == (1, 3, 8, 8)
            assert t.shape == (1,)
            deadline = time.perf_counter() + 0.02
            while time.perf_counter() < deadline:
                pass
            return x

    machine = Machine(torch.device("cpu"), "32-true", 1, "test")
    assert 0.02 <= step_cost.step_seconds(lambda side: Slow(), 8, machine, min_seconds=0.1) < 0.1


def test_a_slow_first_step_is_not_repeated():
    calls = []

    class Slower(nn.Module):
        def forward(self, x, t):
            calls.append(time.sleep(0.05))
            return x

    machine = Machine(torch.device("cpu"), "32-true", 1, "test")
    assert 0.05 <= step_cost.step_seconds(lambda side: Slower(), 8, machine, min_seconds=0.004) < 0.2
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.25 s"),
        (90, "90 s"),
        (114, "114 s"),
        (200, "3.3 minutes"),
        (46800, "13 hours"),
        (4.5e10, "1,426 years"),
        (8.2e7, "2.6 years"),
    ],
)
def test_durations_have_the_unit_that_people_would_choose(seconds, text):
    assert step_cost.format_duration(seconds) == text


@pytest.mark.parametrize("side", [10**9, 0, 2.5])
@pytest.mark.parametrize("make", [step_cost.convolutional_denoiser, step_cost.attention_denoiser])
def test_sides_that_cannot_be_are_rejected_at_once(make, side):
    with pytest.raises(ValueError, match=f"side is {side}"):
        step_cost.step_flops(make, side)


def test_a_side_that_the_unet_cannot_halve_is_rejected():
    with pytest.raises(ValueError, match="multiple of 4"):
        step_cost.convolutional_denoiser(30)
