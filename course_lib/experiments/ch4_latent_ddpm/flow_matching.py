"""Flow matching next to v-prediction: the recipe's latent denoiser, trained for equally many steps in several ways.

``course measure flow-matching`` trains them, with two seeds each, and stores the figures; chapter 4 reads them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_choice, check_integer
from course_lib.codec import Codec, cache
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.diffusion import DrawSteps, logit_normal_steps, stratified_steps
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced_labels, conditional_factory, generate
from course_lib.recipes.losses import denoising_loss
from course_lib.schedule import Schedule, cosine, flow, shifted
from course_lib.storage.results import StoredResult, group_points
from course_lib.training import TrainResult, train
from course_lib.unet import UNet

RESULT = StoredResult("flow-matching", "results/flow_matching.json")
STEPS, BATCH, SEEDS, SAMPLES = 300, 128, 2, 2000
SAMPLER_STEPS = (5, 20)  # of DDIM, which on the straight line is Euler's method


@dataclass(frozen=True)
class Arm:
    """One way to train and to sample: what the network predicts, the noise schedule, and the steps in training."""

    prediction_type: str
    schedule: Schedule
    draw_steps: DrawSteps = stratified_steps


ARMS = {
    "v, cosine": Arm("v", cosine()),
    "velocity, uniform times": Arm("velocity", flow()),
    "velocity, logit-normal times": Arm("velocity", flow(), logit_normal_steps),
    "velocity, shifted by 3": Arm("velocity", shifted(flow(), 3.0)),
}


def measure(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train the latent denoiser in each way of `ARMS` with two seeds, evaluate its samples, and store the result as JSON.

    steps: of each training, 300 where None. out: the file to write; by default the shipped one under ``data/``. Eight trainings:
    about seven minutes on two cores.
    """
    machine = devices.find()
    steps, seed = check_integer("steps", steps or STEPS, 1), check_integer("seed", seed, 0)
    evaluator, codec = Evaluator(machine), recipes.load_codec("fashion-vae", machine)
    points = []
    for s in range(seed, seed + SEEDS):
        for name in ARMS:
            points.append(measure_arm(name, codec, evaluator, steps, s))
            print(points[-1], flush=True)
    return RESULT.save(stored_figures(points, machine, steps, seed), out)


def stored_figures(points: list[dict[str, Any]], machine: Machine, steps: int, seed: int) -> dict[str, Any]:
    """Return what is stored: the points, and how they were measured."""
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seeds": SEEDS, "steps": steps}
    return {**figures, "batch": BATCH, "samples": SAMPLES, "sampler": "DDIM", "points": points}


def measure_arm(
    name: str, codec: Codec, evaluator: Evaluator, steps: int = STEPS, seed: int = 0, n: int = SAMPLES
) -> dict[str, Any]:
    """Train one arm and return its point: the Fréchet distance of n samples by the number of DDIM's steps.

    name: in `ARMS`. The networks of a seed start from the same weights and see the same batches; all sample from the same noise.
    """
    check_choice("name", name, ARMS)
    images, labels = fashion_mnist("train", evaluator.machine.device)
    result = train_arm(ARMS[name], cache(codec, images), labels, evaluator.machine, steps, seed)
    distances = {str(k): round(sample_distance(ARMS[name], result.ema, codec, evaluator, k, n), 3) for k in SAMPLER_STEPS}
    return {"arm": name, "seed": seed, "seconds": round(result.seconds, 1), "frechet": distances}


def train_arm(
    arm: Arm, latents: Tensor, labels: Tensor, machine: Machine, steps: int = STEPS, seed: int = 0
) -> TrainResult[UNet]:
    """Train the denoiser of ``fashion-ldm`` (in its CPU size) on latents [N, 4, 4, 4] with labels [N], in this arm's way."""
    net, training = recipes.untrained_network("fashion-ldm", seed, steps, progress=False)
    training = replace(training, batch_size=BATCH)
    loss = denoising_loss(recipes.NUM_CLASSES, arm.prediction_type, arm.schedule, arm.draw_steps)
    return train(net, loss, (latents, labels), training, machine=machine)


def sample_distance(
    arm: Arm, net: nn.Module, codec: Codec, evaluator: Evaluator, sampler_steps: int = 20, n: int = SAMPLES
) -> float:
    """Return the Fréchet distance of n samples of an arm's network, drawn along the arm's schedule by DDIM."""
    factory = conditional_factory(net, evaluator.machine, arm.prediction_type)
    labels, levels = balanced_labels(n, evaluator.machine), arm.schedule.grid(sampler_steps)
    return evaluator.frechet(generate(factory, labels, codec, (4, 4, 4), evaluator.machine, levels=levels, sampler="DDIM"))


def distances(figures: dict[str, Any], sampler_steps: int = 20) -> dict[str, list[float]]:
    """Return the stored Fréchet distances of each arm, one for each seed, at this number of the sampler's steps."""
    return group_points(figures["points"], lambda p: p["arm"], lambda p: p["frechet"][str(sampler_steps)])
