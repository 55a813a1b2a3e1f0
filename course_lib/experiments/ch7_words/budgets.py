"""How well do denoisers given words or factors draw what they are asked for, after how many training steps?

``course measure words-training`` trains both, and stores the figures; notebook 7 reads them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes, teddies, text
from course_lib.arguments import check_choice, check_integer, check_integers
from course_lib.codec import Codec, cache
from course_lib.device import Machine
from course_lib.experiments.limits import MAX_STEPS
from course_lib.experiments.prompt_adherence import adherence, sample_prompts
from course_lib.judges.factor_reader import FactorReader
from course_lib.recipes import configs
from course_lib.recipes.losses import denoising_loss, text_denoising_loss
from course_lib.storage.results import StoredResult, group_points
from course_lib.text import TextDenoiser
from course_lib.text_to_image import TextToImage
from course_lib.training import train
from course_lib.unet import UNet

RESULT = StoredResult("words-training", "results/words_training.json")
CONDITIONS = ("words", "factors")
STEPS = (100, 150, 200, 400)
SEEDS, IMAGES, BATCH, PROMPTS, SCALE = 1, 12_000, 64, 128, 3.0

Point = dict[str, Any]
"""One measurement: condition, seed, steps, combinations ("seen" or "never seen"), and the fractions of `adherence`."""


def measure_words_training(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train denoisers given words and given factors, measure what they draw on the way; store it as JSON.

    steps: of each training; by default, and at most, the last of `STEPS`. About a quarter of an hour on two cores.
    """
    machine = devices.find()
    seed, steps = check_integer("seed", seed, 0), check_integer("steps", steps or STEPS[-1], 1, STEPS[-1])
    codec, reader = recipes.load_codec("teddies-vae", machine), recipes.load_or_train("teddies-reader", machine)
    data = training_data(codec, machine)
    points: list[Point] = []

    def report(point: Point) -> None:
        points.append(point)
        print(point, flush=True)

    budgets = sorted({min(one, steps) for one in STEPS})
    for s in range(seed, seed + SEEDS):
        for condition in CONDITIONS:
            measure_while_training(condition, data, codec, reader, machine, report, budgets, s)
    return RESULT.save(stored_figures(points, machine, seed), out)


def stored_figures(points: list[Point], machine: Machine, seed: int) -> dict[str, Any]:
    """Return what is stored: the points, and how they were measured."""
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seeds": SEEDS}
    return {**figures, "images": IMAGES, "batch": BATCH, "prompts": PROMPTS, "scale": SCALE, "points": points}


def training_data(codec: Codec, machine: Machine, n: int = IMAGES) -> tuple[Tensor, Tensor]:
    """Render n teddies of the combinations that may be shown: their latents [N, 4, 8, 8] and labels [N, 5]."""
    images, factors = teddies.dataset(check_integer("n", n, BATCH), 6, device=machine.device)
    return cache(codec, images), factors.labels()


def measure_while_training(
    condition: str,
    data: tuple[Tensor, Tensor],
    codec: Codec,
    reader: FactorReader,
    machine: Machine,
    report: Callable[[Point], None],
    budgets: list[int],
    seed: int = 0,
    resume_file: Path | None = None,
) -> None:
    """Train one denoiser at a constant learning rate, and give its averaged weights' adherence to `report` at each budget.

    condition: one of `CONDITIONS`. Both conditions get the same network body, batches and noise. budgets: numbers of steps.
    resume_file: as in `train`; points before it are not reported again.
    """
    check_choice("condition", condition, CONDITIONS)
    check_integers("budgets", budgets)
    network: type[nn.Module] = TextDenoiser if condition == "words" else UNet
    config, training = configs.TEDDIES_WORDS if condition == "words" else configs.TEDDIES_DENOISER
    loss = text_denoising_loss() if condition == "words" else denoising_loss(teddies.NUM_VALUES)
    encode = text.tokenise if condition == "words" else teddies.labels_from_captions
    steps = check_integer("the largest budget", max(budgets), 1, MAX_STEPS)
    training = replace(
        training, steps=steps, batch_size=BATCH, schedule="constant", ema_decay=0.98, seed=seed, progress=False, save_every=20
    )

    def on_step(step: int, net: nn.Module, ema: nn.Module) -> None:
        if step in budgets:
            model = TextToImage(ema, codec, recipes.make_schedule(), machine, (4, 8, 8), encode)
            for combinations, fractions in adherence_by_split(model, reader).items():
                place = {"condition": condition, "seed": seed, "steps": step, "combinations": combinations}
                report({**place, **{name: round(value, 4) for name, value in fractions.items()}})

    net = recipes.build(network, config, seed)
    train(net, loss, data, training, machine=machine, resume_file=resume_file, on_step=on_step)


def adherence_by_split(model: TextToImage, reader: FactorReader, n: int = PROMPTS) -> dict[str, dict[str, float]]:
    """Measure a model's adherence to n prompts of combinations seen in training, and to n of combinations never seen."""
    found = {}
    for combinations, seed in (("seen", 31), ("never seen", 32)):
        labels = sample_prompts(n, seed, unseen=combinations == "never seen")
        condition = model.encode_prompt(teddies.captions_from_labels(labels))
        found[combinations] = adherence(reader, model.sample(condition, SCALE, 20), labels)
    return found


def curve(figures: Mapping[str, Any], condition: str, combinations: str, row: str = "all") -> tuple[list[int], list[list[float]]]:
    """Return the stored budgets, and for each the fractions of all seeds."""
    same = (p for p in figures["points"] if (p["condition"], p["combinations"]) == (condition, combinations))
    found = group_points(same, lambda p: p["steps"], lambda p: p[row])
    return list(found), list(found.values())
