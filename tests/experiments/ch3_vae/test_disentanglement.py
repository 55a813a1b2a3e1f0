"""Squared correlations of latents and factors, against known mixtures."""

import torch
from oracles import seeded
from torch.testing import assert_close

from course_lib.experiments.ch3_vae import disentanglement


def test_squared_correlations_of_known_mixtures():
    factors = torch.randn(5000, 2, generator=seeded())
    latents = torch.stack([3 - 2 * factors[:, 0], factors[:, 0] + factors[:, 1]], 1)
    assert_close(
        disentanglement.squared_correlations(latents, factors).float(), torch.tensor([[1.0, 0.0], [0.5, 0.5]]), atol=0.04, rtol=0
    )
