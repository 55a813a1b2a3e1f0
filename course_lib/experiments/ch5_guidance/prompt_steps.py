"""Guidance or solver? How often the shipped model follows its prompts, over scales and steps; and other rules at one scale.

``course measure prompt-steps`` stores it. Every row has the same prompts and the same initial noise, seed by seed.
"""

from pathlib import Path
from typing import Any

import torch

from course_lib import device as devices
from course_lib import recipes, text_to_image
from course_lib.arguments import check_integer
from course_lib.device import Machine
from course_lib.diffusion import denoiser, expand_labels
from course_lib.experiments.ch5_guidance.frontier import mean_effective_scale
from course_lib.experiments.prompt_adherence import adherence, sample_prompts
from course_lib.guidance import classifier_free_guide, frequency_decoupled, projected
from course_lib.judges.factor_reader import FactorReader
from course_lib.samplers import ddim, dpmpp_2m
from course_lib.storage.results import StoredResult
from course_lib.text_to_image import TextToImage

RESULT = StoredResult("prompt-steps", "results/prompt_steps.json")
PROMPTS, SEEDS, SCALES, STEPS = 128, 3, (1.0, 3.0, 8.0), (10, 20, 40)
CLIPPED = 0.98  # of 1: a number of an image beyond it counts as clipped
PLAIN = "plain"
RULES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "projected": {"rule": projected()},
    "rescaled, φ = 0.7": {"rescale": 0.7},
    "low frequencies at 3": {"rule": frequency_decoupled(3.0)},
}
DDIM = "plain, DDIM"  # a first-order solver, which extrapolates nothing
STRONG = 8.0  # the scale of the other rules, in 20 steps
BETWEEN = (4.0, 5.0, 6.0, 7.0)  # further scales of plain guidance in 20 steps, for comparisons at equal effective scale


def measure(samples: int = PROMPTS, seed: int = 0, out: Path | None = None) -> Path:
    """Sample every row of `rows` with three seeds, and store the figures as JSON.

    samples: prompts of each seed. out: the file to write; by default the shipped one under ``data/``. About six minutes on two
    cores.
    """
    machine = devices.find()
    check_integer("samples", samples, 1)
    model, reader, points = text_to_image.load(machine), recipes.load_or_train("teddies-reader", machine), []
    for rule, scale, steps in rows():
        points.append(measure_row(model, reader, rule, scale, steps, samples, range(seed, seed + SEEDS)))
        print(points[-1], flush=True)
    return RESULT.save(stored_figures(points, machine, samples, seed), out)


def rows() -> list[tuple[str, float, int]]:
    """Return what is measured, as (rule, scale, steps)."""
    grid = [(PLAIN, scale, steps) for scale in SCALES for steps in STEPS]
    grid += [(DDIM, STRONG, steps) for steps in STEPS[:2]]
    return grid + [(PLAIN, scale, 20) for scale in BETWEEN] + [(rule, STRONG, 20) for rule in RULES if rule != PLAIN]


def stored_figures(points: list[dict[str, Any]], machine: Machine, samples: int, seed: int) -> dict[str, Any]:
    """Return what is stored: the points, and how they were measured."""
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "seeds": SEEDS, "prompts": samples}
    return {**figures, "clipped_beyond": CLIPPED, "points": points}


def measure_row(
    model: TextToImage, reader: FactorReader, rule: str, scale: float, steps: int, prompts: int, seeds: range
) -> dict[str, Any]:
    """Return one point, with a value for each seed.

    adherence: the fraction of images in which the reader finds each factor that the prompt names, and "all". clipped: the
    fraction of an image's numbers near -1 or 1. effective_scale: see `mean_effective_scale`, of 64 prompts.
    """
    found: dict[str, list[float]] = {}
    clipped = []
    for seed in seeds:
        labels = sample_prompts(prompts, 51 + seed)
        sampler = ddim if rule == DDIM else dpmpp_2m
        images = model.sample(labels, scale, steps, seed, sampler=sampler, **RULES.get(rule, {}))
        for name, value in adherence(reader, images, labels).items():
            found.setdefault(name, []).append(round(value, 4))
        clipped.append(round((images.abs() > CLIPPED).double().mean().item(), 4))
    effective = round(_effective_scale(model, rule, scale, steps, prompts, seeds[0]), 3)
    point = {"rule": rule, "scale": scale, "steps": steps, "effective_scale": effective}
    return {**point, "adherence": found, "clipped": clipped}


@torch.no_grad()
def _effective_scale(model: TextToImage, rule: str, scale: float, steps: int, prompts: int, seed: int) -> float:
    labels, levels = sample_prompts(prompts, 51 + seed)[:64].to(model.machine.device), model.schedule.grid(steps)
    null = tuple(model.encode_prompt("")[0].tolist())
    guided = classifier_free_guide(model.net, recipes.PREDICTION_TYPE, labels, null, scale, **RULES.get(rule, {}))
    cond = denoiser(model.net, recipes.PREDICTION_TYPE, labels)
    uncond = denoiser(model.net, recipes.PREDICTION_TYPE, expand_labels(null, len(labels), labels.device))
    noise = torch.randn(len(labels), *model.shape, generator=torch.Generator().manual_seed(seed)).to(labels.device)
    return mean_effective_scale(guided, cond, uncond, levels[0].sigma * noise, levels)


def read_points(figures: dict[str, Any]) -> dict[tuple[str, float, int], dict[str, Any]]:
    """Return the stored points by (rule, scale, steps)."""
    return {(p["rule"], p["scale"], p["steps"]): p for p in figures["points"]}
