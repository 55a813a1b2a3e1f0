"""The failure modes of guided sampling on data whose denoisers have closed forms: ten Gaussian classes of unit total variance.

There each probe's nominal reading is known without a trained network.
"""

import itertools
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
schedule = recipes.make_schedule()
STD = 0.6  # of each class; the variance of the means brings the total to 1
MEANS = (1 - STD**2) ** 0.5 * normal(10, 4, 4, 4, seed=3, dtype=torch.float32).sign()
UNIT = 22.0  # the stand-in VAE's latents are pixels times this: 5.5 where a latent of the denoiser's is 1
LABELS = torch.arange(300) % 10
X0 = MEANS[LABELS] + STD * normal(300, 4, 4, 4, seed=1, dtype=torch.float32)


class Exact(nn.Module):
    """The best possible v-network of the ten classes; label 10 means any of them."""

    def forward(self, x_t, t, y):
        level = schedule.at(t.clamp(min=1))
        precision = STD**2 / (level.alpha**2 * STD**2 + level.sigma**2)
        gap = x_t[:, None] - level.alpha[:, None] * MEANS  # [B, 10, C, h, w]
        x0_hats = MEANS + (level.alpha * precision)[:, None] * gap
        of_any = (-gap.square().sum((2, 3, 4)) * (precision / STD**2 / 2).view(-1, 1)).softmax(1)
        weights = torch.where(y[:, None] == 10, of_any, nn.functional.one_hot(y, 11)[:, :10].float())
        return (level.alpha * x_t - torch.einsum("bk,bkchw->bchw", weights, x0_hats)) / level.sigma


class Zero(nn.Module):
    """Predicts that all data are 0: v = alpha · x_t / sigma."""

    def forward(self, x_t, t, y):
        level = schedule.at(t)
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
    """A classifier that answers the class whose mean is nearest."""

    features = staticmethod(lambda images: images.flatten(1) * UNIT / 5.5)
    head = staticmethod(lambda features: -torch.cdist(features, MEANS.flatten(1)))


def healthy(net=None):
    codec = VAECodec(Pixels(), torch.zeros(4), torch.full((4,), 5.5))
    return failure_modes.Run(MACHINE, codec, codec, net or Exact(), schedule.grid(failure_modes.STEPS))


HEALTHY, EVALUATOR = healthy(), SimpleNamespace(net=Nearest(), machine=MACHINE)
IMAGES = X0 * 5.5 / UNIT
BROKEN = {letter: failure_modes.inject_fault(HEALTHY, letter) for letter in failure_modes.LETTERS}


@pytest.fixture(scope="module")
def readings():
    return {
        name: failure_modes.diagnose(run, EVALUATOR, IMAGES, X0, LABELS) for name, run in {"healthy": HEALTHY, **BROKEN}.items()
    }


def changed(run):
    return [f.name for f in fields(run) if getattr(run, f.name) is not getattr(HEALTHY, f.name)]


def test_each_fault_changes_one_part_and_no_two_the_same():
    parts = [changed(run) for run in BROKEN.values()]
    assert all(len(part) == 1 for part in parts)
    assert sorted(part[0] for part in parts) == ["codec", "guide", "levels", "net", "null_label", "reported_timestep"]
    assert len({failure_modes.answer(letter) for letter in failure_modes.LETTERS}) == 6


# broken part → the probe for it, its reading in all other runs, and in this one. Standard deviation: with a wrong null label
# guidance overshoots, the more so the further apart the classes are; only too small a value identifies the codec.
DIAGNOSES = {
    "codec": ("std at the decoder (1 = as encoded)", lambda v: v > 0.8, lambda v: v == pytest.approx(1 / 5.5, rel=0.2)),
    "guide": ("agreement gained by guidance", lambda v: v >= -0.05, lambda v: v < -0.8),
    "null_label": ("most frequent class at scale 0", lambda v: v <= 0.5, lambda v: v == 1),
    "levels": ("last step", lambda v: v < 0.1, lambda v: v > 0.4),
    "reported_timestep": ("timestep offset", lambda v: v == 0, lambda v: v == failure_modes.STRIDE),
    "net": ("error at t = 500", lambda v: v < 0.6, lambda v: v == pytest.approx(1, abs=0.02)),
}


@pytest.mark.parametrize("part", DIAGNOSES)
def test_each_fault_has_one_probe_that_identifies_it(readings, part):
    name, right, wrong = DIAGNOSES[part]
    (broken,) = (letter for letter, run in BROKEN.items() if changed(run) == [part])
    assert wrong(readings[broken][name])
    for letter in readings.keys() - {broken}:
        assert right(readings[letter][name]), (letter, readings[letter])


@pytest.mark.parametrize("t", [100, 500, 900])
def test_error_of_the_best_network_is_the_posterior_variance(t):
    """Var[x0 | x_t] = s² sigma² / (alpha² s² + sigma²) within a class, and an error of v is that over sigma²."""
    level = schedule.level(t)
    best = STD**2 / (level.alpha**2 * STD**2 + level.sigma**2)
    assert failure_modes.denoising_error(HEALTHY, X0, LABELS, t) == pytest.approx(best, rel=0.05)


def test_error_where_nothing_was_learned():
    """v = 0 means x0_hat = alpha · x_t: its error in v is the mean square of v itself, sigma² E[x0²] + alpha²."""
    level = schedule.level(300)
    broken = next(run for run in BROKEN.values() if changed(run) == ["net"])
    expected = level.sigma**2 * X0.square().mean().item() + level.alpha**2
    assert failure_modes.denoising_error(broken, X0, LABELS, 300) == pytest.approx(expected, rel=0.02)


def test_a_velocity_error_is_computed_value_by_value():
    """Against plain Python numbers, for a network that depends on all that it is given."""
    x0, eps = (normal(2, 1, 2, 2, seed=seed) for seed in (1, 2))
    t, y, alpha, sigma = torch.tensor([3, 7]), torch.tensor([1, 2]), 0.8, 0.5
    error = failure_modes.velocity_error(lambda x, t, y: x + (t * y).view(-1, 1, 1, 1) / 10, x0, y, eps, alpha, sigma, t)
    squares = [
        (alpha * a + sigma * e + i / 10 - alpha * e + sigma * a) ** 2
        for i, image, noise in zip((3, 14), x0.tolist(), eps.tolist(), strict=True)
        for a, e in zip(itertools.chain(*image[0]), itertools.chain(*noise[0]), strict=True)
    ]
    assert error.item() == pytest.approx(sum(squares) / 8)


def test_rms_steps_are_computed_value_by_value():
    trajectory = normal(4, 2, 1, 2, 3, seed=5)
    flat = trajectory.flatten(1).tolist()
    expected = [(sum((q - p) ** 2 for p, q in zip(a, b, strict=True)) / 12) ** 0.5 for a, b in pairwise(flat)]
    assert failure_modes.rms_steps(trajectory).tolist() == pytest.approx(expected)


def test_a_reader_may_measure_with_his_own_functions():
    given = {}

    def steps(trajectory):
        given["trajectory"] = trajectory
        return torch.arange(len(trajectory) - 1.0)

    def error(net, x0, y, eps, alpha, sigma, t):
        given.setdefault("errors", []).append((alpha, sigma, t))
        return torch.tensor(0.5)

    readings = failure_modes.diagnose(HEALTHY, EVALUATOR, IMAGES, X0, LABELS, steps, error)
    assert readings[failure_modes.LAST_STEP] == failure_modes.STEPS - 1
    assert readings[failure_modes.ERROR] == 0.5
    assert given["trajectory"].shape == (failure_modes.STEPS + 1, failure_modes.SAMPLES, 4, 4, 4)
    level = schedule.level(500)
    alpha, sigma, t = given["errors"][-1]
    assert (alpha, sigma) == (level.alpha, level.sigma)
    assert t.tolist() == [500] * len(X0)


def test_the_network_is_given_the_reported_timestep():
    class Clock(nn.Module):
        def forward(self, x_t, t, y):
            return x_t * 0 + t.view(-1, 1, 1, 1)

    run = replace(healthy(Clock()), reported_timestep=lambda t: t - 30)
    v_hat = run.predict(X0[:2], torch.tensor([100, 250]), LABELS[:2])
    assert v_hat[:, 0, 0, 0].tolist() == [70, 220]


def test_a_seed_changes_the_noise_and_nothing_else():
    again, other = replace(HEALTHY, seed=0), replace(HEALTHY, seed=1)
    starts = [failure_modes.sample_latents(run).trajectory[0] for run in (HEALTHY, again, other)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.allclose(starts[0], starts[2])
    assert failure_modes.agreement_by_scale(other, EVALUATOR)[1:] == [1.0, 1.0]


def test_the_readings_alone_name_the_fault(readings):
    normal_ones = readings["healthy"]
    named = {name: failure_modes.name_fault(one, normal_ones) for name, one in readings.items()}
    assert named == {"healthy": failure_modes.NO_FAULT} | {k: failure_modes.answer(k) for k in failure_modes.LETTERS}


def test_the_list_of_faults_does_not_give_the_letters_away():
    answers = [failure_modes.answer(letter) for letter in failure_modes.LETTERS]
    assert sorted(answers) == list(failure_modes.FAULTS)
    assert all(a != b for a, b in zip(answers, failure_modes.FAULTS, strict=True))


def test_step_sizes_are_those_of_the_sampler():
    """Where x0_hat is 0, every sampler shrinks x_t by sigma_there / sigma_here: a step moves it by their difference."""
    run = healthy(Zero())
    start = failure_modes.seeded_noise(failure_modes.SAMPLES, failure_modes.SHAPE, MACHINE).square().mean().sqrt().item()
    sigmas = [level.sigma for level in run.levels]
    expected = [start * (a - b) for a, b in pairwise(sigmas)]
    assert failure_modes.step_sizes(run) == pytest.approx(expected, abs=1e-3)


def test_the_reference_class_is_named_and_counted():
    broken = next(run for run in BROKEN.values() if changed(run) == ["null_label"])
    assert failure_modes.reference_class(broken, EVALUATOR) == ("T-shirt/top", 1.0)
    assert failure_modes.class_fractions(broken, EVALUATOR).tolist() == [1.0] + [0.0] * 9
    healthy_ones = failure_modes.class_fractions(HEALTHY, EVALUATOR)
    assert healthy_ones.sum().item() == pytest.approx(1)
    assert healthy_ones.max() < 0.5


def test_agreement_follows_the_scale():
    agreement = failure_modes.agreement_by_scale(HEALTHY, EVALUATOR)
    assert agreement[0] < 0.3  # ten classes at random
    assert agreement[1:] == [1.0, 1.0]


def test_the_timestep_may_be_too_high():
    ahead = replace(HEALTHY, reported_timestep=lambda t: t + failure_modes.STRIDE)
    assert failure_modes.timestep_offset(ahead, X0, LABELS) == -failure_modes.STRIDE


def test_the_decoder_probe_distinguishes_mean_from_std():
    codec = VAECodec(HEALTHY.healthy_codec.vae, torch.tensor([5.5, 0, 0, 0]), torch.full((4,), 5.5))
    mean, std = failure_modes.decoder_input_statistics(replace(HEALTHY, codec=codec), IMAGES)
    healthy_mean, healthy_std = failure_modes.decoder_input_statistics(HEALTHY, IMAGES)
    torch.testing.assert_close(std, healthy_std)
    torch.testing.assert_close(mean - healthy_mean, torch.tensor([1.0, 0, 0, 0]) / X0.std((0, 2, 3)), atol=1e-4, rtol=1e-4)


def test_stretching_changes_the_latents_and_nothing_else():
    torch.manual_seed(0)
    vae = VAE(width=4).eval()
    codec = VAECodec(vae, torch.tensor([0.1, 0.0, -0.2, 0.0]), torch.tensor([0.5, 1.0, 1.0, 2.0]))
    stretched = failure_modes.stretch_latents(codec, 5.5)
    images = normal(3, 1, 32, 32, dtype=torch.float32).clamp(-1, 1)
    torch.testing.assert_close(stretched.encode(images), codec.encode(images), atol=1e-5, rtol=1e-5)
    z = normal(3, 4, 4, 4, seed=2, dtype=torch.float32)
    torch.testing.assert_close(stretched.decode(z), codec.decode(z), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        was, now = vae.encode(images), stretched.vae.encode(images)
    torch.testing.assert_close(now.mean, 5.5 * was.mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(now.std, 5.5 * was.std, atol=1e-5, rtol=1e-5)


def test_samples_are_cached_and_images_come_from_them():
    assert failure_modes.sample_latents(HEALTHY) is failure_modes.sample_latents(HEALTHY)
    torch.testing.assert_close(HEALTHY.images(3), failure_modes.sample_latents(HEALTHY).latents[:3] * 5.5 / UNIT)


def test_an_unknown_run_is_refused():
    with pytest.raises(ValueError, match=r"'G'.*A, B, C, D, E, F"):
        failure_modes.broken_run("G", MACHINE)
