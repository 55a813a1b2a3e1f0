"""Points of the comparison: an exact network of one point, the same images as the teacher's, and how calls are made."""

import pytest
import torch

from course_lib import device, recipes
from course_lib.experiments.ch13_fewer_calls import sampling
from course_lib.metrics import frechet_distance
from course_lib.samplers import ddim
from course_lib.schedule import Level

CPU = device.find("cpu", "fp32")
NOISE = recipes.make_schedule()
POINT = torch.linspace(-0.9, 0.9, 64).view(4, 4, 4)


class Means:
    """Latents [N, 4, 4, 4] as the images [N, 1, 32, 32] of their means over the channels, enlarged."""

    def decode(self, latents):
        return latents.mean(1, keepdim=True).clamp(-1, 1).repeat_interleave(8, 2).repeat_interleave(8, 3)


class Exact(torch.nn.Module):
    """What predicts v for data at one point for each class (the null label's is 0), and counts its calls."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.calls = 0

    def forward(self, x_t, t, y, scale=None):
        self.calls += 1
        level = NOISE.at(t)
        x0 = POINT * (y < 10).view(-1, 1, 1, 1)
        x0 = x0 if scale is None else scale[:, None, None, None] * x0  # guided from the null label's 0
        return (level.alpha * x_t - x0) / level.sigma


@pytest.fixture
def comparison(evaluator):
    return sampling.Comparison(Exact(), Means(), evaluator, 40)


def test_two_calls_and_one_lead_to_the_same_guided_point():
    """Guided from 0 at scale s, the exact teacher draws s times the point; so does an exact student with that scale."""
    teacher, student = Exact(), Exact()
    y, x_T, levels = torch.arange(6), torch.randn(6, 4, 4, 4, generator=torch.Generator().manual_seed(0)), NOISE.grid(4)
    for factory in (sampling.two_calls(teacher, 2.5, CPU), sampling.one_call(student, 2.5, CPU)):
        torch.testing.assert_close(ddim(factory(y), x_T, levels), (2.5 * POINT).expand(6, -1, -1, -1), rtol=1e-3, atol=1e-3)
    assert (teacher.calls, student.calls) == (8, 4)
    sampling.two_calls(teacher, 1.0, CPU)(y)(x_T, Level(500, 0.6, 0.8))
    assert teacher.calls == 9, "at scale 1 the teacher needs one call"


def test_the_teachers_own_point_has_no_difference_and_equal_images(comparison):
    point = comparison.point(sampling.two_calls(comparison.teacher, 1.5, CPU), 1.5, sampling.TEACHER_STEPS, 40, seed=3)
    assert point["difference"] == [0.0, 0.0, 0.0]
    assert point["psnr"] == 60
    assert (point["scale"], point["steps"], point["calls"], point["seed"]) == (1.5, 20, 40, 3)


def test_another_scale_is_measured_as_a_difference_from_the_teacher(comparison):
    point = comparison.point(sampling.one_call(comparison.teacher, 0.7, CPU), 1.5, 4, 4, sampling.ONE_STEP)
    images = Means().decode((0.7 * POINT).expand(40, -1, -1, -1))
    mean = sampling.psnr(images, Means().decode((1.5 * POINT).expand(40, -1, -1, -1))).item()
    assert point["psnr"] == pytest.approx(mean, abs=0.05)
    assert 0 <= point["agreement"] <= 1


def test_levels_may_be_given_one_by_one(comparison):
    factory = sampling.two_calls(comparison.teacher, 1.5, CPU)
    assert torch.equal(comparison.sample(factory, (1000, 500, 0)), comparison.sample(factory, 2))
    assert not torch.equal(comparison.sample(factory, (1000, 700, 0)), comparison.sample(factory, 2))
    assert comparison.point(factory, 1.5, (1000, 700, 0), 4)["steps"] == 2


def test_the_ways_take_turns_and_the_least_time_counts(comparison, monkeypatch):
    clock, drawn = iter((0.0, 5.0, 5.0, 6.0, 6.0, 8.0, 8.0, 11.0)), []
    monkeypatch.setattr(sampling.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(
        sampling.Comparison, "sample", lambda self, factory, steps, sampler: drawn.append((factory, steps, sampler))
    )
    found = comparison.seconds({"a": ("A", 20, "DDIM"), "b": ("B", 4, "Heun")}, rounds=2)
    assert found == {"a": 2.0, "b": 1.0}
    assert drawn == [("A", 20, "DDIM"), ("B", 4, "Heun")] * 2


def test_quality_is_that_of_the_metrics(comparison, evaluator):
    images = torch.rand(60, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = sampling.classify(evaluator.net, images)[0]
    reference = torch.zeros_like(features) + torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    found = comparison.quality(images, reference)
    value, low, high = found["frechet"]
    assert value == pytest.approx(frechet_distance(features, evaluator.features), abs=1e-3)
    assert low < value < high
    assert found["difference"][0] == pytest.approx(value - frechet_distance(reference, evaluator.features), abs=1e-2)


def test_the_reference_is_sampled_once_for_each_scale_and_seed(comparison, monkeypatch):
    seen = []

    def sample(self, factory, steps, seed):
        seen.append((steps, seed))
        return torch.zeros(4, 1, 32, 32)

    monkeypatch.setattr(sampling.Comparison, "sample", sample)
    for scale, seed in ((1.5, 0), (1.5, 0), (2.0, 0), (1.5, 1)):
        comparison.reference(scale, seed)
    assert seen == [(20, 0), (20, 0), (20, 1)]
