"""How many steps, of which sampler? Quality of the latent denoiser's samples against steps and seconds, with intervals.

One command measures the curves; chapter 4 remakes one point of them.
"""

import time
from pathlib import Path

from course_lib import device as devices
from course_lib import recipes
from course_lib.codec import Codec
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import DenoiserFactory, balanced, conditional, generate
from course_lib.storage import results

GRID = {
    "DDPM": (5, 10, 20, 50, 100),
    "DDIM": (3, 5, 10, 20, 50),
    "DPM-Solver++(2M)": (3, 5, 10, 20, 50),
    "Heun": (3, 5, 10, 25),
}
METRICS = ("frechet", "kid", "precision", "recall", "agreement")
COMMAND, RESULT = "course train sampler-steps", "results/sampler_steps.json"


def calls(name: str, steps: int) -> int:
    """How often a sampler asks the network in so many steps; Heun twice, but once in its last step."""
    return 2 * steps - 1 if name == "Heun" else steps


def point(
    name: str, steps: int, make: DenoiserFactory, codec: Codec, judge: Evaluator, n: int = 1000, resamples: int = 50
) -> dict:
    """n samples of one sampler in so many steps, all from the same noise: each metric as [value, low, high] of its 95 %
    bootstrap interval, network calls, and seconds (of sampling and decoding, without the judge)."""
    wanted, levels = balanced(n, judge.machine), recipes.make_schedule().grid(steps)
    judge.machine.synchronize()
    began = time.perf_counter()
    images = generate(make, wanted, codec, (4, 4, 4), judge.machine, levels=levels, sampler=name)
    judge.machine.synchronize()
    seconds = time.perf_counter() - began
    found = judge.intervals(images, wanted, resamples).items()
    intervals = {metric: [round(x, 5) for x in (i.value, i.low, i.high)] for metric, i in found}
    return {"sampler": name, "steps": steps, "calls": calls(name, steps), "seconds": round(seconds, 2), **intervals}


def measure(n: int = 1000, out: Path | None = None) -> Path:
    """Quality against steps for four samplers, kept as JSON; what goes to ``data/`` enters the manifest.

    Some minutes on two cores, and more where VAE and denoiser are not saved yet; nothing else may run on the machine.
    """
    machine = devices.find()
    judge, codec = Evaluator(machine), recipes.codec_of("fashion-vae", machine)
    make, points = conditional(recipes.load_or_train("fashion-ldm", machine), machine), []
    generate(make, balanced(250, machine), codec, (4, 4, 4), machine, levels=recipes.make_schedule().grid(3))  # warms up
    for name, several in GRID.items():
        for steps in several:
            points.append(point(name, steps, make, codec, judge, n))
            print(points[-1], flush=True)
    figures = {"command": COMMAND, "machine": str(machine), "samples": n, "interval": 0.95, "points": points}
    return results.keep(figures, RESULT, out, COMMAND)


def stored() -> dict:
    """What ``measure`` measured and keeps under data/results/; DataError where it is missing or altered."""
    return results.read(RESULT)


def curves(figures: dict, metric: str, against: str = "calls") -> dict[str, tuple[list[float], list[float], list[float]]]:
    """Sampler → (calls, steps or seconds; the metric; half the width of its interval), as ``viz.draw_lines`` takes them."""
    found = {}
    for name in dict.fromkeys(p["sampler"] for p in figures["points"]):
        own = [p for p in figures["points"] if p["sampler"] == name]
        half = [(p[metric][2] - p[metric][1]) / 2 for p in own]
        found[name] = ([p[against] for p in own], [p[metric][0] for p in own], half)
    return found
