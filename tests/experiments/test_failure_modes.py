"""Chapter 5's clinic on data whose denoisers are closed forms: ten Gaussian classes of unit variance in all, where each probe's
nominal reading is known without a trained network."""

from dataclasses import fields, replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from oracles import normal
from torch import nn

from course_lib import device, recipes
from course_lib.codec import VAECodec
from course_lib.experiments.ch5_guidance import failure_modes
from course_lib.vae import VAE, Posterior

MACHINE = device.find("cpu", "fp32")
SCHEDULE = recipes.make_schedule()
SPREAD = 0.6  # of each class; its means' own spread fills up to 1
MEANS = (1 - SPREAD**2) ** 0.5 * normal(10, 4, 4, 4, seed=3, dtype=torch.float32).sign()
UNIT = 22.0  # the stand-in VAE's latents are pixels times this: 5.5 where a latent of the denoiser's is 1
LABELS = torch.arange(300) % 10
X0 = MEANS[LABELS] + SPREAD * normal(300, 4, 4, 4, seed=1, dtype=torch.float32)


class Exact(nn.Module):
    """The best possible v-network of the ten classes; label 10 means any of them."""

    def forward(self, x_t, t, y):
        level = SCHEDULE.at(t.clamp(min=1))
        precision = SPREAD**2 / (level.alpha**2 * SPREAD**2 + level.sigma**2)
        gap = x_t[:, None] - level.alpha[:, None] * MEANS  # [B, 10, C, h, w]
        x0_hats = MEANS + (level.alpha * precision)[:, None] * gap
        of_any = (-gap.square().sum((2, 3, 4)) * (precision / SPREAD**2 / 2).view(-1, 1)).softmax(1)
        weights = torch.where(y[:, None] == 10, of_any, nn.functional.one_hot(y, 11)[:, :10].float())
        return (level.alpha * x_t - torch.einsum("bk,bkchw->bchw", weights, x0_hats)) / level.sigma


class Zero(nn.Module):
    """Believes that all data are 0: v = alpha · x_t / sigma."""

    def forward(self, x_t, t, y):
        level = SCHEDULE.at(t)
        return level.alpha * x_t / level.sigma


class Pixels(nn.Module):
    """A VAE whose latents are the pixels, times UNIT."""

    latent_channels = 4

    def __init__(self):
        super().__init__()
        self.any = nn.Parameter(torch.zeros(1))

    def encode(self, images):
        return Posterior(UNIT * images, torch.zeros_like(images))

    def decode(self, latents):
        return latents / UNIT


class Nearest(nn.Module):
    """A judge that reads the class whose mean is nearest."""

    features = staticmethod(lambda images: images.flatten(1) * UNIT / 5.5)
    head = staticmethod(lambda features: -torch.cdist(features, MEANS.flatten(1)))


def healthy(net=None):
    codec = VAECodec(Pixels(), torch.zeros(4), torch.full((4,), 5.5))
    return failure_modes.Run(MACHINE, codec, codec, net or Exact(), SCHEDULE.grid(failure_modes.STEPS))


WELL, JUDGE = healthy(), SimpleNamespace(net=Nearest(), machine=MACHINE)
IMAGES = X0 * 5.5 / UNIT
ILL = {letter: failure_modes.inject_fault(WELL, letter) for letter in failure_modes.LETTERS}


@pytest.fixture(scope="module")
def readings():
    return {name: failure_modes.diagnose(run, JUDGE, IMAGES, X0, LABELS) for name, run in {"well": WELL, **ILL}.items()}


def changed(run):
    return [f.name for f in fields(run) if getattr(run, f.name) is not getattr(WELL, f.name)]


def test_each_fault_changes_one_part_and_no_two_the_same():
    parts = [changed(run) for run in ILL.values()]
    assert all(len(part) == 1 for part in parts)
    assert sorted(part[0] for part in parts) == ["codec", "guide", "levels", "net", "null_label", "told"]
    assert len({failure_modes.answer(letter) for letter in failure_modes.LETTERS}) == 6


# part that is ill → the probe for it, its reading in all other runs, and in this one. Spread: with a wrong null label guidance
# overshoots, and the more so the further apart the classes are; so it is only too small a spread that tells of the codec.
DIAGNOSES = {
    "codec": ("spread at the decoder (1 = as encoded)", lambda v: v > 0.8, lambda v: v == pytest.approx(1 / 5.5, rel=0.2)),
    "guide": ("agreement gained by guidance", lambda v: v >= -0.05, lambda v: v < -0.8),
    "null_label": ("commonest class at scale 0", lambda v: v <= 0.5, lambda v: v == 1),
    "levels": ("last step", lambda v: v < 0.1, lambda v: v > 0.4),
    "told": ("clock (steps of t)", lambda v: v == 0, lambda v: v == failure_modes.STRIDE),
    "net": ("error at t = 500", lambda v: v < 0.6, lambda v: v == pytest.approx(1, abs=0.02)),
}


@pytest.mark.parametrize("part", DIAGNOSES)
def test_each_fault_has_one_reading_of_its_own(readings, part):
    name, right, wrong = DIAGNOSES[part]
    (ill,) = (letter for letter, run in ILL.items() if changed(run) == [part])
    assert wrong(readings[ill][name])
    for letter in readings.keys() - {ill}:
        assert right(readings[letter][name]), (letter, readings[letter])


@pytest.mark.parametrize("t", [100, 500, 900])
def test_error_of_the_best_network_is_the_posterior_variance(t):
    """Var[x0 | x_t] = s² sigma² / (alpha² s² + sigma²) within a class, and an error of v is that over sigma²."""
    level = SCHEDULE.level(t)
    best = SPREAD**2 / (level.alpha**2 * SPREAD**2 + level.sigma**2)
    assert failure_modes.error(WELL, X0, LABELS, t) == pytest.approx(best, rel=0.05)


def test_error_where_nothing_was_learned():
    """v = 0 means x0_hat = alpha · x_t: its error in v is the mean square of v itself, sigma² E[x0²] + alpha²."""
    level = SCHEDULE.level(300)
    ill = next(run for run in ILL.values() if changed(run) == ["net"])
    expected = level.sigma**2 * X0.square().mean().item() + level.alpha**2
    assert failure_modes.error(ill, X0, LABELS, 300) == pytest.approx(expected, rel=0.02)


def test_moves_are_those_of_the_walk():
    """Where x0_hat is 0, every sampler shrinks x_t by sigma_there / sigma_here: a step moves it by their difference."""
    run = healthy(Zero())
    start = failure_modes.noise(failure_modes.SAMPLES, failure_modes.SHAPE, MACHINE).square().mean().sqrt().item()
    sigmas = [level.sigma for level in run.levels]
    expected = [start * (a - b) for a, b in pairwise(sigmas)]
    assert failure_modes.moves(run) == pytest.approx(expected, abs=1e-3)


def test_reference_is_named_and_counted():
    ill = next(run for run in ILL.values() if changed(run) == ["null_label"])
    assert failure_modes.reference(ill, JUDGE) == ("T-shirt/top", 1.0)


def test_agreement_follows_the_scale():
    unguided = failure_modes.agreement(WELL, JUDGE)
    assert unguided[0] < 0.3  # ten classes, drawn as they come
    assert unguided[1:] == [1.0, 1.0]


def test_the_clock_may_be_ahead():
    late = replace(WELL, told=lambda t: t + failure_modes.STRIDE)
    assert failure_modes.timestep_offset(late, X0, LABELS) == -failure_modes.STRIDE


def test_the_latents_probe_tells_mean_from_spread():
    codec = VAECodec(WELL.good.vae, torch.tensor([5.5, 0, 0, 0]), torch.full((4,), 5.5))
    moved, spread = failure_modes.latents(replace(WELL, codec=codec), IMAGES)
    was, same = failure_modes.latents(WELL, IMAGES)
    torch.testing.assert_close(spread, same)
    torch.testing.assert_close(moved - was, torch.tensor([1.0, 0, 0, 0]) / X0.std((0, 2, 3)), atol=1e-4, rtol=1e-4)


def test_stretching_changes_the_latents_and_nothing_else():
    torch.manual_seed(0)
    vae = VAE(width=4).eval()
    codec = VAECodec(vae, torch.tensor([0.1, 0.0, -0.2, 0.0]), torch.tensor([0.5, 1.0, 1.0, 2.0]))
    long = failure_modes.stretched(codec, 5.5)
    images = normal(3, 1, 32, 32, dtype=torch.float32).clamp(-1, 1)
    torch.testing.assert_close(long.encode(images), codec.encode(images), atol=1e-5, rtol=1e-5)
    z = normal(3, 4, 4, 4, seed=2, dtype=torch.float32)
    torch.testing.assert_close(long.decode(z), codec.decode(z), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        was, now = vae.encode(images), long.vae.encode(images)
    torch.testing.assert_close(now.mean, 5.5 * was.mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(now.std, 5.5 * was.std, atol=1e-5, rtol=1e-5)


def test_a_walk_is_kept_and_pictures_come_from_it():
    assert failure_modes.walk(WELL) is failure_modes.walk(WELL)
    torch.testing.assert_close(WELL.pictures(3), failure_modes.walk(WELL).latents[:3] * 5.5 / UNIT)


def test_an_unknown_run_is_refused():
    with pytest.raises(ValueError, match=r"no run 'G'.*A, B, C, D, E, F"):
        failure_modes.run("G", MACHINE)
