"""Sample many images from a denoiser, given their labels: shared by chapters 4 and 5."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from course_lib import recipes
from course_lib.arguments import MAX_SIZE, check_choice, check_integer, check_integers, check_labels, check_tensor
from course_lib.codec import Codec, decode_all
from course_lib.device import Machine, leave_busy_cores
from course_lib.diffusion import Denoiser, denoiser
from course_lib.experiments.limits import MAX_SAMPLES, seeded_generator
from course_lib.samplers import ddim, ddpm, dpmpp_2m, heun
from course_lib.schedule import Level, check_level
from course_lib.training.config import MAX_SEED, MIN_SEED

DenoiserFactory = Callable[[Tensor], Denoiser]
"""Labels [B] → the denoiser that is conditioned on them."""

SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "DDPM": ddpm,
    "DDIM": ddim,
    "DPM-Solver++(2M)": dpmpp_2m,
    "Heun": heun,
}


def balanced_labels(n: int, machine: Machine) -> Tensor:
    """Return n labels with every class equally often (as nearly as n allows): int64 [n]."""
    check_integer("n", n, 1, MAX_SAMPLES)
    return torch.arange(n, device=machine.device) % recipes.NUM_CLASSES


def conditional_factory(net: Callable[..., Tensor], machine: Machine, prediction_type: str | None = None) -> DenoiserFactory:
    """Return the factory of class-conditional denoisers of a network, at the machine's precision.

    prediction_type: what the network predicts; the recipes' type where None.
    """
    autocast = None if machine.dtype == torch.float32 else machine.dtype
    return lambda y: denoiser(net, prediction_type or recipes.PREDICTION_TYPE, y, autocast)


def unconditional_factory(net: nn.Module, machine: Machine) -> DenoiserFactory:
    """Return the factory of unconditional denoisers of the same network: every label is replaced by the null label."""

    def make(y: Tensor) -> Denoiser:
        check_labels("y", y, recipes.NUM_CLASSES + 1)
        return conditional_factory(net, machine)(torch.full_like(y, recipes.NUM_CLASSES))

    return make


def seeded_noise(n: int, shape: tuple[int, ...], machine: Machine, seed: int = 0) -> Tensor:
    """Return unit noise [n, *shape]; a seed gives the same noise on every device."""
    check_integer("n", n, 1, MAX_SAMPLES)
    return torch.randn(n, *check_integers("shape", shape, 1, MAX_SIZE), generator=seeded_generator(seed)).to(machine.device)


def generate(
    factory: DenoiserFactory,
    labels: Tensor,
    codec: Codec,
    shape: tuple[int, ...],
    machine: Machine,
    *,
    levels: list[Level] | None = None,
    sampler: str = "DPM-Solver++(2M)",
    seed: int = 0,
    batch: int = 250,
) -> Tensor:
    """Sample images [N, C, H, W] in [-1, 1] with the wanted labels [N]; the initial noise depends only on the seed.

    shape: of one latent. levels: noise levels of the sampler; 20 steps of the recipes' schedule where None.
    sampler: a name in SAMPLERS. batch: images sampled at once.
    """
    check_tensor("labels", labels, "[N]", "integer")
    check_choice("sampler", sampler, SAMPLERS)
    batch, seed = check_integer("batch", batch, at_least=1), check_integer("seed", seed, MIN_SEED, MAX_SEED - 1)
    levels = levels or recipes.make_schedule().grid(20)
    check_level(levels[0])
    sample = SAMPLERS[sampler]
    if sampler == "DDPM":
        sample = partial(sample, generator=torch.Generator(machine.device).manual_seed(seed + 1))
    x_T = levels[0].sigma * seeded_noise(len(labels), shape, machine, seed)
    parts = []
    for x, y in zip(x_T.split(batch), labels.split(batch), strict=True):
        leave_busy_cores()
        parts.append(sample(factory(y), x, levels))
    return decode_all(codec, torch.cat(parts))
