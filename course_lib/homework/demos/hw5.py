"""Homework 5: a student's guidance steers the shipped teddies, and a plane in which everything is known."""

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

#: What the figures show, for those who hear them. Kept out of the cells, where it would answer the question before the figure.
ALT = {
    "cfg": "Three teddies at scales 0, 1, 3 and 8: any teddies, pale pink readers, clear pink readers, and harsh ones, some of them spoilt.",
    "classifier_guided": "Three teddies without steering, of any colour; the same steered to pink at scale 1, and at scale 10, where all are pink; places and poses stay mixed.",
    "interval_scale": "Three teddies guided at scale 8 at all levels and at high noise only: harsh; in the middle only: clear; at low noise only: washed out or in wrong colours.",
    "rescaled": "Three teddies at scale 8: harsh without rescaling, softer with a rescale of 0.7, pale and greyish with 1.",
    "frontier": "Agreement against distance for 13 runs. A broad line marks the frontier: autoguidance at small scales, then guidance in an interval, then plain guidance at large scales; the unguided run is off it.",
}  # fmt: skip

Mix = Callable[[Tensor, Tensor, float], Tensor]
WISH = "two pink teddy bears with a green scarf reading"
#: In noise over signal, sigma / alpha.
INTERVALS = {
    "nowhere": (math.inf, math.inf), "all levels": (0.0, math.inf),
    "high noise": (6.0, math.inf), "middle": (0.5, 6.0), "low noise": (0.0, 0.5),
}  # fmt: skip
CLASS = "the class itself"
PINK = teddies.VALUES["fur"].index("pink")


@dataclass(frozen=True)
class Report:
    """What 32 pictures of known wishes are like: followed, the share in which the reader finds all five factors; clipped, the
    share of their numbers within 2 % of an end of [-1, 1]; and some pictures of `WISH`."""

    followed: float
    clipped: float
    pictures: Tensor

    @property
    def shares(self) -> tuple[str, str]:
        """As a table shows them."""
        return f"{self.followed:.0%}", f"{self.clipped:.1%}"


def teddies_at(cfg: Mix, scales: Sequence[float], n: int = 3) -> dict[str, Tensor]:
    """n teddies of `WISH` at each scale, from the same noise."""
    painter = text_to_image.load()
    told = painter.tell(WISH).repeat(n, 1)
    return {f"scale {scale:g}": _paint(painter, _guided(painter, told, cfg, scale), n) for scale in scales}


def report(cfg: Mix, scale: Scale, rescaled: Mix | None = None, rescale: float = 0.0, n: int = 32, shown: int = 3) -> Report:
    """Draw n known wishes and some of `WISH` with this guidance, and read them."""
    painter = text_to_image.load()
    told = torch.cat([prompt_adherence.sample_prompts(n, seed=51), painter.tell(WISH).repeat(shown, 1)])
    images = _paint(painter, _guided(painter, told, cfg, scale, rescaled, rescale), len(told))
    followed = prompt_adherence.adherence(recipes.load_or_train("teddies-reader", painter.machine), images[:n], told[:n])["all"]
    return Report(followed, clipped(images[:n]), images[n:])


def clipped(images: Tensor) -> float:
    """Share of numbers within 2 % of an end of the range: images in [-1, 1]."""
    return (images.abs() > 0.96).float().mean().item()


def renders(n: int = 200) -> Tensor:
    """Teddies [n, 3, 64, 64] as the renderer draws them: what the network was trained on."""
    return to_float(teddies.dataset(n, seed=52, device=text_to_image.load().machine.device, fine=False)[0])


def conventions(cfg: Mix, to_guidance_scale: Callable[[float, str], float], values: Sequence[float]) -> list[list]:
    """Rows value, convention, scale, wishes followed, clipped: each value as it stands in three papers."""
    drawn: dict[float, Report] = {}
    rows = []
    for value in values:
        for name in ("ho-salimans", "imagen", "glide"):
            scale = float(to_guidance_scale(value, name))
            drawn[scale] = drawn.get(scale) or report(cfg, scale, shown=1)
            rows.append([f"{value:g}", name, f"{scale:g}", *drawn[scale].shares])
    return rows


def intervals(cfg: Mix, interval_scale: Callable[..., float], scale: float) -> dict[str, Report]:
    """`INTERVALS` at one scale."""

    def only(lo: float, hi: float) -> Callable[[Level], float]:
        return lambda level: interval_scale(scale, level.alpha, level.sigma, lo, hi)

    return {name: report(cfg, only(*ends)) for name, ends in INTERVALS.items()}


def steered(classifier_guided: Callable[..., Tensor], scales: Sequence[float], n: int = 32, shown: int = 3) -> dict[str, Tensor]:
    """Teddies of a network that is told nothing, steered to pink fur by a classifier of noisy latents: some seconds of training.

    Each name holds the share of n pictures whose fur the reader takes for pink.
    """
    painter = text_to_image.load()
    images, factors = teddies.dataset(1000, seed=31, device=painter.machine.device, fine=False)
    latents = torch.cat([painter.codec.encode(to_float(part)) for part in images.split(250)])
    judge = noisy_classifier.train_noisy_classifier(latents, factors.fur, painter.machine, steps=400).ema
    log_p = noisy_classifier.log_prob_of(judge, torch.full((n,), PINK, device=painter.machine.device))
    free = _told(painter, painter.tell("").repeat(n, 1))
    wanted = painter.tell("").repeat(n, 1)
    wanted[:, teddies.SEMANTIC.index("fur")] = PINK

    def steer(scale: float) -> Denoiser:
        def denoise(x_t: Tensor, level: Level) -> Tensor:
            x0_hat = free(x_t, level)
            with torch.enable_grad():  # samplers run without gradients; a student's function need not know that
                return classifier_guided(x_t, x0_hat, level.alpha, level.sigma, lambda x: log_p(x, level), scale).detach()

        return denoise

    rows, reader = {}, recipes.load_or_train("teddies-reader", painter.machine)
    for scale in scales:
        drawn = _paint(painter, steer(scale), n, steps=15, seed=3)
        pink = prompt_adherence.adherence(reader, drawn, wanted)["fur"]
        rows[f"scale {scale:g}: {pink:.0%} pink"] = drawn[:shown]
    return rows


@dataclass(frozen=True)
class Run:
    """One way of guiding in the plane: distance, the mass of what it samples that lies elsewhere than the class's; agreement, the
    share that a perfect classifier takes for the class. Both are computed, not sampled."""

    kind: str
    scale: float
    distance: float
    agreement: float


def runs(cfg: Mix, interval_scale: Callable[..., float]) -> list[Run]:
    """Three kinds of guidance of an imperfect network at several scales, and last the class itself: some seconds.

    The data are chapter 5's two classes. The network sees them blurred by 0.3, as one that was trained too briefly;
    autoguidance's bad one by 0.8.
    """
    toy, grid = guided_densities.two_classes(), guided_densities.plane(side=36)
    net, bad = _blurred(toy, 0.3), _blurred(toy, 0.8)
    cond, null, weak = net.denoiser(0), net.denoiser(), bad.denoiser(0)
    truth = guided_densities.sharpened(toy, grid, 0, 1.0)
    wanted = toy.class_log_prob(grid.points)[:, 0].exp().view(grid.side, grid.side)

    def compared(kind: str, scale: float, shares: Tensor) -> Run:
        agreement = (shares * wanted).sum() / shares.sum()
        return Run(kind, scale, guided_densities.total_variation(shares, truth), agreement.item())

    def measured(kind: str, scale: float, denoise: Denoiser) -> Run:
        return compared(kind, scale, guided_densities.sampled(denoise, grid, steps=20))

    def mixed(ref: Denoiser, scale: float) -> Denoiser:
        return lambda x, level: cfg(cond(x, level), ref(x, level), scale)

    def limited(scale: float) -> Denoiser:
        def denoise(x: Tensor, level: Level) -> Tensor:
            here = interval_scale(scale, max(level.alpha, 1e-9), level.sigma, 0.3, 1.5)
            return cfg(cond(x, level), null(x, level), here)

        return denoise

    found = [measured("none", 1.0, cond)]
    found += [measured("classifier-free", scale, mixed(null, scale)) for scale in (1.5, 2.0, 3.0, 5.0)]
    found += [measured("in an interval", scale, limited(scale)) for scale in (1.5, 2.0, 3.0, 5.0)]
    found += [measured("autoguidance", scale, mixed(weak, scale)) for scale in (1.25, 1.5, 2.0, 3.0)]
    return [*found, compared(CLASS, 1.0, truth)]


def _blurred(mixture: GaussianMixture, width: float) -> GaussianMixture:
    return replace(mixture, variances=mixture.variances + width**2)


def _told(painter: text_to_image.TextToImage, labels: Tensor) -> Denoiser:
    autocast = None if painter.machine.dtype == torch.float32 else painter.machine.dtype
    return denoiser(painter.net, recipes.PREDICTION_TYPE, labels.to(painter.machine.device), autocast)


def _guided(
    painter: text_to_image.TextToImage, told: Tensor, cfg: Mix, scale: Scale, rescaled: Mix | None = None, rescale: float = 0.0
) -> Denoiser:
    """The painter's network, told these labels, under a student's guidance."""
    main, null = _told(painter, told), _told(painter, painter.tell("").repeat(len(told), 1))

    def denoise(x_t: Tensor, level: Level) -> Tensor:
        cond = main(x_t, level)
        guided = cfg(cond, null(x_t, level), scale(level) if callable(scale) else scale)
        return rescaled(guided, cond, rescale) if rescaled else guided

    return denoise


@torch.no_grad()
def _paint(painter: text_to_image.TextToImage, denoise: Denoiser, n: int, steps: int = 10, seed: int = 7) -> Tensor:
    """n pictures [n, 3, 64, 64] in [-1, 1]."""
    levels = painter.schedule.grid(steps)
    noise = torch.randn(n, *painter.shape, generator=torch.Generator().manual_seed(seed)).to(painter.machine.device)
    return painter.codec.decode(dpmpp_2m(denoise, levels[0].sigma * noise, levels)).float().clamp(-1, 1)
