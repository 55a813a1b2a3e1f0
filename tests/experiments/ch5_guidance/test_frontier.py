"""Chapter 5's frontier: every guidance method spends its budget of network calls, and the metrics are right on known images."""

import math

import pytest
import torch
from torch import nn

from course_lib import device, recipes, schedule
from course_lib.experiments import generate
from course_lib.experiments.ch5_guidance import frontier
from course_lib.guidance import guidance_interval, guide
from course_lib.images import to_float

CPU = device.find("cpu", "fp32")
NULL = recipes.NUM_CLASSES


class Constant(nn.Module):
    """Predicts a constant for each label, and counts the images that it was called for."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.values, self.calls = sign * torch.arange(NULL + 1.0), 0

    def forward(self, x, t, y):
        self.calls += len(x)
        return self.values[y].view(-1, 1, 1, 1).expand_as(x)


class Repeat:
    """Latents [N, 4, 4, 4] repeated as images [N, 1, 32, 32]."""

    def decode(self, latents):
        return latents.flatten(1).repeat(1, 16).view(-1, 1, 32, 32).clamp(-1, 1)


@pytest.fixture
def nets():
    return Constant(1.0), Constant(-1.0)


@pytest.fixture
def methods(nets):
    return frontier.guidance_methods(*nets, lambda y: lambda x_t, level: 0 * x_t.flatten(1).sum(1), CPU)


def test_each_method_uses_the_networks_that_its_name_says(methods):
    y, x, level = torch.tensor([3]), torch.randn(1, 4, 4, 4), schedule.cosine().level(500)

    def v(name: str, scale: float) -> float:
        x0 = methods[name].guide(y, scale)(x, level)
        return ((level.alpha * x - x0) / level.sigma).flatten()[0].item()

    at_2 = {"classifier-free": NULL + 2 * (3 - NULL), "in an interval": NULL + 2 * (3 - NULL), "autoguidance": -3 + 2 * (3 + 3)}
    assert {name: v(name, 2.0) for name in at_2} == pytest.approx(at_2, abs=1e-4)
    assert v("classifier", 2.0) == pytest.approx(NULL, abs=1e-4), "no gradient: the unconditional model is left"
    for name in ("classifier-free", "in an interval", "rescaled", "autoguidance"):
        assert v(name, 1.0) == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("name", ["classifier", "classifier-free", "in an interval", "rescaled", "autoguidance"])
def test_every_method_makes_as_many_calls_as_it_says_and_may(nets, methods, name, scale):
    method = methods[name]
    levels = method.affordable_levels(scale)
    generate.generate(method.factory(scale), torch.zeros(2, dtype=torch.long), Repeat(), frontier.SHAPE, CPU, levels=levels)
    calls = sum(net.calls for net in nets) / 2
    assert calls == method.network_calls(levels, scale) <= frontier.CALL_BUDGET
    finer = schedule.cosine().grid(len(levels))
    assert method.network_calls(finer, scale) > frontier.CALL_BUDGET, "one step more would be too many"


def test_where_guidance_is_on_it_costs_steps(methods):
    steps = {name: len(method.affordable_levels(3.0)) - 1 for name, method in methods.items()}
    assert steps["classifier"] == 20
    assert steps["classifier-free"] == steps["rescaled"] == steps["autoguidance"] == 10
    assert 10 < steps["in an interval"] < 20


def test_a_budget_below_one_step_is_refused(methods):
    with pytest.raises(ValueError, match=r"^1 network calls.*classifier-free"):
        methods["classifier-free"].affordable_levels(3.0, budget=1)


def test_intervals_cover_all_levels_once():
    parts = [frontier.INTERVALS[name] for name in ("low noise", "middle", "high noise")]
    assert [hi for _, hi in parts[:-1]] == [lo for lo, _ in parts[1:]]
    assert (parts[0][0], parts[-1][1]) == (0.0, math.inf) == frontier.INTERVALS["all levels"]


def test_mean_and_standard_deviation_over_the_seeds():
    point = frontier.FrontierPoint(2.0, 10, {"recall": [0.1, 0.2, 0.6]})
    assert point.mean("recall") == pytest.approx(0.3)
    assert point.std("recall") == pytest.approx((0.14 / 2) ** 0.5)  # of 0.04, 0.01 and 0.09
    assert frontier.FrontierPoint(2.0, 10, {"recall": [0.1]}).std("recall") == 0


def test_saturation_counts_white_pixels_and_contrast_is_their_standard_deviation():
    images = torch.tensor([1.0, 0.97, 0.5, -1.0]).view(1, 1, 2, 2)
    assert frontier.saturation(images) == 0.5
    assert frontier.contrast(torch.cat([images, images / 2])) == pytest.approx(0.75 * images.std().item())


def test_metrics_of_real_images_are_those_of_real_images_and_flat_ones_differ(evaluator):
    experiment = frontier.GuidanceExperiment(Repeat(), evaluator, n=300, seeds=(0,))
    real, labels = to_float(evaluator.images[:300]), evaluator.labels[:300]
    found = experiment.metrics(real, labels)
    assert set(found) == set(frontier.METRICS)
    for name in ("diversity", "saturation", "contrast", "precision", "recall"):
        assert found[name] == pytest.approx(1.0, abs=1e-6)
    flat = experiment.metrics((real / 10).clamp(-1, 1), labels)
    assert flat["contrast"] == pytest.approx(0.1, abs=1e-3)
    assert flat["saturation"] == 0
    assert flat["frechet"] > 5 * found["frechet"]


def test_copies_have_no_diversity(evaluator):
    real, labels = to_float(evaluator.images[:300]), evaluator.labels[:300]
    first = torch.stack([real[(labels == y).nonzero()[0, 0]] for y in range(NULL)])
    assert frontier.diversity(evaluator, first[labels], labels) == pytest.approx(0.0, abs=1e-3)


def test_seeds_differ_and_repeat(methods, evaluator):
    experiment = frontier.GuidanceExperiment(Repeat(), evaluator, n=20, seeds=(0, 1))
    one, other, again = (experiment.sample(methods["classifier-free"], 2.0, seed) for seed in (0, 1, 0))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    point = experiment.evaluate(methods["classifier-free"], 2.0)
    assert (point.scale, point.steps) == (2.0, 10)
    assert all(len(values) == 2 for values in point.values.values())


def test_the_newer_rules_combine_the_same_two_estimates(nets):
    """A network that predicts constants: its estimates are flat, so that low frequencies are all there is."""
    methods, y = frontier.further_methods(nets[0], CPU), torch.tensor([3])
    level, x = recipes.make_schedule().grid(frontier.STEPS)[5], torch.randn(1, 4, 4, 4)

    def v(name: str, scale: float) -> float:
        x0 = methods[name].guide(y, scale)(x, level)
        return ((level.alpha * x - x0) / level.sigma).mean().item()

    assert v("low frequencies at 1.2", 5.0) == pytest.approx(NULL + 1.2 * (3 - NULL), abs=1e-4)
    next_level = recipes.make_schedule().grid(frontier.STEPS)[6]
    scale = 0.5 / (1 - next_level.ratio / level.ratio)
    assert v("CFG++ scales", 0.5) == pytest.approx(NULL + scale * (3 - NULL), abs=1e-3)
    cond, null = (level.alpha * x - level.sigma * value for value in (3.0, float(NULL)))
    step = methods["projected"].guide(y, 3.0)(x, level) - cond
    torch.testing.assert_close((step * cond).sum(), torch.zeros(()), atol=1e-3, rtol=0)
    along = ((cond - null) * cond).sum() / cond.square().sum()
    torch.testing.assert_close(step, 2 * (cond - null - along * cond), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("equal", "steps"), [("calls", 10), ("steps", 20)])
def test_what_is_equal_decides_the_levels(methods, evaluator, equal, steps):
    experiment = frontier.GuidanceExperiment(Repeat(), evaluator, n=20, seeds=(0,), equal=equal)
    assert experiment.evaluate(methods["classifier-free"], 2.0).steps == steps
    with pytest.raises(ValueError, match="equal"):
        frontier.GuidanceExperiment(Repeat(), evaluator, equal="seconds")


def test_the_effective_scale_of_plain_guidance_is_its_scale_and_of_an_interval_its_mean():
    levels, x_T = recipes.make_schedule().grid(10), torch.randn(5, 4, 4, 4, dtype=torch.float64)

    def cond(x, level):
        return x.sin()

    def null(x, level):
        return 0.3 * x

    def measured(scale) -> float:
        return frontier.mean_effective_scale(guide(cond, null, scale), cond, null, x_T, levels)

    assert measured(3.5) == pytest.approx(3.5)
    lo, hi = 0.2, 3.0
    inside = sum(lo < level.ratio <= hi for level in levels[:-1])
    assert measured(guidance_interval(3.0, lo, hi)) == pytest.approx((3.0 * inside + 10 - inside) / 10)
