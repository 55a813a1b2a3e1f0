"""Experiments with latents, against closed forms."""

import torch
from oracles import normal
from torch.testing import assert_close

from course_lib.autoencoder import Autoencoder
from course_lib.experiments import latents
from course_lib.images import to_uint8
from course_lib.vae import VAE


@torch.no_grad()
def test_latents_are_those_of_the_network_whatever_the_batch():
    torch.manual_seed(0)
    images = to_uint8(torch.rand(5, 1, 32, 32) * 2 - 1)
    for net in (Autoencoder(width=8).eval(), VAE(width=8).eval()):
        encoded = net.encode(images / 127.5 - 1)
        expected = encoded.mean if isinstance(net, VAE) else encoded
        assert_close(latents.encode(net, images, batch=2), expected, rtol=1e-4, atol=1e-5)
        assert_close(latents.decode(net, expected, batch=2), net.decode(expected).clamp(-1, 1), rtol=1e-4, atol=1e-5)


def test_an_interpolation_has_its_ends_and_its_middle():
    a, b = torch.zeros(3, 2, 1, 1), torch.ones(3, 2, 1, 1)
    points = latents.interpolate(a, b, 5)
    assert points.shape == (3, 5, 2, 1, 1)
    assert_close(points[:, 0], a)
    assert_close(points[:, -1], b)
    assert_close(points[:, 2], torch.full_like(a, 0.5))


def test_a_fitted_gaussian_has_the_mean_and_covariance_of_the_data():
    x = normal(2000, 16, dtype=torch.float32) * (1 / torch.arange(1, 17)).sqrt() + 3
    samples = latents.sample_fitted_gaussian(x.view(-1, 1, 4, 4), 100_000, torch.Generator().manual_seed(1)).flatten(1)
    assert_close(samples.mean(0), x.mean(0), atol=0.02, rtol=0)
    assert_close(samples.T.cov(), x.T.cov(), atol=0.03, rtol=0)


def test_distance_to_nearest_is_that_of_the_nearest_row():
    references = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    found = latents.distance_to_nearest(torch.tensor([[3.0, 4.0], [9.0, 0.0]]), references)
    assert_close(found.float(), torch.tensor([5.0, 1.0]))
