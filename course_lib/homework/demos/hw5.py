"""Homework 5's figures: a student's guidance for the shipped model of Teddies, and in a plane whose densities are known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from course_lib import recipes, teddies, text_to_image
from course_lib.diffusion import Denoiser, denoiser
from course_lib.experiments import prompt_adherence
from course_lib.experiments.ch5_guidance import guided_densities, noisy_classifier
from course_lib.gaussian_mixture import GaussianMixture
from course_lib.guidance import Scale
from course_lib.images import to_float
from course_lib.samplers import dpmpp_2m
from course_lib.schedule import Level

#: Alternative texts of the figures. They stay out of the cells, where they would answer the question before the figure.
ALT = {
    "cfg": "Three teddies at scales 0, 1, 3 and 8: arbitrary teddies, pale pink readers, clear pink readers, and harsh ones.",
    "classifier_guided": (
        "Three teddies without guidance, brown and grey; the same guided to pink at scale 1, a little pinker; "
        "and at scale 10, where all are pink, and the pair in the middle, which waved, sleeps."
    ),
    "interval_scale": (
        "Three pairs of pink teddies, unguided: pale, on a meadow, in the snow and at night. Guided at scale 8 in 20 steps: at "
        "all levels strong colours, two of them now at the beach; at high noise only one has moved, in the middle two; at low "
        "noise only all stay where they were, and the colours are stronger."
    ),
    "steps": "Two teddies guided at scale 8: in 10 steps dull, or dark and damaged; in 20 and 40 steps pink, in strong colours.",
    "rescaled": "Two teddies at scale 8: harsh without rescaling, softer with a rescale of 0.7, pale and greyish with 1.",
    "frontier": (
        "Agreement against distance for 13 runs. A broad line marks the frontier: autoguidance at small scales, "
        "then guidance in an interval, then plain guidance at large scales; the unguided run is off it."
    ),
}

PROMPT = "two pink teddy bears with a green scarf reading"
PINK = teddies.VALUES["fur"].index("pink")
#: Bounds of noise over signal, sigma / alpha.
GUIDANCE_INTERVALS = {
    "nowhere": (math.inf, math.inf),
    "all levels": (0.0, math.inf),
    "high noise": (6.0, math.inf),
    "middle": (0.5, 6.0),
    "low noise": (0.0, 0.5),
}
TRUE_CLASS = "the class itself"
STEPS = 20  # of DPM-Solver++(2M)

# The signatures of two of the student's functions: (cond, null, scale) and (guided, cond, rescale).
CFG = Callable[[Tensor, Tensor, float], Tensor]
Rescale = Callable[[Tensor, Tensor, float], Tensor]


# --- the shipped model of Teddies ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class GuidanceReport:
    """What a way of guiding does to 32 known prompts.

    adherence: the fraction of images in which the reader finds all five factors. clipped: the fraction of pixel values within
    2 % of an end of [-1, 1]. images: some of `PROMPT`.
    """

    adherence: float
    clipped: float
    images: Tensor

    @property
    def percentages(self) -> tuple[str, str]:
        """Prompt adherence and clipped values, as a table shows them."""
        return f"{self.adherence:.0%}", f"{self.clipped:.1%}"


def sample_at_scales(cfg: CFG, scales: Sequence[float], n: int = 3) -> dict[str, Tensor]:
    """Sample n teddies of `PROMPT` at each scale, from the same noise."""
    model = text_to_image.load()
    labels = model.encode_prompt(PROMPT).repeat(n, 1)
    return {f"scale {scale:g}": _sample(model, _guided_denoiser(model, labels, cfg, scale), n) for scale in scales}


def evaluate_guidance(
    cfg: CFG,
    scale: Scale,
    rescaled: Rescale | None = None,
    rescale: float = 0.0,
    n: int = 32,
    shown: int = 3,
    steps: int = STEPS,
) -> GuidanceReport:
    """Sample n known prompts and ``shown`` images of `PROMPT` with this guidance, and read their factors."""
    model = text_to_image.load()
    labels = torch.cat([prompt_adherence.sample_prompts(n, seed=51), model.encode_prompt(PROMPT).repeat(shown, 1)])
    images = _sample(model, _guided_denoiser(model, labels, cfg, scale, rescaled, rescale), len(labels), steps)
    reader = recipes.load_or_train("teddies-reader", model.machine)
    adherence = prompt_adherence.adherence(reader, images[:n], labels[:n])["all"]
    return GuidanceReport(adherence, clipped_fraction(images[:n]), images[n:])


def clipped_fraction(images: Tensor) -> float:
    """Return the fraction of values within 2 % of an end of the range: images in [-1, 1]."""
    return (images.abs() > 0.96).float().mean().item()


def rendered_teddies(n: int = 200) -> Tensor:
    """Render teddies [n, 3, 64, 64] like those that the network was trained on."""
    return to_float(teddies.dataset(n, seed=52, device=text_to_image.load().machine.device, fine=False)[0])


def compare_conventions(cfg: CFG, to_guidance_scale: Callable[[float, str], float], values: Sequence[float]) -> list[list[str]]:
    """Return rows of value, convention, scale, prompt adherence, clipped: each value as in three papers."""
    reports: dict[float, GuidanceReport] = {}
    rows = []
    for value in values:
        for convention in ("ho-salimans", "imagen", "glide"):
            scale = float(to_guidance_scale(value, convention))
            reports[scale] = reports.get(scale) or evaluate_guidance(cfg, scale, shown=1)
            rows.append([f"{value:g}", convention, f"{scale:g}", *reports[scale].percentages])
    return rows


def compare_steps(
    cfg: CFG, interval_scale: Callable[..., float], scale: float, counts: Sequence[int]
) -> dict[str, GuidanceReport]:
    """Evaluate guidance at all levels with each of these numbers of solver steps, and at low noise only with the last of them."""
    reports = {f"{steps} steps": evaluate_guidance(cfg, scale, steps=steps) for steps in counts}
    low_noise = _only(interval_scale, scale, *GUIDANCE_INTERVALS["low noise"])
    return reports | {f"low noise only, {counts[-1]} steps": evaluate_guidance(cfg, low_noise, steps=counts[-1])}


def evaluate_intervals(cfg: CFG, interval_scale: Callable[..., float], scale: float) -> dict[str, GuidanceReport]:
    """Evaluate guidance in each of `GUIDANCE_INTERVALS` at one scale."""
    intervals = GUIDANCE_INTERVALS.items()
    return {name: evaluate_guidance(cfg, _only(interval_scale, scale, *ends)) for name, ends in intervals}


def _only(interval_scale: Callable[..., float], scale: float, lo: float, hi: float) -> Callable[[Level], float]:
    return lambda level: interval_scale(scale, level.alpha, level.sigma, lo, hi)


def sample_with_classifier(
    classifier_guided: Callable[..., Tensor], scales: Sequence[float], n: int = 32, shown: int = 3
) -> dict[str, Tensor]:
    """Sample from an unconditional network, guided to pink fur by a classifier of noisy latents: some seconds of training.

    Each row's name holds the percentage of its n images in which the reader finds pink fur; the first ``shown`` are returned.
    """
    model = text_to_image.load()
    log_prob = _pink_log_prob(model, n)
    null_labels = model.encode_prompt("").repeat(n, 1)
    unconditional, wanted = _conditional_denoiser(model, null_labels), null_labels.clone()
    wanted[:, teddies.SEMANTIC.index("fur")] = PINK

    def guided(scale: float) -> Denoiser:
        def denoise(x_t: Tensor, level: Level) -> Tensor:
            x0_hat = unconditional(x_t, level)
            with torch.enable_grad():  # samplers run without gradients; a student's function need not know that
                args = (x_t, x0_hat, level.alpha, level.sigma, lambda x: log_prob(x, level), scale)
                return classifier_guided(*args).detach()

        return denoise

    rows, reader = {}, recipes.load_or_train("teddies-reader", model.machine)
    for scale in scales:
        images = _sample(model, guided(scale), n, steps=15, seed=3)
        pink = prompt_adherence.adherence(reader, images, wanted)["fur"]
        rows[f"scale {scale:g}: {pink:.0%} pink"] = images[:shown]
    return rows


def _pink_log_prob(model: text_to_image.TextToImage, n: int) -> Callable[[Tensor, Level], Tensor]:
    """Train a classifier of noisy latents, and return its log p(pink | x_t) for batches of n."""
    device = model.machine.device
    images, factors = teddies.dataset(1000, seed=31, device=device, fine=False)
    latents = torch.cat([model.codec.encode(to_float(part)) for part in images.split(250)])
    classifier = noisy_classifier.train_noisy_classifier(latents, factors.fur, model.machine, steps=400).ema
    return noisy_classifier.label_log_prob(classifier, torch.full((n,), PINK, device=device))


def _conditional_denoiser(model: text_to_image.TextToImage, labels: Tensor) -> Denoiser:
    autocast = None if model.machine.dtype == torch.float32 else model.machine.dtype
    return denoiser(model.net, recipes.PREDICTION_TYPE, labels.to(model.machine.device), autocast)


def _guided_denoiser(
    model: text_to_image.TextToImage,
    labels: Tensor,
    cfg: CFG,
    scale: Scale,
    rescaled: Rescale | None = None,
    rescale: float = 0.0,
) -> Denoiser:
    """The model's denoiser, conditioned on these labels, with a student's guidance."""
    main = _conditional_denoiser(model, labels)
    null = _conditional_denoiser(model, model.encode_prompt("").repeat(len(labels), 1))

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        cond = main(x_t, level)
        guided = cfg(cond, null(x_t, level), scale(level) if callable(scale) else scale)
        return rescaled(guided, cond, rescale) if rescaled else guided

    return denoise


@torch.no_grad()
def _sample(model: text_to_image.TextToImage, denoise: Denoiser, n: int, steps: int = STEPS, seed: int = 7) -> Tensor:
    """n images [n, 3, 64, 64] in [-1, 1]."""
    levels = model.schedule.grid(steps)
    noise = torch.randn(n, *model.shape, generator=torch.Generator().manual_seed(seed)).to(model.machine.device)
    return model.codec.decode(dpmpp_2m(denoise, levels[0].sigma * noise, levels)).float().clamp(-1, 1)


# --- a plane whose densities are known -----------------------------------------------------------------------------


@dataclass(frozen=True)
class GuidanceRun:
    """One way of guiding in the plane, at one scale; both results are computed, not sampled.

    distance: the fraction of the sampled mass that is in the wrong place (total variation from the class).
    agreement: the fraction of the sampled mass that a perfect classifier assigns to the class.
    """

    method: str
    scale: float
    distance: float
    agreement: float


def evaluate_methods(cfg: CFG, interval_scale: Callable[..., float]) -> list[GuidanceRun]:
    """Evaluate three ways to guide an imperfect network at several scales, and last the class itself: some seconds.

    The data are chapter 5's two classes. The network sees them blurred by 0.3, as if it had been trained too briefly;
    autoguidance's weak network sees them blurred by 0.8.
    """
    mixture, grid = guided_densities.two_class_mixture(), guided_densities.plane_grid(side=36)
    net, weak_net = _blurred(mixture, 0.3), _blurred(mixture, 0.8)
    cond, null, weak = net.denoiser(0), net.denoiser(), weak_net.denoiser(0)
    truth = guided_densities.sharpened_density(mixture, grid, 0, 1.0)
    class_prob = mixture.class_log_prob(grid.points)[:, 0].exp().view(grid.side, grid.side)

    def compared(method: str, scale: float, density: Tensor) -> GuidanceRun:
        agreement = (density * class_prob).sum() / density.sum()
        return GuidanceRun(method, scale, guided_densities.total_variation(density, truth), agreement.item())

    def evaluated(method: str, scale: float, denoise: Denoiser) -> GuidanceRun:
        return compared(method, scale, guided_densities.sampled_density(denoise, grid, steps=20))

    def guided(ref: Denoiser, scale: float) -> Denoiser:
        return lambda x, level: cfg(cond(x, level), ref(x, level), scale)

    def guided_in_interval(scale: float) -> Denoiser:
        def denoise(x: Tensor, level: Level) -> Tensor:
            level_scale = interval_scale(scale, max(level.alpha, 1e-9), level.sigma, 0.3, 1.5)
            return cfg(cond(x, level), null(x, level), level_scale)

        return denoise

    runs = [evaluated("none", 1.0, cond)]
    runs += [evaluated("classifier-free", scale, guided(null, scale)) for scale in (1.5, 2.0, 3.0, 5.0)]
    runs += [evaluated("in an interval", scale, guided_in_interval(scale)) for scale in (1.5, 2.0, 3.0, 5.0)]
    runs += [evaluated("autoguidance", scale, guided(weak, scale)) for scale in (1.25, 1.5, 2.0, 3.0)]
    return [*runs, compared(TRUE_CLASS, 1.0, truth)]


def _blurred(mixture: GaussianMixture, width: float) -> GaussianMixture:
    return replace(mixture, variances=mixture.variances + width**2)
