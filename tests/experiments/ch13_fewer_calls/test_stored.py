"""What the command measures and writes, and that it continues where it was stopped."""

import json
from types import SimpleNamespace

import pytest

from course_lib import device
from course_lib.experiments.ch13_fewer_calls import stored
from course_lib.experiments.ch13_fewer_calls.students import HALVINGS, Run

CPU = device.find("cpu", "fp32")


class Comparison:
    """Records what is asked for instead of sampling."""

    machine, teacher, n = CPU, "teacher", 10

    def point(self, factory, scale, steps, calls, sampler=stored.ONE_STEP, seed=0):
        return {"scale": scale, "steps": steps, "calls": calls, "seed": seed, "net": factory[0], "sampler": sampler}


@pytest.fixture
def fakes(monkeypatch):
    trained = []

    def train(name):
        def run(*given, **options):
            trained.append(name)
            return Run(name, 1.0, given[-1] or 5)

        return run

    def halvings(net, data, machine, seed, steps, **options):
        trained.append(("halved", steps, options))
        return ((n, Run(f"halved {n}", 1.0, steps)) for n in HALVINGS)

    monkeypatch.setattr(stored, "distilled", train("student"))
    monkeypatch.setattr(stored, "guided_from_the_start", train("own"))
    monkeypatch.setattr(stored, "halvings", halvings)
    for name in ("one_call", "two_calls"):
        monkeypatch.setattr(stored, name, lambda net, scale, machine: (net, scale))
    return trained


@pytest.mark.usefixtures("fakes")
def test_calls_are_counted():
    points = list(stored.guided(Comparison(), None, 1, None))
    assert {(p["scale"], p["steps"]): p["calls"] for p in points} == {
        **{(scale, 20): 20 if scale == 1 else 40 for scale in stored.SCALES},
        **{(1.5, n): 2 * n for n in (4, 2, 1)},
    }
    points = list(stored.distilled_guidance(Comparison(), None, 1, None))
    assert all(p["calls"] == p["steps"] and p["net"] == "student" for p in points)
    assert len(points) == 8


def test_a_chain_of_halvings_is_evaluated_where_asked(fakes):
    points = list(stored.halved((1.5, 3.0), (4, 1))(Comparison(), None, 0, None))
    assert [(p["net"], p["scale"], p["calls"]) for p in points] == [
        ("halved 4", 1.5, 4), ("halved 4", 3.0, 4), ("halved 1", 1.5, 1), ("halved 1", 3.0, 1)
    ]  # fmt: skip
    list(stored.halved(share=0.4, measured_in="x0")(Comparison(), None, 0, None))
    assert fakes[-1] == ("halved", 100, {"measured_in": "x0"})


@pytest.mark.usefixtures("fakes")
def test_the_student_of_four_steps_is_used_with_more():
    points = list(stored.beyond_its_steps(Comparison(), None, 1, None))
    assert [(p["net"], p["steps"], p["calls"]) for p in points] == [("halved 4", n, n) for n in (8, 20)]


@pytest.mark.usefixtures("fakes")
def test_the_best_grids_are_given_level_by_level():
    *points, last = stored.other_solvers(Comparison(), None, 1, None)
    assert (last["arm"], last["steps"], last["calls"], last["sampler"]) == ("one call, DDIM", 32, 32, "DDIM")
    assert {(p["arm"], p["steps"]): p["calls"] for p in points} == {
        (f"{name} calls, best grid" if name == "two" else "one call, best grid", grid): calls * n
        for n, grid in stored.BEST_GRIDS.items()
        for name, calls in (("two", 2), ("one", 1))
    }
    assert all(len(grid) == n + 1 and grid[0] == 1000 and grid[-1] == 0 for n, grid in stored.BEST_GRIDS.items())


def test_the_seconds_of_an_arm_are_the_least_of_the_seeds():
    figures = {
        "points": [
            {"arm": "seconds", "of": "halved", "steps": 4, "scale": 1.5, "seed": seed, "seconds": value}
            for seed, value in ((0, 3.0), (1, 2.0))
        ]
    }
    assert stored.seconds_of(figures, "halved", 4) == 2.0
    with pytest.raises(ValueError, match="'one call' with 4 steps"):
        stored.seconds_of(figures, "one call", 4)


def test_the_command_measures_every_part_with_its_seeds_and_continues(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    for name in ("load_or_train", "load_codec"):
        monkeypatch.setattr(stored.recipes, name, lambda *given: None)
    monkeypatch.setattr(stored, "Evaluator", lambda machine: None)
    monkeypatch.setattr(stored, "Comparison", lambda *given: SimpleNamespace(machine=CPU, n=given[-1]))
    monkeypatch.setattr(stored, "latents_and_labels", lambda machine: None)
    done = []

    def work(name):
        def run(comparison, data, seed, steps):
            if (name, seed) == ("b", 4) and done.count(("b", 4)) == 0:
                done.append(("b", 4))
                raise KeyboardInterrupt
            done.append((name, seed))
            yield {"seed": seed, "steps": 20, "scale": 1.5, "x": steps}

        return run

    monkeypatch.setattr(stored, "PARTS", {"a": work("a"), "b": work("b"), "c": work("c")})
    monkeypatch.setattr(stored, "WITH_ALL_SEEDS", ("a", "b"))
    with pytest.raises(KeyboardInterrupt):
        stored.measure(steps=3, seed=3, out=tmp_path / "f.json")
    figures = json.loads(stored.measure(steps=3, seed=3, out=tmp_path / "f.json").read_text())
    assert done == [("a", 3), ("a", 4), ("b", 3), ("b", 4), ("b", 4), ("c", 3)], "what was finished is not measured again"
    assert [(p["arm"], p["seed"]) for p in figures["points"]] == [("a", 3), ("a", 4), ("b", 3), ("b", 4), ("c", 3)]
    assert (figures["command"], figures["seeds"], figures["steps"]) == ("course measure fewer-calls", 2, 3)
    assert [p["seed"] for p in stored.read(figures, "b")] == [3, 4]
    assert list((tmp_path / "runs").iterdir()) == []
