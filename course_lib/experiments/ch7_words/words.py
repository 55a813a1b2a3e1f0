"""Experiments of notebook 7: a contrastive pair that retrieves images, and denoisers conditioned on captions or factors."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import recipes, teddies, text
from course_lib.arguments import check_choice, check_integer, check_number, check_same_length, check_tensor
from course_lib.codec import Codec, cache
from course_lib.contrastive import (
    ImageTextPair,
    RetrievalAccuracy,
    contrastive_loss,
    correct_matches,
    similarity,
    unique_captions,
)
from course_lib.device import Machine
from course_lib.experiments.limits import MAX_STEPS
from course_lib.judges.factor_reader import NAMED_FACTORS, FactorReader, read_factors
from course_lib.teddies import NUM_VALUES, SEMANTIC, VALUES
from course_lib.training import LossFn, OnStep, TrainConfig, TrainResult, train
from course_lib.training.config import MAX_SEED

PairLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Features of images and of captions [B, D], and the scale [] → a scalar."""


class Split(NamedTuple):
    """A set of teddies: images uint8 [N, 3, 64, 64], their latents [N, 4, 8, 8], and their labels [N, 5]."""

    images: Tensor
    latents: Tensor
    labels: Tensor


def make_split(n: int, seed: int, codec: Codec, machine: Machine, unseen: bool = False) -> Split:
    """Render n random teddies and encode them; unseen: only combinations held out of all training, otherwise none of those."""
    seed = check_integer("seed", seed, 0, MAX_SEED)
    images, factors = teddies.dataset(n, seed, device=machine.device, unseen=unseen)
    return Split(images, cache(codec, images), factors.labels())


def _check_split(name: str, split: Split) -> None:
    if not isinstance(split, Split):
        raise TypeError(f"{name} is a {type(split).__name__}, but must be a Split, as make_split makes it.")
    check_tensor(f"{name}.latents", split.latents, "[N, 4, 8, 8]", "float")
    teddies.check_labels(split.labels)
    check_same_length(f"{name}.latents", split.latents, f"{name}.labels", split.labels)


def drop_factors(labels: Tensor, *names: str) -> Tensor:
    """Return the labels [N, 5] with the named factors replaced by their null labels."""
    check_tensor("labels", labels, f"[N, {len(SEMANTIC)}]", "integer", least=0)
    for name in names:
        check_choice("the factor", name, SEMANTIC)
    dropped = torch.tensor([name in names for name in SEMANTIC], device=labels.device)
    return torch.where(dropped, labels.new_tensor(NUM_VALUES), labels)


# ----------------------------------------------------------------------------------------------------------- the pair


def drop_words(labels: Tensor, drop: float, generator: torch.Generator | None = None) -> Tensor:
    """Replace each of the labels [N, 5] by its null label with probability ``drop``: captions leave things out."""
    check_tensor("labels", labels, f"[N, {len(SEMANTIC)}]", "integer", least=0)
    drop = check_number("drop", drop, at_least=0, at_most=1)
    dropped = torch.rand(labels.shape, device=labels.device, generator=generator) < drop
    return torch.where(dropped, labels.new_tensor(NUM_VALUES), labels)


def loss_lower_bound(labels: Tensor) -> float:
    """Return the least contrastive loss that a batch with these labels [B, 5] allows, in nats: log k where k share a caption."""
    check_tensor("labels", labels, f"[B, {len(SEMANTIC)}]", "integer")
    teddies.check_labels(labels)
    _, caption, counts = labels.unique(dim=0, return_inverse=True, return_counts=True)
    return counts[caption].double().log().mean().item()


def train_pair(
    latents: Tensor,
    labels: Tensor,
    machine: Machine,
    steps: int = 400,
    drop: float = 0.2,
    seed: int = 0,
    progress: bool = True,
    loss: PairLoss = contrastive_loss,
) -> TrainResult[ImageTextPair]:
    """Train a contrastive pair on latents and the captions of their labels.

    drop: probability that a caption leaves a factor out, sampled again in each step. loss: of the features and the scale.
    """
    check_tensor("latents", latents, "[N, 4, 8, 8]", "float")
    teddies.check_labels(labels)
    check_number("drop", drop, at_least=0, at_most=1)

    def objective(pair: ImageTextPair, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        latents, labels = batch
        images, texts = pair(latents, text.tokenise_labels(drop_words(labels, drop, generator)))
        return loss(images.float(), texts.float(), pair.scale)

    return train_on_captions(objective, (latents, labels), machine, steps, seed, progress=progress)


def train_on_captions(
    objective: LossFn[ImageTextPair],
    data: tuple[Tensor, Tensor],
    machine: Machine,
    steps: int = 400,
    seed: int = 0,
    schedule: str = "cosine",
    progress: bool = False,
    on_step: OnStep | None = None,
) -> TrainResult[ImageTextPair]:
    """Train a new `ImageTextPair` with this loss of a batch of data, with the settings that all pairs of notebook 7 share."""
    config = TrainConfig(
        steps=check_integer("steps", steps, 1, MAX_STEPS),
        batch_size=256,
        lr=2e-3,
        betas=(0.9, 0.99),
        weight_decay=0.05,
        ema_decay=0.99 if schedule == "cosine" else 0.95,
        schedule=schedule,
        channels_last=True,
        seed=seed,
        progress=progress,
    )
    return train(recipes.build(ImageTextPair, {}, seed), objective, data, config, machine=machine, on_step=on_step)


@torch.no_grad()
def caption_similarity(pair: ImageTextPair, latents: Tensor, captions: Sequence[str]) -> Tensor:
    """Return the cosine similarities of N images (as latents) and M captions: [N, M]."""
    check_tensor("latents", latents, "[N, 4, 8, 8]", "float")
    return similarity(*pair(latents, text.tokenise(captions, latents.device)))


@torch.no_grad()
def image_search(pair: ImageTextPair, latents: Tensor) -> Callable[[str], Tensor]:
    """Return a search function over N images: caption → its cosine similarity with each image [N].

    The images are encoded once, here.
    """
    check_tensor("latents", latents, "[N, 4, 8, 8]", "float")
    features = torch.cat([pair(part, text.tokenise([""], part.device))[0] for part in latents.split(500)])
    return torch.no_grad()(
        lambda caption: similarity(features, pair(latents[:1], text.tokenise(caption, latents.device))[1])[:, 0]
    )


def retrieval_by_split(
    pair: ImageTextPair,
    splits: Mapping[str, Split],
    make_captions: Callable[[Tensor], list[str]] = teddies.captions_from_labels,
) -> dict[str, RetrievalAccuracy]:
    """Measure the retrieval accuracy of each split, among the images and captions of *all* splits.

    One common pool, so that every split can be confused with the same candidates. make_captions: labels [N, 5] → captions.
    """
    if not isinstance(splits, Mapping) or not splits:
        raise TypeError(f"splits is a {type(splits).__name__}, but must be a dictionary of one or more splits.")
    for name, split in splits.items():
        _check_split(f"splits[{name!r}]", split)
    captions, own = unique_captions(make_captions(torch.cat([split.labels for split in splits.values()])))
    similar = caption_similarity(pair, torch.cat([split.latents for split in splits.values()]), captions).cpu()
    image_correct, caption_correct = correct_matches(similar, own)
    sizes = [len(split.labels) for split in splits.values()]
    return {
        name: RetrievalAccuracy(correct.double().mean().item(), caption_correct[its_captions.unique()].double().mean().item())
        for name, correct, its_captions in zip(splits, image_correct.split(sizes), own.split(sizes), strict=True)
    }


def reordered_captions(labels: Tensor) -> list[str]:
    """Return full captions with all their words in an order that no network has read: background first, count last."""
    pieces = {name: teddies.captions_from_labels(drop_factors(labels, *set(SEMANTIC) - {name})) for name in SEMANTIC}
    return [" ".join(parts) for parts in zip(*(pieces[name] for name in reversed(SEMANTIC)), strict=True)]


def zero_shot_accuracy(pair: ImageTextPair, split: Split) -> dict[str, float]:
    """Measure zero-shot classification of each factor (Radford et al. 2021, section 3.1).

    Returns the fraction of images for which, among the captions that name nothing but this factor, the most similar is right.
    """
    _check_split("split", split)
    accuracy = {}
    for i, name in enumerate(SEMANTIC):
        labels = torch.tensor(NUM_VALUES).repeat(NUM_VALUES[i], 1)
        labels[:, i] = torch.arange(NUM_VALUES[i])
        found = caption_similarity(pair, split.latents, teddies.captions_from_labels(labels)).argmax(1)
        accuracy[name] = (found == split.labels[:, i]).double().mean().item()
    return accuracy


# ------------------------------------------------------------------------------------------------------- the denoisers


def value_frequencies(reader: FactorReader, images: Tensor, factor: str) -> dict[str, float]:
    """Return how often the reader finds each value of a factor in images [N, 3, 64, 64]: {"none": 0.2, "red": 0.2, …}."""
    check_choice("factor", factor, NAMED_FACTORS)
    found = read_factors(reader, images)[0][factor].argmax(1)
    counts = torch.bincount(found, minlength=len(VALUES[factor])).double() / len(images)
    return dict(zip(VALUES[factor], counts.tolist(), strict=True))
