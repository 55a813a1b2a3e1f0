"""How redundant pixels are: what the neighbours of a pixel already say about it."""

from typing import NamedTuple

from torch import Tensor

from course_lib import dimension
from course_lib.arguments import check_integer, check_tensor


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
    check_tensor("images", images, "[B, C, H, W]", "integer")
    check_integer("reach", reach, 0, min(images.shape[-2:]) - 1)
    return Redundancy(
        dimension.neighbour_correlation(images, reach).cpu(),
        dimension.linear_prediction(images).r2,
        dimension.lossless_bits_per_pixel(images),
        8 * images.shape[1],
    )


def centre_crop(image: Tensor, side: int) -> Tensor:
    """Crop the central square [1, C, side, side] of an image [C, H, W], without resizing."""
    check_tensor("image", image, "[C, H, W]", "any")
    check_integer("side", side, 1, min(image.shape[-2:]))
    top, left = ((n - side) // 2 for n in image.shape[-2:])
    return image[None, :, top : top + side, left : left + side]
