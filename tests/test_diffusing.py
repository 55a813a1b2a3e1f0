"""The experiments of chapter 4, against closed forms and counts that they do not compute themselves."""

import math

import pytest
import torch
from torch import nn

from course_lib import data, device, recipes, schedule
from course_lib.autoencoder import VAE
from course_lib.codec import PixelCodec, VAECodec
from course_lib.exact import gaussian_mixture
from course_lib.experiments import diffusing, quality, rivals

CPU = device.find("cpu", "fp32")


def test_the_exact_flow_of_one_gaussian_is_a_stretch():
    """The probability flow of N(m, s²) keeps (x_t − alpha m) / √(alpha² s² + sigma²) (Karras et al. 2022, appendix B.2)."""
    mixture = gaussian_mixture(torch.tensor([[0.7, -0.4]], dtype=torch.float64), 0.6)
    s, x_t = schedule.cosine(), torch.tensor([[0.3, 2.0], [-1.5, 0.1]], dtype=torch.float64).view(2, 2, 1, 1)
    here, mean = s.level(800), mixture.means.view(1, 2, 1, 1)
    for t in (200, 0):
        there = s.level(t)
        width = [math.hypot(0.6 * level.alpha, level.sigma) for level in (here, there)]
        wanted = there.alpha * mean + (x_t - here.alpha * mean) * width[1] / width[0]
        torch.testing.assert_close(diffusing.exact_flow(mixture, x_t, here, there), wanted, atol=1e-6, rtol=1e-6)


def test_order_is_the_exponent():
    steps = (5, 10, 20, 40)
    assert diffusing.order(steps, [3 / n**2 for n in steps]) == pytest.approx(2)
    assert diffusing.order(steps, [99.0, *(3 / n for n in steps[1:])], last=3) == pytest.approx(1)


def test_sampler_errors_have_the_known_orders_in_the_middle():
    steps = (20, 40, 80)
    errors = diffusing.sampler_errors(steps, first=900, last=100, n=50)
    orders = {name: diffusing.order(steps, values, last=3) for name, values in errors.items()}
    assert 0.85 < orders["DDIM"] < 1.15
    assert 1.6 < orders["DPM-Solver++(2M)"] < 2.4
    assert 1.6 < orders["Heun"] < 2.4


def test_sliced_distance_of_a_shift_is_its_mean_projection():
    """A shift by d moves a projection at angle a by d·|cos a|, whose mean over all directions is 2 d / pi."""
    points = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    shifted = points + torch.tensor([3.0, 0.0])
    assert diffusing.sliced_distance(points, shifted, directions=256) == pytest.approx(6 / math.pi, rel=1e-3)


@pytest.fixture(scope="module")
def codec() -> VAECodec:
    torch.manual_seed(0)
    return VAECodec(VAE(width=8), torch.tensor([0.5, -1.0, 0.0, 2.0]), torch.tensor([0.5, 1.0, 2.0, 3.0]))


def test_every_scaling_decodes_the_same_code_alike(codec):
    unit = torch.randn(600, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    own = unit * codec.latents_std + codec.latents_mean
    arms = diffusing.scaling_codecs(codec, unit, stretch=4.0)
    wanted = codec.decode(unit[:3])
    for arm in arms.values():
        torch.testing.assert_close(arm.decode((own[:3] - arm.latents_mean) / arm.latents_std), wanted, atol=1e-4, rtol=1e-4)
    assert arms["one number"].latents_std.flatten().tolist() == pytest.approx([own.std().item()] * 4, rel=1e-5)
    spreads = {name: ((own - arm.latents_mean) / arm.latents_std).std(dim=(0, 2, 3)) for name, arm in arms.items()}
    torch.testing.assert_close(spreads["per channel"], torch.ones(4), atol=0.03, rtol=0)
    torch.testing.assert_close(spreads["4× too large"], 4 * torch.ones(4), atol=0.12, rtol=0)


def test_the_prior_is_drawn_in_the_vaes_own_units(codec):
    z = quality.noise(3, (4, 4, 4), CPU, seed=5)
    with torch.no_grad():
        wanted = codec.vae.decode(z).clamp(-1, 1)
    drawn = diffusing.read_prior(codec, 3, (4, 4, 4), CPU, seed=5)
    torch.testing.assert_close(drawn, wanted, atol=1e-5, rtol=1e-5)


def test_a_walk_ends_where_an_all_knowing_denoiser_points():
    x0 = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    levels = recipes.SCHEDULE().grid(5)
    walk = diffusing.walk(lambda x_t, level: x0, levels[0].sigma * torch.randn_like(x0), levels, PixelCodec())
    assert walk.x_t.shape == walk.x0_hat.shape == (6, 2, 1, 8, 8)
    assert [level.t for level in walk.levels] == [1000, 800, 600, 400, 200, 0]
    torch.testing.assert_close(walk.x_t[-1], x0)
    torch.testing.assert_close(walk.x0_hat, x0.expand(6, *x0.shape))


def test_errors_by_level_of_a_denoiser_that_says_zero_is_the_variance():
    latents = 3 * torch.randn(200, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    found = diffusing.errors_by_level(lambda y: lambda x_t, level: 0 * x_t, latents, torch.zeros(200), [1, 500])
    assert found == pytest.approx([latents.square().mean().item()] * 2)


def test_draw_gives_each_label_its_own_denoiser_whatever_the_batch():
    """An all-knowing denoiser paints each picture in the grey of its label."""
    labels = quality.balanced(23, CPU)
    make = lambda y: lambda x_t, level: (y / 10).view(-1, 1, 1, 1).expand_as(x_t)  # noqa: E731
    wanted = (labels / 10).view(-1, 1, 1, 1).expand(23, 1, 8, 8)
    for sampler in quality.SAMPLERS:
        levels = recipes.SCHEDULE().grid(4)
        images = quality.draw(make, labels, PixelCodec(), (1, 8, 8), CPU, sampler=sampler, batch=7, levels=levels)
        torch.testing.assert_close(images, wanted)


def test_the_judge_scores_real_images_near_zero_and_noise_far():
    judge = quality.Judge(CPU)
    real = data.to_float(judge.images[:1000])
    good = judge.score(real, judge.labels[:1000], errors=5, cover=True)
    bad = judge.score(quality.noise(200, (1, 32, 32), CPU), quality.balanced(200, CPU))
    accuracy = (judge.logits[:1000].argmax(1) == judge.labels[:1000]).float().mean().item()
    assert good.agreement == pytest.approx(accuracy, abs=1e-6)
    assert good.precision == good.recall == 1.0  # the very same images
    assert good.error > 0
    assert good.frechet < bad.frechet / 10


def test_flops_of_one_linear_layer_are_counted_by_hand():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(12, 5)

        def forward(self, x, t, y):
            return self.layer(x.flatten(1))

    assert rivals.flops_per_step(Net(), (3, 2, 2)) == 2 * 12 * 5


def test_the_pixel_side_is_clamped_and_the_latent_side_is_not():
    class Big(nn.Module):  # a v-network whose x0_hat lies far outside [-1, 1]
        def forward(self, x, t, y):
            return torch.full_like(x, -50.0)

    x, level, y = torch.zeros(2, 1, 4, 4), schedule.cosine().level(500), torch.zeros(2, dtype=torch.long)
    assert rivals.maker("pixel", Big(), CPU)(y)(x, level).abs().max() == 1
    assert rivals.maker("latent", Big(), CPU)(y)(x, level).abs().max() > 10


def test_a_missing_result_says_how_to_measure_it(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"pixel_vs_latent.json is not there.*course train"):
        rivals.stored()
