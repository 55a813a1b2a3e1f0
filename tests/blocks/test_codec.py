"""The codecs: latents of unit variance, and the way back."""

import pytest
import torch
from oracles import normal
from torch.testing import assert_close

from course_lib import codec
from course_lib.codec import PixelCodec, VAECodec
from course_lib.vae import VAE


@pytest.fixture(scope="module")
def vae():
    net = VAE(1, width=8, factor=4, latent_channels=3)
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p += 0.1 * normal(*p.shape, seed=i, dtype=p.dtype)
        net.encoder[-1].weight[0] *= 7  # channels of different widths and places
        net.encoder[-1].bias[:3] += torch.tensor([0.0, 5.0, -2.0])
    return net


@pytest.fixture(scope="module")
def photos():
    """uint8, as the data sets are."""
    return torch.randint(0, 256, (30, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def as_float(photos):
    return torch.tensor([value / 127.5 - 1 for value in photos.flatten().tolist()]).view(photos.shape)


def test_fitted_latents_have_mean_0_and_standard_deviation_1_in_each_channel(vae, photos):
    latents = codec.cache(VAECodec.fit(vae, photos), photos)
    assert latents.shape == (30, 3, 4, 4)
    by_channel = latents.transpose(0, 1).flatten(1)
    assert_close(by_channel.mean(1), torch.zeros(3), rtol=0, atol=1e-5)
    assert_close(by_channel.std(1), torch.ones(3), rtol=1e-5, atol=0)


def test_statistics_are_those_of_all_posterior_means_at_once(vae, photos):
    with torch.no_grad():
        means = vae.encode(as_float(photos)).mean.double().transpose(0, 1).flatten(1)
    for batch in (7, 30, 500):
        mean, std = codec.channel_statistics(vae, photos, batch)
        assert_close(mean.double(), means.mean(1), rtol=1e-4, atol=1e-5)
        assert_close(std.double(), ((means - means.mean(1, keepdim=True)) ** 2).sum(1).div(479).sqrt(), rtol=1e-4, atol=0)


def test_posterior_of_many_equals_the_networks_own(vae, photos):
    with torch.no_grad():
        wanted = vae.encode(as_float(photos))
    found = codec.posterior(vae, photos, batch=8)
    assert_close(found.mean, wanted.mean, rtol=1e-4, atol=1e-4)
    assert_close(found.logvar, wanted.logvar, rtol=1e-4, atol=1e-4)


def test_encode_is_the_normalised_mode(vae, photos):
    own = VAECodec(vae, torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 2.0, 4.0]))
    images = as_float(photos)
    mode = vae.encode(images).mean.detach()
    wanted = torch.stack([(mode[:, 0] - 1) / 0.5, (mode[:, 1] - 2) / 2, (mode[:, 2] - 3) / 4], 1)
    assert_close(own.encode(images), wanted)
    assert not own.encode(images).requires_grad


def test_there_and_back_is_the_vaes_own_reconstruction(vae, photos):
    own, images = VAECodec.fit(vae, photos), as_float(photos)
    found = own.decode(own.encode(images))
    assert_close(found, vae(images).detach().clamp(-1, 1), rtol=1e-4, atol=1e-4)
    assert not found.requires_grad


def test_decoded_images_stay_in_range_and_float32(vae, photos):
    own = VAECodec.fit(vae, photos)
    with torch.autocast("cpu", torch.bfloat16):
        images = own.decode(100 * normal(4, 3, 4, 4, dtype=torch.float32))
    assert images.dtype == torch.float32
    assert images.min() >= -1
    assert images.max() <= 1
    assert images.abs().max() == 1


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_size_of_a_batch_changes_nothing(vae, photos, batch):
    own = VAECodec.fit(vae, photos)
    latents = own.encode(as_float(photos))
    assert_close(codec.cache(own, photos, batch), latents, rtol=1e-4, atol=1e-4)
    assert_close(codec.cache(own, as_float(photos), batch), latents, rtol=1e-4, atol=1e-4)
    assert_close(codec.decode_all(own, latents, batch), own.decode(latents), rtol=1e-4, atol=1e-4)


def test_pixels_are_their_own_latents(photos):
    own, images = PixelCodec(), as_float(photos)
    assert_close(codec.cache(own, photos, 7), images)
    assert torch.equal(own.decode(own.encode(images)), images)
    assert torch.equal(own.decode(3 * images), (3 * images).clip(-1, 1))
    assert torch.equal(codec.decode_all(own, 3 * images, 7), (3 * images).clip(-1, 1))


def test_the_codec_puts_the_vae_to_rest(vae, photos):
    vae.train()
    assert not VAECodec.fit(vae, photos).vae.training


def test_a_dead_channel_is_refused(vae):
    with pytest.raises(ValueError, match="dead channel"):
        VAECodec(vae, torch.zeros(3), torch.tensor([1.0, 0.0, 1.0]))


@pytest.mark.parametrize(("mean", "std"), [((4,), (3,)), ((3,), ()), ((1, 3, 1, 1), (1, 3, 1, 1))])
def test_statistics_of_another_vae_are_refused(vae, mean, std):
    with pytest.raises(ValueError, match="3 latent channels"):
        VAECodec(vae, torch.ones(mean), torch.ones(std))
