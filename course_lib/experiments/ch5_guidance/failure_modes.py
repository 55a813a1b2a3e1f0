"""Chapter 5's failure modes: one healthy sampling run, six runs with one broken part each, and probes that identify the fault.

A probe looks at the interface between two parts and returns a measurement. Images are classified after decoding by the healthy
codec, so that a fault of the decoder does not show in the other probes.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from course_lib import recipes
from course_lib.arguments import check_number
from course_lib.codec import VAECodec, decode_all, posterior
from course_lib.data import FASHION_CLASSES
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, add_noise
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced_labels, conditional_factory, seeded_noise
from course_lib.guidance import guide
from course_lib.judges.classifier import classify
from course_lib.samplers import dpmpp_2m
from course_lib.schedule import Level

STEPS, SCALE, SAMPLES = 20, 2.0, 100
STRIDE = recipes.make_schedule().T // STEPS  # timesteps from one level of the sampler's grid to the next
STRETCH = 5.5  # standard deviation of the latents of Stable Diffusion's autoencoder, 1 / its scaling_factor
SHAPE = (4, 4, 4)


@dataclass(frozen=True, eq=False)
class Run:
    """A sampling pipeline, part by part; hashed by identity, so that its samples can be cached.

    healthy_codec: the codec of the healthy run, with which the probes decode what comes before the decoder. codec: decodes the
    samples. net: (x_t, t, y) → v. levels: noise levels that the sampler visits. null_label: the class index for "no class".
    guide: (main, ref, scale) → denoiser. reported_timestep: t → the timestep that the network is given.
    """

    machine: Machine
    healthy_codec: VAECodec
    codec: VAECodec
    net: nn.Module
    levels: list[Level]
    null_label: int = recipes.NUM_CLASSES
    guide: Callable[[Denoiser, Denoiser, float], Denoiser] = guide
    reported_timestep: Callable[[int], int] = lambda t: t

    def denoiser(self, y: Tensor) -> Denoiser:
        """Return the denoiser conditioned on classes y [B], as this run calls it: (x_t, level) → x0_hat."""
        denoise = conditional_factory(self.net, self.machine)(y)
        return lambda x_t, level: denoise(x_t, level._replace(t=self.reported_timestep(level.t)))

    def guided_denoiser(self, y: Tensor, scale: float = SCALE) -> Denoiser:
        """Return the denoiser conditioned on classes y [B], guided with the null label's prediction as the reference."""
        return self.guide(self.denoiser(y), self.denoiser(torch.full_like(y, self.null_label)), scale)

    def images(self, n: int = 10, scale: float = SCALE) -> Tensor:
        """Return the first n samples [n, 1, 32, 32] in [-1, 1]; classes take turns, and the noise is the same in every run."""
        return decode_all(self.codec, sample_latents(self, scale).latents[:n])


@dataclass(frozen=True)
class SampledLatents:
    """The sampler's result: latents [N, C, h, w], and the root-mean-square change of x_t in each step."""

    latents: Tensor
    step_sizes: list[float]


@lru_cache(maxsize=64)
def sample_latents(run: Run, scale: float = SCALE) -> SampledLatents:
    """Sample SAMPLES latents, every class equally often, from fixed noise. Cached, because several probes use them."""
    x_T = run.levels[0].sigma * seeded_noise(SAMPLES, SHAPE, run.machine)
    denoise, states = run.guided_denoiser(balanced_labels(SAMPLES, run.machine), scale), []
    latents = dpmpp_2m(denoise, x_T, run.levels, callback=lambda i, level, x_t, x0_hat: states.append(x_t))
    step_sizes = [(b - a).square().mean().sqrt().item() for a, b in pairwise([*states, latents])]
    return SampledLatents(latents, step_sizes)


# ------------------------------------------------------------------------------------------- the probes


def decoder_input_statistics(run: Run, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation [C] of the decoder's input, relative to the VAE's latents of these images.

    images: uint8 or [-1, 1] floats, [N, 1, 32, 32]. 0 and 1 are right: the mean is given as an offset in units of the latents'
    standard deviation, the standard deviation as a ratio.
    """
    codec, expected = run.codec, posterior(run.healthy_codec.vae, images).mean
    found = sample_latents(run).latents * codec.latents_std + codec.latents_mean
    dims = (0, 2, 3)
    return (found.mean(dims) - expected.mean(dims)) / expected.std(dims), found.std(dims) / expected.std(dims)


def agreement_by_scale(run: Run, evaluator: Evaluator, scales: Sequence[float] = (0.0, 1.0, SCALE)) -> list[float]:
    """Return the fraction of samples that the classifier assigns to the wanted class, at each guidance scale: 0…1."""
    wanted = balanced_labels(SAMPLES, evaluator.machine)
    return [(_sampled_classes(run, evaluator, scale) == wanted).float().mean().item() for scale in scales]


def reference_class(run: Run, evaluator: Evaluator) -> tuple[str, float]:
    """Return the most frequent class of the samples at scale 0, and its fraction, 0…1: what guidance points away from."""
    counts = torch.bincount(_sampled_classes(run, evaluator, 0.0), minlength=recipes.NUM_CLASSES)
    return FASHION_CLASSES[int(counts.argmax())], counts.amax().item() / SAMPLES


def step_sizes(run: Run) -> list[float]:
    """Return how far x_t moves in each sampling step: root mean square per latent dimension."""
    return sample_latents(run).step_sizes


@torch.no_grad()
def denoising_error(run: Run, x0: Tensor, y: Tensor, t: int = 500, shift: int = 0) -> float:
    """Return the network's mean squared error in v on noisy latents: about 1 for an untrained network.

    x0: clean latents [N, C, h, w] of classes y [N]. t: timestep of the noise. shift: added to the timestep that the network is
    given. The error in v is that in x0 divided by sigma².
    """
    level = recipes.make_schedule().level(t)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).to(x0)
    x0_hat = run.denoiser(y)(add_noise(x0, eps, level), level._replace(t=t + shift))
    return (x0_hat - x0).square().mean().item() / level.sigma**2


def timestep_offset(run: Run, x0: Tensor, y: Tensor, ts: Sequence[int] = (100, 300)) -> int:
    """Return the correction of the network's timestep that minimises its `denoising_error`, in timesteps: 0 is right.

    The candidates are 0 and one stride of the sampler's grid in each direction; 0 wins a tie.
    """
    return min((0, STRIDE, -STRIDE), key=lambda shift: math.fsum(denoising_error(run, x0, y, t, shift) for t in ts))


def diagnose(run: Run, evaluator: Evaluator, images: Tensor, x0: Tensor, y: Tensor) -> dict[str, float]:
    """Return one measurement of each probe; the arguments are those of the probes."""
    unguided, guided = agreement_by_scale(run, evaluator, (0.0, SCALE))
    return {
        "std at the decoder (1 = as encoded)": decoder_input_statistics(run, images)[1].mean().item(),
        "agreement gained by guidance": guided - unguided,
        "most frequent class at scale 0": reference_class(run, evaluator)[1],
        "last step": step_sizes(run)[-1],
        "timestep offset": timestep_offset(run, x0, y),
        "error at t = 500": denoising_error(run, x0, y),
    }


def _sampled_classes(run: Run, evaluator: Evaluator, scale: float) -> Tensor:
    return classify(evaluator.net, decode_all(run.healthy_codec, sample_latents(run, scale).latents))[1].argmax(1)


# ------------------------------------------------------------------------------------------- the runs


def healthy(machine: Machine) -> Run:
    """Return chapter 5's pipeline without a fault: chapter 4's networks, 20 steps, scale 2.

    The VAE's latents are rescaled to be STRETCH times as large as in chapter 3.
    """
    codec = stretch_latents(recipes.load_codec("fashion-vae", machine), STRETCH)
    return Run(machine, codec, codec, recipes.load_or_train("fashion-ldm", machine), recipes.make_schedule().grid(STEPS))


@torch.no_grad()
def stretch_latents(codec: VAECodec, factor: float) -> VAECodec:
    """Return a codec of an equivalent VAE whose latents are ``factor`` times as large; encode and decode give the same as before.

    The encoder's last layer multiplies by the factor, and the decoder's first layer divides by it.
    """
    factor = check_number("factor", factor, above=0)
    vae = copy.deepcopy(codec.vae)
    last, first, C = cast(nn.Conv2d, vae.encoder[-1]), cast(nn.Conv2d, vae.decoder[0]), vae.latent_channels
    bias = cast(Tensor, last.bias)
    last.weight[:C] *= factor
    bias[:C] *= factor
    bias[C:] += 2 * math.log(factor)  # the log-variance
    first.weight /= factor
    return VAECodec(vae, codec.latents_mean.flatten() * factor, codec.latents_std.flatten() * factor)


def broken_run(letter: str, machine: Machine) -> Run:
    """Return one of the broken runs, "A" to "F". Raises ValueError for another letter."""
    _check_letter(letter)
    return inject_fault(healthy(machine), letter)


LETTERS = tuple("ABCDEF")


def _check_letter(letter: str) -> None:
    if letter not in LETTERS:
        raise ValueError(f"There is no run {letter!r}: choose one of {', '.join(LETTERS)}.")


# ================================================================== THE ANSWERS: read no further before you have guessed ======


def inject_fault(healthy_run: Run, letter: str) -> Run:
    """Return the healthy run with the one part replaced that this letter stands for."""
    _check_letter(letter)
    return replace(healthy_run, **_FAULTS[letter][1](healthy_run))


def answer(letter: str) -> str:
    """Return what is wrong with a run."""
    _check_letter(letter)
    return _FAULTS[letter][0]


def _untrained_net(run: Run) -> nn.Module:
    """Return the untrained weights, which an EMA that is never updated still contains."""
    return recipes.untrained_network("fashion-ldm")[0].to(run.machine.device).eval()


def _unscaled_codec(run: Run) -> VAECodec:
    one = torch.ones(run.healthy_codec.vae.latent_channels)
    return VAECodec(run.healthy_codec.vae, 0 * one, one)


_FAULTS: dict[str, tuple[str, Callable[[Run], dict[str, Any]]]] = {
    "A": ("too large a step at the end", lambda run: {"levels": [*run.levels[: STEPS // 2 + 1], run.levels[-1]]}),
    "B": ("off by one grid step", lambda run: {"reported_timestep": lambda t: max(t - STRIDE, 0)}),
    "C": ("latents not scaled before decoding", lambda run: {"codec": _unscaled_codec(run)}),
    "D": ("EMA never updated", lambda run: {"net": _untrained_net(run)}),
    "E": ("wrong null label", lambda run: {"null_label": 0}),
    "F": ("swapped guidance terms", lambda run: {"guide": lambda main, ref, scale: guide(ref, main, scale)}),
}
