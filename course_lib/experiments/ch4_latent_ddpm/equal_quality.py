"""Equal quality instead of equal time: how long must a pixel model train to be as good as a latent model?

One command trains both and evaluates snapshots of them on the way; chapter 4 draws the two curves.
"""

import copy
import math
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_integer, check_list, check_number, check_numbers
from course_lib.codec import Codec, PixelCodec
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.experiments.ch4_latent_ddpm.equal_time import SHAPES, VAE_FRACTION, guided_factory, train_latent
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.flops import flops, flops_per_step
from course_lib.experiments.generate import balanced_labels, generate
from course_lib.experiments.limits import seeded_generator
from course_lib.images import to_float
from course_lib.storage.results import StoredResult
from course_lib.training import TrainResult
from course_lib.unet import UNet

RESULT = StoredResult("matched-quality", "results/matched_quality.json")
PIXEL_TIME_FACTOR = 4  # training time of the pixel model over that of the latent model
SNAPSHOT_FRACTIONS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of a denoiser's training time

Curve = Sequence[Sequence[float]]
"""Pairs (seconds of training, Fréchet distance), in order of time."""


def measure(
    seconds: float = 180.0, seed: int = 0, out: Path | None = None, n: int = 1000, machine: Machine | None = None
) -> Path:
    """Measure how long a pixel model must train to be as good as a latent model, and store the result as JSON.

    seconds: training time of the latent model, its VAE included; the pixel model gets four times as much. out: the file to
    write; by default the shipped one under ``data/``. About twenty minutes on two cores; the machine should run nothing else.
    """
    machine = machine or devices.find()
    evaluator = Evaluator(machine)
    with TemporaryDirectory() as folder:
        latent = measure_latent_model(Path(folder), evaluator, seconds, seed, n)
        print(latent, flush=True)
        pixel = measure_pixel_model(Path(folder), evaluator, PIXEL_TIME_FACTOR * seconds, seed, n)
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seconds": seconds, "samples": n}
    return RESULT.save({**figures, "floor": frechet_floor(evaluator, n), "latent": latent, "pixel": pixel}, out)


class EmaSnapshots:
    """Copies of the averaged network (EMA) after given seconds of training: an ``on_step`` of `course_lib.training.train`.

    snapshots: pairs (seconds, network). The time for the copying is not counted, as `train` does not count it either.
    """

    def __init__(self, seconds: Sequence[float]) -> None:
        self.remaining = sorted(check_numbers("seconds", seconds, at_least=0))
        self.snapshots: list[tuple[float, nn.Module]] = []
        self.elapsed, self.resumed_at = 0.0, time.perf_counter()

    def __call__(self, step: int, net: nn.Module, ema: nn.Module) -> None:
        if check_integer("step", step, at_least=1) > 1:  # time counts from the first step on: what came before was start-up
            self.elapsed += time.perf_counter() - self.resumed_at
        if self.remaining and self.elapsed >= self.remaining[0]:
            self.remaining = [s for s in self.remaining if s > self.elapsed]
            self.snapshots.append((self.elapsed, copy.deepcopy(ema)))
        self.resumed_at = time.perf_counter()


def measure_latent_model(folder: Path, evaluator: Evaluator, seconds: float, seed: int, n: int) -> dict:
    """Train VAE and latent denoiser for this many seconds; return the quality curve and the operations of the training."""
    machine = evaluator.machine
    snapshots = EmaSnapshots([fraction * (1 - VAE_FRACTION) * seconds for fraction in SNAPSHOT_FRACTIONS])
    codec, result, spent = train_latent(folder, machine, seconds, seed, on_step=snapshots)
    before = spent["vae_seconds"] + spent["encoding_seconds"]
    images = torch.zeros(1, 1, 32, 32, device=machine.device)
    with torch.no_grad():
        one = flops(lambda: codec.vae(images))
    # A backward pass costs twice a forward pass. Encoding the 60,000 images is small next to the training.
    work = 3 * (one * spent["vae_rate"] * spent["vae_seconds"] + _forward_flops(result, SHAPES["latent"]))
    curve = quality_curve("latent", snapshots, result, codec, evaluator, before, n)
    return {"training_flops": work, "before": round(before, 1), "curve": curve}


def measure_pixel_model(folder: Path, evaluator: Evaluator, seconds: float, seed: int, n: int) -> dict:
    """Train the pixel denoiser for this many seconds; return the quality curve and the operations of the training."""
    snapshots = EmaSnapshots([fraction * seconds for fraction in SNAPSHOT_FRACTIONS])
    options = recipes.RunOptions(seed=seed, max_seconds=seconds, progress=False)
    result = recipes.fashion_pixel_ddpm(folder / "pixel.safetensors", evaluator.machine, options, snapshots)
    curve = quality_curve("pixel", snapshots, result, PixelCodec(), evaluator, 0.0, n)
    return {"training_flops": 3 * _forward_flops(result, SHAPES["pixel"]), "before": 0.0, "curve": curve}


def quality_curve(
    space: str, snapshots: EmaSnapshots, result: TrainResult[UNet], codec: Codec, evaluator: Evaluator, before: float, n: int
) -> list[list[float]]:
    """Evaluate each snapshot and the final network: pairs [seconds of training, Fréchet distance of n samples].

    before: seconds spent before the denoiser's training began; they are added.
    """
    machine, labels = evaluator.machine, balanced_labels(n, evaluator.machine)
    nets = [(s, net) for s, net in snapshots.snapshots if s < 0.95 * result.seconds] + [(result.seconds, result.ema)]

    def distance(net: nn.Module) -> float:
        return evaluator.frechet(generate(guided_factory(space, net, machine), labels, codec, SHAPES[space], machine))

    return [[round(before + s, 1), round(distance(net), 3)] for s, net in nets]


def seconds_to_reach(curve: Curve, distance: float) -> float:
    """Return when a curve first falls to a distance, by a power law between two points; inf where it never does."""
    check_list("curve", curve, None, "pairs (seconds, Fréchet distance)")
    curve = [check_numbers(f"curve[{i}]", pair, 2, above=0) for i, pair in enumerate(curve)]
    check_number("distance", distance, above=0)
    if curve[0][1] <= distance:
        return curve[0][0]
    for (t0, d0), (t1, d1) in pairwise(curve):
        if d1 <= distance:
            fraction = math.log(d0 / distance) / math.log(d0 / d1)
            return t0 * (t1 / t0) ** fraction
    return math.inf


def frechet_floor(evaluator: Evaluator, n: int = 1000, seed: int = 0) -> float:
    """Return the Fréchet distance of n real training images to the test images: what a perfect generator would score."""
    images, _ = fashion_mnist("train", evaluator.machine.device)
    check_integer("n", n, 2, len(images))
    chosen = torch.randperm(len(images), generator=seeded_generator(seed))[:n]
    return evaluator.frechet(to_float(images[chosen.to(images.device)]))


def _forward_flops(result: TrainResult[UNet], shape: tuple[int, ...]) -> float:
    """Operations of all forward passes of a training."""
    return flops_per_step(result.ema, shape) * result.images_per_second * result.seconds
