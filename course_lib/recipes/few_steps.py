"""The recipes of notebook 13's students: the latent denoiser with guidance in one call, in four steps, and in one step."""

import copy
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from course_lib import device as devices
from course_lib.arguments import check_integer
from course_lib.codec import cache
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.diffusion import drop_labels
from course_lib.distillation import SCALES, guidance_loss, halving_loss
from course_lib.recipes import configs
from course_lib.recipes.store import FASHION_MNIST, RunOptions, build, load_codec, load_or_train, recipe, save, saved_file
from course_lib.storage import weights
from course_lib.training import TrainConfig, TrainResult, train
from course_lib.unet import UNet


@recipe("fashion-one-call", UNet, FASHION_MNIST)
def fashion_one_call(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[UNet]:
    """Notebook 13's student with the guidance scale as an input: one network call a step instead of two.

    Distilled from ``fashion-ldm``. About half a minute on two cores.
    """
    machine = machine or devices.find()
    training = (options or RunOptions()).apply(configs.FASHION_ONE_CALL)
    student, config = untrained_student(machine, training.seed)
    result = distil_guidance(student, load_or_train("fashion-ldm", machine), latents_and_labels(machine), training, machine)
    save("fashion-one-call", result, training, config, out, {"scales": SCALES})
    return result


@recipe("fashion-four-steps", UNet, FASHION_MNIST)
def fashion_four_steps(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[UNet]:
    """Notebook 13's student that takes four DDIM steps of one call each: ``fashion-one-call``, its steps halved three times.

    About 40 seconds on two cores. options: steps and seconds are those of each halving.
    """
    return _halve_again("fashion-four-steps", "fashion-one-call", (16, 8, 4), out, machine, options)


@recipe("fashion-one-step", UNet, FASHION_MNIST)
def fashion_one_step(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[UNet]:
    """Notebook 13's student that draws an image in one call: ``fashion-four-steps``, its steps halved twice.

    About half a minute on two cores. options: steps and seconds are those of each halving.
    """
    return _halve_again("fashion-one-step", "fashion-four-steps", (2, 1), out, machine, options)


def _halve_again(
    name: str, start: str, counts: tuple[int, ...], out: Path | None, machine: Machine | None, options: RunOptions | None
) -> TrainResult[UNet]:
    """Halve the steps of a saved student for each of the counts in turn, and save the last student."""
    machine = machine or devices.find()
    training = (options or RunOptions()).apply(configs.FASHION_HALVING)
    net, data = cast(UNet, load_or_train(start, machine)), latents_and_labels(machine)
    results = []
    for steps in counts:
        results.append(halve(net, steps, data, training, machine))
        net = results[-1].ema
    config, seconds = weights.load(saved_file(start))[1]["config"], sum(result.seconds for result in results)
    save(name, results[-1], training, config, out, {"scales": SCALES, "seconds": round(seconds, 1)})
    return results[-1]


def untrained_student(machine: Machine, seed: int = 0) -> tuple[UNet, dict[str, Any]]:
    """Return a copy of ``fashion-ldm`` that takes a guidance scale, which it does not use yet, and its config."""
    teacher = load_or_train("fashion-ldm", machine)
    return copy_that_takes_scale(teacher, weights.load(saved_file("fashion-ldm"))[1]["config"], seed)


def copy_that_takes_scale(teacher: UNet, config: dict[str, Any], seed: int = 0) -> tuple[UNet, dict[str, Any]]:
    """Return a copy of a UNet with a guidance scale as another input, which it does not use yet, and the copy's config.

    config: of the teacher.
    """
    config = config | {"takes_scale": True}
    student = build(UNet, config, seed).to(next(teacher.parameters()).device)
    student.load_state_dict(teacher.state_dict(), strict=False)  # the teacher lacks the scale's embedding
    return student, config


def latents_and_labels(machine: Machine) -> tuple[Tensor, Tensor]:
    """Return what the students are trained on: the latents [N, 4, 4, 4] of the training images, and their labels [N]."""
    images, labels = fashion_mnist("train", machine.device)
    return cache(load_codec("fashion-vae", machine), images), labels


def distil_guidance(
    student: UNet,
    teacher: UNet,
    data: tuple[Tensor, Tensor],
    training: TrainConfig,
    machine: Machine,
    drop: float = 0.0,
    resume_file: Path | None = None,
) -> TrainResult[UNet]:
    """Train a student, in place, to predict in one call what the guided teacher predicts in two. data: latents and labels.

    drop: with this probability labels are dropped as in training (`drop_labels`), so that the student can leave them out, too.
    """
    teacher, null = copy.deepcopy(teacher).eval().requires_grad_(False), teacher.null_label
    if null is None:
        raise ValueError("The teacher takes no labels, so it has no guidance to teach: give one with num_classes.")
    schedule = configs.make_schedule()

    def loss(net: UNet, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        latents, labels = batch
        labels = drop_labels(labels, null, drop, generator) if drop else labels
        return guidance_loss(net, teacher, latents, labels, schedule, null, generator=generator)

    return train(student, loss, data, training, machine=machine, resume_file=resume_file)


def halve(
    teacher: UNet, steps: int, data: tuple[Tensor, Tensor], training: TrainConfig, machine: Machine, **options: Any
) -> TrainResult[UNet]:
    """Train a copy of a one-call network to take ``steps`` DDIM steps where the network itself takes twice as many.

    data: latents and labels. options: of `halving_loss`.
    """
    steps = check_integer("steps", steps, 1)
    frozen, student = copy.deepcopy(teacher).eval().requires_grad_(False), copy.deepcopy(teacher).requires_grad_(True)
    noise = configs.make_schedule()

    def loss(net: UNet, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        given = (frozen, *batch, noise, steps, configs.PREDICTION_TYPE)
        return halving_loss(net, *given, generator=generator, **options)

    return train(student, loss, data, training, machine=machine)
