"""What should a network predict where data fill few of their dimensions? A spiral in a plane, and the plane in D dimensions.

``course measure target-dimension`` trains one small network for each D and prediction type, and stores the figures; `compare`
trains two of them in seconds. After Li & He 2025, "Back to Basics: Let Denoising Generative Models Denoise", section 3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib.arguments import MAX_SIZE, check_choice, check_integer, check_list, check_same_dtype, check_tensor
from course_lib.device import Machine
from course_lib.diffusion import PREDICTION_TYPES, denoiser, loss, steps_between
from course_lib.experiments.ch4_latent_ddpm.sampler_order import evenly_spaced_levels
from course_lib.experiments.limits import MAX_SAMPLES, MAX_STEPS, seeded_generator
from course_lib.layers import check_noisy_batch
from course_lib.recipes.store import build
from course_lib.samplers import ddim
from course_lib.schedule import cosine
from course_lib.storage.results import StoredResult
from course_lib.training.config import MAX_SEED

RESULT = StoredResult("target-dimension", "results/target_dimension.json")
DIMENSIONS = (2, 8, 32, 128, 512)
TARGETS = ("x0", "v", "eps")
STEPS, SEEDS, WIDTH, WIDER, BATCH, SAMPLES, SAMPLER_STEPS = 600, 2, 256, 1024, 256, 1000, 50
# Of the steps in training: there sigma and alpha are at least 0.05, so that every prediction type determines the others.
FIRST, LAST = 25, 965


@dataclass(frozen=True)
class Samples:
    """Samples of one network, and how far they are from the data.

    points: their coordinates in the plane [N, 2]. off_plane: mean distance from the plane, which for pure noise is about
    √(D − 2). off_curve: mean distance from the spiral, in D dimensions. uncovered: mean distance, in the plane, of points of the
    spiral from the nearest sample. losses: of the training, [steps].
    """

    points: Tensor
    off_plane: float
    off_curve: float
    uncovered: float
    losses: Tensor


class Mlp(nn.Module):
    """Five linear layers: x_t [B, D, 1, 1], with the rates of its step t [B], → a prediction [B, D, 1, 1]."""

    def __init__(self, D: int, width: int = WIDTH) -> None:
        super().__init__()
        check_integer("D", D, 1, MAX_SIZE)
        check_integer("width", width, 1, MAX_SIZE)
        hidden = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.SiLU())]
        self.layers = nn.Sequential(nn.Linear(D + 2, width), nn.SiLU(), *hidden, nn.Linear(width, D))
        self.schedule = cosine()

    def forward(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        check_noisy_batch(x_t, t, f"[B, {self.layers[-1].out_features}, 1, 1]")
        level = self.schedule.at(t)
        known = torch.cat([x_t, level.alpha, level.sigma], 1).flatten(1)
        return self.layers(known.to(next(self.parameters()).dtype))[:, :, None, None]


def spiral(n: int, generator: torch.Generator) -> Tensor:
    """Sample n points of a spiral of one and a half turns, whose coordinates have mean square 1: [n, 2]."""
    return curve(torch.rand(check_integer("n", n, 1, MAX_SAMPLES), generator=generator))


def curve(u: Tensor) -> Tensor:
    """Return the points of the spiral at the quantiles u [N] of its angle, 0…1: [N, 2]."""
    check_tensor("u", u, "[N]", "float")
    if not bool(((u >= 0) & (u <= 1)).all()):
        raise ValueError(f"u has values from {u.min():.4g} to {u.max():.4g}, but the quantiles of an angle are in 0 to 1.")
    angle = 0.5 + 3 * math.pi * u.sqrt()
    mean_square = (0.25 + 2 * math.pi + 4.5 * math.pi**2) / 2  # half of that of the angle, which is the radius
    return torch.stack([angle * angle.cos(), angle * angle.sin()], 1) / math.sqrt(mean_square)


def plane(D: int, generator: torch.Generator) -> Tensor:
    """Return two random orthonormal directions in D dimensions: [2, D]."""
    directions = torch.randn(check_integer("D", D, 2, MAX_SIZE), 2, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(directions).Q.T.float()


def train_and_sample(
    D: int, target: str, steps: int = STEPS, seed: int = 0, width: int = WIDTH, n: int = SAMPLES, machine: Machine | None = None
) -> Samples:
    """Train one network on the spiral in D dimensions, and draw n samples with DDIM.

    target: what the network predicts, a prediction type; the loss is the error of v for every one. A seed gives every network
    the same plane, batches and noise. machine: where to compute, the CPU where None.
    """
    check_choice("target", target, PREDICTION_TYPES)
    steps, seed = check_integer("steps", steps, 1, MAX_STEPS), check_integer("seed", seed, 0, MAX_SEED - 1)
    n, device = check_integer("n", n, 1, MAX_SAMPLES), machine.device if machine else torch.device("cpu")
    directions = plane(D, seeded_generator(seed)).to(device)
    net = build(Mlp, {"D": D, "width": width}, seed).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    points, noise = seeded_generator(seed + 1), torch.Generator(device).manual_seed(seed)
    draw, losses = steps_between(FIRST, LAST), []
    for _ in range(steps):
        x0 = (spiral(BATCH, points).to(device) @ directions)[:, :, None, None]
        error = loss(net, x0, None, net.schedule, target, generator=noise, draw_steps=draw, measured_in="v")
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        losses.append(error.detach())
    levels = [*evenly_spaced_levels(LAST, FIRST, SAMPLER_STEPS), net.schedule.level(0)]
    with torch.no_grad():
        x = ddim(denoiser(net, target), torch.randn(n, D, 1, 1, device=device, generator=noise), levels)
    return assess(x.flatten(1).cpu(), directions.cpu(), torch.stack(losses).cpu())


def assess(x: Tensor, directions: Tensor, losses: Tensor) -> Samples:
    """Measure how far samples x [N, D] are from the plane of these directions [2, D], and from its spiral."""
    check_tensor("directions", directions, "[2, D]", "float")
    check_tensor("x", x, f"[N, {directions.shape[1]}]", "float")
    check_same_dtype("x", x, "directions", directions)
    points = x @ directions.T
    off_plane = (x - points @ directions).norm(dim=1)
    spread = torch.cdist(points, curve(torch.linspace(0, 1, 4000, dtype=x.dtype)))
    off_curve = (off_plane.square() + spread.amin(1).square()).sqrt()
    return Samples(points, off_plane.mean().item(), off_curve.mean().item(), spread.amin(0).mean().item(), losses)


def compare(
    D: int, targets: Sequence[str] = ("x0", "v"), steps: int = 300, seed: int = 0, width: int = WIDTH
) -> dict[str, Samples]:
    """Train one network for each prediction type on the spiral in D dimensions: {target: its samples}; seconds each, on a CPU."""
    check_list("targets", targets, None, "prediction types")
    return {target: train_and_sample(D, target, steps, seed, width) for target in targets}


def measure(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train a network for each of `DIMENSIONS` and `TARGETS`, and a wider one that predicts v; store the figures as JSON.

    steps: of each training, 600 where None. Two seeds. out: the file to write; by default the shipped one under ``data/``. About
    four minutes on two cores.
    """
    machine = devices.find()
    steps, seed, points = check_integer("steps", steps or STEPS, 1), check_integer("seed", seed, 0), []
    for s in range(seed, seed + SEEDS):
        for D, target, width in arms(wider=s == seed):
            points.append(measure_point(D, target, width, steps, s, machine))
            print(points[-1], flush=True)
    return RESULT.save(stored_figures(points, machine, steps, seed), out)


def arms(wider: bool = False) -> list[tuple[int, str, int]]:
    """Return what `measure` trains for a seed, as (D, target, width); for the first seed a wider network, too."""
    usual = [(D, target, WIDTH) for D in DIMENSIONS for target in TARGETS]
    return [*usual, (DIMENSIONS[-1], "v", WIDER)] if wider else usual


def measure_point(D: int, target: str, width: int, steps: int, seed: int, machine: Machine) -> dict[str, Any]:
    """Train one network and return its point."""
    found = train_and_sample(D, target, steps, seed, width, machine=machine)
    figures = {"off_plane": found.off_plane, "off_curve": found.off_curve, "uncovered": found.uncovered}
    rounded = {name: round(value, 4) for name, value in figures.items()}
    return {"D": D, "target": target, "width": width, "seed": seed, **rounded, "loss": round(found.losses[-50:].mean().item(), 4)}


def stored_figures(points: list[dict[str, Any]], machine: Machine, steps: int, seed: int) -> dict[str, Any]:
    """Return what is stored: the points, and how they were measured."""
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seeds": SEEDS, "steps": steps, "batch": BATCH}
    return {**figures, "samples": SAMPLES, "sampler_steps": SAMPLER_STEPS, "points": points}


def curves(figures: dict[str, Any], quantity: str = "off_plane") -> dict[str, tuple[list[int], list[list[float]]]]:
    """Return a stored quantity of each prediction type at the usual width: {target: (dimensions, for each its seeds)}."""
    check_choice("quantity", quantity, ("off_plane", "off_curve", "uncovered", "loss"))
    found: dict[str, dict[int, list[float]]] = {}
    for point in figures["points"]:
        if point["width"] == WIDTH:
            found.setdefault(point["target"], {}).setdefault(point["D"], []).append(point[quantity])
    return {target: (list(values), list(values.values())) for target, values in found.items()}
