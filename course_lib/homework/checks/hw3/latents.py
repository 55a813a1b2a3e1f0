"""Inputs that exercises of homework 3 share: the posterior of a few latents."""

from torch import Tensor

from course_lib.homework.checks.exercise import Draw

#: No two axes of the first are equal, so that swapped axes show.
SHAPES = ((3, 4, 2, 5), (2, 1, 3, 3))


def draw_posterior(draw: Draw, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Draw a mean and a log-variance of this shape."""
    return draw.normal(*shape, std=1.3, mean=0.4), draw.uniform(*shape, low=-2.5, high=1.5)
