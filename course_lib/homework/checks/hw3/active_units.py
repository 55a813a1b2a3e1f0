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
        spread = draw.tensor([1.7, 0.0, 0.05, 0.4, 0.006, 0.2, 0.0108, 0.07, 0.02, 0.13]).repeat(8)[:n].view(shape[1:])
        centre = draw.tensor([0.0, 1.5, -0.3, 3.2, -2.0, 0.6, 0.9, 0.1, -0.7, 1.2]).repeat(8)[:n].view(shape[1:])
        noise = draw.normal(*shape)
        noise = (noise - noise.mean(0)) / noise.std(0)
        cases.append(Case(f"mean {list(shape)} {draw.dtype_name}, threshold 0.01", (centre + spread * noise, 0.01)))
    return cases


ACTIVE_UNITS = Exercise("active_units", points=2, difficulty=2, minutes=5, oracle=_active_units, cases=_cases)


@ACTIVE_UNITS.mistake(
    "This is the mean square (or the mean absolute value), not the variance: a dimension that is always 1.5 carries no "
    "information about the image. Subtract the mean over the images first."
)
def mean_square(mean: Tensor, threshold: float) -> Tensor:
    return mean.square().mean(0) > threshold


@ACTIVE_UNITS.mistake(
    "The standard deviation is compared with the threshold, or the variance with its square. Burda et al. compare the variance."
)
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


@ACTIVE_UNITS.mistake("The range, largest minus smallest, is compared with the threshold. Burda et al. compare the variance.")
def range_compared(mean: Tensor, threshold: float) -> Tensor:
    return mean.amax(0) - mean.amin(0) > threshold


@ACTIVE_UNITS.mistake(
    "The mean absolute deviation is compared with the threshold. Burda et al. compare the variance: square the deviations."
)
def mean_deviation(mean: Tensor, threshold: float) -> Tensor:
    return (mean - mean.mean(0)).abs().mean(0) > threshold


@ACTIVE_UNITS.mistake("The root of the threshold is compared with a variance. Take the root of both or of neither.")
def root_of_the_threshold(mean: Tensor, threshold: float) -> Tensor:
    return mean.var(0) > threshold**0.5


@ACTIVE_UNITS.mistake(
    "The squared deviations are summed over the images. The variance is their mean: divide by the number of images."
)
def squares_summed(mean: Tensor, threshold: float) -> Tensor:
    return (mean - mean.mean(0)).square().sum(0) > threshold


@ACTIVE_UNITS.mistake(
    "The variance is compared with a fraction of the largest one. The threshold is compared with the variance itself."
)
def relative_to_the_largest(mean: Tensor, threshold: float) -> Tensor:
    return mean.var(0) > threshold * mean.var(0).amax()


@ACTIVE_UNITS.mistake("The variance is divided by the size of the mean. Compare the variance itself.")
def relative_to_the_mean(mean: Tensor, threshold: float) -> Tensor:
    return mean.var(0) / mean.mean(0).abs() > threshold


@ACTIVE_UNITS.mistake("All values have one variance here. Each latent dimension has its own: mean.var(0).")
def one_variance(mean: Tensor, threshold: float) -> Tensor:
    return mean.var() > threshold


@ACTIVE_UNITS.mistake("Single values are compared, for every image. First take the variance over the images, axis 0.")
def single_values(mean: Tensor, threshold: float) -> Tensor:
    return mean.abs() > threshold


@ACTIVE_UNITS.mistake("Single squared deviations are compared, for every image. Take their mean over the images first, axis 0.")
def deviations_compared(mean: Tensor, threshold: float) -> Tensor:
    return (mean - mean.mean(0)).square() > threshold


@ACTIVE_UNITS.mistake("These are the indices of the active units. Return a mask with True or False for each latent dimension.")
def indices(mean: Tensor, threshold: float) -> Tensor:
    return (mean.var(0) > threshold).nonzero()


@ACTIVE_UNITS.mistake("This is the fraction of active units. Return a mask with True or False for each latent dimension.")
def fraction(mean: Tensor, threshold: float) -> Tensor:
    return (mean.var(0) > threshold).float().mean()
