"""Redundancy of pixels, on noise and on a known image."""

import pytest
import torch

from course_lib.experiments.ch1_pixel_space import redundancy


def test_noise_has_neither_correlation_nor_anything_to_compress():
    noise = torch.randint(0, 256, (1, 3, 96, 96), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    found = redundancy.measure_redundancy(noise, 4)
    assert found.correlation[1:].abs().max() < 0.03
    assert found.r2 < 0.01
    assert found.bits >= found.raw_bits == 24


def test_centre_crop_does_not_resize():
    image = torch.arange(3 * 10 * 14).view(3, 10, 14)
    assert torch.equal(redundancy.centre_crop(image, 4)[0], image[:, 3:7, 5:9])


@pytest.mark.parametrize(("side", "match"), [(9, "from 1 to 6"), (0, "side is 0"), (2.5, "side is 2.5")])
def test_a_crop_that_does_not_fit_is_rejected(side, match):
    with pytest.raises(ValueError, match=match):
        redundancy.centre_crop(torch.zeros(3, 6, 8), side)
