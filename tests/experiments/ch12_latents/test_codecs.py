"""The ways of making latents: what each loss adds, what stays frozen, and that each way gives a codec of unit variance."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracles import seeded
from torch.testing import assert_close

from course_lib import device, recipes
from course_lib.autoencoder import Autoencoder
from course_lib.experiments import fashion_variants
from course_lib.experiments.ch12_latents import codecs
from course_lib.judges.classifier import Classifier
from course_lib.vae import VAE, elbo_loss, log_likelihood

CPU = device.find("cpu", "fp32")


def small(network=VAE, **shape):
    return recipes.build(network, {"width": 8, **shape}).eval()


def images(n: int = 20) -> torch.Tensor:
    return F.interpolate(torch.rand(n, 1, 8, 8, generator=seeded()) * 2 - 1, scale_factor=4)


@pytest.fixture
def fashion(monkeypatch, tmp_path):
    """300 stand-ins for Fashion-MNIST, an untrained classifier, and an empty runs/."""
    data = (images(300) * 127.5 + 127.5).to(torch.uint8)
    for module in (codecs, fashion_variants):
        monkeypatch.setattr(module, "fashion_mnist", lambda split, on: (data, None))
    monkeypatch.setattr(codecs, "load_or_train_classifier", lambda machine, seed, *_: recipes.build(Classifier, {}, seed))
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    return data


# --- the codec -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [VAE, Autoencoder])
def test_the_latents_have_unit_variance_and_decode_as_the_networks_own(network):
    net, x = small(network), images()
    codec = codecs.LatentCodec(net, x)
    z = codec.encode(x)
    assert_close(z.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    assert_close(z.std((0, 2, 3)), torch.ones(4))
    with torch.no_grad():
        assert_close(codec.decode(z), net(x).clamp(-1, 1), atol=1e-5, rtol=1e-4)


def test_a_channel_that_does_not_vary_is_refused():
    net = small(Autoencoder)
    torch.nn.init.zeros_(net.encoder[-1].weight)
    with pytest.raises(ValueError, match="every channel must vary"):
        codecs.LatentCodec(net, images())


def test_latents_of_another_number_of_channels_are_refused():
    with pytest.raises(ValueError, match="latents"):
        codecs.LatentCodec(small(), images()).decode(torch.zeros(2, 3, 4, 4))


# --- the losses ----------------------------------------------------------------------------------------------------


def test_without_its_weight_equivariance_is_the_elbo():
    net, x = small(), images()
    assert_close(codecs.equivariant_loss(0.0)(net, (x,), seeded()), elbo_loss(net, x, generator=seeded()))


def test_the_weight_multiplies_the_error_of_the_half_image():
    net, x = small(), images()
    z = net.encode(x).sample(seeded())
    halves = [t[..., ::2, ::2] + t[..., 1::2, ::2] + t[..., ::2, 1::2] + t[..., 1::2, 1::2] for t in (x, z)]
    error = -log_likelihood(halves[0] / 4, net.decode(halves[1] / 4), net.noise_std).mean()
    losses = [codecs.equivariant_loss(w)(net, (x,), seeded()) for w in (0.0, 0.3)]
    assert_close(losses[1] - losses[0], 0.3 * error, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("encoder_too", [False, True])
def test_without_noise_the_loss_is_the_elbo(encoder_too):
    net, x = small(), images()
    loss = codecs.noised_loss(0.0, torch.ones(1, 4, 1, 1), encoder_too)(net, (x,), seeded())
    assert_close(loss, elbo_loss(net, x, generator=seeded()))


def test_noise_is_scaled_by_channel():
    """The decoder gets z + noise; what is added has the wanted mean square: noise² / 3 · scale², since the level is uniform."""
    net, x, seen = small(), images(500), []
    net.decode = lambda z: seen.append(z) or torch.zeros_like(x)
    scale = torch.tensor([0.5, 1.0, 2.0, 4.0]).view(1, 4, 1, 1)
    for noise in (0.0, 0.6):
        codecs.noised_loss(noise, scale)(net, (x,), seeded())
    added = (seen[1] - seen[0]).square().mean((0, 2, 3))
    assert_close(added, 0.6**2 / 3 * scale.flatten() ** 2, rtol=0.15, atol=0)


@pytest.mark.parametrize("encoder_too", [False, True])
def test_the_encoder_learns_only_where_it_should(fashion, encoder_too):
    net = small()
    loss = codecs.noised_loss(0.5, torch.ones(1, 4, 1, 1), encoder_too)
    tuned = fashion_variants.fine_tune(net, loss, CPU, steps=2, progress=False)
    same = torch.equal(tuned.encoder[0].weight, net.encoder[0].weight)
    assert same is not encoder_too
    assert not torch.equal(tuned.decoder[0].weight, net.decoder[0].weight)


# --- frozen features -----------------------------------------------------------------------------------------------


def test_the_latents_are_the_principal_axes_of_the_features():
    classifier, x = recipes.build(Classifier, {}).eval(), images(40)
    net = codecs.FeatureAutoencoder(classifier, x, 3)
    with torch.no_grad():
        maps = classifier.body[:7](x).permute(0, 2, 3, 1).reshape(-1, 64).double().numpy()
    u, _, _ = np.linalg.svd(maps - maps.mean(0), full_matrices=False)
    scores = u[:, :3] * np.sqrt(len(maps) - 1)  # of variance 1, up to the sign
    z = net.encode(x).permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()
    np.testing.assert_allclose(np.abs((scores * z).mean(0)), 1, atol=2e-3)
    np.testing.assert_allclose(z.std(0, ddof=1), 1, rtol=1e-3)


def test_training_changes_the_decoder_and_not_the_features(fashion):
    classifier = recipes.build(Classifier, {}).eval()
    net = codecs.train_feature_autoencoder(classifier, 4, CPU, steps=1, seed=2, progress=False)
    new = codecs.FeatureAutoencoder(classifier, fashion, 4, seed=2)
    assert_close(net.features.state_dict(), classifier.body[:7].state_dict(), rtol=0, atol=0)
    assert_close(net.axes, new.axes, rtol=0, atol=0)
    assert not torch.equal(net.decoder[0].weight, new.decoder[0].weight)
    assert all(p.requires_grad for p in classifier.parameters())  # the given network stays as it was


def test_the_judge_encodes_only_where_the_way_says_so(fashion, monkeypatch):
    given = []

    def train(classifier, channels, machine, steps, seed, progress):
        given.append((classifier, channels, seed))

    judge = recipes.build(Classifier, {})
    monkeypatch.setattr(codecs, "train_feature_autoencoder", train)
    monkeypatch.setattr(codecs, "load_or_train_classifier", lambda machine, seed, *_: seed)
    monkeypatch.setattr(codecs.recipes, "load_or_train", lambda name, machine: judge)
    for name in ("features c4", "judge's features c16"):
        codecs.WAYS[name].make(CPU, 0, None)
    assert given == [(1, 4, 0), (judge, 16, 0)]


# --- the ways ------------------------------------------------------------------------------------------------------

SHAPES = {
    "beta 0.25": (4, 4, 4), "f8 c16": (16, 4, 4), "f4 c1": (1, 8, 8), "f16 c16": (16, 2, 2), "equivariant 1": (4, 4, 4),
    "noisy decoder 1": (4, 4, 4), "noisy both 0.5": (4, 4, 4), "features c16": (16, 4, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_way_gives_a_codec(name, fashion):
    codec = codecs.make_codec(name, CPU, seed=1, steps=1)
    z = codec.encode(images(6))
    assert tuple(z.shape[1:]) == SHAPES[name]
    decoded = codec.decode(z)
    assert decoded.shape == (6, 1, 32, 32)
    assert decoded.abs().max() <= 1


def test_the_ways_are_those_that_were_asked_for():
    assert sum(way.family == "beta" for way in codecs.WAYS.values()) == 8
    assert sum(way.family == "bottleneck" for way in codecs.WAYS.values()) == 7
    assert codecs.REFERENCE in codecs.WAYS
    assert len(codecs.WAYS) >= 14


def test_the_noised_decoder_has_exactly_the_latents_of_its_base(fashion):
    base = fashion_variants.load_or_train_base(CPU, 1, 1, False)
    codec = codecs.make_codec("noisy decoder 0.5", CPU, seed=1, steps=1)
    assert_close(codec.encode(images()), codecs.LatentCodec(base, fashion).encode(images()), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: codecs.make_codec("beta 3", CPU), "beta 3"),
        (lambda: codecs.make_codec("beta 1", CPU, steps=0), "steps is 0"),
        (lambda: codecs.equivariant_loss(-1.0), "weight is -1"),
        (lambda: codecs.noised_loss(-1.0, torch.ones(1, 4, 1, 1)), "noise is -1"),
        (lambda: codecs.FeatureAutoencoder(recipes.build(Classifier, {}), images(), 65), "channels is 65"),
    ],
)
def test_what_is_no_way_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
