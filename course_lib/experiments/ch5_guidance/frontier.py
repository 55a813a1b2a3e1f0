"""Chapter 5's frontier: methods of guidance, compared at equal steps or at equal network calls per sample.

``course measure frontier`` (see `stored_frontier`) evaluates them all; the chapter repeats one point.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev

import torch
from torch import Tensor, nn

from course_lib import guidance, recipes
from course_lib.arguments import check_choice, check_integer, check_labels, check_list, check_number, check_tensor
from course_lib.codec import Codec
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, x0_hat
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import (
    DenoiserFactory,
    balanced_labels,
    conditional_factory,
    generate,
    unconditional_factory,
)
from course_lib.guidance import Rule, classifier_guide, guidance_interval, guide
from course_lib.images import as_float
from course_lib.judges.classifier import classify
from course_lib.samplers import dpmpp_2m
from course_lib.schedule import Level, check_level
from course_lib.storage import weights

CALL_BUDGET = 20  # network calls that each method may spend on one sample
STEPS = 20  # of the solver, where the steps are equal and not the calls
EQUAL = ("calls", "steps")
SHAPE = (4, 4, 4)
RESCALE = 0.7
#: Where guidance is on, in noise over signal (sigma / alpha); "middle" is about what Kynkäänniemi et al. 2024 recommend.
INTERVALS = {"all levels": (0.0, math.inf), "high noise": (3.0, math.inf), "middle": (0.2, 3.0), "low noise": (0.0, 0.2)}
METRICS = ("frechet", "agreement", "precision", "recall", "diversity", "saturation", "contrast")

LogProb = Callable[[Tensor, Level], Tensor]
"""(x_t [B, C, h, w], level) → log p(y | x_t) [B]."""


@dataclass(frozen=True)
class GuidanceMethod:
    """One way to guide a network.

    name: for tables and figures. guide: (labels [B], scale) → guided denoiser. reference_interval: the interval of noise over
    signal in which it calls a second (reference) denoiser; None if it never does.
    """

    name: str
    guide: Callable[[Tensor, float], Denoiser]
    reference_interval: tuple[float, float] | None = INTERVALS["all levels"]

    def factory(self, scale: float) -> DenoiserFactory:
        """Return the factory of denoisers guided at this scale: labels [B] → denoiser."""
        return lambda y: self.guide(y, scale)

    def network_calls(self, levels: Sequence[Level], scale: float) -> int:
        """Count the network calls for one sample, for a sampler that calls its denoiser once at each level but the last."""
        check_number("scale", scale)
        for level in levels:
            check_level(level)
        if scale == 1 or self.reference_interval is None:
            return len(levels) - 1
        lo, hi = self.reference_interval
        return len(levels) - 1 + sum(lo < level.ratio <= hi for level in levels[:-1])

    def affordable_levels(self, scale: float, budget: int = CALL_BUDGET) -> list[Level]:
        """Return the finest grid of the recipes' schedule that this many network calls allow. ValueError where there is none."""
        schedule, budget = recipes.make_schedule(), check_integer("budget", budget)
        for steps in range(budget, 0, -1):
            if self.network_calls(grid := schedule.grid(steps), scale) <= budget:
                return grid
        raise ValueError(f"{budget} network calls do not suffice for one step of {self.name}: allow more.")


def guidance_methods(
    net: nn.Module, weak: nn.Module, log_prob: Callable[[Tensor], LogProb], machine: Machine
) -> dict[str, GuidanceMethod]:
    """Return the chapter's five methods of guiding one conditional network, by name.

    Scale 1 means no guidance for all but "classifier", which steers the *unconditional* network: there 0 means no guidance, and
    1 is Bayes' rule. weak: a worse version of net, for autoguidance. log_prob: labels [B] → what `classifier_guide` takes.
    """
    cond, null, worse = conditional_factory(net, machine), unconditional_factory(net, machine), conditional_factory(weak, machine)
    methods = [
        GuidanceMethod("classifier", lambda y, w: classifier_guide(null(y), log_prob(y), w), None),
        GuidanceMethod("classifier-free", lambda y, w: guide(cond(y), null(y), w)),
        interval_guidance("in an interval", net, INTERVALS["middle"], machine),
        GuidanceMethod("rescaled", lambda y, w: guide(cond(y), null(y), w, rescale=RESCALE)),
        GuidanceMethod("autoguidance", lambda y, w: guide(cond(y), worse(y), w)),
    ]
    return {method.name: method for method in methods}


def further_methods(net: nn.Module, machine: Machine, low_scale: float = 1.2) -> dict[str, GuidanceMethod]:
    """Return the newer ways to combine the same two estimates, by name: see `guidance`.

    "projected" leaves out what is parallel to the conditional estimate. "low frequencies at 1.2" applies the scale to the other
    frequencies only. "zero-star" fits the unconditional velocity first. "CFG++ scales": the scale is the paper's strength.
    """
    cond, null = conditional_factory(net, machine), unconditional_factory(net, machine)
    levels = recipes.make_schedule().grid(STEPS)

    def ruled(rule: Rule) -> Callable[[Tensor, float], Denoiser]:
        return lambda y, w: guide(cond(y), null(y), w, rule=rule)

    methods = [
        GuidanceMethod("projected", ruled(guidance.projected())),
        GuidanceMethod(f"low frequencies at {low_scale:g}", ruled(guidance.frequency_decoupled(low_scale))),
        GuidanceMethod("zero-star", ruled(guidance.zero_star())),
        GuidanceMethod("CFG++ scales", lambda y, w: guide(cond(y), null(y), guidance.cfg_plus_plus_scale(w, levels))),
    ]
    return {method.name: method for method in methods}


def interval_guidance(name: str, net: nn.Module, interval: tuple[float, float], machine: Machine) -> GuidanceMethod:
    """Return classifier-free guidance that is on only where noise over signal lies in an interval."""
    check_list("interval", interval, 2, "numbers, the lowest and the highest noise over signal")
    guidance_interval(1.0, *interval)  # raises ValueError for an empty one
    cond, null = conditional_factory(net, machine), unconditional_factory(net, machine)
    return GuidanceMethod(name, lambda y, w: guide(cond(y), null(y), guidance_interval(w, *interval)), interval)


@dataclass(frozen=True)
class FrontierPoint:
    """One method at one scale.

    steps: sampling steps. values: one value per seed for each of METRICS.
    """

    scale: float
    steps: int
    values: Mapping[str, Sequence[float]]

    def mean(self, metric: str) -> float:
        """Return the mean over the seeds."""
        check_choice("metric", metric, self.values)
        return fmean(self.values[metric])

    def std(self, metric: str) -> float:
        """Return the standard deviation over the seeds; 0 for one seed."""
        check_choice("metric", metric, self.values)
        return stdev(self.values[metric]) if len(self.values[metric]) > 1 else 0.0


@dataclass(frozen=True)
class GuidanceExperiment:
    """What all points of a frontier have in common.

    codec: decodes the samples. evaluator: scores them. n: samples for each seed. seeds: of the initial noise. equal: what every
    method gets as much of, CALL_BUDGET network "calls" for a sample or STEPS "steps" of the solver.
    """

    codec: Codec
    evaluator: Evaluator
    n: int = 500
    seeds: Sequence[int] = (0, 1, 2)
    equal: str = "calls"

    def __post_init__(self) -> None:
        check_choice("equal", self.equal, EQUAL)

    def levels(self, method: GuidanceMethod, scale: float) -> list[Level]:
        """Return the noise levels at which a method samples."""
        return method.affordable_levels(scale) if self.equal == "calls" else recipes.make_schedule().grid(STEPS)

    def sample(self, method: GuidanceMethod, scale: float, seed: int) -> Tensor:
        """Sample n images [n, 1, 32, 32], every class equally often; the initial noise is the same for every method and scale."""
        machine, levels = self.evaluator.machine, self.levels(method, scale)
        labels = balanced_labels(self.n, machine)
        return generate(method.factory(scale), labels, self.codec, SHAPE, machine, levels=levels, seed=seed)

    def evaluate(self, method: GuidanceMethod, scale: float) -> FrontierPoint:
        """Sample with one method at one scale, once for each seed, and compute all METRICS."""
        labels = balanced_labels(self.n, self.evaluator.machine)
        results = [self.metrics(self.sample(method, scale, seed), labels) for seed in self.seeds]
        values = {name: [result[name] for result in results] for name in METRICS}
        return FrontierPoint(scale, len(self.levels(method, scale)) - 1, values)

    def sweep(self, method: GuidanceMethod, scales: Sequence[float]) -> list[FrontierPoint]:
        """Evaluate one method at several scales."""
        return [self.evaluate(method, scale) for scale in scales]

    def metrics(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """Compute METRICS of images [N, 1, 32, 32] with wanted labels [N].

        "saturation", "contrast" and "diversity" are ratios to their values for n real test images.
        """
        check_tensor("images", images, "[N, 1, H, W]", "float", least=2)
        score = self.evaluator.score(images, labels, precision_recall=True)
        statistics = _image_statistics(self.evaluator, images, labels)
        return {
            "frechet": score.frechet,
            "agreement": score.agreement,
            "precision": score.precision,
            "recall": score.recall,
            **{name: value / self._real_statistics[name] for name, value in statistics.items()},
        }

    @cached_property
    def _real_statistics(self) -> dict[str, float]:
        """`_image_statistics` of the first n test images: the same for every point."""
        return _image_statistics(self.evaluator, as_float(self.evaluator.images[: self.n]), self.evaluator.labels[: self.n])


def _image_statistics(evaluator: Evaluator, images: Tensor, labels: Tensor) -> dict[str, float]:
    return {"diversity": diversity(evaluator, images, labels), "saturation": saturation(images), "contrast": contrast(images)}


def saturation(images: Tensor) -> float:
    """Return the fraction of pixels within 2 % of white, for images [N, C, H, W] in [-1, 1]."""
    check_tensor("images", images, "[N, C, H, W]", "float")
    return (images > 0.96).float().mean().item()


def contrast(images: Tensor) -> float:
    """Return the standard deviation of an image's pixels, averaged over images [N, C, H, W]."""
    check_tensor("images", images, "[N, C, H, W]", "float")
    if images[0].numel() < 2:
        raise ValueError(f"images has shape {tuple(images.shape)}, but contrast needs at least two pixels.")
    return images.float().flatten(1).std(dim=1).mean().item()


def diversity(evaluator: Evaluator, images: Tensor, labels: Tensor) -> float:
    """Return the root-mean-square distance of the classifier's features from their class's mean.

    images: [N, C, H, W]. labels: [N].
    """
    check_tensor("images", images, "[N, C, H, W]")
    check_labels("labels", labels, recipes.NUM_CLASSES, len(images))
    features = classify(evaluator.net, images)[0]
    groups = [features[labels == y] for y in range(recipes.NUM_CLASSES)]
    return torch.stack([(g - g.mean(0)).square().sum(1).mean() for g in groups if len(g)]).mean().sqrt().item()


def mean_effective_scale(guided: Denoiser, cond: Denoiser, null: Denoiser, x_T: Tensor, levels: Sequence[Level]) -> float:
    """Return the scale of plain guidance that a guided denoiser amounts to on its own trajectories, mean over the steps.

    At each step it is the least-squares scale of all images x_T [B, C, h, w] together, with respect to the estimates with and
    without the condition (compare `effective_scale`). Steps at which these two agree do not count.
    """
    found = []

    def record(_: int, level: Level, x_t: Tensor, estimate: Tensor) -> None:
        estimates = estimate, x0_hat(cond, x_t, level), x0_hat(null, x_t, level)
        found.append(guidance.effective_scale(*(x.flatten()[None].double() for x in estimates)))

    dpmpp_2m(guided, x_T, levels, record)
    return torch.cat(found).nanmean().item()


def weak_denoiser(net: nn.Module, machine: Machine, steps: int = 150) -> nn.Module:
    """Return chapter 4's network after very little training, for autoguidance; it is saved under runs/.

    net: the well-trained network, for its architecture. A saved file of another architecture is replaced by a new training.
    """
    file, weak = recipes.saved_file("fashion-ldm-weak"), copy.deepcopy(net)
    try:
        weights.restore(weak, file)
    except weights.WeightsError:
        weak = recipes.fashion_ldm(file, machine, recipes.RunOptions(steps=steps)).ema
    return weak.eval()
