"""Conversions between uint8 and float images, patches, and noise of a given length, against numpy and plain loops."""

import numpy as np
import pytest
import torch
from oracles import normal
from torch.testing import assert_close

from course_lib.images import as_float, patches, scale_to_norm, to_float, to_uint8


def test_the_256_values_survive_the_round_trip_and_span_minus_one_to_one():
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    floats = to_float(values)
    assert floats.dtype == torch.float32
    assert_close(floats, (values.double() / 255 * 2 - 1).float(), atol=1e-6, rtol=0)
    assert (floats.min().item(), floats.max().item()) == (-1.0, 1.0)
    assert torch.equal(to_uint8(floats), values)
    assert torch.equal(values.flatten(), torch.arange(256, dtype=torch.uint8))  # the input is not changed


def test_to_uint8_rounds_and_clamps_in_every_float_dtype():
    values = torch.tensor([-7.0, -1.0, 0.0, 1.0, 7.0])
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        assert to_uint8(values.to(dtype)).tolist() == [0, 0, 128, 255, 255]
    assert to_uint8(torch.tensor([99.4, 99.6]) / 127.5 - 1).tolist() == [99, 100]


def test_as_float_converts_uint8_and_returns_floats_unchanged():
    images = torch.tensor([[0, 255]], dtype=torch.uint8)
    assert as_float(images).tolist() == [[-1.0, 1.0]]
    floats = torch.tensor([[0.25]])
    assert as_float(floats) is floats


def test_wrong_dtypes_raise():
    with pytest.raises(ValueError, match=r"uint8 images, not torch\.float32"):
        to_float(torch.zeros(1))
    with pytest.raises(ValueError, match=r"float images.*torch\.uint8"):
        to_uint8(torch.zeros(1, dtype=torch.uint8))


def test_patches_are_the_squares_of_each_image_in_raster_order():
    images = normal(2, 3, 8, 12)
    found = patches(images, 4)
    wanted = [
        image[:, top : top + 4, left : left + 4].flatten().numpy() for image in images for top in (0, 4) for left in (0, 4, 8)
    ]
    np.testing.assert_array_equal(found.numpy(), np.stack(wanted))


def test_scaled_noise_has_the_given_norm_and_the_same_direction():
    noise, norm = normal(3, 2, 4, 4), torch.tensor([0.5, 1.0, 7.0], dtype=torch.float64)
    scaled = scale_to_norm(noise, norm)
    assert_close(scaled.flatten(1).norm(dim=1), norm)
    assert_close(torch.cosine_similarity(scaled.flatten(1), noise.flatten(1)), torch.ones(3, dtype=torch.float64))
