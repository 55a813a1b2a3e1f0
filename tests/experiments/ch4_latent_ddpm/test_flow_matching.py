"""Flow matching next to v: a network that is exact for one point, and what the command trains and writes."""

import json
from types import SimpleNamespace

import pytest
import torch

from course_lib import device
from course_lib.codec import PixelCodec
from course_lib.experiments.ch4_latent_ddpm import flow_matching

CPU = device.find("cpu", "fp32")


@pytest.mark.parametrize("name", flow_matching.ARMS)
def test_an_exact_network_of_one_point_is_followed_to_that_point(name):
    """v = alpha eps − sigma x0 and velocity = eps − x0, with eps = (x_t − alpha x0) / sigma."""
    arm, x0 = flow_matching.ARMS[name], torch.linspace(-0.9, 0.9, 64).view(4, 4, 4)

    def net(x_t, t, y):
        level = arm.schedule.at(t)
        eps = (x_t - level.alpha * x0) / level.sigma
        return level.alpha * eps - level.sigma * x0 if arm.prediction_type == "v" else eps - x0

    evaluator = SimpleNamespace(machine=CPU, frechet=lambda images: (images - x0).abs().max().item())
    for steps in flow_matching.SAMPLER_STEPS:
        assert flow_matching.sample_distance(arm, net, PixelCodec(), evaluator, steps, n=10) < 1e-4


def test_the_arms_are_the_formulas_of_the_papers():
    t = torch.arange(1001, dtype=torch.float64) / 1000
    straight, moved = (flow_matching.ARMS[name].schedule for name in ("velocity, uniform times", "velocity, shifted by 3"))
    torch.testing.assert_close(straight.sigmas, t)
    torch.testing.assert_close(moved.sigmas, 3 * t / (1 + 2 * t))


def test_a_short_training_of_an_arm():
    latents, labels = torch.randn(256, 4, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(256) % 10
    result = flow_matching.train_arm(flow_matching.ARMS["velocity, logit-normal times"], latents, labels, CPU, steps=2)
    assert result.steps == 2
    assert result.losses.isfinite().all()


def test_the_command_measures_every_arm_with_two_seeds(monkeypatch, tmp_path):
    def measure_arm(name, codec, evaluator, steps, seed):
        return {"arm": name, "seed": seed, "frechet": {"20": steps + seed}}

    monkeypatch.setattr(flow_matching, "measure_arm", measure_arm)
    monkeypatch.setattr(flow_matching, "Evaluator", lambda machine: None)
    monkeypatch.setattr(flow_matching.recipes, "load_codec", lambda name, machine: None)
    figures = json.loads(flow_matching.measure(steps=3, seed=1, out=tmp_path / "f.json").read_text())
    assert flow_matching.distances(figures) == {name: [4, 5] for name in flow_matching.ARMS}
    assert (figures["steps"], figures["command"]) == (3, "course measure flow-matching")
