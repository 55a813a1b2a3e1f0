"""Matched quality: reading a curve, looking at a training on the way, and what the commands write."""

import json
import math
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib import device
from course_lib.experiments import evaluator
from course_lib.experiments.ch4_latent_ddpm import equal_quality, prediction_types, sampler_steps

CPU = device.find("cpu", "fp32")


def test_when_a_power_law_reaches_a_distance():
    curve = [(t, 100 / t**0.5) for t in (1.0, 10.0, 100.0)]
    assert equal_quality.seconds_to_reach(curve, 20.0) == pytest.approx(25.0)
    assert equal_quality.seconds_to_reach(curve, 200.0) == 1.0
    assert equal_quality.seconds_to_reach(curve, 5.0) == math.inf


def test_looks_copy_the_average_in_time_and_once_each():
    looks, net = equal_quality.Looks([0.02, 0.05]), nn.Linear(1, 1, bias=False)
    for step in range(1, 9):
        time.sleep(0.01)
        with torch.no_grad():
            net.weight.fill_(step)
        looks(step, net, net)
    (first, early), (second, late) = looks.kept
    assert 0.02 <= first < second
    assert second >= 0.05
    assert early.weight.item() < late.weight.item() < 8 or late.weight.item() == 8
    assert early is not net


def test_a_look_that_took_long_does_not_count():
    looks, net = equal_quality.Looks([1.0]), nn.Linear(1, 1)
    looks(1, net, net)
    looks.resumed = time.perf_counter()
    looks(2, net, net)
    assert looks.spent < 0.5
    assert looks.kept == []


def test_calls_and_curves_of_samplers():
    assert [sampler_steps.calls(name, 10) for name in ("DDPM", "DDIM", "DPM-Solver++(2M)", "Heun")] == [10, 10, 10, 19]
    points = [{"sampler": "Heun", "steps": n, "calls": 2 * n - 1, "kid": [1 / n, 0.5 / n, 1.5 / n]} for n in (3, 5)]
    assert sampler_steps.curves({"points": points}, "kid") == {"Heun": ([5, 9], [1 / 3, 1 / 5], pytest.approx([1 / 6, 1 / 10]))}


def test_a_point_of_the_sampler_curves(monkeypatch):
    """An all-knowing denoiser that paints grey: every sample alike, whatever the sampler."""
    from course_lib.codec import PixelCodec

    grey = torch.zeros(1, 32, 32)
    codec = PixelCodec()
    codec.decode = lambda z: grey.expand(len(z), 1, 32, 32)
    found = sampler_steps.point("Heun", 2, lambda y: lambda x, level: 0 * x, codec, evaluator.Evaluator(CPU), n=40, resamples=2)
    assert (found["sampler"], found["steps"], found["calls"]) == ("Heun", 2, 3)
    assert found["agreement"][0] == pytest.approx(0.1)  # one class for all
    assert set(sampler_steps.METRICS) < set(found)


def test_predictions_are_collected_by_kind_and_rate():
    points = [{"kind": "v", "rate": r, "seed": s, "average": {"1000": s + 0.5}} for s in (0, 1) for r in ("cosine", "constant")]
    wanted = {("v", "cosine"): [0.5, 1.5], ("v", "constant"): [0.5, 1.5]}
    assert prediction_types.collected({"points": points}) == wanted


def test_the_predictions_command_trains_every_arm(monkeypatch, tmp_path):
    seen = []

    def trained(kind, rate, codec, judge, steps, seed):
        seen.append((kind, rate, steps, seed))
        return SimpleNamespace(seconds=1.0, ema=None, net=None)

    monkeypatch.setattr(prediction_types, "trained", trained)
    monkeypatch.setattr(prediction_types, "distance", lambda net, kind, codec, judge, start, n: 7.0)
    monkeypatch.setattr(prediction_types.recipes, "codec_of", lambda name, machine: None)
    figures = json.loads(prediction_types.measure(steps=3, seed=1, out=tmp_path / "p.json").read_text())
    assert seen == [(kind, rate, 3, 1) for kind, rate in prediction_types.ARMS]
    assert figures["points"][0]["last"] == {"1000": 7.0, "980": 7.0}
    assert (figures["steps"], figures["command"]) == (3, "course train predictions")


@pytest.mark.parametrize("module", [prediction_types, sampler_steps, equal_quality])
def test_a_missing_curve_is_named(module, monkeypatch, tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=module.RESULT):
        module.stored()


def test_the_race_adds_what_went_before_and_counts_the_work(monkeypatch, tmp_path):
    """Two networks of which one call costs 2·6·6 operations, at 10 pictures a second; the VAE's costs as much, for 4 seconds."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 6)

        def forward(self, x, t=None, y=None):
            return self.layer(x.flatten(1)[:, :6])

    def trained(seconds, out, on_step, **options):
        on_step.kept = [(0.5 * seconds, net), (0.99 * seconds, net)]
        return SimpleNamespace(ema=net, seconds=seconds, images_per_second=10.0)

    def train_latent(seconds, folder, options, on_step):
        spent = {"vae_seconds": 4.0, "encoding_seconds": 1.0, "vae_rate": 10}
        return SimpleNamespace(vae=net), trained(seconds - 5.0, None, on_step), spent

    net = Net()
    monkeypatch.setattr(equal_quality, "train_latent", train_latent)
    monkeypatch.setattr(equal_quality.recipes, "fashion_pixel_ddpm", trained)
    monkeypatch.setattr(equal_quality, "draw", lambda make, labels, codec, shape, machine: torch.zeros(len(labels), 1, 32, 32))
    monkeypatch.setattr(
        equal_quality, "Judge", lambda machine: SimpleNamespace(machine=machine, frechet=lambda images: float(len(images)))
    )
    figures = json.loads(equal_quality.measure(seconds=15.0, n=20, out=tmp_path / "race.json", machine=CPU).read_text())
    assert figures["floor"] == 20.0
    assert figures["latent"]["curve"] == [[10.0, 20.0], [15.0, 20.0]]  # a look just before the end is the end
    assert figures["pixel"]["curve"] == [[30.0, 20.0], [60.0, 20.0]]
    assert figures["latent"]["training_flops"] == pytest.approx(3 * 72 * 10 * (4 + 10))
    assert figures["pixel"]["training_flops"] == pytest.approx(3 * 72 * 10 * 60)
