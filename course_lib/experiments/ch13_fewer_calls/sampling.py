"""Samples of the guided teacher and of its students, from the same noise, and what they are worth."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from course_lib import recipes
from course_lib.arguments import check_integer, check_number
from course_lib.codec import Codec
from course_lib.device import Machine
from course_lib.distillation import Network, at_scale
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import (
    DenoiserFactory,
    balanced_labels,
    conditional_factory,
    generate,
    unconditional_factory,
)
from course_lib.guidance import guide
from course_lib.judges.classifier import classify
from course_lib.metrics import Interval, bootstrap, class_agreement, frechet_distance, kid, precision_recall, psnr
from course_lib.unet import UNet

Key = TypeVar("Key")
SHAPE = (4, 4, 4)
SCALE = 1.5  # what the notebook recommends: most of the agreement, before the distance rises steeply (chapter 5's frontier)
TEACHER_STEPS = 20  # of DPM-Solver++(2M); with two calls each
SOLVER, ONE_STEP = "DPM-Solver++(2M)", "DDIM"  # a student of few steps was trained for DDIM
PAIRS = 500  # images that are compared one by one


def two_calls(teacher: UNet, scale: float, machine: Machine) -> DenoiserFactory:
    """Return the factory of the guided teacher's denoisers: two network calls a step, or one at scale 1."""
    cond, null = conditional_factory(teacher, machine), unconditional_factory(teacher, machine)
    scale = check_number("scale", scale)
    return lambda y: guide(cond(y), null(y), scale)


def one_call(student: Network, scale: float, machine: Machine) -> DenoiserFactory:
    """Return the factory of a student's denoisers at one guidance scale: one network call a step."""
    return conditional_factory(at_scale(student, scale), machine)


@dataclass(frozen=True)
class Comparison:
    """What every point has in common: the teacher, the decoder, the evaluator and the number of samples n."""

    teacher: UNet
    codec: Codec
    evaluator: Evaluator
    n: int = 5000
    _references: dict[tuple[float, int], tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    @property
    def machine(self) -> Machine:
        """The evaluator's machine."""
        return self.evaluator.machine

    def sample(self, factory: DenoiserFactory, steps: int | Sequence[int], sampler: str = SOLVER, seed: int = 0) -> Tensor:
        """Sample n images [n, 1, 32, 32], every class equally often; the initial noise depends on the seed alone.

        steps: of the recipes' even grid, or the t of all levels, from 1000 to 0.
        """
        schedule = recipes.make_schedule()
        labels = balanced_labels(self.n, self.machine)
        levels = schedule.grid(steps) if isinstance(steps, int) else [schedule.level(t) for t in steps]
        return generate(factory, labels, self.codec, SHAPE, self.machine, levels=levels, sampler=sampler, seed=seed)

    def reference(self, scale: float, seed: int) -> tuple[Tensor, Tensor]:
        """Return the features of the guided teacher's n images at this scale, and the first PAIRS of the images."""
        if (scale, seed) not in self._references:
            images = self.sample(two_calls(self.teacher, scale, self.machine), TEACHER_STEPS, seed=seed)
            self._references[scale, seed] = classify(self.evaluator.net, images)[0], images[:PAIRS]
        return self._references[scale, seed]

    def point(
        self,
        factory: DenoiserFactory,
        scale: float,
        steps: int | Sequence[int],
        calls: int,
        sampler: str = SOLVER,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Return one point: the quality of n samples, each distance as [value, low, high] of its 95 % bootstrap interval.

        steps: as in `sample`. calls: of the network, for one sample. difference: the Fréchet distance minus that of the guided
        teacher's samples from the same noise, resampled in pairs. psnr: in dB, to the teacher's image from the same noise.
        """
        calls = check_integer("calls", calls, 1)
        images = self.sample(factory, steps, sampler, seed)
        reference_features, reference_images = self.reference(scale, seed)
        count = steps if isinstance(steps, int) else len(steps) - 1
        settings = {"scale": scale, "steps": count, "calls": calls, "seed": seed}
        closeness = psnr(images[:PAIRS], reference_images, "none").clamp(max=60).mean()  # a teacher's own images are equal
        return settings | self.quality(images, reference_features) | {"psnr": round(closeness.item(), 3)}

    def seconds(self, ways: Mapping[Key, tuple[DenoiserFactory, int, str]], rounds: int = 5) -> dict[Key, float]:
        """Return the seconds in which each way (factory, steps, sampler) samples and decodes n images.

        The least of some rounds in which the ways take turns, so that other programs disturb all of them alike.
        """
        rounds, found = check_integer("rounds", rounds, 1), dict.fromkeys(ways, math.inf)
        for _ in range(rounds):
            for name, (factory, steps, sampler) in ways.items():
                began = time.perf_counter()
                self.sample(factory, steps, sampler)
                self.machine.synchronize()
                found[name] = min(found[name], time.perf_counter() - began)
        return found

    def quality(self, images: Tensor, reference: Tensor) -> dict[str, Any]:
        """Return the distances, precision, recall and agreement of n images, and the difference to a reference's features."""
        features, logits = classify(self.evaluator.net, images)
        real, wanted = self.evaluator.features, balanced_labels(len(images), self.machine)
        distance = partial(frechet_distance, b=real)
        as_good = real[: len(features)]
        precision, recall = precision_recall(as_good, features)
        found = {
            "frechet": bootstrap(distance, features, generator=_resampling(), n=50),
            "difference": bootstrap(
                lambda a, b: distance(a) - distance(b), features, reference, generator=_resampling(), n=50, paired=True
            ),
        }
        values = {"kid": kid(features, as_good), "precision": precision, "recall": recall}
        values["agreement"] = class_agreement(logits, wanted)
        return {k: _rounded(v) for k, v in found.items()} | {k: round(float(v), 4) for k, v in values.items()}


def _resampling() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _rounded(interval: Interval) -> list[float]:
    return [round(x, 4) for x in (interval.value, interval.low, interval.high)]
