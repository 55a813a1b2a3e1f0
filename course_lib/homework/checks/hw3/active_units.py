"""Exercise `active_units`: which latent dimensions say something about the image."""

import math

from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _active_units(mean: Tensor, threshold: float) -> Tensor:
    return (mean - mean.mean(0)).square().sum(0) / (len(mean) - 1) > threshold


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((9, 2, 3, 4), (12, 16)):
        # Standard deviations on both sides of the threshold and of its root; some are far from 0 and nearly constant.
        n = math.prod(shape[1:])
        spread = draw.tensor([1.0, 0.0, 0.05, 0.4, 0.02, 0.2]).repeat(8)[:n].view(shape[1:])
        centre = draw.tensor([0.0, 1.5, -0.3, 0.2, -2.0, 0.6]).repeat(8)[:n].view(shape[1:])
        noise = draw.normal(*shape)
        noise = (noise - noise.mean(0)) / noise.std(0)
        cases.append(Case(f"mean {list(shape)} {draw.dtype_name}, threshold 0.01", (centre + spread * noise, 0.01)))
    return cases


ACTIVE_UNITS = Exercise("active_units", points=2, difficulty=2, minutes=10, oracle=_active_units, cases=_cases)


@ACTIVE_UNITS.mistake(
    "This is the mean square (or the mean absolute value), not the variance: a dimension that is always 1.5 carries no "
    "information about the image. Subtract the mean over the images first."
)
def mean_square(mean: Tensor, threshold: float) -> Tensor:
    return mean.square().mean(0) > threshold


@ACTIVE_UNITS.mistake("The standard deviation is compared with the threshold. Burda et al. compare the variance.")
def std_for_variance(mean: Tensor, threshold: float) -> Tensor:
    return mean.std(0) > threshold


@ACTIVE_UNITS.mistake("The mask is inverted: a dimension is active if its variance is above the threshold.")
def inverted(mean: Tensor, threshold: float) -> Tensor:
    return mean.var(0) <= threshold


@ACTIVE_UNITS.mistake(
    "The variance is taken within each image. Take it over the images, axis 0: does this dimension change from image to image?"
)
def within_each_image(mean: Tensor, threshold: float) -> Tensor:
    return mean.flatten(1).var(1) > threshold


@ACTIVE_UNITS.mistake(
    "The variance is taken over rows and columns as well as over the images. Each latent dimension has a variance of its own."
)
def one_variance_per_channel(mean: Tensor, threshold: float) -> Tensor:
    return mean.var((0, 2, 3)) > threshold


@ACTIVE_UNITS.mistake(
    "This is the size of the mean, not its variance: a dimension that never changes carries no information about the image."
)
def size_of_the_mean(mean: Tensor, threshold: float) -> Tensor:
    return mean.mean(0).abs() > threshold


@ACTIVE_UNITS.mistake("This returns the variances themselves. Return which of them are above the threshold.")
def variances(mean: Tensor, threshold: float) -> Tensor:
    return mean.var(0)


@ACTIVE_UNITS.mistake("This returns the number of active units. Return a mask with True or False for each latent dimension.")
def count(mean: Tensor, threshold: float) -> Tensor:
    return (mean.var(0) > threshold).sum()


@ACTIVE_UNITS.mistake("True and False are converted to numbers. Return the comparison itself.")
def mask_as_numbers(mean: Tensor, threshold: float) -> Tensor:
    return (mean.var(0) > threshold).float()
