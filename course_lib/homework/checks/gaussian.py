"""What the exercises on a Gaussian likelihood share: images and their reconstructions, and the parts of its logarithm."""

import math

from torch import Tensor

from course_lib.homework.checks.exercise import Draw


def draw_reconstructions(draw: Draw, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Draw images in [-1, 1] of this shape, and reconstructions that differ from them by 0.2."""
    images = draw.uniform(*shape, low=-1.0)
    return images, images + draw.normal(*shape, std=0.2)


def squared_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    """The squared error of each value, [B, D]."""
    return (images - reconstructions).square().flatten(1)


def log_normaliser(noise_std: float) -> float:
    """The logarithm of a one-dimensional Gaussian's normalising constant."""
    return math.log(noise_std * math.sqrt(2 * math.pi))


def log_constant(images: Tensor, noise_std: float) -> float:
    """The logarithm of the Gaussian's normalising constant for all D values of an image."""
    return images[0].numel() * log_normaliser(noise_std)
