"""Exercise `free_bits`: a KL in which each latent dimension has some nats for free."""

import math

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _free_bits(kl_per_dim: Tensor, floor: float) -> Tensor:
    mean = kl_per_dim.mean(0)
    return torch.where(mean > floor, mean, floor).sum()


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((5, 3, 2, 4), (4, 2, 3, 3), (6, 16)):
        # Some latent dimensions carry far more than the floor and some far less; in each of them the images differ.
        typical = draw.tensor([0.02, 0.9, 0.1, 2.0, 0.4, 0.05]).repeat(8)[: math.prod(shape[1:])].view(shape[1:])
        kl = typical * draw.uniform(*shape, low=0.1, high=1.9)
        what = f"kl_per_dim {list(shape)} {draw.dtype_name}, a floor between 0.2 and 0.3 nats"
        cases.append(Case(what, (kl, draw.number(0.2, 0.3))))
        cases.append(Case("the same with a floor of 40 nats, above all of them", (kl, 40.0)))
    return cases


FREE_BITS = Exercise("free_bits", points=3, difficulty=3, minutes=15, oracle=_free_bits, cases=_cases, differentiable=True)

_FLOOR_IS_A_NUMBER = "torch.max and torch.maximum take two tensors, but the floor is a number: use clamp(min=floor)."
_PYTHONS_MAX = "Python's own max compares two single numbers. For every element of a tensor, use clamp(min=floor)."


@FREE_BITS.mistake("There is no floor yet: this is the plain KL.")
def no_floor(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.mean(0).sum()


@FREE_BITS.mistake(
    "The floor is applied to each image separately. First average over the batch, then apply the floor: "
    "one image may spend less if another spends more."
)
def floor_per_image(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.clamp(min=floor).mean(0).sum()


@FREE_BITS.mistake("The floor is applied to each image separately, and the batch is summed. Average over the batch first.")
def floor_per_image_batch_summed(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.clamp(min=floor).sum()


@FREE_BITS.mistake("The floor is applied to the sum. Each latent dimension has its own floor: clamp before you sum.")
def floor_on_the_sum(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.mean(0).sum().clamp(min=floor)


@FREE_BITS.mistake("The floor acts as a ceiling. Use clamp(min=floor) or torch.maximum.")
def ceiling(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.mean(0).clamp(max=floor).sum()


@FREE_BITS.mistake(
    "Rows and columns are averaged together with the batch, so that each channel has one floor. "
    "Every latent dimension has its own: mean(0)."
)
def floor_per_channel_mean(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.mean((0, 2, 3)).clamp(min=floor).sum()


@FREE_BITS.mistake(
    "Rows and columns are summed before the floor is applied. Every latent dimension has its own floor: clamp before you sum."
)
def floor_per_channel_sum(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.mean(0).sum((1, 2)).clamp(min=floor).sum()


@FREE_BITS.mistake(_FLOOR_IS_A_NUMBER)
def torch_max_with_a_number(kl_per_dim: Tensor, floor: float) -> Tensor:
    return torch.max(kl_per_dim.mean(0), floor).sum()  # type: ignore[call-overload]  # the mistake itself


@FREE_BITS.mistake(_FLOOR_IS_A_NUMBER)
def torch_max_of_a_number(kl_per_dim: Tensor, floor: float) -> Tensor:
    return torch.max(floor, kl_per_dim.mean(0)).sum()  # type: ignore[call-overload]  # the mistake itself


@FREE_BITS.mistake(_FLOOR_IS_A_NUMBER)
def torch_maximum_with_a_number(kl_per_dim: Tensor, floor: float) -> Tensor:
    return torch.maximum(kl_per_dim.mean(0), floor).sum()  # type: ignore[arg-type]  # the mistake itself


@FREE_BITS.mistake(_PYTHONS_MAX)
def pythons_max_with_a_number(kl_per_dim: Tensor, floor: float) -> Tensor:
    return max(kl_per_dim.mean(0), floor).sum()  # type: ignore[union-attr]  # the mistake itself


@FREE_BITS.mistake(_PYTHONS_MAX)
def pythons_max_of_a_number(kl_per_dim: Tensor, floor: float) -> Tensor:
    return max(floor, kl_per_dim.mean(0)).sum()  # type: ignore[union-attr]  # the mistake itself


@FREE_BITS.mistake("This is averaged over the latent dimensions. The KL of an image is their sum.")
def averaged_over_latent(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.mean(0).clamp(min=floor).mean()


@FREE_BITS.mistake("The batch is summed before the floor is applied. Average over it.")
def batch_summed(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.sum(0).clamp(min=floor).sum()


@FREE_BITS.mistake("The floor is subtracted. A KL above the floor must count in full: max(KL, floor).")
def floor_subtracted(kl_per_dim: Tensor, floor: float) -> Tensor:
    return (kl_per_dim.mean(0) - floor).clamp(min=0).sum()


@FREE_BITS.mistake("A KL below the floor counts as 0. It must count as the floor itself: max(KL, floor).")
def zero_below_floor(kl_per_dim: Tensor, floor: float) -> Tensor:
    return torch.where(kl_per_dim.mean(0) > floor, kl_per_dim.mean(0), 0.0).sum()


@FREE_BITS.mistake("Nothing is summed over the latent dimensions yet. Return one value for the full latent.")
def nothing_summed(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.mean(0).clamp(min=floor)


@FREE_BITS.mistake("The floor is added to every KL. The formula is max(KL, floor), not KL + floor.")
def floor_added(kl_per_dim: Tensor, floor: float) -> Tensor:
    return (kl_per_dim.mean(0) + floor).sum()


@FREE_BITS.mistake(
    "The mean and the sum are swapped: the mean runs over the latent and the sum over the batch. The batch is axis 0."
)
def mean_and_sum_swapped(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.flatten(1).mean(1).clamp(min=floor).sum()


@FREE_BITS.mistake("The floor is added once, to the sum. Each latent dimension has a floor of its own: clamp before you sum.")
def floor_added_once(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.mean(0).sum() + floor


@FREE_BITS.mistake("The floor is subtracted before clamping: max(KL - floor, floor). It must be max(KL, floor).")
def floor_subtracted_then_clamped(kl_per_dim: Tensor, floor: float) -> Tensor:
    return (kl_per_dim.mean(0) - floor).clamp(min=floor).sum()


@FREE_BITS.mistake("This counts the dimensions above the floor. Sum their KL, and the floor for the others.")
def counted(kl_per_dim: Tensor, floor: float) -> Tensor:
    return (kl_per_dim.mean(0) > floor).to(kl_per_dim).sum()


@FREE_BITS.mistake("This is the largest KL of a dimension. Sum over the dimensions.")
def largest(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.mean(0).clamp(min=floor).max()


@FREE_BITS.mistake(
    "The floor is applied to the sum, as D · floor. A dimension below its floor counts as the floor whatever the "
    "others do: clamp first."
)
def floor_times_dimensions(kl_per_dim: Tensor, floor: float) -> Tensor:
    total = kl_per_dim.mean(0).sum()
    return torch.where(total > floor * kl_per_dim[0].numel(), total, floor * kl_per_dim[0].numel())


@FREE_BITS.mistake("The median over the batch is taken. Take the mean.")
def median(kl_per_dim: Tensor, floor: float) -> Tensor:
    return kl_per_dim.median(0).values.clamp(min=floor).sum()


@FREE_BITS.mistake("softplus rounds the floor off, so a KL near it counts for too much. Use clamp(min=floor).")
def smooth_floor(kl_per_dim: Tensor, floor: float) -> Tensor:
    return (torch.nn.functional.softplus(kl_per_dim.mean(0) - floor) + floor).sum()
