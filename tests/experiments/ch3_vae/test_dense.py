"""The dense networks of chapter 3: their shapes, their loss, and that a seed decides everything."""

import pytest
import torch
from oracles import seeded

from course_lib import device
from course_lib.autoencoder import DenseAutoencoder
from course_lib.experiments.ch3_vae import dense
from course_lib.vae import DenseVAE


def images(n: int = 130) -> torch.Tensor:
    return torch.randint(0, 256, (n, 1, 32, 32), generator=seeded(), dtype=torch.uint8)


@pytest.mark.parametrize("network", [DenseAutoencoder, DenseVAE])
def test_a_network_has_sixteen_latent_dimensions_and_depends_on_its_seed(network):
    machine = device.find("cpu")
    first, again, other = (dense.train_dense(network, images(), machine, 2, seed, progress=False) for seed in (0, 0, 1))
    z = dense.standard_normal(first, 5)
    assert z.shape == (5, 16, 1, 1)
    assert torch.equal(first.decode(z), again.decode(z))
    assert not torch.equal(first.decode(z), other.decode(z))


def test_the_loss_and_the_noise_are_those_that_were_given():
    seen = []

    def loss(net, batch, generator):
        seen.append(net.noise_std)
        return sum(p.square().sum() for p in net.parameters())

    net = dense.train_dense(DenseVAE, images(), device.find("cpu"), 3, progress=False, loss=loss, noise_std=0.3)
    assert seen == [0.3] * 3
    assert net.noise_std == 0.3
    assert not net.training


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps"):
        dense.train_dense(DenseVAE, images(), device.find("cpu"), 0)


def test_samples_depend_on_the_seed_alone():
    net = DenseVAE(hidden=8, latent_channels=3)
    assert torch.equal(dense.standard_normal(net, 4, 1), dense.standard_normal(net, 4, 1))
    assert not torch.equal(dense.standard_normal(net, 4, 1), dense.standard_normal(net, 4, 2))
