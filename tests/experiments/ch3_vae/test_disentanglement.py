"""Squared correlations of latents and factors, against known mixtures."""

import pytest
import torch
from oracles import seeded
from torch.testing import assert_close

from course_lib import device
from course_lib.experiments.ch3_vae import disentanglement


def test_squared_correlations_of_known_mixtures():
    factors = torch.randn(5000, 2, generator=seeded())
    latents = torch.stack([3 - 2 * factors[:, 0], factors[:, 0] + factors[:, 1]], 1)
    assert_close(
        disentanglement.squared_correlations(latents, factors).float(), torch.tensor([[1.0, 0.0], [0.5, 0.5]]), atol=0.04, rtol=0
    )


def test_rows_that_do_not_belong_together_are_rejected():
    with pytest.raises(ValueError, match="latents has 6 rows and factors 5"):
        disentanglement.squared_correlations(torch.zeros(6, 2), torch.zeros(5, 3))


def test_a_free_factor_that_there_is_not_is_rejected():
    with pytest.raises(ValueError, match="free is 'colour'"):
        disentanglement.train_teddy_vae(("x", "colour"), 100, 1, device.find("cpu", "fp32"))
