"""The further notebook on sharpness: its toy against integrals by hand, its trainings on small things."""

import pytest
import torch

from course_lib import device, teddies
from course_lib.experiments.ch6_sharper_vae import sharper
from course_lib.judges.factor_reader import FactorReader
from course_lib.vae import VAE

MACHINE = device.find("cpu")


def test_squared_error_of_the_toy_is_bias_plus_variance():
    toy = sharper.toy(spread=0.1, share=0.25)
    mean, variance = -0.5, 1 - 0.25 + 0.01  # of -1 with chance 3/4 and +1 with 1/4, each ± 0.1
    torch.testing.assert_close(toy.squared, (toy.answer - mean).square() + variance, rtol=1e-4, atol=1e-4)
    assert toy.answer[toy.squared.argmin()].item() == pytest.approx(mean, abs=0.01)


def test_features_and_critic_prefer_answers_that_occur():
    toy = sharper.toy(share=0.5)
    for loss in (toy.features, toy.critic):
        assert abs(toy.answer[loss.argmin()].item()) == pytest.approx(1, abs=0.02)
    middle = (toy.answer == 0).nonzero().item()
    assert toy.density[middle] < 1e-15 < toy.density.max()
    assert toy.squared[middle] == toy.squared.min()


def test_detail_is_what_a_blur_takes_away():
    flat = torch.full((2, 3, 64, 64), 0.3)
    assert sharper.detail(flat) == pytest.approx(0, abs=1e-6)
    board = 1 - 2 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2).float()
    inside = sharper.detail(board.expand(1, 1, 64, 64))
    assert inside == pytest.approx(8 / 9, rel=0.02)  # 3×3 pixels of a chessboard average to ± 1/9, with the middle's sign


def test_a_fresh_critic_tells_blurred_pictures_and_cannot_tell_equal_ones():
    x, y = (teddies.dataset(128, seed)[0] for seed in (1, 2))
    blurred = torch.nn.functional.avg_pool2d(sharper.as_float(x), 3, 1, 1)
    critic = sharper.taught_critic(x, blurred, MACHINE, steps=60)
    assert sharper.told_apart(critic, x, blurred) > 0.7
    assert sharper.told_apart(critic, y, y) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("weights", [{}, {"perceptual": 1.0}, {"perceptual": 1.0, "adversarial": 0.5}])
def test_sharpening_trains_a_copy_and_leaves_the_original_alone(weights):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae, reader = VAE(3, width=8, noise_std=0.1), FactorReader(8)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    images = teddies.dataset(64, 3)[0]
    for other in (vae, reader):
        other.requires_grad_(False)
    sharp = sharper.sharpen(vae, images, MACHINE, reader, steps=25, **weights)
    assert all(torch.equal(before[name], value) for name, value in vae.state_dict().items())
    x = sharper.as_float(images)
    assert (sharp(x) - x).square().mean() < 0.8 * (vae(x) - x).square().mean()


def test_a_report_of_a_perfect_copyist_is_perfect():
    class Perfect(VAE):
        def forward(self, images):
            return images

    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae, reader = Perfect(3, width=8), FactorReader(8)
    x, others = (teddies.dataset(64, seed)[0] for seed in (4, 5))
    found = sharper.report(vae, reader, x, MACHINE, others)
    assert found.psnr == float("inf")
    assert found.ssim == pytest.approx(1)
    assert found.features == 0
    assert found.patches == pytest.approx(0, abs=1e-6)
    assert found.detail == pytest.approx(1)
    assert found.told_apart == pytest.approx(0.5, abs=0.02)
    assert len(found.std) == 4


def test_a_sharp_answer_costs_exactly_twice_the_mean_by_squared_error():
    possible = torch.randn(5, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = sharper.expected(possible, lambda a, b: (a - b).square().flatten(1).mean(1))
    assert found.mean == pytest.approx(possible.var(0, correction=0).mean().item())
    assert found.sharp == pytest.approx(2 * found.mean)


def test_places_move_everything_by_whole_pixels():
    image = torch.arange(12.0).view(1, 1, 2, 6)
    moved = sharper.places(image, 2)
    assert moved.shape == (5, 1, 1, 2, 6)
    torch.testing.assert_close(moved[2], image)
    torch.testing.assert_close(moved[0][..., 2:], image[..., :-2])
    torch.testing.assert_close(moved[4][..., :-2], image[..., 2:])
    assert moved[0][0, 0, 0, :2].tolist() == [0, 0]


def test_damages_are_equally_far_from_the_original():
    images = sharper.as_float(teddies.dataset(6, 7)[0])
    for name, worse in sharper.damaged(images, 0.1).items():
        rms = (worse - images).square().flatten(1).mean(1).sqrt()
        torch.testing.assert_close(rms, torch.full((6,), 0.1), rtol=1e-4, atol=0, msg=name)


def test_a_blend_ends_at_both_vaes_and_changes_neither():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one, other = VAE(3, width=8), VAE(3, width=8)
    images = sharper.as_float(teddies.dataset(2, 8)[0])
    before = one(images), other(images)
    for share, expected in zip((0.0, 1.0), before, strict=True):
        torch.testing.assert_close(sharper.blend(one, other, share)(images), expected)
    assert not torch.allclose(sharper.blend(one, other, 0.5)(images), before[0], atol=1e-3)
    assert torch.equal(one(images), before[0])
    assert torch.equal(other(images), before[1])
