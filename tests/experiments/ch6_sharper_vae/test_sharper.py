"""The further notebook on sharpness: its toy against integrals by hand, its training on small networks."""

from functools import partial

import pytest
import torch

from course_lib import device, teddies
from course_lib.experiments.ch6_sharper_vae import sharper
from course_lib.judges.factor_reader import FactorReader
from course_lib.vae import VAE

MACHINE = device.find("cpu")


@pytest.fixture
def short_discriminator(monkeypatch):
    """Discriminators that train for 20 steps instead of 150, for tests that do not depend on their accuracy."""
    monkeypatch.setattr(sharper, "train_discriminator", partial(sharper.train_discriminator, steps=20))


def test_squared_error_of_one_pixel_is_bias_plus_variance():
    toy = sharper.one_pixel_losses(std=0.1, upper=0.25)
    mean, variance = -0.5, 1 - 0.25 + 0.01  # of -1 with probability 3/4 and +1 with 1/4, each ± 0.1
    torch.testing.assert_close(toy.squared, (toy.answer - mean).square() + variance, rtol=1e-4, atol=1e-4)
    assert toy.answer[toy.squared.argmin()].item() == pytest.approx(mean, abs=0.01)


def test_features_and_discriminator_prefer_answers_that_occur():
    toy = sharper.one_pixel_losses(upper=0.5)
    for loss in (toy.features, toy.discriminator):
        assert abs(toy.answer[loss.argmin()].item()) == pytest.approx(1, abs=0.02)
    middle = (toy.answer == 0).nonzero().item()
    assert toy.density[middle] < 1e-15 < toy.density.max()
    assert toy.squared[middle] == toy.squared.min()


def test_high_frequencies_are_what_a_blur_removes():
    flat = torch.full((2, 3, 64, 64), 0.3)
    assert sharper.high_frequency_rms(flat) == pytest.approx(0, abs=1e-6)
    board = 1 - 2 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2).float()
    found = sharper.high_frequency_rms(board.expand(1, 1, 64, 64))
    assert found == pytest.approx(8 / 9, rel=0.02)  # 3×3 pixels of a chessboard average to ± 1/9, with the sign of the middle


def test_a_discriminator_recognises_blurred_images_and_not_equal_ones():
    x, y = (teddies.dataset(128, seed)[0][..., 16:48, 16:48] for seed in (1, 2))
    blurred = torch.nn.functional.avg_pool2d(sharper.as_float(x), 3, 1, 1)
    discriminator = sharper.train_discriminator(x, blurred, MACHINE, steps=60)
    assert sharper.discriminator_accuracy(discriminator, x, blurred) > 0.7
    assert sharper.discriminator_accuracy(discriminator, y, y) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("weights", [{}, {"perceptual": 1.0}, {"perceptual": 1.0, "adversarial": 0.5}])
def test_finetuning_trains_a_copy_and_leaves_the_original_unchanged(short_discriminator, weights):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae, reader = VAE(3, width=8, noise_std=0.1), FactorReader(8)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    images = teddies.dataset(64, 3)[0]
    for other in (vae, reader):
        other.requires_grad_(False)
    sharp = sharper.finetune(vae, images, MACHINE, reader, steps=25, **weights)
    assert all(torch.equal(before[name], value) for name, value in vae.state_dict().items())
    x = sharper.as_float(images)
    assert (sharp(x) - x).square().mean() < 0.8 * (vae(x) - x).square().mean()


def test_a_perceptual_loss_needs_a_reader():
    with pytest.raises(ValueError, match=r"perceptual is 1\.0"):
        sharper.finetune(VAE(3, width=8), teddies.dataset(2, 0)[0], MACHINE, perceptual=1.0)


def test_the_report_of_perfect_reconstructions_is_perfect(short_discriminator):
    class Perfect(VAE):
        def forward(self, images):
            return images

    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae, reader = Perfect(3, width=8), FactorReader(8)
    x, others = (teddies.dataset(64, seed)[0] for seed in (4, 5))
    found = sharper.sharpness_report(vae, reader, x, MACHINE, others)
    assert found.psnr == float("inf")
    assert found.ssim == pytest.approx(1)
    assert found.features == 0
    assert found.patch_frechet == pytest.approx(0, abs=1e-6)
    assert found.detail == pytest.approx(1)
    assert found.discriminator_accuracy == pytest.approx(0.5, abs=0.02)
    assert len(found.latents_std) == 4


def test_a_sharp_answer_costs_exactly_twice_the_mean_by_squared_error():
    possible = torch.randn(5, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = sharper.expected_distance(possible, lambda a, b: (a - b).square().flatten(1).mean(1))
    assert found.mean == pytest.approx(possible.var(0, correction=0).mean().item())
    assert found.sharp == pytest.approx(2 * found.mean)


def test_horizontal_shifts_move_by_single_pixels():
    image = torch.arange(12.0).view(1, 1, 2, 6)
    moved = sharper.horizontal_shifts(image, 2)
    assert moved.shape == (5, 1, 1, 2, 6)
    torch.testing.assert_close(moved[2], image)
    torch.testing.assert_close(moved[0][..., 2:], image[..., :-2])
    torch.testing.assert_close(moved[4][..., :-2], image[..., 2:])
    assert moved[0][0, 0, 0, :2].tolist() == [0, 0]


def test_distortions_are_equally_far_from_the_original():
    images = sharper.as_float(teddies.dataset(6, 7)[0])
    for name, distorted in sharper.distort(images, 0.1).items():
        rms = (distorted - images).square().flatten(1).mean(1).sqrt()
        torch.testing.assert_close(rms, torch.full((6,), 0.1), rtol=1e-4, atol=0, msg=name)


def test_interpolated_weights_end_at_both_vaes_and_change_neither():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one, other = VAE(3, width=8), VAE(3, width=8)
    images = sharper.as_float(teddies.dataset(2, 8)[0])
    before = one(images), other(images)
    for fraction, expected in zip((0.0, 1.0), before, strict=True):
        torch.testing.assert_close(sharper.interpolate_weights(one, other, fraction)(images), expected)
    assert not torch.allclose(sharper.interpolate_weights(one, other, 0.5)(images), before[0], atol=1e-3)
    assert torch.equal(one(images), before[0])
    assert torch.equal(other(images), before[1])
