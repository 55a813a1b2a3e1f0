"""Distillation against data whose denoiser is known: Gaussians and their mixtures, and a single point."""

import math

import pytest
import torch
from host_copies import META, no_host_copies
from oracles import normal, seeded, toy
from torch import nn
from torch.testing import assert_close

from course_lib import distillation, guidance, samplers, schedule
from course_lib.diffusion import PREDICTION_TYPES, add_noise, denoiser, target, to_eps
from course_lib.gaussian_mixture import gaussian_mixture
from course_lib.unet import UNet

COSINE = schedule.cosine(64)
TYPES = pytest.mark.parametrize("kind", PREDICTION_TYPES)
LABELS = torch.arange(12) % 3


class ExactNetwork(nn.Module):
    """What a network of a prediction type outputs if it is exact for a mixture; with a scale, guided as the mixture's denoisers.

    gain: scales its estimate of x0, so that it can be wrong.
    """

    def __init__(self, mixture, noise=COSINE, kind="v", takes_scale=False):
        super().__init__()
        self.mixture, self.noise, self.kind, self.takes_scale = mixture, noise, kind, takes_scale
        self.gain = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x_t, t, y, scale=None):
        level = self.noise.at(t)
        x0 = self.mixture.denoise(x_t, level, y)
        if self.takes_scale:
            null = self.mixture.denoise(x_t, level, None)
            x0 = torch.stack([n + w * (c - n) for c, n, w in zip(x0, null, scale, strict=True)])
        return target(self.kind, self.gain * x0, to_eps("x0", self.gain * x0, x_t, level), level)


def data(n=12, seed=1):
    return toy().sample(n, seeded(seed))[0]


# --- guidance in one call --------------------------------------------------------------------------------------------


@TYPES
def test_the_guided_target_is_the_guided_denoiser_of_each_image(kind):
    mixture, x_t, t = toy(), normal(6, 2, 1, 1), 40
    scale = torch.tensor([0.0, 1.0, 1.5, 2.0, 4.0, 7.5], dtype=torch.float64)
    net, level, steps = ExactNetwork(mixture, kind=kind), COSINE.level(t), torch.full((6,), t)
    cond, null = net(x_t, steps, LABELS[:6]), net(x_t, steps, None)
    guided = distillation.guided_target(cond, null, scale)
    for i, w in enumerate(scale.tolist()):
        expected = guidance.guide(mixture.denoiser(int(LABELS[i])), mixture.denoiser(), w)(x_t[i : i + 1], level)
        found = denoiser(lambda *_, i=i: guided[i : i + 1], kind)(x_t[i : i + 1], level)
        assert_close(found, expected, rtol=1e-5, atol=1e-6)  # the levels of a batch are fp32


def test_the_guidance_loss_is_zero_for_the_guided_teacher_alone():
    teacher, student = ExactNetwork(toy()), ExactNetwork(toy(), takes_scale=True)
    given = (teacher, data(), LABELS, COSINE, toy().null_label)
    loss = distillation.guidance_loss(student, *given, generator=seeded())
    assert loss.item() < 1e-12
    unguided = distillation.guidance_loss(lambda x, t, y, scale: teacher(x, t, y), *given, generator=seeded())
    assert unguided.item() > 1e-2
    at_one = distillation.guidance_loss(lambda x, t, y, scale: teacher(x, t, y), *given, scales=(1.0, 1.0), generator=seeded())
    assert at_one.item() < 1e-12, "scale 1 is no guidance"


def test_only_the_student_gets_a_gradient():
    teacher, student = ExactNetwork(toy()), ExactNetwork(toy(), takes_scale=True)
    with torch.no_grad():
        student.gain *= 1.1
    distillation.guidance_loss(student, teacher, data(), LABELS, COSINE, 3, generator=seeded()).backward()
    assert student.gain.grad.abs() > 0
    assert teacher.gain.grad is None
    student.gain.grad = None
    distillation.halving_loss(student, teacher, data(), LABELS, COSINE, 4, "v", generator=seeded()).backward()
    assert student.gain.grad.abs() > 0
    assert teacher.gain.grad is None


def test_scales_are_drawn_over_their_range_and_levels_over_all_steps():
    seen = []

    def student(x, t, y, scale):
        seen.append((t, scale))
        return x

    x0 = torch.zeros(4000, 1, 1, 1)
    distillation.guidance_loss(student, lambda x, t, y: x, x0, LABELS.repeat(400)[:4000], COSINE, 3, scales=(2.0, 5.0))
    t, scale = seen[0]
    assert (t.min(), t.max()) == (1, 64)
    assert 2.0 <= scale.min() < 2.05
    assert 4.95 < scale.max() <= 5.0
    assert abs(scale.mean() - 3.5) < 0.1
    assert abs(torch.corrcoef(torch.stack([t.float(), scale]))[0, 1]) < 0.06, "scales do not depend on the level"


def test_at_scale_gives_every_image_the_scale():
    def network(x_t, t, y, scale):
        return x_t * scale[:, None, None, None]

    x_t, level = normal(3, 2, 1, 1), COSINE.level(30)
    found = denoiser(distillation.at_scale(network, 2.5), "x0", 0)(x_t, level)
    assert_close(found, 2.5 * x_t)


# --- two steps as one ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [schedule.cosine(64), schedule.flow(64)])
def test_a_ddim_step_is_the_samplers(noise):
    mixture, x_t = toy(), normal(5, 2, 1, 1)
    here, there = noise.level(50), noise.level(20)
    x0 = mixture.denoise(x_t, here)
    expected = samplers.ddim(mixture.denoiser(), x_t, [here, there])
    assert_close(distillation.ddim_step(x0, x_t, here, there), expected)
    batch = distillation.ddim_step(x0, x_t, noise.at(torch.full((5,), 50)), noise.at(torch.full((5,), 20)))
    assert_close(batch, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ts", [(60, 40, 20), (64, 32, 0), (64, 63, 62), (2, 1, 0)])
def test_for_a_gaussian_the_target_is_a_closed_form(ts):
    """N(0, s²): the estimate is linear in x_t, so a DDIM step multiplies by a number, and so do two."""
    s, x_t = 0.7, normal(4, 3, 2, 2)
    here, middle, end = (COSINE.level(t) for t in ts)

    def factor(a, b):
        estimate = a.alpha * s**2 / (a.alpha**2 * s**2 + a.sigma**2)
        return b.alpha * estimate + b.sigma * (1 - a.alpha * estimate) / a.sigma

    both = factor(here, middle) * factor(middle, end)
    system = torch.tensor([[here.alpha, here.sigma], [end.alpha, end.sigma]], dtype=torch.float64)  # x0 and eps from two x
    x0, _ = torch.linalg.solve(system, torch.tensor([1.0, both], dtype=torch.float64))
    mixture = gaussian_mixture(torch.zeros(1, 3, 2, 2, dtype=torch.float64), s)
    x_end = samplers.ddim(mixture.denoiser(), x_t, [here, middle, end])
    assert_close(x_end, both * x_t, rtol=1e-9, atol=1e-9)
    assert_close(distillation.two_steps_as_one(x_t, x_end, here, end), x0 * x_t, rtol=1e-8, atol=1e-8)


def test_on_one_point_the_target_is_the_point():
    point = normal(1, 2, 3, 3).expand(6, -1, -1, -1)
    x_t = add_noise(point, normal(6, 2, 3, 3, seed=1), here := COSINE.level(60))
    x_end = samplers.ddim(lambda x, level: point, x_t, [here, COSINE.level(31), end := COSINE.level(7)])
    assert_close(distillation.two_steps_as_one(x_t, x_end, here, end), point, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_a_student_at_the_target_follows_its_teacher_in_half_the_steps(steps):
    mixture, x_T = toy(), normal(20, 2, 1, 1)
    fine, coarse = COSINE.grid(2 * steps), COSINE.grid(steps)
    assert fine[::2] == coarse

    def student(x_t, level):
        i = coarse.index(level)
        x_end = samplers.ddim(mixture.denoiser(), x_t, fine[2 * i : 2 * i + 3])
        return distillation.two_steps_as_one(x_t, x_end, level, coarse[i + 1])

    assert_close(samplers.ddim(student, x_T, coarse), samplers.ddim(mixture.denoiser(), x_T, fine), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("steps", [2, 6, 16, 32, 64])
@pytest.mark.parametrize("T", [64, 100, 1000])
def test_the_levels_in_training_are_those_of_the_samplers_grid(steps, T):
    noise, seen = schedule.cosine(T), set()

    def teacher(x, t, y):
        seen.update(t.tolist())
        return x

    x0 = torch.zeros(3000, 1, 1, 1)
    distillation.halving_loss(teacher, teacher, x0, x0[:, 0, 0, 0].long(), noise, steps // 2, "v", scales=None)
    assert seen == {level.t for level in noise.grid(steps)[:-1]}


@pytest.mark.parametrize("scales", [None, (1.0, 4.0)])
def test_a_training_step_copies_nothing_between_host_and_device(scales):
    noise = schedule.cosine(50)
    noise.at(torch.zeros(1, dtype=torch.int64, device=META))  # makes the schedule's table for this device
    config = {"in_channels": 4, "width": 8, "multipliers": (1,), "blocks": 1, "attention": (), "heads": 2}
    student, teacher = (UNet(**config, takes_scale=scales is not None).to(META) for _ in range(2))
    plain = UNet(**config).to(META)
    x0, y = torch.empty(5, 4, 4, 4, device=META), torch.zeros(5, dtype=torch.int64, device=META)
    with no_host_copies():
        distillation.halving_loss(student, teacher, x0, y, noise, 4, "v", scales=scales).backward()
        if scales:
            distillation.guidance_loss(student, plain, x0, y, noise, 10, scales=scales).backward()


NOISE = {"linear": schedule.linear(64), "flow": schedule.flow(64)}
# on the flow's line no signal is left at the end, where eps does not determine x0
PAIRS = [(kind, name) for kind in PREDICTION_TYPES for name in NOISE if (kind, name) != ("eps", "flow")]


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_the_halving_loss_is_zero_for_the_student_that_takes_both_steps(kind, name, steps):
    noise = NOISE[name]
    mixture, teacher = toy(), ExactNetwork(toy(), noise, kind)
    fine = [level.t for level in noise.grid(2 * steps)]
    following = {
        here: (noise.level(middle), noise.level(end)) for here, middle, end in zip(fine, fine[1:], fine[2:], strict=False)
    }

    def student(x_t, t, y):
        rows = []
        for x, step, label in zip(x_t, t.tolist(), y.tolist(), strict=True):
            here, (middle, end) = noise.level(step), following[step]
            x_end = samplers.ddim(mixture.denoiser(label), x[None], [here, middle, end])
            x0 = distillation.two_steps_as_one(x[None], x_end, here, end)
            rows.append(target(kind, x0, to_eps("x0", x0, x[None], here), here))
        return torch.cat(rows)

    given = (teacher, data(), LABELS, noise, steps, kind)
    for measured_in in ("v", "x0"):
        loss = distillation.halving_loss(student, *given, scales=None, generator=seeded(), measured_in=measured_in)
        assert loss.item() < 1e-8
    wrong = distillation.halving_loss(lambda *_: teacher(*_), *given, scales=None, generator=seeded())
    assert wrong.item() > 1e-4


def test_the_error_in_v_weights_that_in_x0_by_the_snr_plus_one():
    """With one step there is one level, so the two losses differ by that weight alone."""
    noise = schedule.Schedule(torch.tensor([1.0, 0.9, 0.8]).double(), torch.tensor([0.0, math.sqrt(1 - 0.81), 0.6]).double())
    teacher = ExactNetwork(toy(), noise)
    given = (lambda x, t, y: 0 * x, teacher, data(), LABELS, noise, 1, "v")
    losses = [distillation.halving_loss(*given, scales=None, generator=seeded(), measured_in=kind) for kind in ("v", "x0")]
    assert losses[0] / losses[1] == pytest.approx(0.8**2 / 0.6**2 + 1, rel=1e-5)


def test_levels_in_the_wrong_order_are_refused():
    x = normal(2, 1, 1, 1)
    for ts in ((10, 10), (10, 11)):
        for levels in (map(COSINE.level, ts), (COSINE.at(torch.tensor([40, t])) for t in ts)):
            with pytest.raises(ValueError, match="not less noisy"):
                distillation.two_steps_as_one(x, x, *levels)
