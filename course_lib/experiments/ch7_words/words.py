"""Experiments of the further notebook on words: a pair that searches, and denoisers that are told captions or factors."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import teddies, text
from course_lib.codec import Codec, cache
from course_lib.contrastive import ImageTextPair, Retrieval, contrastive_loss, distinct, hits, similarity
from course_lib.device import Machine
from course_lib.experiments.prompt_adherence import adherence, sample_prompts
from course_lib.images import to_uint8
from course_lib.judges.factor_reader import FactorReader, read
from course_lib.layers import CrossAttention
from course_lib.schedule import Level
from course_lib.teddies import LEVELS, SEMANTIC, VALUES
from course_lib.text_denoiser import TextDenoiser
from course_lib.text_to_image import TextToImage
from course_lib.training import TrainConfig, TrainResult, train


class Split(NamedTuple):
    """Pictures of teddies: uint8 [N, 3, 64, 64], their latents [N, 4, 8, 8], and their labels [N, 5]."""

    images: Tensor
    latents: Tensor
    labels: Tensor


def split(n: int, seed: int, codec: Codec, machine: Machine, unseen: bool = False) -> Split:
    """n random teddies, encoded. unseen: only of combinations that nothing is trained on; otherwise none of those."""
    images, factors = teddies.dataset(n, seed, device=machine.device, unseen=unseen)
    return Split(images, cache(codec, images), factors.labels())


def without(labels: Tensor, *names: str) -> Tensor:
    """The labels [N, 5] with these factors left out: each gets its null label."""
    left_out = torch.tensor([name in names for name in SEMANTIC], device=labels.device)
    return torch.where(left_out, labels.new_tensor(LEVELS), labels)


# ----------------------------------------------------------------------------------------------------------- the pair


def drop_words(labels: Tensor, drop: float, generator: torch.Generator | None = None) -> Tensor:
    """Labels [N, 5] of which each is left out, by itself, with the chance `drop`: people do not say everything."""
    left_out = torch.rand(labels.shape, device=labels.device, generator=generator) < drop
    return torch.where(left_out, labels.new_tensor(LEVELS), labels)


def loss_lower_bound(labels: Tensor) -> float:
    """The least contrastive loss that a batch with these labels [B, 5] can have, in nats: log k where k share a caption."""
    _, which, counts = labels.unique(dim=0, return_inverse=True, return_counts=True)
    return counts[which].double().log().mean().item()


def train_pair(
    latents: Tensor, labels: Tensor, machine: Machine, steps: int = 400, drop: float = 0.2, seed: int = 0, progress: bool = True
) -> TrainResult:
    """A contrastive pair trained on latents and the captions of their labels, `shortened` anew in each step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pair = ImageTextPair()

    def objective(pair: ImageTextPair, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        latents, labels = batch
        images, texts = pair(latents, text.from_labels(drop_words(labels, drop, generator)))
        return contrastive_loss(images.float(), texts.float(), pair.scale)

    config = TrainConfig(
        steps=steps,
        batch_size=256,
        lr=2e-3,
        betas=(0.9, 0.99),
        weight_decay=0.05,
        ema_decay=0.99,
        channels_last=True,
        seed=seed,
        progress=progress,
    )
    return train(pair, objective, (latents, labels), config, machine=machine)


@torch.no_grad()
def compare(pair: ImageTextPair, latents: Tensor, captions: Sequence[str]) -> Tensor:
    """Cosines of N pictures' latents and M captions: [N, M]."""
    return similarity(*pair(latents, text.tokenise(captions, latents.device)))


@torch.no_grad()
def finder(pair: ImageTextPair, latents: Tensor) -> Callable[[str], Tensor]:
    """A search engine over N pictures: caption → its cosine with each of them [N]. The pictures are looked at once, here."""
    features = torch.cat([pair(part, text.tokenise([""], part.device))[0] for part in latents.split(500)])
    return torch.no_grad()(
        lambda caption: similarity(features, pair(latents[:1], text.tokenise(caption, latents.device))[1])[:, 0]
    )


def search(
    pair: ImageTextPair, shelves: Mapping[str, Split], say: Callable[[Tensor], list[str]] = teddies.say
) -> dict[str, Retrieval]:
    """How well the pictures and captions of each shelf find each other, among the pictures and captions of *all* shelves.

    All in one pool, so that every shelf has the same look-alikes to be confused with. say: labels → captions.
    """
    captions, own = distinct(say(torch.cat([some.labels for some in shelves.values()])))
    similar = compare(pair, torch.cat([some.latents for some in shelves.values()]), captions).cpu()
    pictures, texts = hits(similar, own)
    parts = zip(shelves, *(x.split([len(some.labels) for some in shelves.values()]) for x in (pictures, own)), strict=True)
    return {name: Retrieval(p.double().mean().item(), texts[o.unique()].double().mean().item()) for name, p, o in parts}


def in_another_order(labels: Tensor) -> list[str]:
    """Full captions with all their words, but in an order in which no network has read them: the place first, the number last."""
    pieces = {name: teddies.say(without(labels, *set(SEMANTIC) - {name})) for name in SEMANTIC}
    return [" ".join(parts) for parts in zip(*(pieces[name] for name in reversed(SEMANTIC)), strict=True)]


def read_by_words(pair: ImageTextPair, some: Split) -> dict[str, float]:
    """Each factor read without ever training for it (Radford et al. 2021, section 3.1).

    The share of pictures whose most similar caption, of those that name nothing but this factor, is right.
    """
    shares = {}
    for i, name in enumerate(SEMANTIC):
        labels = torch.tensor(LEVELS).repeat(LEVELS[i], 1)
        labels[:, i] = torch.arange(LEVELS[i])
        found = compare(pair, some.latents, teddies.say(labels)).argmax(1)
        shares[name] = (found == some.labels[:, i]).double().mean().item()
    return shares


def attribute_binding_accuracy(pair: ImageTextPair, some: Split) -> float:
    """Of pictures in which either the fur or the scarf is blue, the share for which the pair knows which of them.

    It chooses between "one blue teddy bear" and "one teddy bear with a blue scarf", or "two …"; 0.5 is guessing.
    """
    fur, scarf = (some.labels[:, SEMANTIC.index(name)] == VALUES[name].index("blue") for name in ("fur", "scarf"))
    one = fur ^ scarf
    captions = ["one blue teddy bear", "one teddy bear with a blue scarf"]
    captions += ["two blue teddy bears", "two teddy bears with a blue scarf"]
    similar = compare(pair, some.latents[one], captions).view(-1, 2, 2)  # [N, count, fur or scarf]
    count = some.labels[one, SEMANTIC.index("count")]
    similar = similar.take_along_dim(count[:, None, None], 1)[:, 0]
    return (similar.argmax(1) == scarf[one]).double().mean().item()


# ------------------------------------------------------------------------------------------------------- the denoisers


def generalise(
    painters: Mapping[str, TextToImage], reader: FactorReader, n: int = 128, scale: float = 3.0
) -> dict[str, dict[str, dict[str, float]]]:
    """Adherence of each painter to n wishes, seen in training and never seen: {name: {"seen": {...}, "never seen": {...}}}."""
    asked = {"seen": sample_prompts(n, 31), "never seen": sample_prompts(n, 32, unseen=True)}
    return {
        name: {
            which: adherence(reader, painter.paint(painter.tell(teddies.say(labels)), scale), labels)
            for which, labels in asked.items()
        }
        for name, painter in painters.items()
    }


def shares(reader: FactorReader, images: Tensor, factor: str) -> dict[str, float]:
    """How often each value of a factor is read from images [N, 3, 64, 64]: {"none": 0.2, "red": 0.2, …}."""
    found = read(reader, images)[0][factor].argmax(1)
    counts = torch.bincount(found, minlength=len(VALUES[factor])).double() / len(images)
    return dict(zip(VALUES[factor], counts.tolist(), strict=True))


@torch.no_grad()
def attention_maps(net: TextDenoiser, x_t: Tensor, level: Level, tokens: Tensor) -> Tensor:
    """How much each place of x_t [B, C, S, S] looks at each token [B, L] at this level: [B, L, S, S].

    At each place it adds up to 1. Mean over all cross-attention layers and heads; coarser layers are repeated (compare
    Hertz et al. 2023, figure 4).
    """
    maps = []

    def keep(layer: CrossAttention, inputs: tuple[Tensor, Tensor, Tensor], _: Tensor) -> None:
        side = math.isqrt(inputs[0].shape[1])
        weights = layer.weights(*inputs).float().mT.unflatten(2, (side, side))  # [B, L, side, side]
        maps.append(F.interpolate(weights, x_t.shape[2:], mode="nearest"))

    hooks = [module.register_forward_hook(keep) for module in net.modules() if isinstance(module, CrossAttention)]
    try:
        net(x_t, torch.full((len(x_t),), level.t, device=x_t.device), tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(maps).mean(0)


def overlay(image: Tensor, maps: Tensor) -> Tensor:
    """A picture [3, 64, 64] in [-1, 1] under each of the maps [L, S, S]: uint8 [L, 3, 64, 64], bright where a map is large."""
    light = F.interpolate(maps[:, None] / maps.amax((1, 2), keepdim=True)[:, None], image.shape[1:], mode="bilinear")
    return to_uint8((image + 1) * (0.15 + 0.85 * light) - 1)
