"""Guided samples against the analytic guided score of each kind of guidance, in its own paper's definition, integrated finely.

Our samplers walk a guided *denoiser* in some hundred steps of the schedule; here SciPy integrates a guided *score* to ten
digits in noise over signal. They share the mixture's closed form and nothing of `course_lib.guidance`.
"""

import math
from dataclasses import replace

import pytest
import torch
from oracles import flowed_by, normal, seeded, toy

from course_lib import schedule
from course_lib.gaussian_mixture import GaussianMixture, gaussian_mixture
from course_lib.guidance import classifier_guide, guidance_interval, guide
from course_lib.samplers import dpmpp_2m, heun
from course_lib.schedule import Level

Y, W, PHI, LO, HI = 1, 3.0, 0.7, 0.3, 2.0  # the class, guidance scale, share of rescaling, interval in noise over signal
KINDS = ("classifier-free", "classifier", "interval", "rescaled", "autoguidance")


def pictures() -> GaussianMixture:
    """Four Gaussians of three classes over pictures of 4×4: enough numbers for a standard deviation to mean something."""
    means = torch.randn(4, 1, 4, 4, generator=seeded(3), dtype=torch.float64)
    return gaussian_mixture(means, 0.5, torch.tensor([1.0, 2.0, 1.0, 0.5]), torch.tensor([0, 1, 2, 2]))


def wider(mixture: GaussianMixture) -> GaussianMixture:
    """A worse model of the same data: every Gaussian too wide."""
    return replace(mixture, variances=mixture.variances + 0.25)


MIXTURES = {"plane": toy, "pictures": pictures}


def ours(kind: str, mixture: GaussianMixture):
    cond, null = mixture.denoiser(Y), mixture.denoiser()
    return {
        "classifier-free": guide(cond, null, W),
        "classifier": classifier_guide(null, lambda x_t, level: mixture.class_log_prob(x_t, level)[:, Y], W),
        "interval": guide(cond, null, guidance_interval(W, LO, HI)),
        "rescaled": guide(cond, null, W, rescale=PHI),
        "autoguidance": guide(cond, wider(mixture).denoiser(Y), W),
    }[kind]


def papers(kind: str, mixture: GaussianMixture):
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
        matched = torch.stack([g * p.std() / g.std() for g, p in zip(guided, positive, strict=True)])
        return (PHI * matched + (1 - PHI) * guided - x) / level.sigma**2

    def autoguidance(x, level):  # Karras et al. 2024, eq. 3: D1 + (w - 1) · (D1 - D0)
        d1, d0 = (x + level.sigma**2 * m.score(x, level, Y) for m in (mixture, wider(mixture)))
        return (d1 + (W - 1) * (d1 - d0) - x) / level.sigma**2

    named = {"classifier": classifier, "rescaled": rescaled, "autoguidance": autoguidance}
    return named.get(kind, classifier_free)


def exactly(kind: str, mixture: GaussianMixture, x_T: torch.Tensor, start: Level) -> torch.Tensor:
    """Where the paper's score carries x_T. In an interval (Kynkäänniemi et al. 2024, eq. 6) it changes at two levels, and each
    stretch is integrated by itself: no solver steps over a jump unharmed."""
    guided, plain = papers(kind, mixture), lambda x, level: mixture.score(x, level, Y)
    end = Level(0, 1.0, 1e-5)
    stretches = [(guided, end)]
    if kind == "interval":
        stretches = [(plain, Level(0, 1.0, HI)), (guided, Level(0, 1.0, LO)), (plain, end)]
    x = x_T / start.alpha
    here = start._replace(alpha=1.0, sigma=start.ratio)
    for score, there in stretches:
        x, here = flowed_by(score, x, here, there), there
    return x


def both_sides(levels: list[Level], *edges: float) -> list[Level]:
    """The levels and, for each edge in noise over signal, one just above it and one on it: a step over a jump would use
    slopes of both sides, and these two let every step but a vanishing one lie on one side."""
    ratios = [r for edge in edges for r in (edge * (1 + 1e-9), edge)]
    return sorted(levels + [Level(0, 1 / math.hypot(1, r), r / math.hypot(1, r)) for r in ratios], key=lambda at: -at.ratio)


@pytest.mark.parametrize("data", MIXTURES)
@pytest.mark.parametrize("kind", KINDS)
def test_guided_samples_are_those_of_the_papers_own_score(kind, data):
    mixture, levels = MIXTURES[data](), schedule.cosine().grid(500)
    x_T = levels[0].sigma * normal(50, *mixture.shape, seed=1)
    wanted, denoise = exactly(kind, mixture, x_T, levels[0]), ours(kind, mixture)
    worst = {sample: (sample(denoise, x_T, levels) - wanted).abs().max() for sample in (heun, dpmpp_2m)}
    assert max(worst.values()) < 1e-3
    if kind == "interval":
        aligned = heun(denoise, x_T, both_sides(levels, LO, HI))
        assert (aligned - wanted).abs().max() < worst[heun]


@pytest.mark.parametrize("data", MIXTURES)
def test_the_kinds_differ_by_more_than_the_bound(data):
    """So the test above tells them apart; only exact classifier guidance *is* classifier-free guidance."""
    mixture, levels = MIXTURES[data](), schedule.cosine().grid(50)
    x_T = levels[0].sigma * normal(50, *mixture.shape, seed=1)
    drawn = {kind: heun(ours(kind, mixture), x_T, levels) for kind in KINDS}
    drawn["unguided"] = heun(mixture.denoiser(Y), x_T, levels)
    torch.testing.assert_close(drawn.pop("classifier"), drawn["classifier-free"], atol=1e-6, rtol=1e-6)
    names = list(drawn)
    apart = [(drawn[a] - drawn[b]).abs().max() for i, a in enumerate(names) for b in names[:i]]
    assert min(apart) > 0.02
