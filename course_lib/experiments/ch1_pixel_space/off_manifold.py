"""Where noise, averages and changes of a factor lead: near to other images, or away from all of them.

Nothing here is random by itself: every function takes a seed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import metrics, teddies
from course_lib.arguments import check_integer, check_numbers, check_tensor
from course_lib.experiments.ch1_pixel_space.intrinsic_dimension import FIXED_SCENE
from course_lib.experiments.limits import seeded_generator
from course_lib.images import as_float, scale_to_norm
from course_lib.judges.classifier import Classifier, classify


class TiltVersusNoise(NamedTuple):
    """S steps of equal length from B images, by tilt and by noise: images [S, B, C, H, W], lengths and distances [S, B].

    distance: length of the step. tilted_to_bank, noisy_to_bank: distance from the result to the nearest image of the bank.
    """

    tilted: Tensor
    noisy: Tensor
    distance: Tensor
    tilted_to_bank: Tensor
    noisy_to_bank: Tensor


def distance_to_bank(images: Tensor, bank: Tensor, rows: int = 10_000) -> Tensor:
    """Return the Euclidean distance [B] from each image [B, ...] to the nearest image of a bank.

    images, bank: uint8 or floats in [-1, 1]. The bank [M, ...] is converted `rows` images at a time, because 60,000 images as
    float64 would not fit into the memory of a small machine.
    """
    check_tensor("images", images, "[B, D, ...]")
    check_tensor("bank", bank, "[M, D, ...]")
    images = as_float(images)
    parts = (as_float(part) for part in bank.split(min(check_integer("rows", rows, at_least=1), len(bank))))
    return torch.stack([metrics.nearest_neighbours(images, part)[0][:, 0] for part in parts]).amin(0)


def teddy_bank(n: int, seed: int, size: int = 64) -> Tensor:
    """Render n teddies [n, 3, size, size] that differ only in position and tilt."""
    return teddies.render(teddies.sample_factors(n, seeded_generator(seed), **FIXED_SCENE), size)


def compare_tilt_and_noise(steps: Sequence[float], n: int, bank: Tensor, seed: int) -> TiltVersusNoise:
    """Move n teddies step by step in tilt, and by white noise over exactly the same Euclidean distance.

    steps: changes of tilt, 0..1 (tilt runs from -1 to 1, and each teddy tilts towards the middle). bank: from `teddy_bank`.
    """
    steps = check_numbers("steps", steps, at_least=0, at_most=1)
    check_integer("n", n, at_least=1)
    check_tensor("bank", bank, "[M, 3, S, S]")
    size, generator = bank.shape[-1], seeded_generator(seed)
    start = teddies.sample_factors(n, generator, **FIXED_SCENE)
    towards = -torch.where(start.tilt < 0, -1.0, 1.0)
    x0 = teddies.render(start, size)
    direction = torch.randn(x0.shape, generator=generator)  # one for all steps: a longer step is the same noise, only stronger
    tilted = torch.stack([teddies.render(start.replace(tilt=start.tilt + towards * s), size) for s in steps])
    distance = (tilted - x0).flatten(2).norm(dim=2)
    noisy = torch.stack([x0 + scale_to_norm(direction, d) for d in distance])
    to_bank = [distance_to_bank(x.flatten(0, 1), bank).view(distance.shape) for x in (tilted, noisy)]
    return TiltVersusNoise(tilted, noisy, distance, *to_bank)


def shift_right(images: Tensor, pixels: int) -> Tensor:
    """Shift images [B, C, H, W] to the right; black (-1) comes in from the left."""
    check_tensor("images", images, "[B, C, H, W]", "float")
    pixels = check_integer("pixels", pixels, 0, images.shape[-1])
    return F.pad(images, (pixels, 0), value=-1.0)[..., : images.shape[-1]]


def classifier_confidence_and_accuracy(net: Classifier, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the classifier's mean confidence in its own answers, and the fraction of images it assigns to their labels; 0..1."""
    probabilities = classify(net, images)[1].softmax(1)
    return probabilities.amax(1).mean().item(), metrics.class_agreement(probabilities, labels)
