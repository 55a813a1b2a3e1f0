"""Prediction types: what the command trains and writes, and how a chapter reads it."""

import json
from types import SimpleNamespace

from course_lib.experiments.ch4_latent_ddpm import prediction_types


def test_distances_are_collected_by_variant():
    points = [{"kind": "v", "rate": r, "seed": s, "average": {"1000": s + 0.5}} for s in (0, 1) for r in ("cosine", "constant")]
    wanted = {("v", "cosine"): [0.5, 1.5], ("v", "constant"): [0.5, 1.5]}
    assert prediction_types.distances_by_variant({"points": points}) == wanted


def test_the_command_trains_every_variant(monkeypatch, tmp_path):
    trained = []

    def train_variant(prediction_type, lr_schedule, codec, evaluator, steps, seed):
        trained.append((prediction_type, lr_schedule, steps, seed))
        return SimpleNamespace(seconds=1.0, ema=None, net=None)

    monkeypatch.setattr(prediction_types, "train_variant", train_variant)
    monkeypatch.setattr(prediction_types, "sample_distance", lambda net, prediction_type, codec, evaluator, start, n: 7.0)
    monkeypatch.setattr(prediction_types, "Evaluator", lambda machine: None)
    monkeypatch.setattr(prediction_types.recipes, "load_codec", lambda name, machine: None)
    figures = json.loads(prediction_types.measure(steps=3, seed=1, out=tmp_path / "p.json").read_text())
    assert trained == [(prediction_type, lr_schedule, 3, 1) for prediction_type, lr_schedule in prediction_types.VARIANTS]
    assert figures["points"][0]["last"] == {"1000": 7.0, "980": 7.0}
    assert (figures["steps"], figures["command"]) == (3, "course measure predictions")
