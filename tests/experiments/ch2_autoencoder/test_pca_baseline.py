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


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"k": 0}, "k is 0, but must be a whole number from 1 to 16"),
        ({"k": 17}, "k is 17"),
        ({"images": torch.zeros(2, 1, 4, 4, dtype=torch.uint8)}, "to_float"),
        ({"images": torch.zeros(2, 1, 5, 5)}, "an image has shape"),
        ({"train_images": torch.full((9, 1, 4, 4), torch.nan)}, "train_images contains NaN"),
    ],
)
def test_images_that_have_no_such_components_are_rejected(arguments, match):
    with pytest.raises(ValueError, match=match):
        pca_baseline.pca_reconstruct(**{"train_images": images(9), "images": images(2), "k": 3} | arguments)


def test_a_set_smaller_than_a_batch_is_rejected():
    with pytest.raises(ValueError, match="500"):
        pca_baseline.linear_autoencoder_error(images(100), 4, device.find(device="cpu", precision="fp32"))
