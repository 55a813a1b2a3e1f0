"""Pixels against latents, honestly: the same library, schedule, sampler, seconds and judge; only the codec differs."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes
from course_lib.codec import Codec, PixelCodec, VAECodec
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.diffusion import clamped
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.flops import flops_per_step
from course_lib.experiments.generate import DenoiserFactory, balanced, conditional, generate, unconditional
from course_lib.guidance import guide
from course_lib.recipes import configs
from course_lib.storage import paths, results, shipped
from course_lib.training import TrainResult
from course_lib.unet import UNet

SCALES = (1.0, 3.0)
SHAPES = {"latent": (4, 4, 4), "pixel": (1, 32, 32)}
COMMAND, RESULT = "course train pixel-vs-latent", "results/pixel_vs_latent.json"
SHARE = 1 / 3  # of the latent side's seconds that the VAE gets, as the recipes' own steps have it


def pixel_vs_latent(
    seconds: float = 180.0, seed: int = 0, machine: Machine | None = None, n: int = 2000, progress: bool = True
) -> dict:
    """Give both the same seconds of training and judge what they draw; the figures of ``data/results/pixel_vs_latent.json``.

    The latent side spends a third of the seconds on its VAE, and the encoding of the training set counts too; the pixel side
    spends them all on its denoiser. Each draws n samples, 20 steps of DPM-Solver++(2M), at every scale in SCALES. Nothing
    is saved under runs/. Takes twice the seconds, and some minutes for the samples in pixel space.
    """
    machine = machine or devices.find()
    judge = Evaluator(machine)
    with TemporaryDirectory() as folder:
        options = recipes.RunOptions(seed=seed, max_seconds=seconds, progress=progress)
        codec, latent, spent = train_latent(Path(folder), machine, options)
        rival = recipes.fashion_pixel_ddpm(Path(folder, "pixel.safetensors"), machine, options)
    return {
        "machine": str(machine),
        "seconds": seconds,
        "command": COMMAND,
        "seed": seed,
        "samples": n,
        "steps": 20,
        "latent": {**spent, **_side("latent", latent, codec, judge, n)},
        "pixel": _side("pixel", rival, PixelCodec(), judge, n),
    }


def measure(seconds: float = 180.0, seed: int = 0, out: Path | None = None) -> Path:
    """Pixels against latents at the same seconds of training, kept as JSON; what goes to ``data/`` enters the manifest.

    Takes twice the seconds, and some minutes of sampling; nothing else may run on the machine.
    """
    figures = pixel_vs_latent(seconds, seed)
    return results.keep(figures, RESULT, out, COMMAND)


def stored() -> dict:
    """What ``pixel_vs_latent`` measured once, undisturbed, and keeps under data/results/; DataError where it is missing
    or altered."""
    file = paths.data_dir() / RESULT
    if not file.exists():
        raise paths.DataError(f"{file} is not there: restore it, or measure again with `{COMMAND}` (some minutes).")
    return json.loads(shipped.path(RESULT).read_text(encoding="utf-8"))


def train_latent(
    folder: Path, machine: Machine, options: recipes.RunOptions, on_step: Callable | None = None
) -> tuple[VAECodec, TrainResult, dict]:
    """VAE, codec and latent denoiser in ``options.max_seconds`` all together, the encoding of the training set included.

    on_step: called after each step of the denoiser, as `course_lib.training.train` has it.
    """
    seconds = options.max_seconds
    vae = recipes.fashion_vae(folder / "vae.safetensors", machine, replace(options, max_seconds=SHARE * seconds))
    images, _ = fashion_mnist("train", machine.device)
    began = time.perf_counter()
    codec = VAECodec.fit(vae.ema, images)
    encoding = 2 * (time.perf_counter() - began)  # the statistics, then the cache: the same work twice
    left = max(seconds - vae.seconds - encoding, 1.0)
    result = recipes.fashion_ldm(folder / "ldm.safetensors", machine, replace(options, max_seconds=left), codec, on_step)
    rate = round(vae.images_per_second)
    return codec, result, {"vae_seconds": round(vae.seconds, 1), "vae_rate": rate, "encoding_seconds": round(encoding, 1)}


def _side(name: str, result: TrainResult, codec: Codec, judge: Evaluator, n: int) -> dict:
    """Everything that is measured of one of the two."""
    machine, shape, labels = judge.machine, SHAPES[name], balanced(n, judge.machine)
    scores = {}
    for scale in SCALES:
        images = generate(maker(name, result.ema, machine, scale), labels, codec, shape, machine)
        scores[f"{scale:g}"] = judge.score(images, labels)
    return {
        "numbers": torch.Size(shape).numel(),
        "parameters": sum(p.numel() for p in result.ema.parameters()),
        "denoiser_seconds": round(result.seconds, 1),
        "denoiser_steps": result.steps,
        "images_seen_per_second": round(result.images_per_second),
        "flops_per_step": flops_per_step(result.ema, shape),
        "images_per_second": round(images_per_second(name, result.ema, codec, machine), 1),
        "frechet_by_scale": {scale: round(score.frechet, 2) for scale, score in scores.items()},
        "agreement_by_scale": {scale: round(score.agreement, 4) for scale, score in scores.items()},
    }


def maker(name: str, net: nn.Module, machine: Machine, scale: float = 1.0) -> DenoiserFactory:
    """Labels → guided denoiser; in pixels, x0_hat is held inside [-1, 1], as pixel-space DDPM does."""

    def make(y: Tensor):
        denoise = guide(conditional(net, machine)(y), unconditional(net, machine)(y), scale)
        return clamped(denoise) if name == "pixel" else denoise

    return make


def images_per_second(
    name: str, net: nn.Module, codec: Codec, machine: Machine, n: int = 200, steps: int = 20, scale: float = 1.0
) -> float:
    """Samples drawn and decoded per second, after a first small batch to warm up."""
    levels = recipes.make_schedule().grid(steps)

    def run(count: int) -> None:
        generate(maker(name, net, machine, scale), balanced(count, machine), codec, SHAPES[name], machine, levels=levels)
        machine.synchronize()

    run(min(n, 10))
    began = time.perf_counter()
    run(n)
    return n / (time.perf_counter() - began)


def untrained_rival(machine: Machine) -> UNet:
    """The pixel-space network as the recipe builds it: enough to count its operations and to time it."""
    config = configs.PIXEL_DENOISER[configs.profile(machine)][0]
    return UNet(in_channels=1, **config).to(machine.device).eval()
