"""What should a denoiser predict, and does averaging the weights (EMA) help? The recipe's latent denoiser, trained in four ways.

One command measures them; chapter 4's own training is one of its points.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from course_lib import device as devices
from course_lib import recipes
from course_lib.codec import Codec, cache
from course_lib.data import fashion_mnist
from course_lib.experiments.ch4_latent_ddpm.sampler_order import evenly_spaced_levels
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced_labels, conditional_factory, generate
from course_lib.recipes.losses import denoising_loss
from course_lib.storage.results import StoredResult, group_points
from course_lib.training import TrainResult, train
from course_lib.unet import UNet

RESULT = StoredResult("predictions", "results/predictions.json")
VARIANTS = (("eps", "cosine"), ("x0", "cosine"), ("v", "cosine"), ("v", "constant"))  # prediction type, learning-rate schedule
START_TIMESTEPS = (1000, 980)  # where sampling starts: with no signal at all, or with a few percent


def measure(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train the latent denoiser in four ways, evaluate their samples, and store the result as JSON.

    steps: of each training; the recipe's number where None. out: the file to write; by default the shipped one under
    ``data/``. Four trainings of the recipe ``fashion-ldm``: about ten minutes on two cores.
    """
    machine = devices.find()
    evaluator, codec = Evaluator(machine), recipes.load_codec("fashion-vae", machine)
    points: list[dict[str, Any]] = []
    for prediction_type, lr_schedule in VARIANTS:
        result = train_variant(prediction_type, lr_schedule, codec, evaluator, steps, seed)
        distances = distances_by_weights(result, prediction_type, codec, evaluator)
        variant = {"kind": prediction_type, "rate": lr_schedule, "seed": seed}
        points.append({**variant, "seconds": round(result.seconds, 1), **distances})
        print(points[-1], flush=True)
    figures = {"command": RESULT.command, "machine": str(machine), "samples": 1000, "points": points}
    return RESULT.save({**figures, "steps": steps or recipes.untrained_network("fashion-ldm")[1].steps}, out)


def train_variant(
    prediction_type: str,
    lr_schedule: str,
    codec: Codec,
    evaluator: Evaluator,
    steps: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> TrainResult[UNet]:
    """Train the denoiser of ``fashion-ldm`` with this prediction type and otherwise as the recipe does (in its CPU size).

    lr_schedule: "cosine" for the recipe's learning rate, "constant" for one that does not fall.
    """
    net, training = recipes.untrained_network("fashion-ldm", seed, steps, progress)
    images, labels = fashion_mnist("train", evaluator.machine.device)
    latents, training = cache(codec, images), replace(training, schedule=lr_schedule)
    loss = denoising_loss(recipes.NUM_CLASSES, prediction_type)
    return train(net, loss, (latents, labels), training, machine=evaluator.machine)


def distances_by_weights(
    result: TrainResult[UNet], prediction_type: str, codec: Codec, evaluator: Evaluator, n: int = 1000
) -> dict[str, dict[str, float]]:
    """Evaluate the "average" (EMA) and the "last" weights of a training: Fréchet distance by start timestep."""
    return {
        name: {str(t): round(sample_distance(net, prediction_type, codec, evaluator, t, n), 3) for t in START_TIMESTEPS}
        for name, net in {"average": result.ema, "last": result.net}.items()
    }


def sample_distance(
    net: nn.Module, prediction_type: str, codec: Codec, evaluator: Evaluator, start: int = 1000, n: int = 1000
) -> float:
    """Return the Fréchet distance of n samples, drawn with 20 steps of DPM-Solver++(2M) from t = start."""
    factory = conditional_factory(net, evaluator.machine, prediction_type)
    labels, levels = balanced_labels(n, evaluator.machine), evenly_spaced_levels(start, 0, 20)
    return evaluator.frechet(generate(factory, labels, codec, (4, 4, 4), evaluator.machine, levels=levels))


def distances_by_variant(figures: dict, weights: str = "average", start: int = 1000) -> dict[tuple[str, str], list[float]]:
    """Collect the Fréchet distances of all seeds from the stored figures, by (prediction type, learning-rate schedule)."""
    return group_points(figures["points"], lambda p: (p["kind"], p["rate"]), lambda p: p[weights][str(start)])
