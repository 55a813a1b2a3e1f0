"""Chapter 5's frontier: five kinds of guidance under one harness, each with the same number of network calls.

And the map on which the chapter's slider moves: what guidance does when it is on at some noise levels only.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev

import torch
from torch import Tensor, nn

from course_lib import recipes
from course_lib.codec import Codec
from course_lib.device import Machine
from course_lib.diffusion import Denoiser
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import DenoiserFactory, balanced, conditional, generate, unconditional
from course_lib.guidance import classifier_guide, guidance_interval, guide
from course_lib.images import as_float
from course_lib.judges.classifier import read
from course_lib.schedule import Level
from course_lib.storage import weights

CALLS = 20  # of a denoiser, for each sample: what every kind of guidance may spend
SHAPE = (4, 4, 4)
RESCALE = 0.7
#: Where guidance is on, in noise over signal; the middle is about what Kynkäänniemi et al. 2024 recommend.
INTERVALS = {"all levels": (0.0, math.inf), "high noise": (3.0, math.inf), "middle": (0.2, 3.0), "low noise": (0.0, 0.2)}


@dataclass(frozen=True)
class Guide:
    """One kind of guidance: name, (labels [B], scale) → denoiser, and the interval of noise over signal at which it asks a
    second denoiser; None where it never does."""

    name: str
    make: Callable[[Tensor, float], Denoiser]
    second: tuple[float, float] | None = INTERVALS["all levels"]

    def at(self, scale: float) -> DenoiserFactory:
        """At this scale: labels [B] → denoiser."""
        return lambda y: self.make(y, scale)

    def calls(self, levels: Sequence[Level], scale: float) -> int:
        """How often a denoiser is asked for one sample, by a sampler that asks once at each level but the last."""
        if scale == 1 or self.second is None:
            return len(levels) - 1
        lo, hi = self.second
        return len(levels) - 1 + sum(lo < level.ratio <= hi for level in levels[:-1])

    def levels(self, scale: float, calls: int = CALLS) -> list[Level]:
        """The finest grid of the recipes' schedule that asks at most so often. Raises ValueError where there is none."""
        schedule = recipes.make_schedule()
        for steps in range(calls, 0, -1):
            if self.calls(grid := schedule.grid(steps), scale) <= calls:
                return grid
        raise ValueError(f"{calls} network calls do not suffice for one step of {self.name}.")


def kinds(net: nn.Module, weak: nn.Module, log_prob: Callable, machine: Machine) -> dict[str, Guide]:
    """The chapter's five kinds of guidance of one conditional network, on one scale: 1 is no guidance in each but the first.

    weak: a worse version of net, for autoguidance. log_prob: labels [B] → what `guidance.classifier_guide` takes; it steers the
    *unconditional* network, and its own scale is the guidance scale (1 is Bayes' rule, which is the conditional network's place).
    """
    cond, null, worse = conditional(net, machine), unconditional(net, machine), conditional(weak, machine)
    made = [
        Guide("classifier", lambda y, w: classifier_guide(null(y), log_prob(y), w), None),
        Guide("classifier-free", lambda y, w: guide(cond(y), null(y), w)),
        in_interval("in an interval", net, INTERVALS["middle"], machine),
        Guide("rescaled", lambda y, w: guide(cond(y), null(y), w, rescale=RESCALE)),
        Guide("autoguidance", lambda y, w: guide(cond(y), worse(y), w)),
    ]
    return {one.name: one for one in made}


def in_interval(name: str, net: nn.Module, interval: tuple[float, float], machine: Machine) -> Guide:
    """Classifier-free guidance where noise over signal lies in an interval, and none elsewhere."""
    cond, null = conditional(net, machine), unconditional(net, machine)
    return Guide(name, lambda y, w: guide(cond(y), null(y), guidance_interval(w, *interval)), interval)


@dataclass(frozen=True)
class Point:
    """One scale of one kind of guidance: the steps that it could afford, and what each seed gave for each of the MEASURES."""

    scale: float
    steps: int
    values: Mapping[str, Sequence[float]]

    def mean(self, measure: str) -> float:
        """Over the seeds."""
        return fmean(self.values[measure])

    def error(self, measure: str) -> float:
        """Standard deviation over the seeds; 0 for one seed."""
        return stdev(self.values[measure]) if len(self.values[measure]) > 1 else 0.0


MEASURES = ("frechet", "agreement", "precision", "recall", "diversity", "saturation", "contrast")


@dataclass(frozen=True)
class Harness:
    """All that the points of a frontier have in common: codec, judge, how many samples for each seed, which seeds."""

    codec: Codec
    judge: Evaluator
    n: int = 500
    seeds: Sequence[int] = (0, 1, 2)

    def images(self, kind: Guide, scale: float, seed: int) -> Tensor:
        """n samples [n, 1, 32, 32], every class equally often; the same noise for every kind and scale."""
        labels, levels = balanced(self.n, self.judge.machine), kind.levels(scale)
        return generate(kind.at(scale), labels, self.codec, SHAPE, self.judge.machine, levels=levels, seed=seed)

    def point(self, kind: Guide, scale: float) -> Point:
        drawn = [self.measures(self.images(kind, scale, seed), balanced(self.n, self.judge.machine)) for seed in self.seeds]
        values = {name: [one[name] for one in drawn] for name in MEASURES}
        return Point(scale, len(kind.levels(scale)) - 1, values)

    def curve(self, kind: Guide, scales: Sequence[float]) -> list[Point]:
        return [self.point(kind, scale) for scale in scales]

    def measures(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """Each of the MEASURES of images [N, 1, 32, 32] of wanted labels [N]; `saturation`, `contrast` and `diversity` as a share
        of that of n real test images."""
        score = self.judge.score(images, labels, cover=True)
        looks = _looks(self.judge, images, labels)
        return {
            "frechet": score.frechet,
            "agreement": score.agreement,
            "precision": score.precision,
            "recall": score.recall,
            **{name: value / self._real[name] for name, value in looks.items()},
        }

    @cached_property
    def _real(self) -> dict[str, float]:
        """What `_looks` says of the first n test images: the same for every point."""
        return _looks(self.judge, as_float(self.judge.images[: self.n]), self.judge.labels[: self.n])


def _looks(judge: Evaluator, images: Tensor, labels: Tensor) -> dict[str, float]:
    return {"diversity": diversity(judge, images, labels), "saturation": saturation(images), "contrast": contrast(images)}


def saturation(images: Tensor) -> float:
    """Share of pixels within 2 % of white: images [N, C, H, W] in [-1, 1]."""
    return (images > 0.96).float().mean().item()


def contrast(images: Tensor) -> float:
    """Standard deviation of the pixels of a picture, on average: images [N, C, H, W]."""
    return images.float().flatten(1).std(dim=1).mean().item()


def diversity(judge: Evaluator, images: Tensor, labels: Tensor) -> float:
    """Root-mean-square distance of the judge's features from their class's mean: images [N, C, H, W], labels [N]."""
    features = read(judge.net, images)[0]
    groups = [features[labels == y] for y in range(recipes.NUM_CLASSES)]
    return torch.stack([(g - g.mean(0)).square().sum(1).mean() for g in groups if len(g)]).mean().sqrt().item()


def weak_denoiser(net: nn.Module, machine: Machine, steps: int = 150) -> nn.Module:
    """The network of chapter 4 after very little training, for autoguidance; kept under runs/.

    net: the well-trained one, for its architecture. A file of another architecture is trained anew.
    """
    file, weak = recipes.saved("fashion-ldm-weak"), copy.deepcopy(net)
    try:
        weights.restore(weak, file)
    except weights.CheckpointError:
        weak = recipes.fashion_ldm(file, machine, recipes.RunOptions(steps=steps)).ema
    return weak.eval()
