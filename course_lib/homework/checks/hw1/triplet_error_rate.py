"""How often the squared error of pixels puts the negative image of a triplet nearer to the anchor than the positive one."""

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw1.shared import scalar_like


def _oracle(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    triplets = zip(*(x.detach().cpu().double().numpy() for x in (anchor, positive, negative)), strict=True)
    errors = sum(float(((a - n) ** 2).mean()) < float(((a - p) ** 2).mean()) for a, p, n in triplets)
    return scalar_like(errors / len(anchor), anchor)


def _block(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _oracle(anchor, positive, negative).item()


def _differences(draw: Draw, shape: tuple[int, ...]) -> dict[str, tuple[Tensor, Tensor]]:
    """Differences of a positive and a negative image from their anchor, [C, H, W] each, so that each wrong distance is caught."""

    def even(size: float) -> Tensor:
        return size * draw.uniform(*shape, low=0.9, high=1.1)

    channel = draw.tensor([1.0] + [0.0] * (shape[0] - 1)).view(-1, 1, 1)
    few, one = torch.zeros_like(even(1)), torch.zeros_like(even(1))
    few.view(-1)[:: shape[0] * shape[1]] = 1.5
    one.view(-1)[3] = 1.2
    signs = torch.ones_like(few)
    signs.view(-1)[::2] = -1
    tie = even(0.5)
    return {
        "right": (even(0.2), even(0.6)),
        "wrong": (even(0.6), even(0.2)),
        "a few large differences": (few, even(0.9 * few.square().mean().sqrt().item())),
        "the first channel the other way round": (even(0.5) * (1 - channel) + even(0.1) * channel, even(0.2) * channel),
        "differences that cancel": (even(0.5) * signs, even(0.2)),
        "one large difference": (one, even(1.3 * one.square().mean().sqrt().item())),
        "a tie": (tie, tie),
    }


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, counts in (((4, 5, 6), (2, 2, 1, 2, 3, 2, 1)), ((2, 7, 4), (8, 1, 3, 2, 1, 3, 2))):
        pairs = [pair for pair, n in zip(_differences(draw, shape).values(), counts, strict=True) for _ in range(n)]
        order = torch.randperm(len(pairs), generator=draw.generator).tolist()
        anchor = draw.normal(len(pairs), *shape, std=0.5)
        positive, negative = (anchor + torch.stack([pairs[i][j] for i in order]) for j in (0, 1))
        for tied in [row for row, i in enumerate(order) if pairs[i][0] is pairs[i][1]]:
            negative[tied] = positive[tied]
        what = f"anchor, positive, negative {list(anchor.shape)}, with a tie among them; {draw.dtype_name}"
        cases.append(Case(what, (anchor, positive, negative)))
    return cases


def _mse(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().flatten(1).mean(1)


def _rate(errors: Tensor) -> float:
    return errors.double().mean().item()


TRIPLET_ERROR_RATE = Exercise(
    "triplet_error_rate", points=2, difficulty=2, minutes=10, oracle=_oracle, cases=_cases, block=_block, tolerance=1e-2
)


@TRIPLET_ERROR_RATE.mistake("The comparison is reversed: an error is a triplet whose negative image is nearer to the anchor.")
def comparison_reversed(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _rate(_mse(anchor, positive) < _mse(anchor, negative))


@TRIPLET_ERROR_RATE.mistake(
    "The comparison is reversed, and ties are counted: an error is a triplet whose negative image is nearer to the anchor."
)
def comparison_reversed_with_ties(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _rate(_mse(anchor, positive) <= _mse(anchor, negative))


@TRIPLET_ERROR_RATE.mistake("Ties are counted as errors. Nearer means strictly smaller: <, not <=.")
def ties_counted(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _rate(_mse(anchor, negative) <= _mse(anchor, positive))


@TRIPLET_ERROR_RATE.mistake("This is how many triplets are errors. For the rate, divide by the number of triplets.")
def count(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return (_mse(anchor, negative) < _mse(anchor, positive)).sum().item()


@TRIPLET_ERROR_RATE.mistake("This is a percentage. Return a fraction from 0 to 1.")
def percentage(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return 100 * _rate(_mse(anchor, negative) < _mse(anchor, positive))


@TRIPLET_ERROR_RATE.mistake(
    "The batch was averaged before comparing. Each triplet is judged separately: one distance for each image, [B]."
)
def batch_averaged(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return float((anchor - negative).square().mean() < (anchor - positive).square().mean())


@TRIPLET_ERROR_RATE.mistake("Single pixels were compared. First average the squared differences over each image, then compare.")
def pixels_compared(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _rate((anchor - negative).square() < (anchor - positive).square())


@TRIPLET_ERROR_RATE.mistake("Each channel was compared separately. Average over channels, rows and columns, then compare.")
def channels_compared(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _rate((anchor - negative).square().mean((2, 3)) < (anchor - positive).square().mean((2, 3)))


@TRIPLET_ERROR_RATE.mistake("The average ran over the batch: axis 0 holds the triplets. Average over the other three axes.")
def averaged_over_batch_axis(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _rate((anchor - negative).square().mean(0) < (anchor - positive).square().mean(0))


@TRIPLET_ERROR_RATE.mistake("Only the channels are averaged: average over rows and columns as well.")
def channels_averaged(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _rate((anchor - negative).square().mean(1) < (anchor - positive).square().mean(1))


@TRIPLET_ERROR_RATE.mistake("These are absolute differences. MSE squares them: a few large ones weigh more than many small ones.")
def absolute_differences(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    to_positive, to_negative = ((anchor - other).abs().flatten(1).mean(1) for other in (positive, negative))
    return _rate(to_negative < to_positive)


@TRIPLET_ERROR_RATE.mistake("Only the first channel is compared: x[:, 0] is red alone.")
def first_channel_only(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    red = anchor[:, 0]
    return _rate(_mse(red, negative[:, 0]) < _mse(red, positive[:, 0]))


@TRIPLET_ERROR_RATE.mistake(
    "The differences were averaged before they were squared, so positive and negative ones cancel. First square, then average."
)
def averaged_before_squaring(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    to_positive, to_negative = ((anchor - other).flatten(1).mean(1).square() for other in (positive, negative))
    return _rate(to_negative < to_positive)


@TRIPLET_ERROR_RATE.mistake("The largest difference is compared. MSE averages over all of them.")
def largest_difference(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    to_positive, to_negative = ((anchor - other).abs().flatten(1).amax(1) for other in (positive, negative))
    return _rate(to_negative < to_positive)


@TRIPLET_ERROR_RATE.mistake("The positive image was compared with the negative one. Both distances start from the anchor.")
def anchor_ignored(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _rate(_mse(positive, negative) < _mse(anchor, positive))


@TRIPLET_ERROR_RATE.mistake("True and False have no mean. Convert them to numbers first: .float().mean().")
def mean_of_booleans(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    return (_mse(anchor, negative) < _mse(anchor, positive)).mean()


@TRIPLET_ERROR_RATE.mistake("This is a mask, one True or False for each triplet. Its mean is the rate.")
def mask(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    return _mse(anchor, negative) < _mse(anchor, positive)


@TRIPLET_ERROR_RATE.mistake("The rate is halved.")
def halved(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    return _rate(_mse(anchor, negative) < _mse(anchor, positive)) / 2
