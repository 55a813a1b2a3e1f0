"""The experiments of chapter 4, against closed forms and counts that they do not compute themselves."""

import math

import pytest
import torch
from torch import nn

from course_lib import device, recipes, schedule
from course_lib.codec import PixelCodec, VAECodec
from course_lib.experiments import evaluator, generate
from course_lib.experiments.ch4_latent_ddpm import equal_time, schedules_and_scaling
from course_lib.images import to_float
from course_lib.vae import VAE

CPU = device.find("cpu", "fp32")


def test_decibels_of_the_flow_are_known():
    """The straight line has alpha / sigma = (1 − u) / u: 9 to 1 at t = 100, which is 20 log10(9)."""
    flow = schedule.flow()
    assert schedules_and_scaling.decibels(flow.level(100)) == pytest.approx(20 * math.log10(9))
    assert schedules_and_scaling.level_at(flow, 0.0).t == 500
    assert schedules_and_scaling.level_at(flow, 20 * math.log10(9)).t == 100
    assert schedules_and_scaling.decibels(flow.level(0)) == math.inf


def test_the_same_level_is_the_same_picture_under_every_schedule():
    x0, eps = generate.noise(1, (1, 8, 8), CPU, 1), generate.noise(1, (1, 8, 8), CPU, 2)
    cosine, flow = (schedules_and_scaling.noised(x0, eps, s, [10, 0, -10]) for s in (schedule.cosine(), schedule.flow()))
    torch.testing.assert_close(cosine, flow, atol=0.02, rtol=0)
    torch.testing.assert_close(cosine[1], ((x0 + eps) / 2**0.5)[0], atol=0.01, rtol=0)


def test_the_shift_is_what_the_numbers_themselves_say():
    """Signal and noise of data of spread 5, measured as variances; and on the flow, t / (T − t) grows by that factor."""
    level = schedule.cosine().level(400)
    x0, eps = 5 * generate.noise(20_000, (1,), CPU, 1), generate.noise(20_000, (1,), CPU, 2)
    measured = 10 * math.log10((level.alpha * x0).var().item() / (level.sigma * eps).var().item())
    assert schedules_and_scaling.decibels(level) + schedules_and_scaling.snr_offset_db(5.0) == pytest.approx(measured, abs=0.2)
    assert schedules_and_scaling.equivalent_timestep(schedule.flow(), 500, 4.0) == 200  # 1 to 1 becomes 4 to 1


@pytest.fixture(scope="module")
def codec() -> VAECodec:
    torch.manual_seed(0)
    return VAECodec(VAE(width=8), torch.tensor([0.5, -1.0, 0.0, 2.0]), torch.tensor([0.5, 1.0, 2.0, 3.0]))


def test_every_scaling_decodes_the_same_code_alike(codec):
    unit = torch.randn(600, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    own = unit * codec.latents_std + codec.latents_mean
    arms = schedules_and_scaling.scaling_codecs(codec, unit, stretch=4.0)
    wanted = codec.decode(unit[:3])
    for arm in arms.values():
        torch.testing.assert_close(arm.decode((own[:3] - arm.latents_mean) / arm.latents_std), wanted, atol=1e-4, rtol=1e-4)
    assert arms["one number"].latents_std.flatten().tolist() == pytest.approx([own.std().item()] * 4, rel=1e-5)
    spreads = {name: ((own - arm.latents_mean) / arm.latents_std).std(dim=(0, 2, 3)) for name, arm in arms.items()}
    torch.testing.assert_close(spreads["per channel"], torch.ones(4), atol=0.03, rtol=0)
    torch.testing.assert_close(spreads["4× too large"], 4 * torch.ones(4), atol=0.12, rtol=0)


def test_the_constant_follows_from_the_statistics_of_the_channels(codec):
    unit = torch.randn(20_000, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    unit = (unit - unit.mean((0, 2, 3), keepdim=True)) / unit.std((0, 2, 3), keepdim=True)
    own = unit * codec.latents_std + codec.latents_mean
    assert schedules_and_scaling.scaling_factor(codec) == pytest.approx(1 / own.std().item(), rel=1e-4)
    assert schedules_and_scaling.scaling_factor(codec) == pytest.approx(
        1 / schedules_and_scaling.global_std(codec, unit), rel=1e-4
    )


def test_the_prior_is_drawn_in_the_vaes_own_units(codec):
    z = generate.noise(3, (4, 4, 4), CPU, seed=5)
    with torch.no_grad():
        wanted = codec.vae.decode(z).clamp(-1, 1)
    drawn = schedules_and_scaling.decode_prior(codec, 3, (4, 4, 4), CPU, seed=5)
    torch.testing.assert_close(drawn, wanted, atol=1e-5, rtol=1e-5)


def test_a_walk_ends_where_an_all_knowing_denoiser_points():
    x0 = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    levels = recipes.make_schedule().grid(5)
    walk = schedules_and_scaling.walk(lambda x_t, level: x0, levels[0].sigma * torch.randn_like(x0), levels, PixelCodec())
    assert walk.x_t.shape == walk.x0_hat.shape == (6, 2, 1, 8, 8)
    assert [level.t for level in walk.levels] == [1000, 800, 600, 400, 200, 0]
    torch.testing.assert_close(walk.x_t[-1], x0)
    torch.testing.assert_close(walk.x0_hat, x0.expand(6, *x0.shape))


def test_errors_by_level_of_a_denoiser_that_says_zero_is_the_variance():
    latents = 3 * torch.randn(200, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    found = schedules_and_scaling.errors_by_level(lambda y: lambda x_t, level: 0 * x_t, latents, torch.zeros(200), [1, 500])
    assert found == pytest.approx([latents.square().mean().item()] * 2)


def test_draw_gives_each_label_its_own_denoiser_whatever_the_batch():
    """An all-knowing denoiser paints each picture in the grey of its label."""
    labels = generate.balanced(23, CPU)
    make = lambda y: lambda x_t, level: (y / 10).view(-1, 1, 1, 1).expand_as(x_t)  # noqa: E731
    wanted = (labels / 10).view(-1, 1, 1, 1).expand(23, 1, 8, 8)
    for sampler in generate.SAMPLERS:
        levels = recipes.make_schedule().grid(4)
        images = generate.generate(make, labels, PixelCodec(), (1, 8, 8), CPU, sampler=sampler, batch=7, levels=levels)
        torch.testing.assert_close(images, wanted)


def test_the_judges_intervals_lie_around_the_values():
    judge = evaluator.Evaluator(CPU)
    real = to_float(judge.images[:600])
    found = judge.intervals(real, judge.labels[:600], resamples=20)
    assert set(found) == {"frechet", "kid", "precision", "recall", "agreement"}
    score = judge.score(real, judge.labels[:600], cover=True)
    for name in ("frechet", "precision", "recall", "agreement"):
        assert found[name].value == pytest.approx(getattr(score, name), abs=1e-6)
    assert found["precision"].value == found["recall"].value == 1.0
    share = score.agreement  # the standard error of a share of n is known
    assert found["agreement"].error == pytest.approx((share * (1 - share) / 600) ** 0.5, rel=0.5)
    assert found["kid"].low < found["kid"].value < found["kid"].high


def test_the_judge_scores_real_images_near_zero_and_noise_far():
    judge = evaluator.Evaluator(CPU)
    real = to_float(judge.images[:1000])
    good = judge.score(real, judge.labels[:1000], errors=5, cover=True)
    bad = judge.score(generate.noise(200, (1, 32, 32), CPU), generate.balanced(200, CPU))
    accuracy = (judge.logits[:1000].argmax(1) == judge.labels[:1000]).float().mean().item()
    assert good.agreement == pytest.approx(accuracy, abs=1e-6)
    assert good.precision == good.recall == 1.0  # the very same images
    assert good.error > 0
    assert good.frechet < bad.frechet / 10


def test_the_pixel_side_is_clamped_and_the_latent_side_is_not():
    class Big(nn.Module):  # a v-network whose x0_hat lies far outside [-1, 1]
        def forward(self, x, t, y):
            return torch.full_like(x, -50.0)

    x, level, y = torch.zeros(2, 1, 4, 4), schedule.cosine().level(500), torch.zeros(2, dtype=torch.long)
    assert equal_time.maker("pixel", Big(), CPU)(y)(x, level).abs().max() == 1
    assert equal_time.maker("latent", Big(), CPU)(y)(x, level).abs().max() > 10


def test_a_missing_result_says_how_to_measure_it(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"pixel_vs_latent.json is not there.*course train"):
        equal_time.stored()
