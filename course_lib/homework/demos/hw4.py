"""Homework 4: a student's noise, targets, DDIM step, loss and units in the real latent diffusion of Teddies."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from course_lib import device, recipes, teddies, text_to_image
from course_lib.codec import VAECodec, cache, posterior
from course_lib.diffusion import Denoiser, denoiser, stratified_steps
from course_lib.guidance import guide
from course_lib.images import to_float
from course_lib.samplers import dpmpp_2m
from course_lib.training import TrainConfig, TrainResult, train
from course_lib.unet import UNet

#: What the figures show, for those who hear them. Kept out of the cells, where it would answer the question before the figure.
ALT = {
    "add_noise": "One picture of teddies, its latent noised at six steps and decoded: first clean, then smeared, at last only blotches.",
    "target": "The teddies, the noise, and v at five steps, decoded: v looks like the noise at first and at last like a negative of the teddies.",
    "to_x0": "Error of x0 against step for a spoilt answer of each kind: eps grows without end towards t = 1000, x0 is constant, v never gets above it.",
    "to_x0 2": "The clean picture that the denoiser sees in each of exercise 1's six pictures: right for long, then greyer, at t = 1000 a blurred average.",
    "ddim_step": "Three rows of three pictures of two pink teddies reading, for eta 0, 0.5 and 1: all good, and within a column the scenery may change with eta.",
    "training_loss": "The loss starts near one, falls steeply, then more slowly.",
    "training_loss 2": "A sample for each of six colours of fur: blurred teddies in front of plausible sceneries, mostly in the colour that was asked for.",
    "unscale": "Two latents decoded as they are: coloured blotches; with one number for all channels: other blotches; with each channel's own units: two pictures of pink teddies.",
    "diagnosis": "Four rows of three pictures: healthy pink teddies; A washed out and greyish; B too strong in colour and blotchy; C no teddies at all.",
}  # fmt: skip

CAPTION = "two pink teddy bears with a green scarf reading"
STEP = Callable[[Tensor, Tensor, float, float, float, float, float, Tensor], Tensor]
TO_X0 = Callable[[str, Tensor, Tensor, Tensor, Tensor], Tensor]
TARGET = Callable[[str, Tensor, Tensor, Tensor, Tensor], Tensor]
FUR = 1  # which of the labels is the fur's colour
COLOURS = teddies.LEVELS[FUR]


def table() -> Tensor:
    """The workbook's schedule as other libraries store it: alphas_cumprod [1000], whose entry 0 belongs to t = 1."""
    return recipes.make_schedule().alphas[1:].square().float().to(device.find().device)


def _codec() -> VAECodec:
    return recipes.codec_of("teddies-vae", device.find())


def _latent(n: int = 1, seed: int = 12) -> Tensor:
    """Teddies [n, 4, 8, 8] in unit-variance latents."""
    return _codec().encode(to_float(teddies.dataset(n, seed, device=device.find().device, fine=False)[0]))


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device.find().device)


def _rates(ts: list[int]) -> tuple[Tensor, Tensor]:
    """alpha, sigma [len(ts), 1, 1, 1]."""
    level = recipes.make_schedule().at(torch.tensor(ts, device=device.find().device))
    return level.alpha, level.sigma


@torch.no_grad()
def ruined(add_noise: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], ts: list[int]) -> Tensor:
    """One teddy's latent with the noise of each of these steps, decoded: [len(ts), 3, 64, 64]."""
    x0, eps = _latent().expand(len(ts), -1, -1, -1), _noise(4, 8, 8).expand(len(ts), -1, -1, -1)
    return _codec().decode(add_noise(x0, torch.tensor(ts, device=x0.device), eps, table()))


@torch.no_grad()
def targets(target: TARGET, ts: list[int]) -> dict[str, Tensor]:
    """What a network is to say about one teddy, decoded: of kind "x0", of kind "eps", and of kind "v" at each of these steps."""
    x0, eps = _latent(), _noise(1, 4, 8, 8)
    asked = {kind: (kind, 1) for kind in ("x0", "eps")} | {f"v at {t}": ("v", t) for t in ts}
    return {name: _codec().decode(target(kind, x0, eps, *_rates([t]))) for name, (kind, t) in asked.items()}


@torch.no_grad()
def survived(target: TARGET, to_x0: TO_X0, ts: list[int], slip: float = 0.1) -> dict[str, tuple[list[int], Tensor]]:
    """How far each kind's x0 is off (root mean square) where the network's answer is off by ``slip``: ts, errors."""
    alpha, sigma = _rates(ts)
    x0, eps = (x.expand(len(ts), -1, -1, -1) for x in (_latent(), _noise(1, 4, 8, 8)))
    wrong, x_t, curves = slip * _noise(len(ts), 4, 8, 8, seed=1), alpha * x0 + sigma * eps, {}
    for kind in ("eps", "x0", "v"):
        found = to_x0(kind, target(kind, x0, eps, alpha, sigma) + wrong, x_t, alpha, sigma)
        curves[kind] = ts, (found - x0).square().flatten(1).mean(1).sqrt().cpu()
    return curves


@torch.no_grad()
def glimpses(to_x0: TO_X0, ts: list[int]) -> Tensor:
    """What the shipped denoiser, told nothing, takes for clean in the pictures of `ruined`: [len(ts), 3, 64, 64]."""
    painter, (alpha, sigma) = text_to_image.load(), _rates(ts)
    x_t = alpha * _latent() + sigma * _noise(1, 4, 8, 8)
    unsaid = painter.tell("").to(x_t.device).expand(len(ts), -1)
    out = painter.net(x_t, torch.tensor(ts, device=x_t.device), unsaid)
    return painter.codec.decode(to_x0(recipes.PREDICTION_TYPE, out, x_t, alpha, sigma))


def _guided(painter: text_to_image.TextToImage, caption: str, scale: float = 3.0) -> Denoiser:
    """The shipped denoiser, guided towards a caption."""
    told, nothing = (tuple(painter.tell(text)[0].tolist()) for text in (caption, ""))
    return guide(
        denoiser(painter.net, recipes.PREDICTION_TYPE, told), denoiser(painter.net, recipes.PREDICTION_TYPE, nothing), scale
    )


@torch.no_grad()
def walked(step: STEP, eta: float, n: int = 6, steps: int = 20, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """n latents [n, 4, 8, 8] of `CAPTION`, drawn by these steps from noise that depends on nothing but n.

    change: what else is done to every x0_hat.
    """
    painter = text_to_image.load()
    levels, denoise = painter.schedule.grid(steps), _guided(painter, CAPTION)
    x = levels[0].sigma * _noise(n, *painter.shape)
    for i, (here, there) in enumerate(pairwise(levels)):
        x0_hat = denoise(x, here)
        x0_hat = change(x0_hat) if change else x0_hat
        x = step(x, x0_hat, here.alpha, here.sigma, there.alpha, there.sigma, eta, _noise(*x.shape, seed=100 + i))
    return x


def drawn(step: STEP, etas: tuple[float, ...] = (0.0, 0.5, 1.0), n: int = 3) -> dict[str, Tensor]:
    """`walked` for each eta, decoded: a row of n teddies each, all from the same noise."""
    return {f"eta = {eta:g}": _codec().decode(walked(step, eta, n)) for eta in etas}


def train_denoiser(training_loss: Callable, steps: int = 250, n: int = 1000) -> TrainResult:
    """A small denoiser of teddies' latents that is told the fur's colour alone, trained by this loss.

    Some 10 seconds on one core. See the result's ``ema`` and ``losses``.
    """
    machine, cumulative = device.find(), table()
    images, factors = teddies.dataset(n, 20, device=machine.device, fine=False)
    latents, colours = cache(_codec(), images), factors.labels()[:, FUR].to(machine.device)

    def loss(net: UNet, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        x0, y = batch
        t = stratified_steps(len(x0), len(cumulative), x0.device, generator)
        eps = torch.randn(x0.shape, device=x0.device, generator=generator)
        drop = torch.rand(len(y), device=y.device, generator=generator) < 0.1
        return training_loss(net, x0, y, t, eps, cumulative, drop, COLOURS)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = UNet(in_channels=4, width=32, multipliers=(1,), blocks=1, attention=(), num_classes=COLOURS)
    config = TrainConfig(steps=steps, batch_size=32, lr=4e-3, betas=(0.9, 0.99), ema_decay=0.99)
    return train(net, loss, (latents, colours), config, machine=machine)


@torch.no_grad()
def in_each_colour(net: UNet, rows: int = 1) -> Tensor:
    """Teddies by a network of `train_denoiser`, a column for each colour of fur: [rows · colours, 3, 64, 64]."""
    y = torch.arange(COLOURS, device=device.find().device).repeat(rows)
    levels = recipes.make_schedule().grid(20)
    told, nothing = denoiser(net, recipes.PREDICTION_TYPE, y), denoiser(net, recipes.PREDICTION_TYPE, net.null_label)
    return _codec().decode(dpmpp_2m(guide(told, nothing, 2.0), _noise(len(y), 4, 8, 8, seed=5), levels))


def colours() -> list[str]:
    """The fur's colours in the order of `in_each_colour`'s columns."""
    return list(teddies.VALUES[teddies.SEMANTIC[FUR]])


# The shipped VAE was held near unit variance by its KL, so that forgetting the units would hardly show. Here its latents are
# written in others, a gain and an offset for each channel, such as a VAE without that hold may come to.
GAINS, OFFSETS = (0.2, 6.0, 1.0, 3.0), (1.0, -4.0, 0.0, 5.0)


def _written(numbers: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(numbers, device=like.device, dtype=like.dtype).view(1, -1, 1, 1)


def odd_latents(n: int = 400) -> Tensor:
    """Training teddies [n, 4, 8, 8] in the odd VAE's own units."""
    images = teddies.dataset(n, 21, device=device.find().device, fine=False)[0]
    own = posterior(_codec().vae, images).mode()
    return own * _written(GAINS, own) + _written(OFFSETS, own)


@torch.no_grad()
def odd_decode(latents: Tensor) -> Tensor:
    """The odd VAE's decoder: latents in its own units → pictures [B, 3, 64, 64]."""
    own = (latents - _written(OFFSETS, latents)) / _written(GAINS, latents)
    return _codec().vae.decode(own).float().clamp(-1, 1)


def in_units(unscale: Callable[[Tensor, Tensor], Tensor], step: STEP, n: int = 2) -> dict[str, Tensor]:
    """The same n walked latents, given to the odd VAE's decoder as they are, with one number for all channels, and unscaled."""
    z, latents = walked(step, 0.0, n), odd_latents()
    ways = {
        "as they are": z,
        "one number": z * latents.std() + latents.mean(),
        "each channel its own, by unscale": unscale(z, latents),
    }
    return {name: odd_decode(x) for name, x in ways.items()}


def patients(unscale: Callable[[Tensor, Tensor], Tensor], step: STEP, n: int = 3) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """A healthy run and three ill ones: the last z of each, what its decoder was given, and its pictures."""

    def restless(x_t, x0_hat, alpha, sigma, alpha_next, sigma_next, eta, noise):
        fresh = eta * sigma_next / sigma * math.sqrt(1 - (alpha / alpha_next) ** 2)
        return alpha_next * x0_hat + sigma_next * (x_t - alpha * x0_hat) / sigma + fresh * noise

    latents = odd_latents()
    z = {"healthy": walked(step, 1.0, n), "A": walked(step, 1.0, n, change=lambda x: x.clamp(-1, 1))}
    z["B"] = walked(restless, 1.0, n)
    given = {name: unscale(x, latents) for name, x in z.items()}
    z["C"], given["C"] = z["healthy"], z["healthy"]
    return {name: (x, given[name], odd_decode(given[name])) for name, x in z.items()}
