"""Exercise `noise_of_length`: scale noise such that each image's noise has a given Euclidean length."""

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.images import scale_to_norm


def _noise_of_length(noise: Tensor, length: Tensor) -> Tensor:
    """Image by image, by the inner product with itself."""
    scaled = [one * (wanted / (one.flatten() @ one.flatten()).sqrt()) for one, wanted in zip(noise, length, strict=True)]
    return torch.stack(scaled)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 2, 5, 4), (4, 1, 6, 6)):
        given = (draw.normal(*shape), draw.uniform(shape[0], low=2.0, high=9.0))
        cases.append(Case(f"noise {list(shape)}, length [{shape[0]}], {draw.dtype_name}", given))
    return cases


NOISE_OF_LENGTH = Exercise(
    "noise_of_length", points=0, difficulty=1, minutes=3, oracle=_noise_of_length, cases=_cases, block=scale_to_norm
)


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


@NOISE_OF_LENGTH.mistake("The noise is multiplied by the length, but not divided by the length that it has already.")
def not_normalised(noise: Tensor, length: Tensor) -> Tensor:
    return noise * _column(length)


@NOISE_OF_LENGTH.mistake("All images are divided by one common length. Each has its own: noise.flatten(1).norm(dim=1).")
def one_length_for_all(noise: Tensor, length: Tensor) -> Tensor:
    return noise * _column(length) / noise.norm()


@NOISE_OF_LENGTH.mistake("The noise is divided by its squared length: take the square root of the sum of squares.")
def divided_by_the_square(noise: Tensor, length: Tensor) -> Tensor:
    return noise * _column(length / noise.square().flatten(1).sum(1))


@NOISE_OF_LENGTH.mistake(
    "The noise is divided by its root mean square. The Euclidean length is the root of the *sum* of the squares."
)
def root_mean_square(noise: Tensor, length: Tensor) -> Tensor:
    return noise * _column(length / noise.square().flatten(1).mean(1).sqrt())


@NOISE_OF_LENGTH.mistake("The length is computed for each channel. One image, with all its channels, is one vector.")
def by_channel(noise: Tensor, length: Tensor) -> Tensor:
    return noise * _column(length) / noise.flatten(2).norm(dim=2)[..., None, None]


@NOISE_OF_LENGTH.mistake("The absolute values are summed. The Euclidean length is the root of the sum of the squares.")
def absolute_values(noise: Tensor, length: Tensor) -> Tensor:
    return noise * _column(length / noise.abs().flatten(1).sum(1))


@NOISE_OF_LENGTH.mistake("The noise is scaled to length 1. Multiply by the length that is asked for.")
def unit_length(noise: Tensor, length: Tensor) -> Tensor:
    return noise / _column(noise.flatten(1).norm(dim=1))


@NOISE_OF_LENGTH.mistake("This is one number for each image, by which its noise is to be multiplied. Return the scaled noise.")
def factors_only(noise: Tensor, length: Tensor) -> Tensor:
    return length / noise.flatten(1).norm(dim=1)
