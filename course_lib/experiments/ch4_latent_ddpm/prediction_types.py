"""What should a denoiser predict, and does the moving average help? The recipe's latent denoiser, trained in four ways.

One command measures them; chapter 4's own training is one of its points.
"""

from dataclasses import replace
from pathlib import Path

from torch import nn

from course_lib import device as devices
from course_lib import recipes
from course_lib.codec import Codec, cache
from course_lib.data import fashion_mnist
from course_lib.experiments.ch4_latent_ddpm.sampler_order import strides
from course_lib.experiments.ch4_latent_ddpm.schedules_and_scaling import objective
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced, conditional, generate
from course_lib.storage import results
from course_lib.training import TrainResult, train

ARMS = (("eps", "cosine"), ("x0", "cosine"), ("v", "cosine"), ("v", "constant"))  # what is predicted, learning rate
STARTS = (1000, 980)  # where the walk starts: from no signal at all, or from a few percent
COMMAND, RESULT = "course train predictions", "results/predictions.json"


def trained(
    kind: str, rate: str, codec: Codec, judge: Evaluator, steps: int | None = None, seed: int = 0, progress: bool = True
) -> TrainResult:
    """The denoiser of ``fashion-ldm`` that predicts this kind, all else as the recipe has it (a CPU's, on every machine).

    rate: "cosine" for the recipe's learning rate, "constant" for one that does not fall.
    """
    net, training = recipes.untrained("fashion-ldm", seed, steps, progress)
    images, labels = fashion_mnist("train", judge.machine.device)
    latents, training = cache(codec, images), replace(training, schedule=rate)
    return train(net, objective(kind), (latents, labels), training, machine=judge.machine)


def distance(net: nn.Module, kind: str, codec: Codec, judge: Evaluator, start: int = 1000, n: int = 1000) -> float:
    """Fréchet distance of n samples, 20 steps of DPM-Solver++(2M) from t = start."""
    make = conditional(net, judge.machine, kind)
    wanted, levels = balanced(n, judge.machine), strides(start, 0, 20)
    return judge.frechet(generate(make, wanted, codec, (4, 4, 4), judge.machine, levels=levels))


def point(result: TrainResult, kind: str, codec: Codec, judge: Evaluator, n: int = 1000) -> dict:
    """What one training gave: its seconds, and Fréchet distances of average and last weights from each start."""
    nets = {"average": result.ema, "last": result.net}
    found = {name: {str(t): round(distance(net, kind, codec, judge, t, n), 3) for t in STARTS} for name, net in nets.items()}
    return {"seconds": round(result.seconds, 1), **found}


def measure(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Four ways to train the latent denoiser, kept as JSON; what goes to ``data/`` enters the manifest.

    Four trainings of the recipe ``fashion-ldm``: about ten minutes on two cores.
    """
    machine = devices.find()
    judge, codec, points = Evaluator(machine), recipes.codec_of("fashion-vae", machine), []
    figures = {"command": COMMAND, "machine": str(machine), "samples": 1000, "points": points}
    figures["steps"] = steps or recipes.untrained("fashion-ldm")[1].steps
    for kind, rate in ARMS:
        result = trained(kind, rate, codec, judge, steps, seed)
        points.append({"kind": kind, "rate": rate, "seed": seed, **point(result, kind, codec, judge)})
        print(points[-1], flush=True)
    return results.keep(figures, RESULT, out, COMMAND)


def stored() -> dict:
    """What ``measure`` measured and keeps under data/results/; DataError where it is missing or altered."""
    return results.read(RESULT)


def collected(figures: dict, weights: str = "average", start: int = 1000) -> dict[tuple[str, str], list[float]]:
    """(kind, learning rate) → the Fréchet distances of all seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for p in figures["points"]:
        found.setdefault((p["kind"], p["rate"]), []).append(p[weights][str(start)])
    return found
