"""Pixels against latents with equal training time: library, schedule, sampler and evaluation are the same, the codec differs."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_choice
from course_lib.codec import Codec, PixelCodec, VAECodec
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, clamp_x0
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.flops import flops_per_step
from course_lib.experiments.generate import (
    DenoiserFactory,
    balanced_labels,
    conditional_factory,
    generate,
    unconditional_factory,
)
from course_lib.guidance import guide
from course_lib.recipes import configs
from course_lib.storage.results import StoredResult
from course_lib.training import TrainResult
from course_lib.unet import UNet

RESULT = StoredResult("pixel-vs-latent", "results/pixel_vs_latent.json")
GUIDANCE_SCALES = (1.0, 3.0)
SHAPES = {"latent": (4, 4, 4), "pixel": (1, 32, 32)}
VAE_FRACTION = 1 / 3  # of the latent model's training time, in proportion to the steps of the two recipes


def measure(seconds: float = 180.0, seed: int = 0, out: Path | None = None) -> Path:
    """Compare a pixel and a latent model after equal training time, and store the result as JSON.

    seconds: training time of each model. out: the file to write; by default the shipped one under ``data/``. Takes twice the
    seconds, and some minutes of sampling; the machine should run nothing else.
    """
    return RESULT.save(compare_at_equal_time(seconds, seed), out)


def compare_at_equal_time(
    seconds: float = 180.0, seed: int = 0, machine: Machine | None = None, n: int = 2000, progress: bool = True
) -> dict:
    """Train a pixel and a latent model for the same time and evaluate their samples; return the figures that `measure` stores.

    The latent model spends a third of the time on its VAE, and encoding the training set counts too; the pixel model spends all
    of it on its denoiser. Each draws n samples, 20 steps of DPM-Solver++(2M), at every scale in GUIDANCE_SCALES. Nothing is
    saved under runs/.
    """
    machine = machine or devices.find()
    evaluator = Evaluator(machine)
    with TemporaryDirectory() as folder:
        codec, latent, spent = train_latent(Path(folder), machine, seconds, seed, progress)
        options = recipes.RunOptions(seed=seed, max_seconds=seconds, progress=progress)
        pixel = recipes.fashion_pixel_ddpm(Path(folder, "pixel.safetensors"), machine, options)
    return {
        "machine": str(machine),
        "seconds": seconds,
        "command": RESULT.command,
        "seed": seed,
        "samples": n,
        "steps": 20,
        "latent": {**spent, **_evaluate_model("latent", latent, codec, evaluator, n)},
        "pixel": _evaluate_model("pixel", pixel, PixelCodec(), evaluator, n),
    }


def train_latent(
    folder: Path,
    machine: Machine,
    seconds: float,
    seed: int = 0,
    progress: bool = False,
    on_step: Callable[[int, nn.Module, nn.Module], None] | None = None,
) -> tuple[VAECodec, TrainResult[UNet], dict[str, float]]:
    """Train VAE, codec and latent denoiser in this many seconds altogether, the encoding of the training set included.

    folder: where the weights are saved. on_step: called after each step of the denoiser, as in `course_lib.training.train`.
    Returns the codec, the result of the denoiser's training, and figures of what came before it: "vae_seconds", "vae_rate"
    (images per second) and "encoding_seconds".
    """
    options = recipes.RunOptions(seed=seed, max_seconds=VAE_FRACTION * seconds, progress=progress)
    vae = recipes.fashion_vae(folder / "vae.safetensors", machine, options)
    images, _ = fashion_mnist("train", machine.device)
    began = time.perf_counter()
    codec = VAECodec.fit(vae.ema, images)
    encoding = 2 * (time.perf_counter() - began)  # the statistics, then the cache: the same work twice
    left = max(seconds - vae.seconds - encoding, 1.0)
    result = recipes.fashion_ldm(folder / "ldm.safetensors", machine, replace(options, max_seconds=left), codec, on_step)
    rate = round(vae.images_per_second)
    return codec, result, {"vae_seconds": round(vae.seconds, 1), "vae_rate": rate, "encoding_seconds": round(encoding, 1)}


def _evaluate_model(space: str, result: TrainResult[UNet], codec: Codec, evaluator: Evaluator, n: int) -> dict:
    """All figures of one of the two models; its keys are those of the stored JSON."""
    machine, shape, labels = evaluator.machine, SHAPES[space], balanced_labels(n, evaluator.machine)
    scores = {}
    for scale in GUIDANCE_SCALES:
        images = generate(guided_factory(space, result.ema, machine, scale), labels, codec, shape, machine)
        scores[f"{scale:g}"] = evaluator.score(images, labels)
    return {
        "numbers": torch.Size(shape).numel(),
        "parameters": sum(p.numel() for p in result.ema.parameters()),
        "denoiser_seconds": round(result.seconds, 1),
        "denoiser_steps": result.steps,
        "images_seen_per_second": round(result.images_per_second),
        "flops_per_step": flops_per_step(result.ema, shape),
        "images_per_second": round(samples_per_second(space, result.ema, codec, machine), 1),
        "frechet_by_scale": {scale: round(score.frechet, 2) for scale, score in scores.items()},
        "agreement_by_scale": {scale: round(score.agreement, 4) for scale, score in scores.items()},
    }


def guided_factory(space: str, net: nn.Module, machine: Machine, scale: float = 1.0) -> DenoiserFactory:
    """Return the factory of a network's guided denoisers: labels [B] → denoiser.

    space: "latent", or "pixel", where x0_hat is clamped to [-1, 1] as in pixel-space DDPM.
    """
    check_choice("space", space, SHAPES)
    conditional, unconditional = conditional_factory(net, machine), unconditional_factory(net, machine)

    def make(y: Tensor) -> Denoiser:
        denoise = guide(conditional(y), unconditional(y), scale)
        return clamp_x0(denoise) if space == "pixel" else denoise

    return make


def samples_per_second(
    space: str, net: nn.Module, codec: Codec, machine: Machine, n: int = 200, steps: int = 20, scale: float = 1.0
) -> float:
    """Measure how many samples a model draws and decodes per second, after a small batch to warm up."""
    levels = recipes.make_schedule().grid(steps)
    factory = guided_factory(space, net, machine, scale)

    def run(count: int) -> None:
        generate(factory, balanced_labels(count, machine), codec, SHAPES[space], machine, levels=levels)
        machine.synchronize()

    run(min(n, 10))
    began = time.perf_counter()
    run(n)
    return n / (time.perf_counter() - began)


def untrained_pixel_denoiser(machine: Machine) -> UNet:
    """Build the pixel-space network of the recipe without training it: enough to count its operations and to time it."""
    config = configs.PIXEL_DENOISER[configs.profile(machine)][0]
    return UNet(in_channels=1, **config).to(machine.device).eval()
