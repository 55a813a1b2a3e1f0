"""Fewer calls, measured: guidance in one call at five scales, and few steps, with two seeds. Notebook 13 reads the figures.

``course measure fewer-calls`` stores them. Every arm of a seed starts from the same noise; the seed is also that of the students'
training. The teacher is one network, ``fashion-ldm``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_choice, check_integer
from course_lib.experiments.ch13_fewer_calls.sampling import (
    ONE_STEP,
    SCALE,
    SOLVER,
    TEACHER_STEPS,
    Comparison,
    one_call,
    two_calls,
)
from course_lib.experiments.ch13_fewer_calls.students import HALVINGS, Data, Run, distilled, guided_from_the_start, halvings
from course_lib.experiments.evaluator import Evaluator
from course_lib.recipes.few_steps import latents_and_labels
from course_lib.storage.paths import runs_dir
from course_lib.storage.results import StoredResult, append_point, read_points

RESULT = StoredResult("fewer-calls", "results/fewer_calls.json")
SEEDS, SAMPLES = 2, 5000
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0)
FEW = (4, 2, 1)  # steps of the solver, compared with as many of the students
MORE = (8, 20)  # steps in which the student of four is used, too
# The solver's levels that were best for 2,000 images of seed 0, of all grids in hundreds from t = 1000 to 0.
BEST_GRIDS = {4: (1000, 800, 700, 200, 0), 2: (1000, 700, 0)}

Points = Iterator[dict[str, Any]]
Work = Callable[[Comparison, Data, int, int | None], Points]
"""(comparison, data, seed, training steps or None for the recipes') → the points of one part."""


def guided(comparison: Comparison, data: Data, seed: int, steps: int | None) -> Points:
    """The guided teacher: at every scale, and in few steps. Two calls a step, but one at scale 1."""
    for scale, n in [*((scale, TEACHER_STEPS) for scale in SCALES), *((SCALE, n) for n in FEW)]:
        factory, calls = two_calls(comparison.teacher, scale, comparison.machine), n if scale == 1 else 2 * n
        yield comparison.point(factory, scale, n, calls, seed=seed)


def distilled_guidance(comparison: Comparison, data: Data, seed: int, steps: int | None) -> Points:
    """The one-call student: at every scale, and in few steps of the same solver."""
    run = distilled(comparison.teacher, data, comparison.machine, seed, steps)
    yield from _at_scales(comparison, run, seed)
    for n in FEW:
        yield comparison.point(one_call(run.net, SCALE, comparison.machine), SCALE, n, n, seed=seed) | run.facts


def other_solvers(comparison: Comparison, data: Data, seed: int, steps: int | None) -> Points:
    """The guided teacher and the one-call student in few steps on BEST_GRIDS; and the student with DDIM, where halving begins."""
    run = distilled(comparison.teacher, data, comparison.machine, seed, steps)
    for n, grid in BEST_GRIDS.items():
        for name, factory, calls in (
            ("two calls", two_calls(comparison.teacher, SCALE, comparison.machine), 2),
            ("one call", one_call(run.net, SCALE, comparison.machine), 1),
        ):
            yield comparison.point(factory, SCALE, grid, calls * n, seed=seed) | {"arm": f"{name}, best grid"}
    n = 2 * HALVINGS[0]
    yield comparison.point(one_call(run.net, SCALE, comparison.machine), SCALE, n, n, ONE_STEP, seed) | {"arm": "one call, DDIM"}


def own_guidance(comparison: Comparison, data: Data, seed: int, steps: int | None) -> Points:
    """A network trained with the guided target from the start: at every scale."""
    yield from _at_scales(comparison, guided_from_the_start(data, comparison.machine, seed, steps), seed)


def _at_scales(comparison: Comparison, run: Run, seed: int) -> Points:
    for scale in SCALES:
        factory = one_call(run.net, scale, comparison.machine)
        yield comparison.point(factory, scale, TEACHER_STEPS, TEACHER_STEPS, seed=seed) | run.facts


def halved(at: tuple[float, ...] = (SCALE,), counts: tuple[int, ...] = FEW, share: float = 1.0, **options: Any) -> Work:
    """Return the work of halving a one-call student again and again, evaluated at some scales and numbers of steps.

    at: these scales. counts: these numbers of steps. share: of the recipe's training steps. options: of `halving_loss`.
    """

    def work(comparison: Comparison, data: Data, seed: int, steps: int | None) -> Points:
        machine = comparison.machine
        student = distilled(comparison.teacher, data, machine, seed, steps).net
        steps = steps or round(share * recipes.configs.FASHION_HALVING.steps)
        for n, run in halvings(student, data, machine, seed, steps, **options):
            for scale in at if n in counts else ():
                yield comparison.point(one_call(run.net, scale, machine), scale, n, n, ONE_STEP, seed) | run.facts

    return work


def beyond_its_steps(comparison: Comparison, data: Data, seed: int, steps: int | None) -> Points:
    """The student of four steps, used with more of them than it was made for."""
    machine = comparison.machine
    student = distilled(comparison.teacher, data, machine, seed, steps).net
    four = next(run.net for n, run in halvings(student, data, machine, seed, steps) if n == 4)
    for n in MORE:
        yield comparison.point(one_call(four, SCALE, machine), SCALE, n, n, ONE_STEP, seed)


def seconds(comparison: Comparison, data: Data, seed: int, steps: int | None) -> Points:
    """The seconds of sampling and decoding 1,000 images; of a student, whichever it is, they depend on its steps alone."""
    student, machine = recipes.load_or_train("fashion-one-call", comparison.machine), comparison.machine
    ways = {("two calls", TEACHER_STEPS): (two_calls(comparison.teacher, SCALE, machine), TEACHER_STEPS, SOLVER)}
    ways |= {("one call", TEACHER_STEPS): (one_call(student, SCALE, machine), TEACHER_STEPS, SOLVER)}
    ways |= {("halved", n): (one_call(student, SCALE, machine), n, ONE_STEP) for n in FEW}
    for (name, n), value in replace(comparison, n=1000).seconds(ways).items():
        yield {"arm": "seconds", "of": name, "steps": n, "scale": SCALE, "seed": seed, "seconds": round(value, 3)}


PARTS: dict[str, Work] = {
    "two calls": guided,
    "one call": distilled_guidance,
    "halved": halved((SCALE, 3.0), (16, 8, *FEW)),
    "guided from the start": own_guidance,
    "other solvers": other_solvers,
    "halved, one scale": halved(scales=(SCALE, SCALE)),
    "halved, error in x0": halved(measured_in="x0"),
    "halved, fewer steps of training": halved(share=0.4),
    "halved, more steps of training": halved(share=2.0),
    "four steps, used with more": beyond_its_steps,
    "seconds": seconds,
}
WITH_ALL_SEEDS = ("two calls", "one call", "halved")  # the other parts are measured with the first seed alone


def measure(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train the students of PARTS, those of WITH_ALL_SEEDS with two seeds, evaluate their samples, and store the figures as JSON.

    steps: of each training, the recipes' where None. out: the file to write; by default the shipped one under ``data/``. An hour
    on one core. Each part is saved under runs/ when it is done, and the same command continues after an interruption.
    """
    machine = devices.find()
    steps, seed = None if steps is None else check_integer("steps", steps, 1), check_integer("seed", seed, 0)
    comparison = Comparison(
        recipes.load_or_train("fashion-ldm", machine), recipes.load_codec("fashion-vae", machine), Evaluator(machine), SAMPLES
    )
    data, partial = latents_and_labels(machine), runs_dir() / f"fewer_calls_steps_{steps or 'as_in_the_recipes'}.jsonl"
    done = {(part["name"], part["seed"]): part["points"] for part in read_points(partial)}
    wanted = [(name, s) for name in PARTS for s in range(seed, seed + (SEEDS if name in WITH_ALL_SEEDS else 1))]
    for name, s in wanted:
        if (name, s) not in done:
            done[name, s] = [{"arm": name, **point} for point in PARTS[name](comparison, data, s, steps)]
            append_point(partial, {"name": name, "seed": s, "points": done[name, s]})
        print(name, s, *done[name, s], sep="\n", flush=True)
    points = [point for part in wanted for point in done[part]]
    file = RESULT.save(stored_figures(points, comparison, steps, seed), out)
    partial.unlink(missing_ok=True)
    return file


def stored_figures(points: list[dict[str, Any]], comparison: Comparison, steps: int | None, seed: int) -> dict[str, Any]:
    """Return what is stored: the points, and how they were measured."""
    figures = {"command": RESULT.command, "machine": str(comparison.machine), "seed": seed, "seeds": SEEDS, "steps": steps}
    return {**figures, "samples": comparison.n, "interval": 0.95, "teacher_steps": TEACHER_STEPS, "points": points}


def read(figures: dict[str, Any], arm: str, steps: int = TEACHER_STEPS, scale: float = SCALE) -> list[dict[str, Any]]:
    """Return an arm's stored points at this number of steps and scale, one for each seed."""
    check_choice("arm", arm, {p["arm"] for p in figures["points"]})
    return [p for p in figures["points"] if (p["arm"], p["steps"], p["scale"]) == (arm, steps, scale)]


def seconds_of(figures: dict[str, Any], arm: str, steps: int) -> float:
    """Return the stored seconds in which an arm samples and decodes 1,000 images in this number of steps, least of the seeds."""
    found = [p["seconds"] for p in read(figures, "seconds", steps) if p["of"] == arm]
    if not found:
        raise ValueError(f"The time of {arm!r} with {steps} steps is not stored.")
    return min(found)
