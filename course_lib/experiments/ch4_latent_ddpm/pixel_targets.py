"""The strongest baseline in pixels: a transformer on patches that predicts x0, next to one that predicts v, and to the UNet.

``course measure pixel-targets`` trains each for the same seconds and stores the figures. After Li & He 2025, "Back to Basics: Let
Denoising Generative Models Denoise": where a patch has more dimensions than the network has channels, only x0 can be predicted.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_choice, check_integer, check_number
from course_lib.codec import PixelCodec, cache
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, clamp_x0, steps_between, stratified_steps
from course_lib.dit import DiT
from course_lib.experiments.ch4_latent_ddpm.equal_time import SHAPES
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.flops import flops_per_step
from course_lib.experiments.generate import DenoiserFactory, balanced_labels, conditional_factory, generate
from course_lib.recipes.losses import denoising_loss
from course_lib.recipes.store import build
from course_lib.storage.results import StoredResult
from course_lib.training import TrainConfig, TrainResult, train

RESULT = StoredResult("pixel-targets", "results/pixel_targets.json")
SECONDS, SAMPLES, SAMPLER_STEPS = 90.0, 1000, 20
DIM, DEPTH = 128, 4
FIRST = 25  # the lowest step in training of a network that predicts x0: there an error of v is 20 times that of x0
SHAPE = SHAPES["pixel"]


@dataclass(frozen=True)
class Arm:
    """One model of pixels: what its network predicts, and the side of the patches of a transformer (None: the recipe's UNet)."""

    target: str
    patch: int | None = None


ARMS = {
    "UNet, v": Arm("v"),
    "patches of 4×4, x0": Arm("x0", 4),
    "patches of 4×4, v": Arm("v", 4),
    "patches of 16×16, x0": Arm("x0", 16),
    "patches of 16×16, v": Arm("v", 16),
}


def measure(seconds: float = SECONDS, seed: int = 0, out: Path | None = None) -> Path:
    """Train each of `ARMS` for the same seconds, evaluate its samples, and store the figures as JSON.

    seconds: of each training. out: the file to write; by default the shipped one under ``data/``. Five trainings and some
    minutes of sampling; the machine should run nothing else.
    """
    machine = devices.find()
    check_number("seconds", seconds, above=0)
    evaluator, points = Evaluator(machine), []
    for name in ARMS:
        points.append(measure_arm(name, evaluator, seconds, seed))
        print(points[-1], flush=True)
    return RESULT.save(stored_figures(points, machine, seconds, seed), out)


def stored_figures(points: list[dict[str, Any]], machine: Machine, seconds: float, seed: int) -> dict[str, Any]:
    """Return what is stored: the points, and how they were measured."""
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seconds": seconds, "samples": SAMPLES}
    return {**figures, "sampler_steps": SAMPLER_STEPS, "dim": DIM, "depth": DEPTH, "points": points}


def untrained(arm: Arm, seed: int = 0) -> tuple[nn.Module, TrainConfig]:
    """Return an arm's network before its training (in a CPU's size on every machine), and how it is trained."""
    net, training = recipes.untrained_network("fashion-pixel-ddpm", seed, progress=False, in_channels=1)
    if arm.patch is None:
        return net, training
    shape = {"in_channels": SHAPE[0], "size": SHAPE[1], "patch": arm.patch, "dim": DIM, "depth": DEPTH}
    return build(DiT, shape, seed), replace(training, channels_last=False)


def train_arm(arm: Arm, machine: Machine, seconds: float, seed: int = 0) -> TrainResult[nn.Module]:
    """Train an arm's network on Fashion-MNIST's pixels for this many seconds. The loss is the error of v for every target."""
    images, labels = fashion_mnist("train", machine.device)
    net, training = untrained(arm, seed)
    draw = steps_between(FIRST, recipes.make_schedule().T) if arm.target == "x0" else stratified_steps
    loss = denoising_loss(recipes.NUM_CLASSES, arm.target, draw_steps=draw, measured_in="v")
    return train(net, loss, (cache(PixelCodec(), images), labels), replace(training, max_seconds=seconds), machine=machine)


def factory(arm: Arm, net: nn.Module, machine: Machine) -> DenoiserFactory:
    """Return the factory of a network's conditional denoisers, with x0_hat clamped to [-1, 1]."""
    conditional = conditional_factory(net, machine, arm.target)

    def make(y: Tensor) -> Denoiser:
        return clamp_x0(conditional(y))

    return make


def measure_arm(name: str, evaluator: Evaluator, seconds: float = SECONDS, seed: int = 0, n: int = SAMPLES) -> dict[str, Any]:
    """Train one arm and return its point: cost, speed, and the Fréchet distance and agreement of n samples."""
    check_choice("name", name, ARMS)
    check_integer("n", n, 2)
    arm, machine = ARMS[name], evaluator.machine
    result = train_arm(arm, machine, seconds, seed)
    labels, levels = balanced_labels(n, machine), recipes.make_schedule().grid(SAMPLER_STEPS)
    began = time.perf_counter()
    images = generate(factory(arm, result.ema, machine), labels, PixelCodec(), SHAPE, machine, levels=levels)
    machine.synchronize()
    sampling, score = time.perf_counter() - began, evaluator.score(images, labels)
    return {
        "arm": name,
        "target": arm.target,
        "patch": arm.patch,
        "parameters": sum(p.numel() for p in result.ema.parameters()),
        "flops_per_step": flops_per_step(result.ema, SHAPE),
        "seconds": round(result.seconds, 1),
        "steps": result.steps,
        "images_seen_per_second": round(result.images_per_second),
        "images_per_second": round(n / sampling, 1),
        "frechet": round(score.frechet, 2),
        "agreement": round(score.agreement, 4),
    }
