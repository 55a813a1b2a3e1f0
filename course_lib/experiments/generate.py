"""Draw many samples from a denoiser and score them with the workbook's own judge: what chapters 4 and 5 both do."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from course_lib import recipes
from course_lib.codec import Codec, decode_all
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, denoiser
from course_lib.samplers import ddim, dpmpp_2m, heun
from course_lib.schedule import Level

DenoiserFactory = Callable[[Tensor], Denoiser]
"""Labels [B] → the denoiser that draws them."""

SAMPLERS = {
    "DDPM": partial(ddim, eta=1.0),
    "DDIM": ddim,
    "DPM-Solver++(2M)": dpmpp_2m,
    "Heun": heun,
}


def balanced(n: int, machine: Machine) -> Tensor:
    """n labels, every class equally often (as nearly as n allows): int64 [n]."""
    return torch.arange(n, device=machine.device) % recipes.NUM_CLASSES


def conditional(net: nn.Module, machine: Machine, kind: str | None = None) -> DenoiserFactory:
    """The network, which predicts this kind (default: the recipes'), as a maker of denoisers of given classes,
    at the machine's precision."""
    autocast = None if machine.dtype == torch.float32 else machine.dtype
    return lambda y: denoiser(net, kind or recipes.PREDICTION_TYPE, y, autocast)


def unconditional(net: nn.Module, machine: Machine) -> DenoiserFactory:
    """The same network asked for no class in particular (the null label), whatever labels it is given."""
    return lambda y: conditional(net, machine)(torch.full_like(y, recipes.NUM_CLASSES))


def noise(n: int, shape: tuple[int, ...], machine: Machine, seed: int = 0) -> Tensor:
    """Unit noise [n, *shape], the same on every device for one seed."""
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed)).to(machine.device)


def generate(
    make: DenoiserFactory,
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
    """Images [N, C, H, W] of the wanted labels [N], from noise that depends on the seed alone.

    levels: what the sampler visits; 20 steps of the recipes' schedule where None. sampler: a name in SAMPLERS.
    """
    levels = levels or recipes.make_schedule().grid(20)
    walk = SAMPLERS[sampler]
    if sampler == "DDPM":
        walk = partial(walk, generator=torch.Generator(machine.device).manual_seed(seed + 1))
    x_T = levels[0].sigma * noise(len(labels), shape, machine, seed)
    parts = [walk(make(y), x, levels) for x, y in zip(x_T.split(batch), labels.split(batch), strict=True)]
    return decode_all(codec, torch.cat(parts))
