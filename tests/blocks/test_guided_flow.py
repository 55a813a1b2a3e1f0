"""Guided samples against the analytic guided score of each guidance method, as its paper defines it, integrated finely.

Our samplers follow a guided *denoiser* in some hundred steps of the schedule; here SciPy integrates a guided *score* in noise
over signal to seven digits, four more than the bound needs. Both use the mixture's closed form; only ours uses
`course_lib.guidance`.
"""

import math
from dataclasses import replace

import pytest
import torch
from oracles import flow_of_score, normal, seeded, toy

from course_lib import schedule
from course_lib.gaussian_mixture import GaussianMixture, gaussian_mixture
from course_lib.guidance import classifier_guide, guidance_interval, guide
from course_lib.samplers import dpmpp_2m, heun
from course_lib.schedule import Level

Y, W, PHI, LO, HI = 1, 3.0, 0.7, 0.3, 2.0  # class, guidance scale, rescale, interval in noise over signal
METHODS = ("classifier-free", "classifier", "interval", "rescaled", "autoguidance")


def images() -> GaussianMixture:
    """Four Gaussians of three classes over images of 4×4: enough pixels for a standard deviation to mean something."""
    means = torch.randn(4, 1, 4, 4, generator=seeded(3), dtype=torch.float64)
    return gaussian_mixture(means, 0.5, torch.tensor([1.0, 2.0, 1.0, 0.5]), torch.tensor([0, 1, 2, 2]))


def wider(mixture: GaussianMixture) -> GaussianMixture:
    """A worse model of the same data: every Gaussian too wide."""
    return replace(mixture, variances=mixture.variances + 0.25)


MIXTURES = {"plane": toy, "images": images}


def our_denoiser(method: str, mixture: GaussianMixture):
    cond, null = mixture.denoiser(Y), mixture.denoiser()
    return {
        "classifier-free": guide(cond, null, W),
        "classifier": classifier_guide(null, lambda x_t, level: mixture.class_log_prob(x_t, level)[:, Y], W),
        "interval": guide(cond, null, guidance_interval(W, LO, HI)),
        "rescaled": guide(cond, null, W, rescale=PHI),
        "autoguidance": guide(cond, wider(mixture).denoiser(Y), W),
    }[method]


def paper_score(method: str, mixture: GaussianMixture):
    """The guided score (x, level) → [B, ...] as the paper writes it; its data by D = x + sigma² · score, for alpha = 1."""

    def classifier_free(x, level):  # Ho & Salimans 2022, eq. 6, with their w = W - 1
        w = W - 1
        return (1 + w) * mixture.score(x, level, Y) - w * mixture.score(x, level)

    def classifier(x, level):  # Dhariwal & Nichol 2021, algorithm 2: score + s · ∇ log p(y | x_t)
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(mixture.class_log_prob(x, level)[:, Y].sum(), x)
        return mixture.score(x.detach(), level) + W * slope

    def rescaled(x, level):  # Lin et al. 2023, eq. 15 and 16, of what the models say of the data
        positive = x + level.sigma**2 * mixture.score(x, level, Y)
        guided = x + level.sigma**2 * classifier_free(x, level)
        axes = (1, 2, 3)
        matched = guided * positive.std(axes, keepdim=True) / guided.std(axes, keepdim=True)
        return (PHI * matched + (1 - PHI) * guided - x) / level.sigma**2

    def autoguidance(x, level):  # Karras et al. 2024, eq. 3: D1 + (w - 1) · (D1 - D0)
        d1, d0 = (x + level.sigma**2 * m.score(x, level, Y) for m in (mixture, wider(mixture)))
        return (d1 + (W - 1) * (d1 - d0) - x) / level.sigma**2

    named = {"classifier": classifier, "rescaled": rescaled, "autoguidance": autoguidance}
    return named.get(method, classifier_free)


def exact_samples(method: str, mixture: GaussianMixture, x_T: torch.Tensor, start: Level) -> torch.Tensor:
    """Where the paper's score carries x_T. In an interval (Kynkäänniemi et al. 2024, eq. 6) the score jumps at two levels, and
    each stretch is integrated separately, because a solver that steps over a jump loses its order."""
    guided, plain = paper_score(method, mixture), lambda x, level: mixture.score(x, level, Y)
    end = Level(0, 1.0, 1e-5)
    stretches = [(guided, end)]
    if method == "interval":
        stretches = [(plain, Level(0, 1.0, HI)), (guided, Level(0, 1.0, LO)), (plain, end)]
    x = x_T / start.alpha
    here = start._replace(alpha=1.0, sigma=start.ratio)
    for score, there in stretches:
        x, here = flow_of_score(score, x, here, there, tolerance=1e-8), there
    return x


def both_sides(levels: list[Level], *edges: float) -> list[Level]:
    """The levels and, for each edge in noise over signal, one just above it and one on it: a step over a jump would mix the
    slopes of both sides; with these two, every step except a vanishingly short one lies on one side."""
    ratios = [r for edge in edges for r in (edge * (1 + 1e-9), edge)]
    return sorted(levels + [Level(0, 1 / math.hypot(1, r), r / math.hypot(1, r)) for r in ratios], key=lambda at: -at.ratio)


@pytest.mark.parametrize("data", MIXTURES)
@pytest.mark.parametrize("method", METHODS)
def test_guided_samples_are_those_of_the_score_in_the_paper(method, data):
    mixture, levels = MIXTURES[data](), schedule.cosine().grid(500)
    x_T = levels[0].sigma * normal(50, *mixture.shape, seed=1)
    wanted, denoise = exact_samples(method, mixture, x_T, levels[0]), our_denoiser(method, mixture)
    worst = {sample: (sample(denoise, x_T, levels) - wanted).abs().max() for sample in (heun, dpmpp_2m)}
    assert max(worst.values()) < 1e-3
    if method == "interval":
        aligned = heun(denoise, x_T, both_sides(levels, LO, HI))
        assert (aligned - wanted).abs().max() < worst[heun]


@pytest.mark.parametrize("data", MIXTURES)
def test_the_methods_differ_by_more_than_the_bound(data):
    """So the test above distinguishes them; only exact classifier guidance *is* classifier-free guidance."""
    mixture, levels = MIXTURES[data](), schedule.cosine().grid(50)
    x_T = levels[0].sigma * normal(50, *mixture.shape, seed=1)
    drawn = {method: heun(our_denoiser(method, mixture), x_T, levels) for method in METHODS}
    drawn["unguided"] = heun(mixture.denoiser(Y), x_T, levels)
    torch.testing.assert_close(drawn.pop("classifier"), drawn["classifier-free"], atol=1e-6, rtol=1e-6)
    names = list(drawn)
    distances = [(drawn[a] - drawn[b]).abs().max() for i, a in enumerate(names) for b in names[:i]]
    assert min(distances) > 0.02
