"""Homework 4's figures: a student's noising, targets, DDIM step, loss and unscaling in the latent diffusion of Teddies."""

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

#: Alternative texts of the figures. They stay out of the cells, where they would answer the question before the figure.
ALT = {
    "add_noise": (
        "One image of teddies, its latent noised at six steps and decoded: first clean, then smeared, finally only blotches."
    ),
    "target": (
        "The teddies, the noise, and v at five steps, decoded: "
        "v looks like the noise at the first step, and like a negative of the teddies at the last."
    ),
    "to_x0": (
        "Error of x0 against step for a perturbed output of each prediction type: "
        "eps grows without bound towards t = 1000, x0 is constant, v never exceeds it."
    ),
    "to_x0 2": (
        "The clean image that the denoiser predicts from each of exercise 1's six images: "
        "right at most steps, then greyer, and a blurred average at t = 1000."
    ),
    "ddim_step": (
        "Three rows of three images of two pink teddies reading, for eta 0, 0.5 and 1: "
        "all are good, and within a column the background may change with eta."
    ),
    "training_loss": "The loss starts near one, falls steeply, then more slowly.",
    "training_loss 2": (
        "A sample for each of six fur colours: blurred teddies in front of plausible backgrounds, "
        "mostly in the colour that was asked for."
    ),
    "unscale": (
        "Two latents decoded as they are: coloured blotches; with one number for all channels: other blotches; "
        "with each channel's own units: two images of pink teddies."
    ),
    "diagnosis": (
        "Four rows of three images: healthy pink teddies; A washed out and greyish; "
        "B too strong in colour and blotchy; C no teddies at all."
    ),
}

PROMPT = "two pink teddy bears with a green scarf reading"
FUR = 1  # the index of the fur colour among the labels
NUM_FUR_COLOURS = teddies.NUM_VALUES[FUR]

# The signatures of three of the student's functions.
Target = Callable[[str, Tensor, Tensor, Tensor, Tensor], Tensor]
ToX0 = Callable[[str, Tensor, Tensor, Tensor, Tensor], Tensor]
DDIMStep = Callable[[Tensor, Tensor, float, float, float, float, float, Tensor], Tensor]


# --- the forward process and prediction types ----------------------------------------------------------------------


def alphas_cumprod() -> Tensor:
    """Return the workbook's schedule as other libraries store it: [1000], whose entry 0 belongs to t = 1."""
    return recipes.make_schedule().alphas[1:].square().float().to(device.find().device)


@torch.no_grad()
def decode_noised(add_noise: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], ts: list[int]) -> Tensor:
    """Add the noise of each step to one teddy's latent, and decode the results: [len(ts), 3, 64, 64]."""
    x0, eps = _latent().expand(len(ts), -1, -1, -1), _noise(4, 8, 8).expand(len(ts), -1, -1, -1)
    return _codec().decode(add_noise(x0, torch.tensor(ts, device=x0.device), eps, alphas_cumprod()))


@torch.no_grad()
def decode_targets(target: Target, ts: list[int]) -> dict[str, Tensor]:
    """Decode the targets for one teddy as if they were latents: "x0", "eps", and "v" at each of these steps."""
    x0, eps = _latent(), _noise(1, 4, 8, 8)
    wanted = {"x0": ("x0", 1), "eps": ("eps", 1)} | {f"v at {t}": ("v", t) for t in ts}
    return {
        name: _codec().decode(target(prediction_type, x0, eps, *_rates([t]))) for name, (prediction_type, t) in wanted.items()
    }


@torch.no_grad()
def x0_errors(target: Target, to_x0: ToX0, ts: list[int], output_error: float = 0.1) -> dict[str, tuple[list[int], Tensor]]:
    """For each prediction type, the steps and the error (root mean square) of x0 where the output is off by ``output_error``."""
    alpha, sigma = _rates(ts)
    x0, eps = (x.expand(len(ts), -1, -1, -1) for x in (_latent(), _noise(1, 4, 8, 8)))
    perturbation, x_t, curves = output_error * _noise(len(ts), 4, 8, 8, seed=1), alpha * x0 + sigma * eps, {}
    for prediction_type in ("eps", "x0", "v"):
        out = target(prediction_type, x0, eps, alpha, sigma) + perturbation
        found = to_x0(prediction_type, out, x_t, alpha, sigma)
        curves[prediction_type] = ts, (found - x0).square().flatten(1).mean(1).sqrt().cpu()
    return curves


@torch.no_grad()
def decode_x0_predictions(to_x0: ToX0, ts: list[int]) -> Tensor:
    """Decode what the shipped denoiser, given the empty prompt, predicts for `decode_noised`'s latents: [len(ts), 3, 64, 64]."""
    model, (alpha, sigma) = text_to_image.load(), _rates(ts)
    x_t = alpha * _latent() + sigma * _noise(1, 4, 8, 8)
    null_labels = model.encode_prompt("").to(x_t.device).expand(len(ts), -1)
    out = model.net(x_t, torch.tensor(ts, device=x_t.device), null_labels)
    return model.codec.decode(to_x0(recipes.PREDICTION_TYPE, out, x_t, alpha, sigma))


# --- sampling and training -----------------------------------------------------------------------------------------


@torch.no_grad()
def sample_latents(
    ddim_step: DDIMStep, eta: float, n: int = 6, steps: int = 20, change_x0: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Sample n latents [n, 4, 8, 8] of `PROMPT` by these steps; the noise depends on nothing but n.

    change_x0: what else is done to every x0_hat.
    """
    model = text_to_image.load()
    levels, denoise = model.schedule.grid(steps), _guided_denoiser(model, PROMPT)
    x = levels[0].sigma * _noise(n, *model.shape)
    for i, (here, there) in enumerate(pairwise(levels)):
        x0_hat = denoise(x, here)
        x0_hat = change_x0(x0_hat) if change_x0 else x0_hat
        x = ddim_step(x, x0_hat, here.alpha, here.sigma, there.alpha, there.sigma, eta, _noise(*x.shape, seed=100 + i))
    return x


def sample_for_each_eta(ddim_step: DDIMStep, etas: tuple[float, ...] = (0.0, 0.5, 1.0), n: int = 3) -> dict[str, Tensor]:
    """Decode `sample_latents` for each eta: a row of n teddies each, all from the same noise."""
    return {f"eta = {eta:g}": _codec().decode(sample_latents(ddim_step, eta, n)) for eta in etas}


def train_colour_denoiser(training_loss: Callable[..., Tensor], steps: int = 250, n: int = 1000) -> TrainResult[UNet]:
    """Train a small denoiser of teddies' latents, conditioned on the fur colour alone, with this loss.

    About 10 seconds on one core. See the result's ``ema`` and ``losses``.
    """
    machine, table = device.find(), alphas_cumprod()
    images, factors = teddies.dataset(n, 20, device=machine.device, fine=False)
    latents, labels = cache(_codec(), images), factors.labels()[:, FUR].to(machine.device)

    def loss(net: UNet, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        x0, y = batch
        t = stratified_steps(len(x0), len(table), x0.device, generator)
        eps = torch.randn(x0.shape, device=x0.device, generator=generator)
        drop = torch.rand(len(y), device=y.device, generator=generator) < 0.1
        return training_loss(net, x0, y, t, eps, table, drop, NUM_FUR_COLOURS)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = UNet(in_channels=4, width=32, multipliers=(1,), blocks=1, attention=(), num_classes=NUM_FUR_COLOURS)
    config = TrainConfig(steps=steps, batch_size=32, lr=4e-3, betas=(0.9, 0.99), ema_decay=0.99)
    return train(net, loss, (latents, labels), config, machine=machine)


@torch.no_grad()
def sample_each_colour(net: UNet, rows: int = 1) -> Tensor:
    """Sample teddies with a network of `train_colour_denoiser`, a column for each fur colour: [rows · colours, 3, 64, 64]."""
    y = torch.arange(NUM_FUR_COLOURS, device=device.find().device).repeat(rows)
    levels = recipes.make_schedule().grid(20)
    cond, null = denoiser(net, recipes.PREDICTION_TYPE, y), denoiser(net, recipes.PREDICTION_TYPE, net.null_label)
    return _codec().decode(dpmpp_2m(guide(cond, null, 2.0), _noise(len(y), 4, 8, 8, seed=5), levels))


def fur_colours() -> list[str]:
    """Return the names of the fur colours, in the order of `sample_each_colour`'s columns."""
    return list(teddies.VALUES[teddies.SEMANTIC[FUR]])


# --- a VAE whose latents are not normalised, and broken runs -------------------------------------------------------

# Its KL keeps the shipped VAE near unit variance, so that a missing unscaling would hardly show. Here its latents are given
# other units, a gain and an offset for each channel, such as a VAE with a weaker KL may have.
GAINS, OFFSETS = (0.2, 6.0, 1.0, 3.0), (1.0, -4.0, 0.0, 5.0)


def unnormalised_latents(n: int = 400) -> Tensor:
    """Encode training teddies in the units of the VAE with these gains and offsets: [n, 4, 8, 8]."""
    images = teddies.dataset(n, 21, device=device.find().device, fine=False)[0]
    latents = posterior(_codec().vae, images).mode()
    return latents * _per_channel(GAINS, latents) + _per_channel(OFFSETS, latents)


@torch.no_grad()
def decode_unnormalised(latents: Tensor) -> Tensor:
    """Decode latents [B, 4, 8, 8] in the units of `unnormalised_latents`: images [B, 3, 64, 64]."""
    latents = (latents - _per_channel(OFFSETS, latents)) / _per_channel(GAINS, latents)
    return _codec().vae.decode(latents).float().clamp(-1, 1)


def compare_unscaling(unscale: Callable[[Tensor, Tensor], Tensor], ddim_step: DDIMStep, n: int = 2) -> dict[str, Tensor]:
    """Decode the same n sampled latents by the VAE with other units: as they are, with one number for all channels, unscaled."""
    z, latents = sample_latents(ddim_step, 0.0, n), unnormalised_latents()
    inputs = {
        "as they are": z,
        "one number": z * latents.std() + latents.mean(),
        "each channel its own, by unscale": unscale(z, latents),
    }
    return {name: decode_unnormalised(x) for name, x in inputs.items()}


def broken_runs(
    unscale: Callable[[Tensor, Tensor], Tensor], ddim_step: DDIMStep, n: int = 3
) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Sample a healthy run and three broken ones: the last z of each, its decoder's input, and its images."""

    def step_with_all_old_noise(
        x_t: Tensor,
        x0_hat: Tensor,
        alpha: float,
        sigma: float,
        alpha_next: float,
        sigma_next: float,
        eta: float,
        noise: Tensor,
    ) -> Tensor:
        fresh = eta * sigma_next / sigma * math.sqrt(1 - (alpha / alpha_next) ** 2)
        return alpha_next * x0_hat + sigma_next * (x_t - alpha * x0_hat) / sigma + fresh * noise

    latents = unnormalised_latents()
    z = {
        "healthy": sample_latents(ddim_step, 1.0, n),
        "A": sample_latents(ddim_step, 1.0, n, change_x0=lambda x0_hat: x0_hat.clamp(-1, 1)),
        "B": sample_latents(step_with_all_old_noise, 1.0, n),
    }
    decoder_inputs = {name: unscale(x, latents) for name, x in z.items()}
    z["C"], decoder_inputs["C"] = z["healthy"], z["healthy"]
    return {name: (x, decoder_inputs[name], decode_unnormalised(decoder_inputs[name])) for name, x in z.items()}


# --- shared --------------------------------------------------------------------------------------------------------


def _codec() -> VAECodec:
    return recipes.load_codec("teddies-vae", device.find())


def _latent(n: int = 1, seed: int = 12) -> Tensor:
    """Teddies [n, 4, 8, 8] in unit-variance latents."""
    return _codec().encode(to_float(teddies.dataset(n, seed, device=device.find().device, fine=False)[0]))


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device.find().device)


def _rates(ts: list[int]) -> tuple[Tensor, Tensor]:
    """alpha, sigma [len(ts), 1, 1, 1]."""
    level = recipes.make_schedule().at(torch.tensor(ts, device=device.find().device))
    return level.alpha, level.sigma


def _guided_denoiser(model: text_to_image.TextToImage, prompt: str, scale: float = 3.0) -> Denoiser:
    """The shipped denoiser with classifier-free guidance towards a prompt."""
    labels, null_labels = (tuple(model.encode_prompt(text)[0].tolist()) for text in (prompt, ""))
    cond = denoiser(model.net, recipes.PREDICTION_TYPE, labels)
    return guide(cond, denoiser(model.net, recipes.PREDICTION_TYPE, null_labels), scale)


def _per_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype).view(1, -1, 1, 1)
