"""The codecs: latents of unit variance, and decoding them."""

import pytest
import torch
from networks import perturbed
from oracles import normal
from torch.testing import assert_close

from course_lib import codec
from course_lib.codec import PixelCodec, VAECodec
from course_lib.vae import VAE


@pytest.fixture(scope="module")
def vae():
    net = perturbed(VAE(1, width=8, factor=4, latent_channels=3))
    with torch.no_grad():
        net.encoder[-1].weight[0] *= 7  # channels of different standard deviations and means
        net.encoder[-1].bias[:3] += torch.tensor([0.0, 5.0, -2.0])
    return net


@pytest.fixture(scope="module")
def uint8_images():
    """uint8, like the data sets."""
    return torch.randint(0, 256, (30, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def as_float(images):
    return torch.tensor([value / 127.5 - 1 for value in images.flatten().tolist()]).view(images.shape)


def test_fitted_latents_have_mean_0_and_standard_deviation_1_in_each_channel(vae, uint8_images):
    latents = codec.cache(VAECodec.fit(vae, uint8_images), uint8_images)
    assert latents.shape == (30, 3, 4, 4)
    by_channel = latents.transpose(0, 1).flatten(1)
    assert_close(by_channel.mean(1), torch.zeros(3), rtol=0, atol=1e-5)
    assert_close(by_channel.std(1), torch.ones(3), rtol=1e-5, atol=0)


def test_statistics_are_those_of_all_posterior_means_at_once(vae, uint8_images):
    with torch.no_grad():
        means = vae.encode(as_float(uint8_images)).mean.double().transpose(0, 1).flatten(1)
    for batch in (7, 30, 500):
        mean, std = codec.channel_statistics(vae, uint8_images, batch)
        assert_close(mean.double(), means.mean(1), rtol=1e-4, atol=1e-5)
        assert_close(std.double(), ((means - means.mean(1, keepdim=True)) ** 2).sum(1).div(479).sqrt(), rtol=1e-4, atol=0)


def test_posterior_of_many_equals_the_networks_own(vae, uint8_images):
    with torch.no_grad():
        wanted = vae.encode(as_float(uint8_images))
    found = codec.posterior(vae, uint8_images, batch=8)
    assert_close(found.mean, wanted.mean, rtol=1e-4, atol=1e-4)
    assert_close(found.logvar, wanted.logvar, rtol=1e-4, atol=1e-4)


def test_encode_is_the_normalised_mode(vae, uint8_images):
    own = VAECodec(vae, torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 2.0, 4.0]))
    images = as_float(uint8_images)
    mode = vae.encode(images).mean.detach()
    wanted = torch.stack([(mode[:, 0] - 1) / 0.5, (mode[:, 1] - 2) / 2, (mode[:, 2] - 3) / 4], 1)
    assert_close(own.encode(images), wanted)
    assert not own.encode(images).requires_grad


def test_the_round_trip_is_the_vaes_own_reconstruction(vae, uint8_images):
    own, images = VAECodec.fit(vae, uint8_images), as_float(uint8_images)
    found = own.decode(own.encode(images))
    assert_close(found, vae(images).detach().clamp(-1, 1), rtol=1e-4, atol=1e-4)
    assert not found.requires_grad


def test_decoded_images_stay_in_range_and_float32(vae, uint8_images):
    own = VAECodec.fit(vae, uint8_images)
    with torch.autocast("cpu", torch.bfloat16):
        images = own.decode(100 * normal(4, 3, 4, 4, dtype=torch.float32))
    assert images.dtype == torch.float32
    assert images.min() >= -1
    assert images.max() <= 1
    assert images.abs().max() == 1


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_batch_size_does_not_change_the_result(vae, uint8_images, batch):
    own = VAECodec.fit(vae, uint8_images)
    latents = own.encode(as_float(uint8_images))
    assert_close(codec.cache(own, uint8_images, batch), latents, rtol=1e-4, atol=1e-4)
    assert_close(codec.cache(own, as_float(uint8_images), batch), latents, rtol=1e-4, atol=1e-4)
    assert_close(codec.decode_all(own, latents, batch), own.decode(latents), rtol=1e-4, atol=1e-4)


def test_pixels_are_their_own_latents(uint8_images):
    own, images = PixelCodec(), as_float(uint8_images)
    assert_close(codec.cache(own, uint8_images, 7), images)
    assert torch.equal(own.decode(own.encode(images)), images)
    assert torch.equal(own.decode(3 * images), (3 * images).clip(-1, 1))
    assert torch.equal(codec.decode_all(own, 3 * images, 7), (3 * images).clip(-1, 1))


def test_the_codec_puts_the_vae_into_evaluation_mode(vae, uint8_images):
    vae.train()
    assert not VAECodec.fit(vae, uint8_images).vae.training


def test_a_channel_with_standard_deviation_0_raises(vae):
    with pytest.raises(ValueError, match=r"latents_std is \[1\.0, 0\.0, 1\.0\]"):
        VAECodec(vae, torch.zeros(3), torch.tensor([1.0, 0.0, 1.0]))


@pytest.mark.parametrize(("mean", "std"), [((4,), (3,)), ((3,), ()), ((1, 3, 1, 1), (1, 3, 1, 1))])
def test_statistics_of_another_vae_raise(vae, mean, std):
    with pytest.raises(ValueError, match="3 latent channels"):
        VAECodec(vae, torch.ones(mean), torch.ones(std))
