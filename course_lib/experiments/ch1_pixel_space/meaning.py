"""Chapter 1's experiments on meaning: can a teddy still be read, and which distance respects what two teddies have in common?

Nothing here is random by itself: every function takes a seed.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import metrics, teddies
from course_lib.experiments.latents import encode
from course_lib.judges import factor_reader
from course_lib.judges.factor_reader import FactorReader
from course_lib.vae import VAE


def reader_confidence_and_accuracy(net: FactorReader, images: Tensor, factors: teddies.Factors) -> tuple[Tensor, Tensor]:
    """Return the reader's mean confidence in each SEMANTIC factor of images [N, 3, 64, 64], and the fraction it reads correctly.

    Both [5], 0..1, on the CPU. Images of any range are clamped to [-1, 1].
    """
    logits, _ = factor_reader.read_factors(net, images.to(next(net.parameters()).device))
    probabilities = {name: logits[name].softmax(1).cpu() for name in teddies.SEMANTIC}
    correct = [metrics.class_agreement(p, getattr(factors, name).cpu()) for name, p in probabilities.items()]
    return torch.stack([p.amax(1).mean() for p in probabilities.values()]), torch.tensor(correct)


class Triplets(NamedTuple):
    """Anchors, the same meaning with another appearance, and another meaning with the same appearance: images [N, 3, H, W]."""

    anchor: Tensor
    same: Tensor
    other: Tensor


def sample_triplets(
    n: int, factor: str, moved: bool, seed: int, size: int = 64, appearance: tuple[str, ...] = teddies.PERCEPTUAL
) -> Triplets:
    """Sample n triplets of teddies.

    `same` shares every semantic factor with its anchor and differs in the `appearance` factors (and, if `moved`, in position,
    size and tilt); `other` differs only in the one semantic `factor`.
    """
    generator = torch.Generator().manual_seed(seed)
    anchor, stranger = (teddies.sample_factors(n, generator) for _ in range(2))
    values = len(teddies.VALUES[factor])
    another = (getattr(anchor, factor) + torch.randint(1, values, (n,), generator=generator)) % values
    changes = {name: getattr(stranger, name) for name in appearance + teddies.NUISANCE * moved}
    versions = (anchor, anchor.replace(**changes), anchor.replace(**{factor: another}))
    return Triplets(*(teddies.render(factors, size) for factors in versions))


@torch.no_grad()
def represent(images: Tensor, vae: VAE, net: FactorReader) -> dict[str, Tensor]:
    """Compute the representations of images [N, 3, 64, 64] in [-1, 1] that the DISTANCES compare, on the CPU.

    pixels [N, 3, 64, 64]; latent [N, 4, 8, 8], the mean of the VAE's posterior; features [N, 128] of the reader; words, its
    probabilities [N, values of all SEMANTIC factors].
    """
    on_device = images.to(next(net.parameters()).device)
    features = torch.cat([net.features(part) for part in on_device.split(200)])
    logits, _ = factor_reader.split_outputs(net.head(features))
    words = torch.cat([logits[name].softmax(1) for name in teddies.SEMANTIC], dim=1)
    found = {"pixels": images, "latent": encode(vae, on_device), "features": features, "words": words}
    return {name: x.float().cpu() for name, x in found.items()}


def mean_squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared error of each pair of images [N, C, H, W]: [N]."""
    return (a - b).square().flatten(1).mean(1)


def ssim_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 - SSIM of each pair of images [N, C, H, W]: [N], 0 for equal ones."""
    return 1 - metrics.ssim(a, b, "none")


def euclidean_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the Euclidean distance of each pair of rows [N, ...]: [N]."""
    return (a - b).flatten(1).norm(dim=1)


def total_variation(a: Tensor, b: Tensor) -> Tensor:
    """Count how many words differ, for pairs of probabilities [N, values of all words]: [N].

    This is the total variation (half the summed absolute difference) of each word's probabilities, summed over the words.
    """
    return (a - b).abs().sum(1) / 2


#: Each distance by name: which representation of `represent` it compares, and how.
DISTANCES: Mapping[str, tuple[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "MSE": ("pixels", mean_squared_error),
    "SSIM": ("pixels", ssim_distance),
    "latent": ("latent", euclidean_distance),
    "features": ("features", euclidean_distance),
    "words": ("words", total_variation),
}


def paired_distances(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return every one of the DISTANCES between pairs of images, given by `represent`: {name: [N]}."""
    return {name: distance(a[key], b[key]) for name, (key, distance) in DISTANCES.items() if key in a}


def triplet_error_rates(
    anchor: Mapping[str, Tensor], same: Mapping[str, Tensor], other: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return, for each distance, the fraction of triplets (0..1) in which the other meaning is nearer than the same meaning.

    The three are given by `represent`. A tie is not an error.
    """
    to_same, to_other = paired_distances(anchor, same), paired_distances(anchor, other)
    return {name: (to_other[name] < to_same[name]).double().mean().item() for name in to_same}


#: The order in which `morph` changes words, from the word that changes few pixels to the one that changes many.
MORPH_ORDER = ("scarf", "activity", "fur", "count", "background")


def morph(start: teddies.Factors, end: teddies.Factors, words: int, appearance: float) -> teddies.Factors:
    """Morph `start` towards `end`: the first 0..5 words of MORPH_ORDER are replaced, the appearance moves part of the way, 0..1.

    Continuous factors move evenly. The grain changes at once, because no two grains are alike; the fabric changes half-way.
    """
    changes = {name: getattr(end, name) for name in MORPH_ORDER[:words]}
    for name in teddies.PERCEPTUAL:
        ours, theirs = getattr(start, name), getattr(end, name)
        if name in teddies.CONTINUOUS:
            changes[name] = ours.lerp(theirs, appearance)
        else:
            changes[name] = theirs if appearance > (0.0 if name == "grain" else 0.5) else ours
    return start.replace(**changes)
