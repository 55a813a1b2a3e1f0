"""Chapter 1's experiments on meaning: can a teddy still be read, and which distance respects what two teddies have in common?

Nothing here is random by itself: every function takes a seed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import metrics, teddies
from course_lib.arguments import (
    check_choice,
    check_finite,
    check_flag,
    check_integer,
    check_number,
    check_same_length,
    check_same_shape,
    check_tensor,
)
from course_lib.experiments.latents import encode
from course_lib.experiments.limits import seeded_generator
from course_lib.judges import factor_reader
from course_lib.judges.factor_reader import FactorReader
from course_lib.teddies.factors import check_factors
from course_lib.vae import VAE


def reader_confidence_and_accuracy(net: FactorReader, images: Tensor, factors: teddies.Factors) -> tuple[Tensor, Tensor]:
    """Return the reader's mean confidence in each SEMANTIC factor of images [N, 3, 64, 64], and the fraction it reads correctly.

    Both [5], 0..1, on the CPU. Images are uint8, or floats of any range, which are clamped to [-1, 1].
    """
    check_tensor("images", images, "[N, 3, 64, 64]")
    factors = check_factors(factors)
    check_same_length("images", images, "factors", factors.count)
    logits, _ = factor_reader.read_factors(net, images.to(next(net.parameters()).device))
    probabilities = {name: logits[name].softmax(1).cpu() for name in teddies.SEMANTIC}
    correct = [metrics.class_agreement(p, getattr(factors, name)) for name, p in probabilities.items()]
    return torch.stack([p.amax(1).mean() for p in probabilities.values()]), torch.tensor(correct)


class Triplets(NamedTuple):
    """Anchors, the same meaning with another appearance, and another meaning with the same appearance: images [N, 3, H, W]."""

    anchor: Tensor
    same: Tensor
    other: Tensor


def sample_triplets(
    n: int, factor: str, moved: bool, seed: int, size: int = 64, appearance: Sequence[str] = teddies.PERCEPTUAL
) -> Triplets:
    """Sample n triplets of teddies.

    `same` shares every semantic factor with its anchor and differs in the `appearance` factors (and, if `moved`, in position,
    size and tilt); `other` differs only in the one semantic `factor`.
    """
    check_choice("factor", factor, teddies.SEMANTIC)
    check_flag("moved", moved)
    for name in appearance:
        check_choice("appearance", name, (*teddies.PERCEPTUAL, *teddies.NUISANCE))
    generator = seeded_generator(seed)
    anchor, stranger = (teddies.sample_factors(n, generator) for _ in range(2))
    values = len(teddies.VALUES[factor])
    another = (getattr(anchor, factor) + torch.randint(1, values, (n,), generator=generator)) % values
    changes = {name: getattr(stranger, name) for name in (*appearance, *teddies.NUISANCE * moved)}
    versions = (anchor, anchor.replace(**changes), anchor.replace(**{factor: another}))
    return Triplets(*(teddies.render(factors, size) for factors in versions))


@torch.no_grad()
def represent(images: Tensor, vae: VAE, net: FactorReader) -> dict[str, Tensor]:
    """Compute the representations of images [N, 3, 64, 64] in [-1, 1] that the DISTANCES compare, on the CPU.

    pixels [N, 3, 64, 64]; latent [N, 4, 8, 8], the mean of the VAE's posterior; features [N, 128] of the reader; words, its
    probabilities [N, values of all SEMANTIC factors].
    """
    check_tensor("images", images, "[N, 3, 64, 64]", "float")
    on_device = images.to(next(net.parameters()).device)
    features = torch.cat([net.features(part) for part in on_device.split(200)])
    logits, _ = factor_reader.split_outputs(net.head(features))
    words = torch.cat([logits[name].softmax(1) for name in teddies.SEMANTIC], dim=1)
    found = {"pixels": images, "latent": encode(vae, on_device), "features": features, "words": words}
    return {name: x.float().cpu() for name, x in found.items()}


def mean_squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared error of each pair of images [N, C, H, W]: [N]."""
    _check_pairs(a, b, "[N, C, H, W]")
    return (a - b).square().flatten(1).mean(1)


def ssim_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 - SSIM of each pair of images [N, C, H, W]: [N], 0 for equal ones."""
    return 1 - metrics.ssim(a, b, "none")


def euclidean_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the Euclidean distance of each pair of rows [N, ...]: [N]."""
    _check_pairs(a, b, "[N, D, ...]")
    return (a - b).flatten(1).norm(dim=1)


def total_variation(a: Tensor, b: Tensor) -> Tensor:
    """Count how many words differ, for pairs of probabilities [N, values of all words]: [N].

    This is the total variation (half the summed absolute difference) of each word's probabilities, summed over the words.
    """
    _check_pairs(a, b, "[N, values]")
    return (a - b).abs().sum(1) / 2


def _check_pairs(a: Tensor, b: Tensor, axes: str) -> None:
    check_tensor("a", a, axes, "float")
    check_tensor("b", b, axes, "float")
    check_same_shape("a", a, "b", b)


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
    for name, views in (("a", a), ("b", b)):
        if not isinstance(views, Mapping):
            raise TypeError(
                f"{name} is a {type(views).__name__}, but must be a dictionary, as represent returns it: {{'pixels': …}}."
            )
        for key, x in views.items():
            check_tensor(f"{name}[{key!r}]", x, "[N, D, ...]", "float")
    known = dict(DISTANCES.values())
    if not a or a.keys() != b.keys() or not a.keys() <= known.keys():
        raise ValueError(f"a holds {list(a)} and b {list(b)}, but both must hold the same representations out of {list(known)}.")
    return {name: distance(a[key], b[key]) for name, (key, distance) in DISTANCES.items() if key in a}


def triplet_error_rates(
    anchor: Mapping[str, Tensor], same: Mapping[str, Tensor], other: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return, for each distance, the fraction of triplets (0..1) in which the other meaning is nearer than the same meaning.

    The three are given by `represent`. A tie is not an error.
    """
    to_same, to_other = paired_distances(anchor, same), paired_distances(anchor, other)
    for name, distances in (*to_same.items(), *to_other.items()):
        check_finite(f"the distance {name!r}", distances)
    return {name: (to_other[name] < to_same[name]).double().mean().item() for name in to_same}


#: The order in which `morph` changes words, from the word that changes few pixels to the one that changes many.
MORPH_ORDER = ("scarf", "activity", "fur", "count", "background")


def morph(start: teddies.Factors, end: teddies.Factors, words: int, appearance: float) -> teddies.Factors:
    """Morph `start` towards `end`: the first 0..5 words of MORPH_ORDER are replaced, the appearance moves part of the way, 0..1.

    Continuous factors move evenly. The grain changes at once, because no two grains are alike; the fabric changes half-way.
    """
    check_factors(start)
    check_factors(end)
    check_same_length("start", start.count, "end", end.count)
    appearance = check_number("appearance", appearance, at_least=0, at_most=1)
    changes = {name: getattr(end, name) for name in MORPH_ORDER[: check_integer("words", words, 0, len(MORPH_ORDER))]}
    for name in teddies.PERCEPTUAL:
        ours, theirs = getattr(start, name), getattr(end, name)
        if name in teddies.CONTINUOUS:
            changes[name] = ours.lerp(theirs, appearance)
        else:
            changes[name] = theirs if appearance > (0.0 if name == "grain" else 0.5) else ours
    return start.replace(**changes)
