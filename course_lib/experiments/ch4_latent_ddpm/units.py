"""Latents in a wrong unit: what is the schedule's share of the harm, what that of the network's input and target?

Data of standard deviation `unit`, x_t = alpha · unit · u + sigma · eps, has three differences from unit-variance data u: another
signal-to-noise ratio at each step, another size of the network's input, and another size (and mixture) of its target. `InUnit`
switches on the second and the third one by one, on a schedule that has the first. ``course measure units`` stores what each
costs; which unit a VAE has with and without a KL that pulls it to 1; and what scaling is worth where it does not.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_flag, check_integer, check_list, check_number, check_tensor
from course_lib.codec import Codec, VAECodec, cache
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.diffusion import add_noise, drop_labels, stratified_steps, target
from course_lib.experiments.ch4_latent_ddpm.schedules_and_scaling import (
    rescale_latents,
    scaling_codecs,
    scaling_factor,
    small_denoiser,
)
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced_labels, conditional_factory, generate
from course_lib.layers import check_noisy_batch
from course_lib.recipes.losses import beta_loss, denoising_loss
from course_lib.recipes.store import reconstruction_psnr
from course_lib.schedule import BatchLevel, cosine, shifted
from course_lib.storage.results import StoredResult, group_points
from course_lib.training import train
from course_lib.vae import VAE

RESULT = StoredResult("units", "results/units.json")
STEPS, SEEDS, SAMPLES, SAMPLER_STEPS = 200, 2, 1000, 20
UNITS = (0.2, 5.0)
ARMS = {  # (input in the wrong unit, target in the wrong unit); the schedule is that of the wrong unit in all of them
    "schedule": (False, False),
    "schedule and input": (True, False),
    "schedule and target": (False, True),
    "wrong unit": (True, True),
}
VAES = {  # (weight of the KL, factor of the latents at the start of the training)
    "KL weight 1, start × 5": (1.0, 5.0),
    "KL weight 1e-6": (1e-6, 1.0),
    "KL weight 1e-6, start × 5": (1e-6, 5.0),
}
SCALED, VAE_STEPS = "KL weight 1e-6, start × 5", 400
SCALINGS = ("none", "one number", "per channel")


class InUnit(nn.Module):
    """A network for data of standard deviation `unit`, seen from unit-variance data: x_t of `schedule`, t, y → v of `schedule`.

    net: (x_t, t, y) → v, as for any data. schedule: the cosine with the wrong unit's signal-to-noise ratios. wrong_input: the
    network sees x_t in the wrong unit. wrong_target: it predicts the v of the wrong unit. Without both nothing is wrong but the
    schedule; with both it is exactly a network trained on data in the wrong unit.
    """

    def __init__(self, net: nn.Module, unit: float, wrong_input: bool = True, wrong_target: bool = True) -> None:
        super().__init__()
        self.net, self.unit = net, check_number("unit", unit, above=0)
        for name, flag in (("wrong_input", wrong_input), ("wrong_target", wrong_target)):
            check_flag(name, flag)
        self.wrong_input, self.wrong_target = wrong_input, wrong_target
        self.cosine, self.schedule = cosine(), shifted(cosine(), 1 / self.unit)

    def size(self, level: BatchLevel) -> Tensor:
        """Return the standard deviation of x_t in the wrong unit, at this level of the cosine: [B, 1, 1, 1]."""
        return (level.alpha.square() * self.unit**2 + level.sigma.square()).sqrt()

    def weight(self, t: Tensor) -> Tensor:
        """Return the factor of the error of v in the loss of this arm, at these steps [B]: [B, 1, 1, 1]."""
        level = self.cosine.at(t)
        return self.unit / self.size(level) if self.wrong_target else torch.ones_like(level.alpha)

    def forward(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        check_noisy_batch(x_t, t, "[B, C, H, W]")
        level = self.cosine.at(t)
        size = self.size(level)
        out = self.net(size * x_t if self.wrong_input else x_t, t, y)
        if not self.wrong_target:
            return out
        # Eliminate u and eps from x_t · size = alpha · unit · u + sigma · eps and out = alpha · eps − sigma · unit · u.
        return out * size / self.unit + x_t * level.alpha * level.sigma * (self.unit - 1 / self.unit)


def unit_loss(net: InUnit, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
    """Return the loss of an arm on unit-variance latents [B, C, S, S] and labels [B]: that of its own target; a scalar."""
    check_list("batch", batch, 2, "tensors: latents and labels")
    latents, labels = batch
    check_tensor("latents", latents, "[B, C, S, S]", "float")
    t = stratified_steps(len(latents), net.schedule.T, latents.device, generator)
    level, eps = net.schedule.at(t), torch.randn(latents.shape, device=latents.device, generator=generator)
    out = net(add_noise(latents, eps, level), t, drop_labels(labels, recipes.NUM_CLASSES, 0.1, generator))
    return (net.weight(t) * (out - target("v", latents, eps, level))).square().mean()


def measure(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train the small denoiser in each of `ARMS`, the VAEs, and the denoiser in each of `SCALINGS`; store the figures as JSON.

    steps: of each denoiser, 200 where None. Two seeds of the denoisers. out: the file to write; by default the shipped one under
    ``data/``. About six minutes on two cores.
    """
    machine = devices.find()
    steps, seed = check_integer("steps", steps or STEPS, 1), check_integer("seed", seed, 0)
    evaluator, codec = Evaluator(machine), recipes.load_codec("fashion-vae", machine)
    codecs = {name: train_vae(*settings, machine) for name, settings in VAES.items()}
    vaes = [describe_vae(name, one, evaluator) for name, one in codecs.items()]
    points, scalings = [], []
    for s in range(seed, seed + SEEDS):
        points += [measure_arm(unit, name, codec, evaluator, steps, s) for unit, name in arms()]
        scalings += [measure_scaling(name, codecs[SCALED], evaluator, steps, s) for name in SCALINGS]
        print(points[-len(arms()) :], scalings[-len(SCALINGS) :], flush=True)
    return RESULT.save(stored_figures(points, vaes, scalings, machine, steps, seed), out)


def arms() -> list[tuple[float, str]]:
    """Return what `measure` trains for each seed: (unit, name of the arm)."""
    return [(1.0, "schedule"), *((unit, name) for unit in UNITS for name in ARMS)]


def stored_figures(
    points: list[dict[str, Any]],
    vaes: list[dict[str, Any]],
    scalings: list[dict[str, Any]],
    machine: Machine,
    steps: int,
    seed: int,
) -> dict[str, Any]:
    """Return what is stored: the points of the arms, the VAEs and the scalings of one of them, and how they were measured."""
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seeds": SEEDS, "steps": steps}
    figures |= {"samples": SAMPLES, "sampler_steps": SAMPLER_STEPS, "vae_steps": VAE_STEPS, "scaled_vae": SCALED}
    return {**figures, "points": points, "vaes": vaes, "scalings": scalings}


def measure_arm(
    unit: float, name: str, codec: Codec, evaluator: Evaluator, steps: int = STEPS, seed: int = 0, n: int = SAMPLES
) -> dict[str, Any]:
    """Train one arm and return its point: the Fréchet distance of n samples."""
    images, labels = fashion_mnist("train", evaluator.machine.device)
    latents = cache(codec, images)
    net, training = small_denoiser(latents, steps, seed)
    result = train(InUnit(net, unit, *ARMS[name]), unit_loss, (latents, labels), training, machine=evaluator.machine)
    distance = _frechet(result.ema, codec, tuple(latents.shape[1:]), evaluator, n, result.ema.schedule.grid(SAMPLER_STEPS))
    return {"unit": unit, "arm": name, "seed": seed, "frechet": round(distance, 2)}


def train_vae(beta: float, factor: float, machine: Machine, steps: int = VAE_STEPS, seed: int = 0) -> VAECodec:
    """Train the recipe's VAE with this weight of the KL, from a start with latents this many times as large.

    The decoder divides by as much, so that every start is the same function of the images. Stable Diffusion's VAE was trained
    with a weight of about 1e-6 (Rombach et al. 2022, appendix G), so that almost nothing pulls its unit to 1.
    """
    net, training = recipes.untrained_network("fashion-vae", seed, steps, progress=False)
    stretch_latents(net, factor)
    images, _ = fashion_mnist("train", machine.device)
    return VAECodec.fit(train(net, beta_loss(beta), (images,), training, machine=machine).ema, images)


@torch.no_grad()
def stretch_latents(vae: VAE, factor: float) -> None:
    """Multiply the means of a VAE's latents by this factor, and divide what its decoder gets by it; in place."""
    factor, channels = check_number("factor", factor, above=0), vae.latent_channels
    last, first = vae.encoder[-1], vae.decoder[0]
    for parameter in last.parameters():
        parameter[:channels] *= factor
    next(first.parameters()).div_(factor)  # its weight; the bias is not of the latents


def describe_vae(name: str, codec: VAECodec, evaluator: Evaluator) -> dict[str, Any]:
    """Return the figures of one of `VAES`: the standard deviation of all its latent values, and the test PSNR in dB."""
    beta, factor = VAES[name]
    std, psnr = 1 / scaling_factor(codec), reconstruction_psnr(codec.vae, evaluator.images)
    return {"vae": name, "beta": beta, "factor": factor, "std": round(std, 3), "psnr": round(psnr, 2)}


def measure_scaling(
    name: str, codec: VAECodec, evaluator: Evaluator, steps: int = STEPS, seed: int = 0, n: int = SAMPLES
) -> dict[str, Any]:
    """Train the small denoiser on this codec's latents in one of `SCALINGS`, and return its point.

    "std" is the standard deviation of all values of the latents that the denoiser gets.
    """
    images, labels = fashion_mnist("train", evaluator.machine.device)
    unit = cache(codec, images)
    other = scaling_codecs(codec, unit)[name]
    latents = rescale_latents(unit, codec, other)
    net, training = small_denoiser(latents, steps, seed)
    result = train(net, denoising_loss(recipes.NUM_CLASSES), (latents, labels), training, machine=evaluator.machine)
    grid = recipes.make_schedule().grid(SAMPLER_STEPS)
    distance = _frechet(result.ema, other, tuple(latents.shape[1:]), evaluator, n, grid)
    return {"scaling": name, "seed": seed, "std": round(latents.std().item(), 3), "frechet": round(distance, 2)}


def _frechet(net: nn.Module, codec: Codec, shape: tuple[int, ...], evaluator: Evaluator, n: int, levels: list) -> float:
    labels, factory = balanced_labels(n, evaluator.machine), conditional_factory(net, evaluator.machine)
    return evaluator.frechet(generate(factory, labels, codec, shape, evaluator.machine, levels=levels))


def distances(figures: dict[str, Any]) -> dict[tuple[float, str], list[float]]:
    """Return the stored Fréchet distances by (unit, arm), one for each seed; unit 1 has the arm "schedule" alone."""
    return group_points(figures["points"], lambda p: (p["unit"], p["arm"]), lambda p: p["frechet"])


def distances_by_scaling(figures: dict[str, Any]) -> dict[str, list[float]]:
    """Return the stored Fréchet distances on the latents of the VAE `SCALED`, by scaling, one for each seed."""
    return group_points(figures["scalings"], lambda p: p["scaling"], lambda p: p["frechet"])
