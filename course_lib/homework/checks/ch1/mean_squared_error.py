"""Exercise `mean_squared_error`: the mean squared error of each pair of images."""

from torch import Tensor
from torch.nn import functional as F

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _mean_squared_error(a: Tensor, b: Tensor) -> Tensor:
    """By torch's own loss, averaged one axis after the other."""
    return F.mse_loss(a, b, reduction="none").mean(3).mean(2).mean(1)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 2, 5, 4), (4, 1, 6, 6)):
        given = (draw.uniform(*shape, low=-1.0), draw.uniform(*shape, low=-1.0))
        cases.append(Case(f"a, b {list(shape)}, {draw.dtype_name}", given))
    return cases


MEAN_SQUARED_ERROR = Exercise(
    "mean_squared_error", points=0, difficulty=1, minutes=2, oracle=_mean_squared_error, cases=_cases, differentiable=True
)


@MEAN_SQUARED_ERROR.mistake("The pairs are averaged as well. Return one value for each pair, [N].")
def batch_averaged(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean()


@MEAN_SQUARED_ERROR.mistake("The squares are summed. Average over all values of an image.")
def summed(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().flatten(1).sum(1)


@MEAN_SQUARED_ERROR.mistake("The square root is taken. The mean squared error has no root.")
def root_taken(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().flatten(1).mean(1).sqrt()


@MEAN_SQUARED_ERROR.mistake("The absolute differences are averaged. Square them first.")
def absolute_error(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().flatten(1).mean(1)


@MEAN_SQUARED_ERROR.mistake("The differences are averaged before they are squared, so that they cancel. Square first.")
def squared_after_averaging(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).flatten(1).mean(1).square()


@MEAN_SQUARED_ERROR.mistake("The squared norms are subtracted. Subtract the images first, then square.")
def difference_of_squares(a: Tensor, b: Tensor) -> Tensor:
    return (a.square() - b.square()).flatten(1).mean(1)


@MEAN_SQUARED_ERROR.mistake("The channels are left apart: one value for each pair *and channel*. Average over the channels, too.")
def by_channel(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean((2, 3))
