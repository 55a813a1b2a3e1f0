"""What a prior buys, over three seeds: five latent spaces and the pixels, measured by `latent_space_report`.

``course measure latent-space`` trains the networks and stores the figures; chapter 3 trains some of them again.
"""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_choice, check_integer
from course_lib.autoencoder import Autoencoder, DenseAutoencoder
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.experiments.ch3_vae import dense, latent_space, rate_distortion
from course_lib.experiments.evaluator import Evaluator
from course_lib.images import to_float
from course_lib.recipes.losses import autoencoder_loss
from course_lib.storage.results import StoredResult
from course_lib.training import train
from course_lib.vae import VAE, DenseVAE

RESULT = StoredResult("latent-space", "results/latent_space.json")
SEEDS, IMAGES = 3, 2000
BETA_16 = "spatial VAE, beta 16"
#: The networks. "spatial": chapters 2 and 3's recipes, with 4 × 4 × 4 latents; "dense": 16 latents without positions.
SPACES = ("spatial autoencoder", "spatial VAE", BETA_16, "dense autoencoder", "dense VAE")
PIXELS = "pixels"


def measure_latent_space(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train five networks with three seeds each, measure their latent spaces and that of the pixels; store the figures as JSON.

    About twelve minutes on two cores. steps: of every network, instead of its own number.
    """
    machine = devices.find()
    seed = check_integer("seed", seed, 0)
    images, labels = fashion_mnist("test", machine.device)
    tests, labels, evaluator = to_float(images[:IMAGES]), labels[:IMAGES], Evaluator(machine)
    spaces: dict[str, list[dict[str, float]]] = {name: [] for name in (PIXELS, *SPACES)}
    for s in range(seed, seed + SEEDS):
        for name, net in _spaces(machine, s, steps):
            generator = torch.Generator(machine.device).manual_seed(s)
            report = latent_space.latent_space_report(net, tests, labels, evaluator, generator)
            spaces[name].append({key: round(value, 4) for key, value in report.items() if math.isfinite(value)})
            print(f"seed {s}, {name}: {spaces[name][-1]}", flush=True)
    own = {"spatial": recipes.untrained_network("fashion-vae")[1].steps, "beta 16": rate_distortion.STEPS, "dense": dense.STEPS}
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seeds": SEEDS, "images": IMAGES}
    return RESULT.save({**figures, "steps": own if steps is None else steps, "spaces": spaces}, out)


def stored_mean(space: str, row: str) -> tuple[float, float]:
    """Return the mean over the stored seeds and its standard error of one row of `latent_space.ROWS` in one space."""
    spaces = RESULT.read()["spaces"]
    check_choice("space", space, spaces)
    check_choice("row", row, latent_space.ROWS)
    values = [report[row] for report in spaces[space]]
    return statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5


def train_spatial(network: type[Autoencoder] | type[VAE], machine: Machine, steps: int | None = None, seed: int = 0) -> Any:
    """Train the network of the recipe ``fashion-autoencoder`` or ``fashion-vae`` (in a CPU's size) with any seed, unsaved."""
    name = "fashion-vae" if network is VAE else "fashion-autoencoder"
    net, training = recipes.untrained_network(name, seed, steps, progress=False)
    data = (fashion_mnist("train", machine.device)[0],)
    return train(net, autoencoder_loss, data, training, machine=machine).ema


def train_space(name: str, machine: Machine, seed: int, steps: int | None = None, base: VAE | None = None) -> Any:
    """Train the network of one of `SPACES`. base: the trained spatial VAE of this seed, from which "beta 16" continues."""
    check_choice("name", name, SPACES)
    if name == BETA_16:
        if base is None:
            raise ValueError(f"{name} continues from a trained spatial VAE: give it as base.")
        return rate_distortion.train_beta_vae(16.0, base, machine, steps or rate_distortion.STEPS, seed, progress=False).eval()
    if name.startswith("spatial"):
        return train_spatial(VAE if name == "spatial VAE" else Autoencoder, machine, steps, seed).eval()
    network = DenseVAE if name == "dense VAE" else DenseAutoencoder
    images = fashion_mnist("train", machine.device)[0]
    return dense.train_dense(network, images, machine, steps or dense.STEPS, seed, progress=False)


def _spaces(machine: Machine, seed: int, steps: int | None) -> Iterator[tuple[str, Any]]:
    """Each space by its name, trained when it is its turn."""
    yield PIXELS, latent_space.PixelSpace()
    base = None
    for name in SPACES:
        net = train_space(name, machine, seed, steps, base)
        yield name, net
        if name == "spatial VAE":
            base = net
