"""Equal quality: reading a curve, snapshots during a training, and what the command writes."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib import device
from course_lib.experiments.ch4_latent_ddpm import equal_quality

CPU = device.find("cpu", "fp32")


def test_when_a_power_law_reaches_a_distance():
    curve = [(t, 100 / t**0.5) for t in (1.0, 10.0, 100.0)]
    assert equal_quality.seconds_to_reach(curve, 20.0) == pytest.approx(25.0)
    assert equal_quality.seconds_to_reach(curve, 200.0) == 1.0
    assert equal_quality.seconds_to_reach(curve, 5.0) == math.inf


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves: clock.now, in seconds."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(equal_quality, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_snapshots_copy_the_average_in_time_and_once_each(clock):
    snapshots, net = equal_quality.EmaSnapshots([2.0, 5.0]), nn.Linear(1, 1, bias=False)
    for step in range(1, 9):  # the first step ends the start-up, each further one takes a second
        clock.now += 30 if step == 1 else 1
        with torch.no_grad():
            net.weight.fill_(step)
        snapshots(step, net, net)
    (first, early), (second, late) = snapshots.snapshots
    assert (first, second) == (2.0, 5.0)
    assert (early.weight.item(), late.weight.item()) == (3.0, 6.0)
    assert early is not net


def test_several_moments_in_one_step_give_one_snapshot(clock):
    snapshots, net = equal_quality.EmaSnapshots([1.0, 2.0, 3.0]), nn.Linear(1, 1)
    for step in (1, 2, 3):
        clock.now += 2.5
        snapshots(step, net, net)
    assert [seconds for seconds, _ in snapshots.snapshots] == [2.5, 5.0]


def test_the_time_for_copying_does_not_count(clock, monkeypatch):
    class SlowToCopy(nn.Linear):
        def __deepcopy__(self, memo):
            clock.now += 10
            return self

    snapshots, net = equal_quality.EmaSnapshots([1.0, 2.0]), SlowToCopy(1, 1)
    for step in (1, 2, 3):
        clock.now += 1
        snapshots(step, net, net)
    assert [seconds for seconds, _ in snapshots.snapshots] == [1.0, 2.0]


def test_the_command_adds_what_went_before_and_counts_the_operations(monkeypatch, tmp_path):
    """Two networks of which one call costs 2·6·6 operations, at 10 images a second; the VAE's costs as much, for 4 seconds."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 6)

        def forward(self, x, t=None, y=None):
            return self.layer(x.flatten(1)[:, :6])

    net = Net()

    def result(seconds, snapshots):
        snapshots.snapshots = [(0.5 * seconds, net), (0.99 * seconds, net)]
        return SimpleNamespace(ema=net, seconds=seconds, images_per_second=10.0)

    def train_latent(folder, machine, seconds, seed, on_step):
        spent = {"vae_seconds": 4.0, "encoding_seconds": 1.0, "vae_rate": 10}
        return SimpleNamespace(vae=net), result(seconds - 5.0, on_step), spent

    fake = SimpleNamespace(machine=CPU, frechet=lambda images: float(len(images)))
    monkeypatch.setattr(equal_quality, "train_latent", train_latent)
    monkeypatch.setattr(
        equal_quality.recipes,
        "fashion_pixel_ddpm",
        lambda out, machine, options, on_step: result(options.max_seconds, on_step),
    )
    monkeypatch.setattr(equal_quality, "generate", lambda factory, labels, *rest: torch.zeros(len(labels), 1, 32, 32))
    monkeypatch.setattr(equal_quality, "Evaluator", lambda machine: fake)
    figures = json.loads(equal_quality.measure(seconds=15.0, n=20, out=tmp_path / "curves.json", machine=CPU).read_text())
    assert figures["command"] == "course measure matched-quality"
    assert figures["floor"] == 20.0
    assert figures["latent"]["curve"] == [[10.0, 20.0], [15.0, 20.0]]  # a snapshot just before the end is the end
    assert figures["pixel"]["curve"] == [[30.0, 20.0], [60.0, 20.0]]
    assert figures["latent"]["training_flops"] == pytest.approx(3 * 72 * 10 * (4 + 10))
    assert figures["pixel"]["training_flops"] == pytest.approx(3 * 72 * 10 * 60)
