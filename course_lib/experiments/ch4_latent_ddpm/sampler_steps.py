"""How many steps, of which sampler? Quality of the latent denoiser's samples against steps and seconds, with intervals.

One command measures the curves; chapter 4 measures one of their points again.
"""

import time
from pathlib import Path

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_choice, check_integer
from course_lib.codec import Codec
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import SAMPLERS, DenoiserFactory, balanced_labels, conditional_factory, generate
from course_lib.storage.results import StoredResult

RESULT = StoredResult("sampler-steps", "results/sampler_steps.json")
SHAPE = (4, 4, 4)
STEP_COUNTS = {
    "DDPM": (5, 10, 20, 50, 100),
    "DDIM": (3, 5, 10, 20, 50),
    "DPM-Solver++(2M)": (3, 5, 10, 20, 50),
    "Heun": (3, 5, 10, 25),
}
METRICS = ("frechet", "kid", "precision", "recall", "agreement")


def measure(n: int = 1000, out: Path | None = None) -> Path:
    """Measure quality against steps for four samplers, and store the result as JSON.

    n: samples per point. out: the file to write; by default the shipped one under ``data/``. Some minutes on two cores, more
    if VAE and denoiser are not saved yet; the machine should run nothing else.
    """
    machine = devices.find()
    evaluator, codec = Evaluator(machine), recipes.load_codec("fashion-vae", machine)
    factory, points = conditional_factory(recipes.load_or_train("fashion-ldm", machine), machine), []
    levels = recipes.make_schedule().grid(3)
    generate(factory, balanced_labels(250, machine), codec, SHAPE, machine, levels=levels)  # warms up
    for sampler, step_counts in STEP_COUNTS.items():
        for steps in step_counts:
            points.append(evaluate_sampler(sampler, steps, factory, codec, evaluator, n))
            print(points[-1], flush=True)
    figures = {"command": RESULT.command, "machine": str(machine), "samples": n, "interval": 0.95, "points": points}
    return RESULT.save(figures, out)


def network_calls(sampler: str, steps: int) -> int:
    """Return how often a sampler calls the network in this many steps: Heun twice per step, except in its last step."""
    check_choice("sampler", sampler, SAMPLERS)
    check_integer("steps", steps, at_least=1)
    return 2 * steps - 1 if sampler == "Heun" else steps


def evaluate_sampler(
    sampler: str, steps: int, factory: DenoiserFactory, codec: Codec, evaluator: Evaluator, n: int = 1000, resamples: int = 50
) -> dict:
    """Evaluate n samples of one sampler with this many steps; the initial noise is the same for all samplers.

    Returns sampler, steps, network calls ("calls"), seconds of sampling and decoding, and each of METRICS as [value, low,
    high] of its 95 % bootstrap interval.
    """
    machine, levels = evaluator.machine, recipes.make_schedule().grid(steps)
    labels = balanced_labels(n, machine)
    machine.synchronize()
    began = time.perf_counter()
    images = generate(factory, labels, codec, SHAPE, machine, levels=levels, sampler=sampler)
    machine.synchronize()
    seconds = time.perf_counter() - began
    intervals = evaluator.intervals(images, labels, resamples)
    metrics = {name: [round(x, 5) for x in (i.value, i.low, i.high)] for name, i in intervals.items()}
    return {"sampler": sampler, "steps": steps, "calls": network_calls(sampler, steps), "seconds": round(seconds, 2), **metrics}


def metric_curves(figures: dict, metric: str, against: str = "calls") -> dict[str, tuple[list[float], list[float], list[float]]]:
    """Extract one metric's curves from the stored figures, in the form that ``viz.draw_lines`` takes.

    against: "calls", "steps" or "seconds". Returns {sampler: (x, metric, half the width of its interval)}.
    """
    check_choice("metric", metric, METRICS)
    check_choice("against", against, ("calls", "steps", "seconds"))
    curves = {}
    for sampler in dict.fromkeys(p["sampler"] for p in figures["points"]):
        points = [p for p in figures["points"] if p["sampler"] == sampler]
        half_widths = [(p[metric][2] - p[metric][1]) / 2 for p in points]
        curves[sampler] = ([p[against] for p in points], [p[metric][0] for p in points], half_widths)
    return curves
