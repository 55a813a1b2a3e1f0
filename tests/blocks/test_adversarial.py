"""The patch discriminator, its losses, and the weight that balances them."""

import pytest
import torch

from course_lib.adversarial import PatchDiscriminator, adaptive_weight, discriminator_loss, generator_loss


def test_the_receptive_field_of_a_score_is_18_pixels():
    discriminator = PatchDiscriminator(3, width=8).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    scores = discriminator(x)
    assert scores.shape == (1, 1, 16, 16)
    (gradient,) = torch.autograd.grad(scores[0, 0, 8, 8], x)
    rows, columns = (gradient[0].abs().sum(0).sum(axis).nonzero().flatten() for axis in (1, 0))
    for seen in (rows, columns):
        assert (seen.min().item(), seen.max().item()) == (8 * 4 - 7, 8 * 4 + 10)


def test_the_discriminator_is_penalised_for_scores_on_the_wrong_side_of_the_margin():
    assert discriminator_loss(torch.tensor([2.0, 1.0]), torch.tensor([-1.0, -3.0])) == 0
    assert discriminator_loss(torch.zeros(3), torch.zeros(3)) == 1
    assert discriminator_loss(torch.tensor([0.5]), torch.tensor([2.0])) == pytest.approx((0.5 + 3) / 2)


def test_the_decoder_is_rewarded_for_high_scores():
    assert generator_loss(torch.tensor([1.0, 3.0])) == -2


def test_at_the_adaptive_weight_both_gradients_have_the_same_norm():
    last = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    one, other = 7 * last.square().sum(), 0.01 * last.sin().sum()
    weight = adaptive_weight(one, other, last)
    norms = [torch.autograd.grad(loss, last)[0].norm() for loss in (one, weight * other)]
    assert norms[1] == pytest.approx(norms[0].item(), rel=1e-4)
    assert not weight.requires_grad


def test_the_adaptive_weight_is_bounded_where_the_adversarial_gradient_is_zero():
    last = torch.ones(2, requires_grad=True)
    assert adaptive_weight(last.sum(), 0 * last.sum(), last, limit=100.0) == 100
