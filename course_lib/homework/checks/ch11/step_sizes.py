"""Exercise `step_sizes`: how far a sampler's trajectory moves in each step."""

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((6, 3, 4, 2, 3), (4, 2, 1, 3, 5))  # S + 1, B, C, h, w


def _step_sizes(trajectory: Tensor) -> Tensor:
    """Step by step."""
    sizes = []
    for i in range(len(trajectory) - 1):
        change = trajectory[i + 1] - trajectory[i]
        sizes.append((change.pow(2).sum() / change.numel()).sqrt())
    return torch.stack(sizes)


def _block(trajectory: Tensor) -> Tensor:
    return trajectory.diff(dim=0).square().flatten(1).mean(1).sqrt()


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in SHAPES:
        # Steps of unequal length, images that move by unequal amounts, and a drift.
        lengths = draw.uniform(shape[0], 1, 1, 1, 1, low=0.2) * draw.uniform(1, shape[1], 1, 1, 1, low=0.3, high=1.5)
        trajectory = (lengths * draw.normal(*shape, mean=0.4)).cumsum(0)
        cases.append(Case(f"trajectory {list(shape)} {draw.dtype_name}", (trajectory,)))
    return cases


STEP_SIZES = Exercise("step_sizes", points=0, difficulty=1, minutes=3, oracle=_step_sizes, cases=_cases, block=_block)


def _square(trajectory: Tensor) -> Tensor:
    return trajectory.diff(dim=0).square().flatten(1)


@STEP_SIZES.mistake("The root is missing: this is the mean square of each step.")
def no_root(trajectory: Tensor) -> Tensor:
    return _square(trajectory).mean(1)


@STEP_SIZES.mistake("The squares are summed. Take their mean, so that a size does not depend on the number of latents.")
def summed(trajectory: Tensor) -> Tensor:
    return _square(trajectory).sum(1).sqrt()


@STEP_SIZES.mistake("These are mean absolute changes. Take the root of the mean square.")
def mean_absolute(trajectory: Tensor) -> Tensor:
    return trajectory.diff(dim=0).abs().flatten(1).mean(1)


@STEP_SIZES.mistake("Changes of opposite sign cancel, because the mean is taken before the square. Square the changes first.")
def mean_before_square(trajectory: Tensor) -> Tensor:
    return trajectory.diff(dim=0).flatten(1).mean(1).abs()


@STEP_SIZES.mistake("This is the size of x_t at each step, not of the change from one step to the next.")
def sizes_of_states(trajectory: Tensor) -> Tensor:
    return trajectory.square().flatten(1).mean(1).sqrt()


@STEP_SIZES.mistake("This is the distance from the start. Take the distance from one state to the next.")
def from_the_start(trajectory: Tensor) -> Tensor:
    return (trajectory[1:] - trajectory[:1]).square().flatten(1).mean(1).sqrt()


@STEP_SIZES.mistake(
    "This is how much the size of x_t changes. x_t may turn without growing: take the size of the difference of two states."
)
def change_of_size(trajectory: Tensor) -> Tensor:
    return sizes_of_states(trajectory).diff().abs()


@STEP_SIZES.mistake("This is one size for each image, [S, B]. Take the mean square over the batch as well: [S].")
def per_image(trajectory: Tensor) -> Tensor:
    return trajectory.diff(dim=0).square().flatten(2).mean(2).sqrt()


@STEP_SIZES.mistake("The roots are averaged over the batch. Average the squares over everything, then take the root once.")
def mean_of_roots(trajectory: Tensor) -> Tensor:
    return per_image(trajectory).mean(1)
