"""Chapter 2's linear baseline, against singular values."""

import pytest
import torch
from oracles import normal

from course_lib import device
from course_lib.experiments.ch2_autoencoder import pca_baseline


def images(n: int = 2000) -> torch.Tensor:
    """Images of 16 pixels with a known spectrum: variances 1, 1/2, 1/3, …"""
    return (normal(n, 16, dtype=torch.float32) * (1 / torch.arange(1, 17)).sqrt()).view(n, 1, 4, 4)


@pytest.mark.parametrize("k", [1, 4, 15])
def test_pca_misses_the_tail_of_the_spectrum(k):
    x = images()
    error = (pca_baseline.pca_reconstruct(x, x, k) - x).square().mean().item()
    tail = torch.linalg.svdvals((x - x.mean(0)).flatten(1))[k:].square().sum().item() / x.numel()
    assert error == pytest.approx(tail, rel=1e-3)
    assert pca_baseline.pca_error(x, k) == pytest.approx(tail, rel=1e-2)


def test_a_linear_autoencoder_reaches_the_error_of_pca():
    x = images(1000)
    error = pca_baseline.linear_autoencoder_error(x, 4, device.find(device="cpu", precision="fp32"))
    assert error == pytest.approx(pca_baseline.pca_error(x, 4), rel=0.01)
