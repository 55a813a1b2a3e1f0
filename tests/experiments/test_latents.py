"""The experiments of chapters 2 and 3 against closed forms."""

import pytest
import torch
from torch.testing import assert_close

from course_lib import device
from course_lib.experiments import latents


def images(n: int = 2000, seed: int = 0) -> torch.Tensor:
    """Pictures of 16 pixels with a known spectrum: variances 1, 1/2, 1/3, …"""
    g = torch.Generator().manual_seed(seed)
    scale = (1 / torch.arange(1, 17)).sqrt()
    return (torch.randn(n, 16, generator=g) * scale).view(n, 1, 4, 4)


def test_a_line_has_its_ends_and_its_middle():
    a, b = torch.zeros(3, 2, 1, 1), torch.ones(3, 2, 1, 1)
    points = latents.line(a, b, 5)
    assert points.shape == (3, 5, 2, 1, 1)
    assert_close(points[:, 0], a)
    assert_close(points[:, -1], b)
    assert_close(points[:, 2], torch.full_like(a, 0.5))


def test_gaussian_like_has_the_mean_and_covariance_of_the_data():
    x = images() + 3
    drawn = latents.gaussian_like(x, 100_000, torch.Generator().manual_seed(1))
    assert_close(drawn.mean(0), x.mean(0), atol=0.02, rtol=0)
    assert_close(drawn.flatten(1).T.cov(), x.flatten(1).T.cov(), atol=0.03, rtol=0)


@pytest.mark.parametrize("k", [1, 4, 15])
def test_pca_decode_leaves_the_tail_of_the_spectrum(k):
    x = images()
    error = (latents.pca_decode(x, x, k) - x).square().mean().item()
    tail = torch.linalg.svdvals((x - x.mean(0)).flatten(1))[k:].square().sum().item() / x.numel()
    assert error == pytest.approx(tail, rel=1e-3)
    assert latents.pca_error(x, k) == pytest.approx(tail, rel=1e-2)


def test_a_linear_autoencoder_reaches_the_error_of_pca():
    x = images(1000)
    error = latents.linear_autoencoder_error(x, 4, device.find(device="cpu", precision="fp32"))
    assert error == pytest.approx(latents.pca_error(x, 4), rel=0.01)


def test_distance_to_data_is_the_nearest_rows():
    bank = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    assert_close(latents.distance_to_data(torch.tensor([[3.0, 4.0], [9.0, 0.0]]), bank).float(), torch.tensor([5.0, 1.0]))
