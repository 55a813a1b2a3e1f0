"""The stored frontier: one point on a small scale, and what the command measures and writes."""

import json
from types import SimpleNamespace

import pytest
import torch

from course_lib import device
from course_lib.experiments.ch5_guidance import frontier, stored_frontier
from course_lib.guidance import guide

CPU = device.find("cpu", "fp32")
TWICE = frontier.GuidanceMethod("twice", lambda y, w: guide(lambda x, level: 0.9 * x, lambda x, level: 0 * x, w))


class Mean:
    """Latents [N, 4, 4, 4] as the images [N, 1, 32, 32] of their means."""

    def decode(self, latents):
        return latents.mean((1, 2, 3)).clamp(-1, 1).view(-1, 1, 1, 1).expand(-1, 1, 32, 32)


def test_a_point_has_every_metric_for_every_seed_and_a_distance_of_more_samples(monkeypatch):
    monkeypatch.setattr(stored_frontier, "_effective_scale", lambda *given: given[1])
    given = []

    def metrics(images, labels):
        given.append((images, labels))
        return dict.fromkeys(frontier.METRICS, float(len(images)))

    evaluator = SimpleNamespace(machine=CPU, frechet=lambda images: float(len(images)))
    experiment = frontier.GuidanceExperiment(Mean(), evaluator, 20, (3, 4), "steps")
    monkeypatch.setattr(frontier.GuidanceExperiment, "metrics", lambda self, images, labels: metrics(images, labels))
    point = stored_frontier.measure_point(experiment, TWICE, 2.0, more=2)
    assert point["values"] == {key: [20.0, 20.0] for key in frontier.METRICS}
    assert point["frechet_of_more"] == [40.0, 40.0]
    assert (point["method"], point["scale"], point["steps"], point["calls"]) == ("twice", 2.0, 20, 40)
    assert [labels.tolist() for _, labels in given] == [(torch.arange(20) % 10).tolist()] * 2
    assert not torch.equal(given[0][0], given[1][0]), "another seed"
    assert "frechet_of_more" not in stored_frontier.measure_point(experiment, TWICE, 2.0)


def test_the_command_measures_the_plan_and_the_decisive_points_with_more_samples(monkeypatch, tmp_path):
    def measure_point(experiment, method, scale, more):
        assert list(experiment.seeds) == [7, 8, 9]
        return {"method": method, "scale": scale, "equal": experiment.equal, "more": more}

    monkeypatch.setattr(stored_frontier, "measure_point", measure_point)
    monkeypatch.setattr(stored_frontier, "Evaluator", lambda machine: None)
    monkeypatch.setattr(stored_frontier, "all_methods", lambda machine: {name: name for name, _ in stored_frontier.PLAN})
    monkeypatch.setattr(stored_frontier.recipes, "load_codec", lambda name, machine: None)
    figures = json.loads(stored_frontier.measure(samples=5, seed=7, out=tmp_path / "f.json").read_text())
    measured = {(p["method"], p["equal"], p["scale"]): p["more"] for p in figures["points"]}
    assert set(measured) == {(*key, scale) for key, scales in stored_frontier.PLAN.items() for scale in scales}
    decisive = {(*key, scale) for key, scales in stored_frontier.DECISIVE.items() for scale in scales}
    assert {key for key, more in measured.items() if more == stored_frontier.MORE} == decisive
    assert (figures["decisive_samples"], figures["command"]) == (50, "course measure frontier")
    assert list(stored_frontier.read_points(figures, "in an interval")) == [1.0, 1.5, 2.0, 3.0, 5.0]
    assert list(stored_frontier.read_points(figures, "CFG++ scales")) == [0.2, 0.4, 0.6]
    with pytest.raises(ValueError, match="method"):
        stored_frontier.read_points(figures, "wishful")


def test_the_stored_figures_are_those_of_the_plan():
    figures = stored_frontier.RESULT.read()
    for (name, equal), scales in stored_frontier.PLAN.items():
        points = stored_frontier.read_points(figures, name, equal)
        assert set(scales) <= set(points)
        for scale in stored_frontier.DECISIVE.get((name, equal), ()):
            assert len(points[scale]["frechet_of_more"]) == figures["seeds"]


def test_plain_guidance_between_the_stored_scales_is_interpolated():
    points = [
        {"method": "classifier-free", "equal": "steps", "scale": scale, "values": {"frechet": [value - 1, value + 1]}}
        for scale, value in ((1.0, 6.0), (2.0, 10.0), (3.0, 20.0))
    ]
    assert stored_frontier.mean_over_seeds(points[1], "frechet") == 10.0
    assert stored_frontier.plain_at({"points": points}, "frechet", 1.25) == pytest.approx(7.0)
    assert stored_frontier.plain_at({"points": points}, "frechet", 2.5) == pytest.approx(15.0)
    with pytest.raises(ValueError, match="scale is 4"):
        stored_frontier.plain_at({"points": points}, "frechet", 4.0)
