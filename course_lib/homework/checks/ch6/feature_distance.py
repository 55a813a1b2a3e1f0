"""Exercise `feature_distance`: how far apart two images are in the feature maps of one layer."""

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((3, 4, 2, 5), (2, 6, 3, 3))


def _feature_distance(features_a: Tensor, features_b: Tensor) -> Tensor:
    """|u − v|² = 2 − 2 cos for two vectors of length 1."""
    a, b = features_a.flatten(2).double(), features_b.flatten(2).double()
    cosine = torch.einsum("bcp,bcp->bp", a, b) / (torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1))
    return (2 - 2 * cosine).mean(1).to(features_a)


def _cases(draw: Draw) -> list[Case]:
    def features(shape: tuple[int, ...]) -> Tensor:
        scale = draw.uniform(shape[0], 1, *shape[2:], low=0.5, high=3.0)  # so that a missing normalisation shows
        return scale * draw.normal(*shape, mean=0.3)

    return [
        Case(f"features_a, features_b {list(shape)} {draw.dtype_name}", (features(shape), features(shape))) for shape in SHAPES
    ]


FEATURE_DISTANCE = Exercise(
    "feature_distance", points=0, difficulty=2, minutes=6, oracle=_feature_distance, cases=_cases, differentiable=True
)


def _unit(x: Tensor) -> Tensor:
    return x / x.square().sum(1, keepdim=True).sqrt()


@FEATURE_DISTANCE.mistake(
    "The features are not normalised: divide each map by its length over the channels, x.norm(dim=1, keepdim=True)."
)
def not_normalised(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(1).mean((1, 2))


@FEATURE_DISTANCE.mistake(
    "The length seems to be that of a full map or image. Each *position* has its own vector of channels: the norm over axis 1."
)
def normalised_over_everything(a: Tensor, b: Tensor) -> Tensor:
    lengths = [x.flatten(1).norm(dim=1).view(-1, 1, 1, 1) for x in (a, b)]
    return (a / lengths[0] - b / lengths[1]).square().sum(1).mean((1, 2))


@FEATURE_DISTANCE.mistake("The channels are averaged. Sum the squares over the channels, and average over the positions only.")
def channels_averaged(a: Tensor, b: Tensor) -> Tensor:
    return (_unit(a) - _unit(b)).square().mean((1, 2, 3))


@FEATURE_DISTANCE.mistake("The positions are summed. Average over rows and columns, so that large maps count no more.")
def positions_summed(a: Tensor, b: Tensor) -> Tensor:
    return (_unit(a) - _unit(b)).square().sum((1, 2, 3))


@FEATURE_DISTANCE.mistake("The batch is averaged as well. Return one distance for each pair of images, [B].")
def batch_averaged(a: Tensor, b: Tensor) -> Tensor:
    return (_unit(a) - _unit(b)).square().sum(1).mean()


@FEATURE_DISTANCE.mistake("This is the distance, not its square: leave the root out.")
def root_taken(a: Tensor, b: Tensor) -> Tensor:
    return (_unit(a) - _unit(b)).square().sum(1).sqrt().mean((1, 2))


@FEATURE_DISTANCE.mistake("This is the absolute difference. Square it.")
def absolute_difference(a: Tensor, b: Tensor) -> Tensor:
    return (_unit(a) - _unit(b)).abs().sum(1).mean((1, 2))


@FEATURE_DISTANCE.mistake("The features are normalised after subtracting. Normalise each map first, then subtract.")
def normalised_after(a: Tensor, b: Tensor) -> Tensor:
    return _unit(a - b).square().sum(1).mean((1, 2))
