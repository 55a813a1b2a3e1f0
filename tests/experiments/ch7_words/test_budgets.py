"""Training with words and with factors: the points on the way, and the stored curves."""

import torch
from oracles import normal

from course_lib import device, recipes
from course_lib.experiments import prompt_adherence
from course_lib.experiments.ch7_words import budgets

MACHINE = device.find("cpu", "fp32")


def test_points_are_reported_for_seen_and_unseen_combinations(monkeypatch):
    codec, reader = recipes.load_codec("teddies-vae", MACHINE), recipes.load_or_train("teddies-reader", MACHINE)
    monkeypatch.setattr(budgets, "BATCH", 4)
    measured = budgets.adherence_by_split
    monkeypatch.setattr(budgets, "adherence_by_split", lambda model, reader: measured(model, reader, n=2))
    data = (normal(20, 4, 8, 8, dtype=torch.float32), prompt_adherence.sample_prompts(20, 0))
    for condition in budgets.CONDITIONS:
        points: list[budgets.Point] = []
        budgets.measure_while_training(condition, data, codec, reader, MACHINE, points.append, [1], seed=2)
        assert [p["combinations"] for p in points] == ["seen", "never seen"]
        assert {(p["condition"], p["seed"], p["steps"]) for p in points} == {(condition, 2, 1)}
        assert all(0 <= p["all"] <= min(p["fur"], p["scarf"]) for p in points)


def test_curves_collect_the_seeds():
    points = [
        {"condition": "words", "seed": s, "steps": n, "combinations": "seen", "all": n / 10 + s} for s in (0, 1) for n in (1, 2)
    ]
    assert budgets.curve({"points": points}, "words", "seen") == ([1, 2], [[0.1, 1.1], [0.2, 1.2]])
    assert budgets.curve({"points": points}, "factors", "seen") == ([], [])
