"""Schedules, latent scaling and trajectories of chapter 4, against closed forms that they do not compute themselves."""

import math

import pytest
import torch

from course_lib import device, recipes, schedule
from course_lib.codec import PixelCodec, VAECodec
from course_lib.experiments import generate
from course_lib.experiments.ch4_latent_ddpm import schedules_and_scaling
from course_lib.vae import VAE

CPU = device.find("cpu", "fp32")


def test_snr_of_the_flow_is_known():
    """The straight line has alpha / sigma = (1 − u) / u: 9 to 1 at t = 100, which is 20 log10(9)."""
    flow = schedule.flow()
    assert schedules_and_scaling.snr_db(flow.level(100)) == pytest.approx(20 * math.log10(9))
    assert schedules_and_scaling.level_at_snr(flow, 0.0).t == 500
    assert schedules_and_scaling.level_at_snr(flow, 20 * math.log10(9)).t == 100
    assert schedules_and_scaling.snr_db(flow.level(0)) == math.inf


def test_equal_snr_gives_equal_images_under_every_schedule():
    x0, eps = generate.seeded_noise(1, (1, 8, 8), CPU, 1), generate.seeded_noise(1, (1, 8, 8), CPU, 2)
    cosine, flow = (schedules_and_scaling.noised(x0, eps, s, [10, 0, -10]) for s in (schedule.cosine(), schedule.flow()))
    torch.testing.assert_close(cosine, flow, atol=0.02, rtol=0)
    torch.testing.assert_close(cosine[1], ((x0 + eps) / 2**0.5)[0], atol=0.01, rtol=0)


def test_the_snr_offset_is_that_of_measured_variances():
    """Data of standard deviation 5: variances of signal and noise; and on the flow, t / (T − t) grows by that factor."""
    level = schedule.cosine().level(400)
    x0, eps = 5 * generate.seeded_noise(20_000, (1,), CPU, 1), generate.seeded_noise(20_000, (1,), CPU, 2)
    measured = 10 * math.log10((level.alpha * x0).var().item() / (level.sigma * eps).var().item())
    assert schedules_and_scaling.snr_db(level) + schedules_and_scaling.snr_offset_db(5.0) == pytest.approx(measured, abs=0.2)
    assert schedules_and_scaling.equivalent_timestep(schedule.flow(), 500, 4.0) == 200  # 1 to 1 becomes 4 to 1


@pytest.fixture(scope="module")
def codec() -> VAECodec:
    torch.manual_seed(0)
    return VAECodec(VAE(width=8), torch.tensor([0.5, -1.0, 0.0, 2.0]), torch.tensor([0.5, 1.0, 2.0, 3.0]))


def test_every_scaling_decodes_the_same_latent_to_the_same_image(codec):
    unit = torch.randn(600, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    own = unit * codec.latents_std + codec.latents_mean
    codecs = schedules_and_scaling.scaling_codecs(codec, unit, stretch=4.0)
    wanted = codec.decode(unit[:3])
    for other in codecs.values():
        torch.testing.assert_close(other.decode((own[:3] - other.latents_mean) / other.latents_std), wanted, atol=1e-4, rtol=1e-4)
    assert codecs["one number"].latents_std.flatten().tolist() == pytest.approx([own.std().item()] * 4, rel=1e-5)
    stds = {name: ((own - other.latents_mean) / other.latents_std).std(dim=(0, 2, 3)) for name, other in codecs.items()}
    torch.testing.assert_close(stds["per channel"], torch.ones(4), atol=0.03, rtol=0)
    torch.testing.assert_close(stds["4× too large"], 4 * torch.ones(4), atol=0.12, rtol=0)


def test_the_scaling_factor_follows_from_the_statistics_of_the_channels(codec):
    unit = torch.randn(20_000, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    unit = (unit - unit.mean((0, 2, 3), keepdim=True)) / unit.std((0, 2, 3), keepdim=True)
    own = unit * codec.latents_std + codec.latents_mean
    assert schedules_and_scaling.scaling_factor(codec) == pytest.approx(1 / own.std().item(), rel=1e-4)
    assert schedules_and_scaling.scaling_factor(codec) == pytest.approx(
        1 / schedules_and_scaling.global_std(codec, unit), rel=1e-4
    )


def test_the_prior_is_decoded_in_the_vaes_own_scaling(codec):
    z = generate.seeded_noise(3, (4, 4, 4), CPU, seed=5)
    with torch.no_grad():
        wanted = codec.vae.decode(z).clamp(-1, 1)
    drawn = schedules_and_scaling.decode_prior(codec, 3, (4, 4, 4), CPU, seed=5)
    torch.testing.assert_close(drawn, wanted, atol=1e-5, rtol=1e-5)


def test_a_trajectory_ends_where_a_perfect_denoiser_points():
    x0 = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    levels = recipes.make_schedule().grid(5)
    x_T = levels[0].sigma * torch.randn_like(x0)
    found = schedules_and_scaling.record_trajectory(lambda x_t, level: x0, x_T, levels, PixelCodec())
    assert found.x_t.shape == found.x0_hat.shape == (6, 2, 1, 8, 8)
    assert [level.t for level in found.levels] == [1000, 800, 600, 400, 200, 0]
    torch.testing.assert_close(found.x_t[-1], x0)
    torch.testing.assert_close(found.x0_hat, x0.expand(6, *x0.shape))


def test_a_denoiser_that_answers_zero_leaves_all_variance_unexplained():
    latents = 3 * torch.randn(200, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    found = schedules_and_scaling.unexplained_variance(
        lambda y: lambda x_t, level: 0 * x_t, latents, torch.zeros(200, dtype=torch.int64), [1, 500]
    )
    assert found == pytest.approx([latents.square().mean().item()] * 2)
