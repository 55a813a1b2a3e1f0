"""Which factors pass a bottleneck, with networks whose answer is known."""

import pytest
import torch
from torch import nn

from course_lib import teddies
from course_lib.experiments.ch2_autoencoder import teddy_factors


class Scaled(nn.Module):
    """A network whose reconstruction is half the image."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def encode(self, images):
        return images

    def decode(self, latents):
        return self.factor * latents


def test_the_change_of_a_factor_is_measured_before_and_after():
    factors = teddies.sample_factors(4, 0)
    before, after = teddy_factors.factor_change_rms(Scaled(), factors, "background")
    assert before > 0.1
    assert after == pytest.approx(before / 2, rel=1e-5)
    other = teddies.sample_factors(4, torch.Generator().manual_seed(1)).background
    a, b = (teddies.render(f, 64) for f in (factors, factors.replace(background=other)))
    assert before == pytest.approx((a - b).square().mean().sqrt().item())


@pytest.mark.parametrize(("n", "name", "match"), [(2, "colour", "name is 'colour'"), (0, "fur", "at least 1 row")])
def test_the_change_of_nothing_is_rejected(n, name, match):
    with pytest.raises(ValueError, match=match):
        teddy_factors.factor_change_rms(Scaled(), teddies.sample_factors(n, 0), name)
