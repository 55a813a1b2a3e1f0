"""Failure modes of a guided latent diffusion model: one healthy sampling run, six runs with one broken part each, and probes.

A probe looks at the interface between two parts and returns a measurement. Images are classified after decoding by the healthy
codec, so that a fault of the decoder does not show in the other probes. Notebook 11 is the lab that uses them.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from course_lib import recipes
from course_lib.arguments import check_number, check_tensor
from course_lib.codec import VAECodec, decode_all, posterior
from course_lib.data import FASHION_CLASSES
from course_lib.device import Machine
from course_lib.diffusion import Denoiser
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

StepMeasure: TypeAlias = Callable[[Tensor], Tensor]
"""A trajectory [S + 1, N, C, h, w] → how far it moves in each step [S]: `rms_steps`, or a reader's own function."""
ErrorMeasure: TypeAlias = Callable[[Callable[..., Tensor], Tensor, Tensor, Tensor, float, float, Tensor], Tensor]
"""(net, x0, y, eps, alpha, sigma, t) → the error of the network's prediction: `velocity_error`, or a reader's own function."""


@dataclass(frozen=True, eq=False)
class Run:
    """A sampling pipeline, part by part; hashed by identity, so that its samples can be cached.

    healthy_codec: the codec of the healthy run, with which the probes decode what comes before the decoder. codec: decodes the
    samples. net: (x_t, t, y) → v. levels: noise levels that the sampler visits. null_label: the class index for "no class".
    guide: (main, ref, scale) → denoiser. reported_timestep: t → the timestep that the network is given. seed: of the noise.
    """

    machine: Machine
    healthy_codec: VAECodec
    codec: VAECodec
    net: nn.Module
    levels: list[Level]
    null_label: int = recipes.NUM_CLASSES
    guide: Callable[[Denoiser, Denoiser, float], Denoiser] = guide
    reported_timestep: Callable[[int], int] = lambda t: t
    seed: int = 0

    def predict(self, x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Return the network's v_hat [B, C, h, w] for noisy latents x_t [B, C, h, w], timesteps t [B] and classes y [B].

        The network is called as this run calls it: at the machine's precision, and given the reported timesteps.
        """
        reported = torch.tensor([self.reported_timestep(one) for one in t.tolist()], device=t.device)
        dtype = self.machine.dtype
        with torch.autocast(x_t.device.type, dtype, enabled=dtype != torch.float32):
            return self.net(x_t, reported, y).to(x_t.dtype)

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
    """The sampler's result. trajectory: x_t before the first step and after each step, [S + 1, N, C, h, w]."""

    trajectory: Tensor

    @property
    def latents(self) -> Tensor:
        """The last x_t [N, C, h, w], which the decoder gets."""
        return self.trajectory[-1]


@lru_cache(maxsize=128)
def sample_latents(run: Run, scale: float = SCALE) -> SampledLatents:
    """Sample SAMPLES latents, every class equally often, from fixed noise. Cached, because several probes use them."""
    x_T = run.levels[0].sigma * seeded_noise(SAMPLES, SHAPE, run.machine, run.seed)
    denoise, states = run.guided_denoiser(balanced_labels(SAMPLES, run.machine), scale), []
    latents = dpmpp_2m(denoise, x_T, run.levels, callback=lambda i, level, x_t, x0_hat: states.append(x_t))
    return SampledLatents(torch.stack([*states, latents]))


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


def class_fractions(run: Run, evaluator: Evaluator, scale: float = 0.0) -> Tensor:
    """Return the fraction of the samples that the classifier assigns to each class: [10], each 0…1.

    At scale 0 the reference alone draws, which should draw every class about equally often.
    """
    return torch.bincount(_sampled_classes(run, evaluator, scale), minlength=recipes.NUM_CLASSES) / SAMPLES


def reference_class(run: Run, evaluator: Evaluator) -> tuple[str, float]:
    """Return the most frequent class of the samples at scale 0, and its fraction, 0…1: what guidance points away from."""
    fractions = class_fractions(run, evaluator)
    return FASHION_CLASSES[int(fractions.argmax())], fractions.amax().item()


def rms_steps(trajectory: Tensor) -> Tensor:
    """Return how far a trajectory [S + 1, N, C, h, w] moves in each step: root mean square over everything but the step, [S]."""
    check_tensor("trajectory", trajectory, "[S + 1, N, C, h, w]", "float", least=2)
    return trajectory.diff(dim=0).square().flatten(1).mean(1).sqrt()


def velocity_error(
    net: Callable[..., Tensor], x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor
) -> Tensor:
    """Return a network's mean squared error in v = alpha · eps - sigma · x0 on noisy latents: a scalar tensor.

    net: (x_t, t, y) → v_hat. x0, eps: clean latents and noise [N, C, h, w]. alpha, sigma: the rates with which they are mixed.
    t: the timesteps [N] that the network is given, which need not be those of alpha and sigma. y: classes [N].
    """
    v = alpha * eps - sigma * x0
    return (net(alpha * x0 + sigma * eps, t, y) - v).square().mean()


def step_sizes(run: Run, measure: StepMeasure = rms_steps) -> list[float]:
    """Return how far x_t moves in each sampling step: root mean square per latent dimension."""
    return measure(sample_latents(run).trajectory).tolist()


@torch.no_grad()
def denoising_error(
    run: Run, x0: Tensor, y: Tensor, t: int = 500, shift: int = 0, measure: ErrorMeasure = velocity_error
) -> float:
    """Return the network's mean squared error in v on noisy latents: about 1 for a network that outputs 0.

    x0: clean latents [N, C, h, w] of classes y [N]. t: timestep of the noise. shift: added to the timestep that the network is
    given. The error in v is that in x0 divided by sigma².
    """
    level = recipes.make_schedule().level(t)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(run.seed)).to(x0)
    given = torch.full((len(x0),), t + shift, device=x0.device)
    return float(measure(run.predict, x0, y, eps, level.alpha, level.sigma, given))


def timestep_offset(
    run: Run, x0: Tensor, y: Tensor, ts: Sequence[int] = (100, 300), measure: ErrorMeasure = velocity_error
) -> int:
    """Return the correction of the network's timestep that minimises its `denoising_error`, in timesteps: 0 is right.

    The candidates are 0 and one stride of the sampler's grid in each direction; 0 wins a tie.
    """
    return min((0, STRIDE, -STRIDE), key=lambda shift: math.fsum(denoising_error(run, x0, y, t, shift, measure) for t in ts))


STD, GAIN, REFERENCE = "std at the decoder (1 = as encoded)", "agreement gained by guidance", "most frequent class at scale 0"
LAST_STEP, OFFSET, ERROR = "last step", "timestep offset", "error at t = 500"


def diagnose(
    run: Run,
    evaluator: Evaluator,
    images: Tensor,
    x0: Tensor,
    y: Tensor,
    steps: StepMeasure = rms_steps,
    error: ErrorMeasure = velocity_error,
) -> dict[str, float]:
    """Return one measurement of each probe; the arguments are those of the probes."""
    unguided, guided = agreement_by_scale(run, evaluator, (0.0, SCALE))
    return {
        STD: decoder_input_statistics(run, images)[1].mean().item(),
        GAIN: guided - unguided,
        REFERENCE: reference_class(run, evaluator)[1],
        LAST_STEP: step_sizes(run, steps)[-1],
        OFFSET: timestep_offset(run, x0, y, measure=error),
        ERROR: denoising_error(run, x0, y, measure=error),
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


NO_FAULT = "no fault found"


def name_fault(readings: dict[str, float], normal: dict[str, float]) -> str:
    """Return the fault that the readings of `diagnose` identify, as in `FAULTS`, or NO_FAULT. normal: a healthy run's readings.

    The network comes first: where nothing was learned, no probe after it means anything.
    """
    found = {
        "D": readings[ERROR] > 1.3 * normal[ERROR],
        "B": readings[OFFSET] != normal[OFFSET],
        "E": readings[REFERENCE] > normal[REFERENCE] + 0.3,
        "F": readings[GAIN] < normal[GAIN] - 0.5,
        "A": readings[LAST_STEP] > 4 * normal[LAST_STEP],
        "C": readings[STD] < 0.5 * normal[STD],
    }
    return next((answer(letter) for letter, symptom in found.items() if symptom), NO_FAULT)


def _untrained_net(run: Run) -> nn.Module:
    """Return the untrained weights, which an EMA that is never updated still contains."""
    return recipes.untrained_network("fashion-ldm")[0].to(run.machine.device).eval()


def _unscaled_codec(run: Run) -> VAECodec:
    one = torch.ones(run.healthy_codec.vae.latent_channels)
    return VAECodec(run.healthy_codec.vae, 0 * one, one)


_FAULTS: dict[str, tuple[str, Callable[[Run], dict[str, Any]]]] = {
    "A": ("the last step is too large", lambda run: {"levels": [*run.levels[: STEPS // 2 + 1], run.levels[-1]]}),
    "B": ("t is off by one grid step", lambda run: {"reported_timestep": lambda t: max(t - STRIDE, 0)}),
    "C": ("latents not scaled before decoding", lambda run: {"codec": _unscaled_codec(run)}),
    "D": ("EMA never updated", lambda run: {"net": _untrained_net(run)}),
    "E": ("the wrong null label", lambda run: {"null_label": 0}),
    "F": ("the terms of guidance are swapped", lambda run: {"guide": lambda main, ref, scale: guide(ref, main, scale)}),
}
FAULTS = tuple(sorted(name for name, _ in _FAULTS.values()))  # in alphabetical order, which says nothing about the letters
