"""Does a contrastive pair read the order of the words, where the order carries meaning? Scenes of two different teddies.

"one pink teddy bear reading one blue teddy bear waving": the left one first. The same words in another order describe another
scene. ``course measure word-order`` trains pairs with two seeds and stores the figures; notebook 7 reads them.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes, teddies, text
from course_lib.arguments import check_choice, check_flag, check_integer, check_integers, check_tensor
from course_lib.codec import Codec, cache
from course_lib.contrastive import ImageTextPair, contrastive_loss, similarity
from course_lib.device import Machine
from course_lib.experiments.ch7_words.words import train_on_captions
from course_lib.experiments.limits import MAX_SAMPLES
from course_lib.images import to_uint8
from course_lib.storage.results import StoredResult, group_points
from course_lib.teddies import VALUES
from course_lib.training.config import MAX_SEED

RESULT = StoredResult("word-order", "results/word_order.json")
STEPS = (100, 150, 200, 300, 400, 600)
SEEDS, IMAGES, TESTS = 2, 6000, 600
FURS, ACTIVITIES = len(VALUES["fur"]), len(VALUES["activity"])
COMBINATIONS = (FURS * ACTIVITIES) ** 2
BATCHES = ("as they come", "without twins")


class TwoTeddies(NamedTuple):
    """Images uint8 [N, 3, 64, 64], latents [N, 4, 8, 8], and the labels [N, 2, 2]: fur and activity of left and right teddy."""

    images: Tensor
    latents: Tensor
    labels: Tensor


def make_two_teddies(n: int, seed: int, codec: Codec, machine: Machine, unseen: bool = False) -> TwoTeddies:
    """Render n scenes of two teddies, each cut from an image of its own. unseen: of the tenth of all combinations held out."""
    n, seed = check_integer("n", n, 1, MAX_SAMPLES), check_integer("seed", seed, 0, MAX_SEED)
    check_flag("unseen", unseen)
    generator = torch.Generator().manual_seed(seed)
    left, right = (teddies.sample_factors(20 * n + 200, generator, count="one", x=0.0) for _ in range(2))
    labels = torch.stack([torch.stack([side.fur, side.activity], 1) for side in (left, right)], 1)
    rows = (is_held_out(labels) == unseen).nonzero()[:n, 0]
    left, right, labels = left[rows], right[rows].replace(background=left[rows].background), labels[rows]
    halves = [teddies.render(side.to(machine.device))[..., 16:48] for side in (left, right)]
    images = to_uint8(torch.cat(halves, 3))
    return TwoTeddies(images, cache(codec, images), labels.to(machine.device))


def _check_labels(labels: Tensor) -> None:
    check_tensor("labels", labels, "[N, 2, 2]", "integer", least=0)
    for i, (name, values) in enumerate((("furs", FURS), ("activities", ACTIVITIES))):
        if len(labels) and not 0 <= int(labels[..., i].min()) <= int(labels[..., i].max()) < values:
            raise ValueError(f"the {name} in labels must be in 0 to {values - 1}.")


def is_held_out(labels: Tensor) -> Tensor:
    """Return which labels [N, 2, 2] belong to the tenth of all combinations that no pair is trained on: bool [N]."""
    _check_labels(labels)
    ids = labels.flatten(1) @ labels.new_tensor([ACTIVITIES * FURS * ACTIVITIES, FURS * ACTIVITIES, ACTIVITIES, 1])
    order = torch.randperm(COMBINATIONS, generator=torch.Generator().manual_seed(0))
    return torch.isin(ids, order[: COMBINATIONS // 10].to(ids.device))


def two_captions(labels: Tensor) -> list[str]:
    """Write the caption of each scene of labels [N, 2, 2], the left teddy first."""
    _check_labels(labels)
    one = [[f"one {VALUES['fur'][fur]} teddy bear {VALUES['activity'][does]}" for fur, does in row] for row in labels.tolist()]
    return [" ".join(row) for row in one]


def exchange_furs(labels: Tensor) -> Tensor:
    """Return labels [N, 2, 2] in which the two teddies have exchanged their furs: the same words, another scene."""
    _check_labels(labels)
    return torch.stack([labels[..., 0].flip(1), labels[..., 1]], 2)


def are_twins(labels: Tensor) -> Tensor:
    """Return which captions of labels [N, 2, 2] have the same words as each other, but another order: bool [N, N]."""
    _check_labels(labels)
    words = labels.sort(1).values.flatten(1)  # two furs and two activities, in any order
    same_words = (words[:, None] == words[None]).all(2)
    return same_words & ~(labels[:, None] == labels[None]).flatten(2).all(2)


def measure_word_order(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train pairs on scenes of two teddies with two seeds, measure what they read on the way; store the figures as JSON.

    steps: of each training; by default, and at most, the last of `STEPS`. About eight minutes on two cores.
    """
    machine = devices.find()
    seed, steps = check_integer("seed", seed, 0), check_integer("steps", steps or STEPS[-1], 1, STEPS[-1])
    codec = recipes.load_codec("teddies-vae", machine)
    points: list[dict[str, Any]] = []
    scenes, tests = make_two_teddies(IMAGES, 51, codec, machine), make_two_teddies(TESTS, 52, codec, machine, unseen=True)

    def report(point: dict[str, Any]) -> None:
        points.append(point)
        print(point, flush=True)

    budgets = sorted({min(one, steps) for one in STEPS})
    for s, batches in itertools.product(range(seed, seed + SEEDS), BATCHES):
        measure_order_while_training(scenes, tests, machine, report, budgets, s, twins=batches == BATCHES[0])
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seeds": SEEDS}
    return RESULT.save({**figures, "images": IMAGES, "tests": TESTS, "points": points}, out)


def measure_order_while_training(
    scenes: TwoTeddies,
    tests: TwoTeddies,
    machine: Machine,
    report: Callable[[dict[str, Any]], None],
    budgets: Sequence[int],
    seed: int = 0,
    twins: bool = True,
) -> None:
    """Train one pair, and give the `order_accuracy` of its averaged weights to `report` at each budget of steps.

    twins: False takes from each softmax the captions that have the words of the right one in another order, so that the loss
    never asks for the order.
    """
    budgets = check_integers("budgets", budgets, 1)
    check_flag("twins", twins)

    def objective(pair: ImageTextPair, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        latents, labels = batch
        images, texts = pair(latents, text.tokenise(two_captions(labels), latents.device))
        return contrastive_loss(images.float(), texts.float(), pair.scale, excluded=None if twins else are_twins(labels))

    def on_step(step: int, net: nn.Module, ema: nn.Module) -> None:
        if step in budgets:
            figures = {name: round(value, 4) for name, value in order_accuracy(ema, tests).items()}
            report({"batches": BATCHES[0 if twins else 1], "seed": seed, "steps": step, **figures})

    data = (scenes.latents, scenes.labels)
    train_on_captions(objective, data, machine, max(budgets), seed, schedule="constant", on_step=on_step)


@torch.no_grad()
def order_accuracy(pair: nn.Module, scenes: TwoTeddies) -> dict[str, float]:
    """Measure three shares (0..1) of scenes, among the distinct captions of all of them and their exchanged ones.

    "words": the most similar caption has the scene's words, in any order. "caption": it is the scene's own. "own or furs
    exchanged": the own caption is more similar than that with the furs exchanged, where the two differ (chance: 0.5).
    """
    own, exchanged = two_captions(scenes.labels), two_captions(exchange_furs(scenes.labels))
    pool = sorted({*own, *exchanged})
    index = {caption: i for i, caption in enumerate(pool)}
    similar = torch.cat([similarity(*pair(part, text.tokenise(pool, part.device))) for part in scenes.latents.split(500)]).cpu()
    found = [pool[i] for i in similar.argmax(1).tolist()]
    rows = torch.arange(len(own))
    right = similar[rows, [index[c] for c in own]] > similar[rows, [index[c] for c in exchanged]]
    differ = (scenes.labels[:, 0] != scenes.labels[:, 1]).all(1).cpu()
    return {
        "words": sum(sorted(a.split()) == sorted(b.split()) for a, b in zip(found, own, strict=True)) / len(own),
        "caption": sum(a == b for a, b in zip(found, own, strict=True)) / len(own),
        "own or furs exchanged": right[differ].double().mean().item(),
    }


def order_curve(figures: Mapping[str, Any], batches: str, row: str) -> tuple[list[int], list[list[float]]]:
    """Return the stored budgets of steps, and for each the shares of all seeds in one row of `order_accuracy`."""
    check_choice("batches", batches, BATCHES)
    same = (p for p in figures["points"] if p["batches"] == batches)
    found = group_points(same, lambda p: p["steps"], lambda p: p[row])
    return list(found), list(found.values())
