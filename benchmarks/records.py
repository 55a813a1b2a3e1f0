"""The record list: seconds of training until 10,000 samples of Fashion-MNIST are good. `course bench records` measures today's
recipe; records.md has a row for each change that made it faster.

All of a run is counted, from the call to the last step: the set-up of both networks, the VAE, the encoding, the denoiser.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from course_lib.device import Machine
from course_lib.experiments.ch4_latent_ddpm.equal_time import SHAPES, guided_factory, train_latent
from course_lib.experiments.ch4_latent_ddpm.sample_check import SAMPLES, check_samples
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced_labels, generate

TARGETS = (20.0, 10.0, 7.0)  # Fréchet distances
# seconds: a run each, whose learning rate falls to 0 at its end
LADDER = (10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0)


def measure(machine: Machine, ladder: Sequence[float] = LADDER, n: int = SAMPLES, seed: int = 0) -> dict:
    """{"runs": [figures, …], "reached": {target: seconds}}: longer and longer runs until the last target is reached."""
    evaluator, runs = Evaluator(machine), []
    for seconds in ladder:
        runs.append(one_run(evaluator, seconds, n, seed))
        if runs[-1]["frechet"] <= min(TARGETS):
            break
    reached = {str(target): next((run["seconds"] for run in runs if run["frechet"] <= target), None) for target in TARGETS}
    return {"samples": n, "seed": seed, "runs": runs, "reached": reached}


def one_run(evaluator: Evaluator, seconds: float, n: int, seed: int = 0) -> dict[str, float]:
    """Train for these seconds; Fréchet distance and KID to the test images, and the share of samples that are suspiciously near
    to a training image (`sample_check.summarise`: 0.01 of new images are as near)."""
    machine = evaluator.machine
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        codec, result, _ = train_latent(Path(folder), machine, seconds, seed)
        spent = time.perf_counter() - began
    factory = guided_factory("latent", result.ema, machine)
    samples = generate(factory, balanced_labels(n, machine), codec, SHAPES["latent"], machine, seed=seed)
    found = check_samples(samples, codec, evaluator, seed)
    *_, frechet = found["frechet"].values()  # of the most samples
    return {
        "seconds": round(spent, 1),
        "frechet": frechet["samples"],
        "floor": frechet["floor"][0],
        "kid": found["kid"]["samples"],
        "near copies": found["nearest"]["features"]["samples"]["nearer_than_1_percent"],
    }
