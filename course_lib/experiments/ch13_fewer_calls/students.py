"""How the students of notebook 13 are trained: distilled, trained with guidance from the start, and halved again and again."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from course_lib import recipes
from course_lib.device import Machine
from course_lib.diffusion import add_noise, drop_labels, stratified_steps, target
from course_lib.distillation import SCALES
from course_lib.recipes import configs
from course_lib.recipes.few_steps import distil_guidance, halve, untrained_student
from course_lib.training import TrainConfig, TrainResult, train
from course_lib.unet import UNet

HALVINGS = (16, 8, 4, 2, 1)  # steps of the students, one after another; the first one's teacher takes 32
Data = tuple[Tensor, Tensor]
"""Latents [N, 4, 4, 4] and their labels [N]."""


@dataclass(frozen=True)
class Run:
    """A student, as its training left it. seconds: of the processor, for this training. steps: of this training."""

    net: UNet
    seconds: float
    steps: int

    @property
    def facts(self) -> dict[str, float]:
        """What is stored of the training with a point."""
        return {"training_steps": self.steps, "training_seconds": round(self.seconds, 1)}


def timed(train_student: Callable[[], TrainResult[UNet]]) -> Run:
    """Train a student and measure the processor's seconds, which other programs do not change as they change the clock's."""
    began = time.process_time()
    result = train_student()
    return Run(result.ema, time.process_time() - began, result.steps)


def quiet(training: TrainConfig, seed: int, steps: int | None = None) -> TrainConfig:
    """Return a recipe's training with this seed and number of steps, and no progress line."""
    return replace(training, seed=seed, steps=steps or training.steps, progress=False)


def distilled(teacher: UNet, data: Data, machine: Machine, seed: int = 0, steps: int | None = None) -> Run:
    """Train the one-call student of ``fashion-one-call`` with this seed."""
    student, training = untrained_student(machine, seed)[0], quiet(configs.FASHION_ONE_CALL, seed, steps)
    return timed(lambda: distil_guidance(student, teacher, data, training, machine))


def halvings(
    one_call: UNet, data: Data, machine: Machine, seed: int = 0, steps: int | None = None, **options: Any
) -> Iterator[tuple[int, Run]]:
    """Halve the steps of a one-call student for each of HALVINGS in turn: its steps, and its training.

    steps: of training, for each. options: of `halving_loss`.
    """
    net, training = one_call, quiet(configs.FASHION_HALVING, seed, steps)
    for n in HALVINGS:
        run = timed(partial(halve, net, n, data, training, machine, **options))
        net = run.net
        yield n, run


def guided_from_the_start(data: Data, machine: Machine, seed: int = 0, steps: int | None = None) -> Run:
    """Train an untrained network with `own_guidance_loss`, for as many steps as ``fashion-ldm`` was trained."""
    net = recipes.build(UNet, untrained_student(machine, seed)[1], seed)
    training = quiet(configs.FASHION_DENOISER[configs.profile(machine)][1], seed, steps)
    return timed(lambda: train(net, own_guidance_loss, data, training, machine=machine))


def own_guidance_loss(net: UNet, batch: Data, generator: torch.Generator) -> Tensor:
    """Model guidance (Tang et al. 2025): the target is v moved along the network's own guidance, without a gradient.

    Each image draws its scale from SCALES, which is an input of the network; the direction is the network's own at scale 1.
    """
    x0, y = batch
    level = configs.make_schedule().at(stratified_steps(len(x0), 1000, x0.device, generator))
    eps = torch.randn(x0.shape, device=x0.device, generator=generator)
    x_t, v = add_noise(x0, eps, level), target("v", x0, eps, level)
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * torch.rand(len(x0), device=x0.device, generator=generator)
    labels = drop_labels(y, configs.NUM_CLASSES, 0.1, generator)
    out = net(x_t, level.t, labels, scale=scale).float()  # first, because autocast caches the weights with their gradient
    with torch.no_grad():
        cond, null = (net(x_t, level.t, one).float() for one in (labels, torch.full_like(y, configs.NUM_CLASSES)))
    return torch.nn.functional.mse_loss(out, v + (scale[:, None, None, None] - 1) * (cond - null))
