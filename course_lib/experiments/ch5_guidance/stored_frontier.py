"""Chapter 5's frontier, measured: what each method of guidance buys and costs, at equal steps and at equal network calls.

``course measure frontier`` stores it. All methods and scales share the initial noise of each seed, so that they are compared
seed by seed. The decisive points are measured with ten times as many samples.
"""

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from torch import Tensor

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_choice, check_integer, check_number
from course_lib.device import Machine
from course_lib.experiments.ch5_guidance.frontier import (
    EQUAL,
    INTERVALS,
    METRICS,
    SHAPE,
    GuidanceExperiment,
    GuidanceMethod,
    further_methods,
    guidance_methods,
    interval_guidance,
    mean_effective_scale,
    weak_denoiser,
)
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced_labels, conditional_factory, seeded_noise, unconditional_factory
from course_lib.schedule import Level
from course_lib.storage.results import StoredResult

RESULT = StoredResult("frontier", "results/frontier.json")
SAMPLES, MORE, SEEDS = 1000, 10, 3
PLAN = {  # (method, what is equal): scales
    ("classifier-free", "steps"): (1.0, 1.1, 1.2, 1.3, 1.5, 2.0, 3.0, 5.0),
    ("classifier-free", "calls"): (1.1, 1.2, 1.3, 1.5, 2.0, 3.0, 5.0),
    ("in an interval", "steps"): (1.5, 2.0, 3.0, 5.0),
    ("in an interval", "calls"): (1.5, 2.0, 3.0, 5.0),
    ("high noise", "steps"): (2.0, 3.0, 5.0),
    ("low noise", "steps"): (2.0, 3.0, 5.0),
    ("rescaled", "steps"): (2.0, 3.0, 5.0),
    ("autoguidance", "steps"): (1.5, 2.0, 3.0),
    ("projected", "steps"): (2.0, 3.0, 5.0, 8.0),
    ("low frequencies at 1.2", "steps"): (2.0, 3.0, 5.0),
    ("zero-star", "steps"): (1.2, 2.0, 3.0),
    ("CFG++ scales", "steps"): (0.2, 0.4, 0.6),
}
DECISIVE = {
    ("classifier-free", "steps"): (1.0, 1.1, 1.2),
    ("classifier-free", "calls"): (1.1,),
    ("in an interval", "steps"): (2.0,),
}


def all_methods(machine: Machine) -> dict[str, GuidanceMethod]:
    """Return every method of PLAN, by name, for chapter 4's network, which is trained first if there is none."""
    net = recipes.load_or_train("fashion-ldm", machine)
    parts = {name: interval_guidance(name, net, INTERVALS[name], machine) for name in ("high noise", "low noise")}
    usual = guidance_methods(net, weak_denoiser(net, machine), _no_classifier, machine)
    return usual | further_methods(net, machine) | parts


def _no_classifier(y: Tensor) -> Any:
    raise NotImplementedError("The stored frontier compares methods that need no classifier.")


def measure(samples: int = SAMPLES, seed: int = 0, out: Path | None = None) -> Path:
    """Evaluate every point of PLAN with three seeds, and store the figures as JSON.

    samples: for each seed and point; MORE times as many for the distance of the points of DECISIVE. out: the file to write; by
    default the shipped one under ``data/``. About 25 minutes on two cores.
    """
    machine = devices.find()
    check_integer("samples", samples, 2)
    codec, evaluator, methods = recipes.load_codec("fashion-vae", machine), Evaluator(machine), all_methods(machine)
    points = []
    for (name, equal), scales in PLAN.items():
        for scale in scales:
            more = MORE if scale in DECISIVE.get((name, equal), ()) else 1
            experiment = GuidanceExperiment(codec, evaluator, samples, range(seed, seed + SEEDS), equal)
            points.append(measure_point(experiment, methods[name], scale, more))
            print(points[-1], flush=True)
    return RESULT.save(stored_figures(points, machine, samples, seed), out)


def stored_figures(points: list[dict[str, Any]], machine: Machine, samples: int, seed: int) -> dict[str, Any]:
    """Return what is stored: the points, and how they were measured."""
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seeds": SEEDS, "samples": samples}
    return {**figures, "decisive_samples": MORE * samples, "points": points}


def measure_point(experiment: GuidanceExperiment, method: GuidanceMethod, scale: float, more: int = 1) -> dict[str, Any]:
    """Return one point: METRICS for each seed, and the Fréchet distance of ``more`` times as many samples where more is above 1.

    effective_scale: see `mean_effective_scale`; of 200 images, with the first seed.
    """
    more, n = check_integer("more", more, 1), experiment.n
    larger = GuidanceExperiment(experiment.codec, experiment.evaluator, more * n, experiment.seeds, experiment.equal)
    labels, levels = balanced_labels(n, experiment.evaluator.machine), experiment.levels(method, scale)
    values: dict[str, list[float]] = {metric: [] for metric in METRICS}
    distances = []
    for seed in experiment.seeds:
        images = larger.sample(method, scale, seed)
        for metric, value in experiment.metrics(images[:n], labels).items():
            values[metric].append(round(value, 4))
        if more > 1:
            distances.append(round(experiment.evaluator.frechet(images), 4))
    effective = _effective_scale(method, scale, levels, experiment.evaluator.machine, experiment.seeds[0])
    point = {"method": method.name, "scale": scale, "equal": experiment.equal, "steps": len(levels) - 1}
    point |= {"calls": method.network_calls(levels, scale), "effective_scale": round(effective, 3), "values": values}
    return point | ({"frechet_of_more": distances} if more > 1 else {})


def _effective_scale(method: GuidanceMethod, scale: float, levels: list[Level], machine: Machine, seed: int) -> float:
    net, labels = recipes.load_or_train("fashion-ldm", machine), balanced_labels(200, machine)
    cond, null = conditional_factory(net, machine)(labels), unconditional_factory(net, machine)(labels)
    x_T = levels[0].sigma * seeded_noise(len(labels), SHAPE, machine, seed)
    return mean_effective_scale(method.guide(labels, scale), cond, null, x_T, levels)


def read_points(figures: dict[str, Any], method: str, equal: str = "steps") -> dict[float, dict[str, Any]]:
    """Return the stored points of a method by scale. "classifier-free" at scale 1, no guidance, belongs to every method."""
    check_choice("equal", equal, EQUAL)
    check_choice("method", method, {name for name, _ in PLAN})
    same = {p["scale"]: p for p in figures["points"] if (p["method"], p["equal"]) == (method, equal)}
    unguided = next(p for p in figures["points"] if (p["method"], p["scale"]) == ("classifier-free", 1.0))
    return same if method == "CFG++ scales" else {1.0: unguided} | same


def mean_over_seeds(point: dict[str, Any], metric: str) -> float:
    """Return a metric of a stored point, mean over its seeds."""
    check_choice("metric", metric, point["values"])
    return fmean(point["values"][metric])


def plain_at(figures: dict[str, Any], metric: str, scale: float) -> float:
    """Return a metric of plain classifier-free guidance at any scale between the stored ones, at equal steps: interpolated."""
    points = read_points(figures, "classifier-free")
    scale = check_number("scale", scale, at_least=min(points), at_most=max(points))
    return float(np.interp(scale, sorted(points), [mean_over_seeds(points[w], metric) for w in sorted(points)]))
