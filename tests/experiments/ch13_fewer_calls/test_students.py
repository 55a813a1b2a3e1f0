"""The students' trainings: the loss of guidance from the start on a network that is exact, and the chain of halvings."""

from types import SimpleNamespace

import pytest
import torch

from course_lib import device, recipes
from course_lib.experiments.ch13_fewer_calls import students
from course_lib.recipes import configs
from course_lib.training import TrainResult
from course_lib.unet import UNet

CPU = device.find("cpu", "fp32")
CONFIG = {"in_channels": 4, "width": 8, "multipliers": (1,), "blocks": 1, "attention": (), "heads": 2}
DATA = torch.randn(64, 4, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 10


def test_the_own_target_of_a_network_that_ignores_its_label_is_v():
    """Without a difference between labels there is nothing to guide along, so it is the ordinary loss of v."""
    schedule = configs.make_schedule()
    point = torch.linspace(-1, 1, 64).view(1, 4, 4, 4)

    def exact(x_t, t, y, scale=None):
        level = schedule.at(t)
        return (level.alpha * x_t - point) / level.sigma

    batch = point.expand(32, -1, -1, -1), torch.arange(32) % 10
    assert students.own_guidance_loss(exact, batch, torch.Generator().manual_seed(0)) < 1e-4  # fp32, at the smallest sigma


def test_the_own_target_adds_the_scale_minus_one_times_the_networks_guidance():
    """A network that outputs its label and ignores x_t: the loss of a batch of zeros is known."""
    seen = []

    def net(x_t, t, y, scale=None):
        seen.append((y, scale))
        return torch.where(y == 10, 0.0, 1.0)[:, None, None, None].expand_as(x_t) + 0 * x_t

    x0, y = torch.zeros(4000, 1, 1, 1), torch.zeros(4000, dtype=torch.int64)
    loss = students.own_guidance_loss(net, (x0, y), torch.Generator().manual_seed(0))
    labels, scale = seen[0]
    given = (labels != 10).double()
    assert 0.85 < given.mean() < 0.95
    # out − goal = given − (v + (scale − 1) · given), and v = alpha · eps has mean 0 and variance alpha², 1/2 on average
    expected = 0.5 + (given * (2 - scale).square()).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=0.05)
    assert [s for _, s in seen[1:]] == [None, None], "the direction is that of the network without a scale, which means 1"


def test_halvings_follow_one_another(monkeypatch):
    given = []

    def halve(net, steps, data, training, machine, **options):
        given.append((net, steps, training.steps, training.seed, options))
        return TrainResult(net, f"student of {steps}", torch.zeros(1), 1.0, 1.0, training.steps)

    monkeypatch.setattr(students, "halve", halve)
    found = list(students.halvings("one call", DATA, CPU, seed=3, steps=7, measured_in="x0"))
    assert [steps for steps, _ in found] == [16, 8, 4, 2, 1]
    assert [net for net, *_ in given] == ["one call", *(f"student of {n}" for n in (16, 8, 4, 2))]
    assert {(n, seed) for _, _, n, seed, _ in given} == {(7, 3)}
    assert all(options == {"measured_in": "x0"} for *_, options in given)
    assert found[-1][1].net == "student of 1"


def test_trainings_of_few_steps(monkeypatch):
    teacher = UNet(**CONFIG)
    monkeypatch.setattr(
        students, "untrained_student", lambda machine, seed: (UNet(**CONFIG, takes_scale=True), CONFIG | {"takes_scale": True})
    )
    monkeypatch.setattr(configs, "FASHION_ONE_CALL", recipes.configs.TrainConfig(steps=5, batch_size=16, progress=False))
    for run in (
        students.distilled(teacher, DATA, CPU, 1, 2),
        students.guided_from_the_start((DATA[0].repeat(8, 1, 1, 1), DATA[1].repeat(8)), CPU, 1, 2),
    ):
        assert run.steps == 2
        assert run.seconds > 0
        assert run.net.conditioning.scale is not None
        assert run.facts["training_steps"] == 2


def test_seconds_are_the_processors(monkeypatch):
    times = iter((10.0, 12.5))
    monkeypatch.setattr(students.time, "process_time", lambda: next(times))
    run = students.timed(lambda: SimpleNamespace(ema="net", steps=4))
    assert (run.net, run.seconds, run.steps) == ("net", 2.5, 4)
