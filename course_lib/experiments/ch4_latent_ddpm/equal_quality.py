"""The same quality instead of the same seconds: how long must pixels train to be as good as latents?

One command lets both run and looks at them on the way; chapter 4 draws the two curves.
"""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from course_lib import device as devices
from course_lib import recipes
from course_lib.codec import Codec, PixelCodec
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.experiments.ch4_latent_ddpm.equal_time import SHAPES, maker, train_latent
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.flops import flops, flops_per_step
from course_lib.experiments.generate import balanced, generate
from course_lib.images import to_float
from course_lib.storage import results

LONGER = 4  # times the seconds that the latent side gets
LOOKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # when to look, as shares of a side's own training
COMMAND, RESULT = "course train matched-quality", "results/matched_quality.json"

Curve = Sequence[tuple[float, float]]
"""(seconds of training, Fréchet distance), in order of time."""


class Looks:
    """Copies of the averaged network after given seconds of training, taken as ``on_step`` of `course_lib.training.train`.

    kept: (seconds, network) of each look. The time that the copying takes is not counted, as the training does not count it.
    """

    def __init__(self, seconds: Sequence[float]) -> None:
        self.left, self.kept, self.spent, self.resumed = sorted(seconds), [], 0.0, time.perf_counter()

    def __call__(self, step: int, net: nn.Module, ema: nn.Module) -> None:
        if step > 1:  # the clock starts with the first step: what came before was start-up
            self.spent += time.perf_counter() - self.resumed
        if self.left and self.spent >= self.left[0]:
            self.left = [s for s in self.left if s > self.spent]
            self.kept.append((self.spent, copy.deepcopy(ema)))
        self.resumed = time.perf_counter()


def curve(
    side: str, looks: Looks, last: nn.Module, seconds: float, codec: Codec, judge: Evaluator, before: float, n: int
) -> list:
    """Fréchet distance of n samples of each look and of the network at the end, by seconds of training; ``before``: what was
    spent before the denoiser's training began."""
    wanted = balanced(n, judge.machine)
    nets = [(s, net) for s, net in looks.kept if s < 0.95 * seconds] + [(seconds, last)]

    def distance(net: nn.Module) -> float:
        return judge.frechet(generate(maker(side, net, judge.machine), wanted, codec, SHAPES[side], judge.machine))

    return [[round(before + s, 1), round(distance(net), 3)] for s, net in nets]


def seconds_to_reach(curve: Curve, distance: float) -> float:
    """When a curve first comes down to a distance: between two looks along a power law; inf where it never does."""
    if curve[0][1] <= distance:
        return curve[0][0]
    for (t0, d0), (t1, d1) in pairwise(curve):
        if d1 <= distance:
            share = math.log(d0 / distance) / math.log(d0 / d1)
            return t0 * (t1 / t0) ** share
    return math.inf


def latent_side(folder: Path, judge: Evaluator, options: recipes.RunOptions, n: int) -> dict:
    """VAE and latent denoiser in so many seconds: the curve, and the operations that the training took."""
    looks = Looks([share * (2 / 3) * options.max_seconds for share in LOOKS])
    codec, result, spent = train_latent(folder, judge.machine, options, looks)
    before = spent["vae_seconds"] + spent["encoding_seconds"]
    images = torch.zeros(1, 1, 32, 32, device=judge.machine.device)
    with torch.no_grad():
        one = flops(lambda: codec.vae(images))
    # forward, and backward, which costs twice as much; an encoding of the 60,000 pictures is little beside it
    work = 3 * (one * spent["vae_rate"] * spent["vae_seconds"] + _work(result, SHAPES["latent"]))
    found = curve("latent", looks, result.ema, result.seconds, codec, judge, before, n)
    return {"training_flops": work, "before": round(before, 1), "curve": found}


def pixel_side(folder: Path, judge: Evaluator, options: recipes.RunOptions, n: int) -> dict:
    """The pixel denoiser in so many seconds: the curve, and the operations that the training took."""
    looks = Looks([share * options.max_seconds for share in LOOKS])
    result = recipes.fashion_pixel_ddpm(folder / "pixel.safetensors", judge.machine, options, looks)
    found = curve("pixel", looks, result.ema, result.seconds, PixelCodec(), judge, 0.0, n)
    return {"training_flops": 3 * _work(result, SHAPES["pixel"]), "before": 0.0, "curve": found}


def _work(result, shape: tuple[int, ...]) -> float:
    """Operations of all forward passes of a training."""
    return flops_per_step(result.ema, shape) * result.images_per_second * result.seconds


def floor(judge: Evaluator, n: int = 1000, seed: int = 0) -> float:
    """Fréchet distance of n real training images to the test images: no sample can be told from real below it."""
    images, _ = fashion_mnist("train", judge.machine.device)
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:n]
    return judge.frechet(to_float(images[chosen.to(images.device)]))


def measure(
    seconds: float = 180.0, seed: int = 0, out: Path | None = None, n: int = 1000, machine: Machine | None = None
) -> Path:
    """How long pixels must train to be as good as latents, kept as JSON; what goes to ``data/`` enters the manifest.

    seconds: of the latent side, its VAE included; the pixel side gets four times as many. About twenty minutes on two cores;
    nothing else may run on the machine.
    """
    machine = machine or devices.find()
    judge, options = Evaluator(machine), recipes.RunOptions(seed=seed, max_seconds=seconds, progress=False)
    with TemporaryDirectory() as folder:
        latent = latent_side(Path(folder), judge, options, n)
        print(latent, flush=True)
        pixel = pixel_side(Path(folder), judge, replace(options, max_seconds=LONGER * seconds), n)
    figures = {"command": COMMAND, "machine": str(machine), "seed": seed, "seconds": seconds, "samples": n}
    return results.keep({**figures, "floor": floor(judge, n), "latent": latent, "pixel": pixel}, RESULT, out, COMMAND)


def stored() -> dict:
    """What ``measure`` measured and keeps under data/results/; DataError where it is missing or altered."""
    return results.read(RESULT)
