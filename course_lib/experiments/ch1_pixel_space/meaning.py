"""Chapter 1's experiments on meaning: can a teddy still be read, and which distance knows what two teddies have in common?

Nothing here is random by itself: every function takes a seed.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import metrics, teddies
from course_lib.experiments.latents import codes
from course_lib.judges import factor_reader
from course_lib.judges.factor_reader import FactorReader
from course_lib.vae import VAE

LOOK, PLACE = teddies.PERCEPTUAL, teddies.NUISANCE


def readings(net: FactorReader, images: Tensor, factors: teddies.Factors) -> tuple[Tensor, Tensor]:
    """The reader's mean confidence in each of the SEMANTIC factors of images [N, 3, 64, 64], and the share it reads right.

    Both [5], 0..1, on the CPU. Images of any range are clamped to [-1, 1].
    """
    logits, _ = factor_reader.read(net, images.to(next(net.parameters()).device))
    named = {name: logits[name].softmax(1).cpu() for name in teddies.SEMANTIC}
    right = [metrics.agreement(share, getattr(factors, name).cpu()) for name, share in named.items()]
    return torch.stack([share.amax(1).mean() for share in named.values()]), torch.tensor(right)


class Triplets(NamedTuple):
    """Anchors, the same meaning in another look, and another meaning in the same look: images [N, 3, H, W]."""

    anchor: Tensor
    same: Tensor
    other: Tensor


def triplets(n: int, factor: str, moved: bool, seed: int, size: int = 64, look: tuple[str, ...] = LOOK) -> Triplets:
    """n triplets of teddies. `same` shares every semantic factor with its anchor and differs in the `look`, all of it or some
    (and, if `moved`, in place, size and tilt); `other` differs in the one semantic `factor` alone.
    """
    generator = torch.Generator().manual_seed(seed)
    anchor, stranger = (teddies.sample_factors(n, generator) for _ in range(2))
    values = len(teddies.VALUES[factor])
    another = (getattr(anchor, factor) + torch.randint(1, values, (n,), generator=generator)) % values
    changes = {name: getattr(stranger, name) for name in look + PLACE * moved}
    versions = (anchor, anchor.replace(**changes), anchor.replace(**{factor: another}))
    return Triplets(*(teddies.render(factors, size) for factors in versions))


@torch.no_grad()
def seen(images: Tensor, vae: VAE, net: FactorReader) -> dict[str, Tensor]:
    """Images [N, 3, 64, 64] in [-1, 1] as each of the DISTANCES sees them, on the CPU.

    pixels [N, 3, 64, 64]; code [N, 4, 8, 8], the means of the VAE's posteriors; features [N, 128] of the reader; words, its
    probabilities [N, values of all SEMANTIC factors].
    """
    on = images.to(next(net.parameters()).device)
    features = torch.cat([net.features(part) for part in on.split(200)])
    logits, _ = factor_reader.answers(net.head(features))
    words = torch.cat([logits[name].softmax(1) for name in teddies.SEMANTIC], dim=1)
    views = {"pixels": images, "code": codes(vae, on), "features": features, "words": words}
    return {name: view.float().cpu() for name, view in views.items()}


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared error of each pair of images [N, C, H, W]: [N]."""
    return (a - b).square().flatten(1).mean(1)


def dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """1 - SSIM of each pair of images [N, C, H, W]: [N], 0 for equal ones."""
    return 1 - metrics.ssim(a, b, "none")


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of each pair of rows [N, ...]: [N]."""
    return (a - b).flatten(1).norm(dim=1)


def words_changed(a: Tensor, b: Tensor) -> Tensor:
    """How many of the words differ, for pairs of probabilities [N, values of all words]: [N].

    The total variation (half the summed absolute difference) of each word's probabilities, summed over the words.
    """
    return (a - b).abs().sum(1) / 2


#: Each distance by name: what it compares, of what `seen` gives, and how.
DISTANCES: Mapping[str, tuple[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "MSE": ("pixels", squared_error),
    "SSIM": ("pixels", dissimilarity),
    "code": ("code", euclidean),
    "features": ("features", euclidean),
    "words": ("words", words_changed),
}


def distances(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every one of the DISTANCES between pairs of pictures, as `seen` gives them: {name: [N]}."""
    return {name: distance(a[view], b[view]) for name, (view, distance) in DISTANCES.items() if view in a}


def wrong(anchor: Mapping[str, Tensor], same: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, float]:
    """Share of triplets, 0..1, in which a distance puts the other meaning nearer than the same meaning; a tie is not wrong.

    For each distance; the three as `seen` gives them.
    """
    to_same, to_other = distances(anchor, same), distances(anchor, other)
    return {name: (to_other[name] < to_same[name]).double().mean().item() for name in to_same}


#: The order in which `morph` changes words, from what paints few pixels to what paints many.
WORDS = ("scarf", "activity", "fur", "count", "background")


def morph(start: teddies.Factors, end: teddies.Factors, words: int, look: float) -> teddies.Factors:
    """`start` with its first 0..5 WORDS those of `end`, and its look moved towards that of `end`, 0..1.

    What is continuous moves evenly; grain has only neighbours that are strangers and changes at once, fabric half-way.
    """
    changes = {name: getattr(end, name) for name in WORDS[:words]}
    for name in teddies.PERCEPTUAL:
        ours, theirs = getattr(start, name), getattr(end, name)
        if name in teddies.CONTINUOUS:
            changes[name] = ours.lerp(theirs, look)
        else:
            changes[name] = theirs if look > (0.0 if name == "grain" else 0.5) else ours
    return start.replace(**changes)
