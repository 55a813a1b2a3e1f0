"""The peak signal-to-noise ratio of each image."""

import math

import numpy as np
import torch
from torch import Tensor

from course_lib import metrics
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _oracle(images: Tensor, reconstructions: Tensor) -> Tensor:
    x, y = (tensor.detach().cpu().double().numpy() for tensor in (images, reconstructions))
    values = [20 * math.log10(2 / math.sqrt(np.square(a - b).mean())) for a, b in zip(x, y, strict=True)]
    return torch.tensor(values, dtype=torch.float64).to(images)


def _block(images: Tensor, reconstructions: Tensor) -> Tensor:
    return metrics.psnr(images, reconstructions, "none")


def _mse(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().flatten(1).mean(1)


def _decibels(ratio: Tensor) -> Tensor:
    return 10 * ratio.log10()


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((4, 3, 5, 7), (3, 1, 6, 4)):
        images = draw.uniform(*shape, low=-0.95, high=0.95)
        jitter = draw.uniform(shape[0], 1, 1, 1, low=0.8, high=1.2)
        size = draw.tensor([0.01, 0.3, 0.1, 0.6][: shape[0]]).view(-1, 1, 1, 1) * jitter
        channel = draw.tensor([0.4, 1.0, 1.8][: shape[1]]).view(-1, 1, 1)  # the errors of channels differ
        reconstructions = images + size * channel * draw.normal(*shape)
        cases.append(Case(f"images, reconstructions {list(shape)}; {draw.dtype_name}", (images, reconstructions)))
    return cases


_PEAK_PER_IMAGE = (
    "The peak is taken from each image. It belongs to the format: 2, for pixels from -1 to 1, whatever values an image has."
)

PSNR = Exercise("psnr", points=3, difficulty=2, minutes=10, oracle=_oracle, cases=_cases, block=_block)


@PSNR.mistake("The peak is 1: right for pixels in [0, 1]. From -1 to 1 it is 2, which is 6 dB more.")
def peak_of_1(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(1 / _mse(images, reconstructions))


@PSNR.mistake("The peak is 255: right for bytes. From -1 to 1 it is 2.")
def peak_of_255(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(255**2 / _mse(images, reconstructions))


@PSNR.mistake("The peak is not squared: 2² over the mean squared error.")
def peak_not_squared(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(2 / _mse(images, reconstructions))


@PSNR.mistake(
    "The peak is taken from the images. It belongs to the format: 2, for pixels from -1 to 1, whatever values this batch has."
)
def peak_of_batch(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels((images.max() - images.min()).square() / _mse(images, reconstructions))


@PSNR.mistake(_PEAK_PER_IMAGE)
def range_of_each_image(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels((images.amax((1, 2, 3)) - images.amin((1, 2, 3))).square() / _mse(images, reconstructions))


@PSNR.mistake(_PEAK_PER_IMAGE)
def maximum_of_each_image(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(images.amax((1, 2, 3)).square() / _mse(images, reconstructions))


@PSNR.mistake(
    "The root was taken, but the factor is still 10. With the root it is 20 · log10(2 / root), without it 10 · log10(2² / MSE)."
)
def root_with_factor_10(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(2 / _mse(images, reconstructions).sqrt())


@PSNR.mistake("The root was taken of the error alone: divide 2² by the MSE, or 2 by its root.")
def root_of_error_only(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / _mse(images, reconstructions).sqrt())


@PSNR.mistake("The factor is 20 although no root was taken: 10 · log10(2² / MSE).")
def factor_20_without_root(images: Tensor, reconstructions: Tensor) -> Tensor:
    return 2 * _decibels(4 / _mse(images, reconstructions))


@PSNR.mistake("The factor 10 is missing: this is in bels, not in decibels.")
def factor_missing(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / _mse(images, reconstructions)) / 10


@PSNR.mistake("The logarithm is natural. Decibels use the logarithm to the base 10.")
def natural_logarithm(images: Tensor, reconstructions: Tensor) -> Tensor:
    return 10 * (4 / _mse(images, reconstructions)).log()


@PSNR.mistake("The logarithm is to the base 2. Decibels use the logarithm to the base 10.")
def logarithm_base_2(images: Tensor, reconstructions: Tensor) -> Tensor:
    return 10 * (4 / _mse(images, reconstructions)).log2()


@PSNR.mistake("The sign is reversed: a better reconstruction has more decibels, so the error belongs in the denominator.")
def sign_reversed(images: Tensor, reconstructions: Tensor) -> Tensor:
    return -_decibels(4 / _mse(images, reconstructions))


@PSNR.mistake("The squared error is summed. Take its mean over the values of an image.")
def error_summed(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images - reconstructions).square().flatten(1).sum(1))


@PSNR.mistake("The error is averaged over the batch before the logarithm is taken. Return one number for each image, [B].")
def error_averaged_over_batch(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images - reconstructions).square().mean())


@PSNR.mistake("The decibels are averaged over the batch. Return one number for each image, [B].")
def decibels_averaged_over_batch(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / _mse(images, reconstructions)).mean()


@PSNR.mistake("Each channel has its own value: average the squared error over channels, rows and columns.")
def decibels_per_channel(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images - reconstructions).square().mean((2, 3)))


@PSNR.mistake(
    "The decibels of the channels are averaged. First average the squared error over all values of an image, then "
    "take the logarithm."
)
def channel_decibels_averaged(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images - reconstructions).square().mean((2, 3))).mean(1)


@PSNR.mistake("The decibels of single pixels are averaged. First average the squared error of an image, then take the logarithm.")
def pixel_decibels_averaged(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images - reconstructions).square()).flatten(1).mean(1)


@PSNR.mistake("The absolute difference is used instead of its square.")
def absolute_difference(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images - reconstructions).abs().flatten(1).mean(1))


@PSNR.mistake(
    "The peak is squared twice (with the root of the MSE it is 2, not 2²), or the images were rescaled to [0, 1], "
    "where the peak is 1."
)
def peak_of_2_for_unit_range(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(16 / _mse(images, reconstructions))


@PSNR.mistake("The average is taken over the batch, axis 0. Take it over the other three axes.")
def averaged_over_batch_axis(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images - reconstructions).square().mean(0))


@PSNR.mistake("This is the mean squared error itself, not yet in decibels.")
def error_itself(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _mse(images, reconstructions)


@PSNR.mistake("The reconstructions were clamped to [-1, 1] first. Take them as they are given.")
def clamped(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / _mse(images, reconstructions.clamp(-1, 1)))


@PSNR.mistake(
    "The factor is 20 although no root was taken, and the peak is not squared: 20 · log10(2 / root of MSE), or 10 "
    "· log10(2² / MSE)."
)
def factor_20_peak_not_squared(images: Tensor, reconstructions: Tensor) -> Tensor:
    mse = _mse(images, reconstructions)
    return 2 * _decibels(2 / mse)


@PSNR.mistake("The peak is 1, and the factor is 20 without a root.")
def peak_of_1_with_20(images: Tensor, reconstructions: Tensor) -> Tensor:
    mse = _mse(images, reconstructions)
    return 2 * _decibels(1 / mse)


@PSNR.mistake("The logarithm is natural. Decibels use the logarithm to the base 10.")
def natural_logarithm_with_20(images: Tensor, reconstructions: Tensor) -> Tensor:
    mse = _mse(images, reconstructions)
    return 20 * (2 / mse.sqrt()).log()


@PSNR.mistake("The error is subtracted in the logarithm. Divide: 10 · log10(2² / MSE).")
def error_subtracted(images: Tensor, reconstructions: Tensor) -> Tensor:
    mse = _mse(images, reconstructions)
    return _decibels(4 - mse)


@PSNR.mistake("The factor 10 is inside of the logarithm. Multiply the logarithm by it.")
def ten_inside(images: Tensor, reconstructions: Tensor) -> Tensor:
    mse = _mse(images, reconstructions)
    return (40 / mse).log10()


@PSNR.mistake(
    "The differences are averaged before they are squared, so positive and negative ones cancel. First square, then average."
)
def averaged_before_squaring(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images - reconstructions).flatten(1).mean(1).square())


@PSNR.mistake("The difference of the squares is taken. Take the square of the difference.")
def difference_of_squares(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images.square() - reconstructions.square()).flatten(1).mean(1))


@PSNR.mistake("Only the logarithm of the error is natural. Decibels use the base 10 throughout.")
def natural_logarithm_of_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    mse = _mse(images, reconstructions)
    return 20 * math.log10(2) - 10 * mse.log()


@PSNR.mistake("The logarithm of the error is added. A larger error means fewer decibels: subtract it.")
def error_added(images: Tensor, reconstructions: Tensor) -> Tensor:
    mse = _mse(images, reconstructions)
    return 20 * math.log10(2) + 10 * mse.log10()


@PSNR.mistake("This is the ratio 2² / MSE, without its logarithm: 10 · log10.")
def ratio_itself(images: Tensor, reconstructions: Tensor) -> Tensor:
    mse = _mse(images, reconstructions)
    return 4 / mse


@PSNR.mistake("The signal is the images' mean square. PSNR compares with the peak: 2², for pixels from -1 to 1.")
def variance_for_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    mse = _mse(images, reconstructions)
    return _decibels(images.square().flatten(1).mean(1) / mse)


@PSNR.mistake("The median of the squared errors is used. Take their mean.")
def median_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / (images - reconstructions).square().flatten(1).median(1).values)


@PSNR.mistake("The decibels are cut off at 40. Return them as they are: a very good reconstruction has more.")
def decibels_clamped(images: Tensor, reconstructions: Tensor) -> Tensor:
    return _decibels(4 / _mse(images, reconstructions)).clamp(0, 40)
