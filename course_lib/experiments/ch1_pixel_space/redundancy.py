"""How redundant pixels are: what the neighbours of a pixel already say about it."""

from typing import NamedTuple

from torch import Tensor

from course_lib import dimension


class Redundancy(NamedTuple):
    """correlation: of two pixels, by distance in pixels. r2: of a pixel, predicted from four neighbours.

    bits, raw_bits: of a pixel after lossless compression, and before.
    """

    correlation: Tensor
    r2: float
    bits: float
    raw_bits: int


def measure_redundancy(images: Tensor, reach: int) -> Redundancy:
    """Measure the redundancy of images, uint8 [B, C, H, W]; reach: the largest distance for the correlation, in pixels."""
    return Redundancy(
        dimension.neighbour_correlation(images, reach).cpu(),
        dimension.linear_prediction(images).r2,
        dimension.lossless_bits_per_pixel(images),
        8 * images.shape[1],
    )


def centre_crop(image: Tensor, side: int) -> Tensor:
    """Crop the central square [1, C, side, side] of an image [C, H, W], without resizing."""
    top, left = ((n - side) // 2 for n in image.shape[-2:])
    return image[None, :, top : top + side, left : left + side]
