"""The autoencoder: shapes, independence of the images in a batch, and its loss against torch.distributions."""

import math

import pytest
import torch
from networks import perturbed, random_images
from torch.distributions import Normal
from torch.testing import assert_close

from course_lib.autoencoder import Autoencoder, DenseAutoencoder, reconstruction_loss


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
@pytest.mark.parametrize(("channels", "latent_channels"), [(1, 4), (3, 2)])
def test_shapes(factor, channels, latent_channels):
    x = random_images(2, channels, 32, 16)
    net = Autoencoder(channels, width=8, factor=factor, latent_channels=latent_channels)
    assert net.encode(x).shape == (2, latent_channels, 32 // factor, 16 // factor)
    assert net(x).shape == x.shape


def test_every_weight_gets_a_gradient():
    net = perturbed(Autoencoder(3, width=8, factor=4))
    reconstruction_loss(net, random_images(4, 3, 16, 16)).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not without


def test_config_rebuilds_the_network():
    net = perturbed(Autoencoder(3, width=8, factor=4, latent_channels=3, blocks=2))
    rebuilt = Autoencoder(**net.config)
    rebuilt.load_state_dict(net.state_dict())
    x = random_images(2, 3, 16, 16)
    assert torch.equal(rebuilt(x), net(x))


def test_each_image_is_encoded_independently():
    net, x = perturbed(Autoencoder(1, width=8)), random_images(4, 1, 32, 32)
    assert_close(net.encode(x)[1:2], net.encode(x[1:2]), rtol=1e-4, atol=1e-5)
    assert_close(net(x)[3:], net(x[3:]), rtol=1e-4, atol=1e-5)


def test_channels_last_gives_the_same_output():
    net, x = perturbed(Autoencoder(3, width=8)), random_images(4, 3, 32, 32)
    wanted = net(x)
    found = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_negative_log_likelihood_up_to_its_constant():
    net, x = perturbed(Autoencoder(1, width=8, factor=4)), random_images(6, 1, 16, 16)
    constant = 256 * (math.log(0.2) + math.log(2 * math.pi) / 2)
    wanted = -(Normal(net(x), 0.2).log_prob(x).sum((1, 2, 3)) + constant).mean()
    assert_close(reconstruction_loss(net, x, 0.2), wanted)


@pytest.mark.parametrize(("factor", "stem", "side"), [(8, 2, 4), (8, 4, 4), (8, 8, 4), (4, 4, 8), (16, 4, 2), (2, 2, 16)])
def test_the_stem_does_not_change_the_shape_of_the_latents(factor, stem, side):
    net = Autoencoder(3, width=8, factor=factor, latent_channels=5, stem=stem)
    images = torch.zeros(2, 3, 32, 32)
    assert net.encode(images).shape == (2, 5, side, side)
    assert net(images).shape == images.shape
    strides = [layer.stride[0] for layer in net.encoder if isinstance(layer, torch.nn.Conv2d)]
    assert (strides[0], max(strides[1:])) == (stem, 2 if stem < factor else 1)


@pytest.mark.parametrize("factor", [0, 1, 3, 12])
def test_a_factor_that_is_not_a_power_of_two_raises(factor):
    with pytest.raises(ValueError, match=f"factor is {factor}.*power of two"):
        Autoencoder(factor=factor)


@pytest.mark.parametrize(("factor", "stem"), [(8, 3), (8, 1), (4, 8)])
def test_a_stem_that_does_not_fit_raises(factor, stem):
    with pytest.raises(ValueError, match=f"stem is {stem}.*power of two"):
        Autoencoder(factor=factor, stem=stem)


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 1, 32, 30)])
def test_images_whose_sides_are_not_multiples_of_the_factor_raise(shape):
    with pytest.raises(ValueError, match="multiples of 8"):
        Autoencoder(1, width=8).encode(torch.zeros(shape))


def test_a_dense_autoencoder_has_a_latent_without_positions():
    net = DenseAutoencoder(size=16, hidden=8, latent_channels=3)
    x = random_images(2, 1, 16, 16)
    assert net.encode(x).shape == (2, 3, 1, 1)
    assert net(x).shape == x.shape
    assert sum(p.numel() for p in net.parameters()) == 256 * 8 + 8 + 2 * (8 * 8 + 8) + 8 * 3 + 3 + 3 * 8 + 8 + 8 * 256 + 256
    assert DenseAutoencoder(**net.config).load_state_dict(net.state_dict())
    with pytest.raises(ValueError, match=r"\[B, 1, 16, 16\]"):
        net.encode(random_images(2, 1, 32, 32))
