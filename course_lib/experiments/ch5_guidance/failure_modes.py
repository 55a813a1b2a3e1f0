"""Chapter 5's clinic: one healthy pipeline, six runs that are ill in one part each, and the probes that tell which.

A probe looks at one joint between two parts and takes a number there. Pictures are judged through the healthy codec, so that a
fault of the decoder's end does not show in the probes of the other joints.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from course_lib import recipes
from course_lib.codec import VAECodec, decode_all, posterior
from course_lib.data import FASHION_CLASSES
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, add_noise
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced, conditional, noise
from course_lib.guidance import guide
from course_lib.judges.classifier import read
from course_lib.samplers import dpmpp_2m
from course_lib.schedule import Level

STEPS, SCALE, SAMPLES = 20, 2.0, 100
STRIDE = recipes.make_schedule().T // STEPS  # from one level of the grid to the next, in steps of t
STRETCH = 5.5  # standard deviation of the latents of Stable Diffusion's autoencoder, 1 / its scaling_factor
SHAPE = (4, 4, 4)


@dataclass(frozen=True, eq=False)
class Run:
    """A sampling pipeline, part by part; hashed by identity, so that its walks are kept.

    codec: what decodes. net: (x_t, t, y) → v. null_label: the class index that means none. guide: (main, ref, scale) → denoiser.
    levels: what the sampler visits. told: the step that the network is told at step t. good: the codec of the healthy run, with
    which the probes judge whatever comes before the decoder.
    """

    machine: Machine
    good: VAECodec
    codec: VAECodec
    net: nn.Module
    levels: list[Level]
    null_label: int = recipes.NUM_CLASSES
    guide: Callable[[Denoiser, Denoiser, float], Denoiser] = guide
    told: Callable[[int], int] = lambda t: t

    def denoiser(self, y: Tensor) -> Denoiser:
        """The network asked for classes y [B], as this run asks it: (x_t, level) → x0_hat."""
        plain = conditional(self.net, self.machine)(y)
        return lambda x_t, level: plain(x_t, level._replace(t=self.told(level.t)))

    def guided(self, y: Tensor, scale: float = SCALE) -> Denoiser:
        """The same, guided away from what the network says of the null label."""
        return self.guide(self.denoiser(y), self.denoiser(torch.full_like(y, self.null_label)), scale)

    def pictures(self, n: int = 10, scale: float = SCALE) -> Tensor:
        """The first n garments [n, 1, 32, 32] in [-1, 1], of each class in turn, from noise that is the same in every run."""
        return decode_all(self.codec, walk(self, scale).latents[:n])


@dataclass(frozen=True)
class Walk:
    """Where the sampler went: the last latents [N, C, h, w], and how far x_t moved in each step (root mean square)."""

    latents: Tensor
    moves: list[float]


@lru_cache(maxsize=64)
def walk(run: Run, scale: float = SCALE) -> Walk:
    """SAMPLES garments, every class equally often, from fixed noise; kept, since every probe of pictures looks at it."""
    x_T = run.levels[0].sigma * noise(SAMPLES, SHAPE, run.machine)
    guided, seen = run.guided(balanced(SAMPLES, run.machine), scale), []
    latents = dpmpp_2m(guided, x_T, run.levels, callback=lambda i, level, x_t, x0: seen.append(x_t))
    moves = [(b - a).square().mean().sqrt().item() for a, b in pairwise([*seen, latents])]
    return Walk(latents, moves)


# ------------------------------------------------------------------------------------------- the probes


def latents(run: Run, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [C] of what enters the decoder, in those that the VAE gives these images: 0 and 1 are right.

    images: uint8 or [-1, 1] floats, [N, 1, 32, 32]; the mean is told as a share of their standard deviation.
    """
    codec, known = run.codec, posterior(run.good.vae, images).mean
    enters = walk(run).latents * codec.latents_std + codec.latents_mean
    dims = (0, 2, 3)
    return (enters.mean(dims) - known.mean(dims)) / known.std(dims), enters.std(dims) / known.std(dims)


def agreement(run: Run, judge: Evaluator, scales: Sequence[float] = (0.0, 1.0, SCALE)) -> list[float]:
    """Share of garments that the judge reads as the class that was asked for, at each guidance scale: 0…1."""
    return [(_classes(run, judge, w) == balanced(SAMPLES, judge.machine)).float().mean().item() for w in scales]


def reference(run: Run, judge: Evaluator) -> tuple[str, float]:
    """What the guidance points away from: the commonest class of the garments at scale 0, and its share, 0…1."""
    counts = torch.bincount(_classes(run, judge, 0.0), minlength=recipes.NUM_CLASSES)
    return FASHION_CLASSES[int(counts.argmax())], counts.amax().item() / SAMPLES


def moves(run: Run) -> list[float]:
    """How far x_t moves in each step of the walk, root mean square of a latent number: one for each step."""
    return walk(run).moves


@torch.no_grad()
def error(run: Run, x0: Tensor, y: Tensor, t: int = 500, shift: int = 0) -> float:
    """The network's mean squared error on noised latents x0 [N, C, h, w] of classes y [N], in v: 1 is what no training gives.

    Noise of step t; the network is told a step ``shift`` higher. An error of v is one of x0, divided by sigma².
    """
    level = recipes.make_schedule().level(t)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).to(x0)
    x0_hat = run.denoiser(y)(add_noise(x0, eps, level), level._replace(t=t + shift))
    return (x0_hat - x0).square().mean().item() / level.sigma**2


def timestep_offset(run: Run, x0: Tensor, y: Tensor, ts: Sequence[int] = (100, 300)) -> int:
    """By how many steps of t one must correct what the network is told, so that its error is least: 0 is right.

    Tried is one stride of the sampler's grid either way; where all are equal, 0.
    """
    return min((0, STRIDE, -STRIDE), key=lambda shift: math.fsum(error(run, x0, y, t, shift) for t in ts))


def diagnose(run: Run, judge: Evaluator, images: Tensor, x0: Tensor, y: Tensor) -> dict[str, float]:
    """One reading of each probe: arguments as of the probes."""
    unguided, guided = agreement(run, judge, (0.0, SCALE))
    return {
        "spread at the decoder (1 = as encoded)": latents(run, images)[1].mean().item(),
        "agreement gained by guidance": guided - unguided,
        "commonest class at scale 0": reference(run, judge)[1],
        "last step": moves(run)[-1],
        "clock (steps of t)": timestep_offset(run, x0, y),
        "error at t = 500": error(run, x0, y),
    }


def _classes(run: Run, judge: Evaluator, scale: float) -> Tensor:
    return read(judge.net, decode_all(run.good, walk(run, scale).latents))[1].argmax(1)


# ------------------------------------------------------------------------------------------- the runs


def healthy(machine: Machine) -> Run:
    """Chapter 5's pipeline in good health: chapter 4's networks, 20 steps, scale 2.

    The VAE's latents are told in another unit, STRETCH times as large as chapter 3 made them.
    """
    codec = stretched(recipes.codec_of("fashion-vae", machine), STRETCH)
    return Run(machine, codec, codec, recipes.load_or_train("fashion-ldm", machine), recipes.make_schedule().grid(STEPS))


@torch.no_grad()
def stretched(codec: VAECodec, times: float) -> VAECodec:
    """The same codec about a VAE whose latents are ``times`` as large: the encoder's last and the decoder's first layer undo
    one another, so encode and decode are what they were."""
    vae = copy.deepcopy(codec.vae)
    out, C = vae.encoder[-1], vae.latent_channels
    out.weight[:C] *= times
    out.bias[:C] *= times
    out.bias[C:] += 2 * math.log(times)  # the log-variance
    vae.decoder[0].weight /= times
    return VAECodec(vae, codec.latents_mean.flatten() * times, codec.latents_std.flatten() * times)


def run(letter: str, machine: Machine) -> Run:
    """One of the ill runs, "A" to "F". Raises ValueError for another letter."""
    if letter not in LETTERS:
        raise ValueError(f"There is no run {letter!r}; the patients are {', '.join(LETTERS)}.")
    return inject_fault(healthy(machine), letter)


LETTERS = tuple("ABCDEF")


# ================================================================== THE ANSWERS: read no further before you have guessed ======


def inject_fault(well: Run, letter: str) -> Run:
    """The healthy run with the one part replaced that this letter stands for."""
    return replace(well, **_FAULTS[letter][1](well))


def answer(letter: str) -> str:
    """What is wrong with a run."""
    return _FAULTS[letter][0]


def _untrained(well: Run) -> nn.Module:
    """The weights before the first step: what an average holds that was copied then and never updated."""
    return recipes.untrained("fashion-ldm")[0].to(well.machine.device).eval()


def _unscaled(well: Run) -> VAECodec:
    one = torch.ones(well.good.vae.latent_channels)
    return VAECodec(well.good.vae, 0 * one, one)


_FAULTS: dict[str, tuple[str, Callable[[Run], dict]]] = {
    "A": ("too large a step at the end", lambda well: {"levels": [*well.levels[: STEPS // 2 + 1], well.levels[-1]]}),
    "B": ("off by one in t", lambda well: {"told": lambda t: max(t - STRIDE, 0)}),
    "C": ("latents not scaled before decoding", lambda well: {"codec": _unscaled(well)}),
    "D": ("EMA never updated", lambda well: {"net": _untrained(well)}),
    "E": ("wrong null label", lambda well: {"null_label": 0}),
    "F": ("swapped guidance terms", lambda well: {"guide": lambda main, ref, scale: guide(ref, main, scale)}),
}
