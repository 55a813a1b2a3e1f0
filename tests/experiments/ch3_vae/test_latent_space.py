"""Measurements of a latent space, against torch.distributions and plain computations."""

import pytest
import torch
from oracles import seeded
from torch.distributions import MultivariateNormal, kl_divergence
from torch.testing import assert_close

from course_lib.autoencoder import Autoencoder
from course_lib.experiments.ch3_vae import latent_space
from course_lib.vae import VAE, Posterior


def test_the_aggregate_posterior_has_the_moments_of_samples_from_all_posteriors():
    n = 500
    q = Posterior(torch.randn(n, 3, 1, 1, generator=seeded()) * 2 + 1, torch.randn(n, 3, 1, 1, generator=seeded(1)))
    draws = torch.cat([q.sample(seeded(i)).flatten(1) for i in range(400)]).double()
    total = latent_space.aggregate_posterior(q)
    assert_close(total.mean, draws.mean(0), atol=0.03, rtol=0)
    assert_close(total.covariance, draws.T.cov(), atol=0.1, rtol=0.02)
    assert total.eigenvalues[0] >= total.eigenvalues[-1]


def test_kl_of_the_aggregate_posterior_is_that_of_torch_distributions():
    a = torch.randn(5, 5, generator=seeded(), dtype=torch.float64)
    total = latent_space.AggregatePosterior(torch.arange(5).double() / 5, a @ a.T + torch.eye(5))
    standard = MultivariateNormal(torch.zeros(5).double(), torch.eye(5).double())
    assert total.kl() == pytest.approx(kl_divergence(MultivariateNormal(total.mean, total.covariance), standard).item())


def test_the_dimension_with_the_largest_kl_ranks_first():
    mean = torch.zeros(10, 4, 1, 1)
    mean[:, 2], mean[:, 0] = 3.0, 1.0
    assert latent_space.rank_dims_by_kl(Posterior(mean, torch.zeros_like(mean))).tolist()[:2] == [2, 0]


def test_traverse_sets_one_dimension_and_leaves_its_input_unchanged():
    class Mirror(VAE):
        def decode(self, latents):
            return latents

    z = torch.full((2, 4, 4, 4), 0.5)
    moved = latent_space.traverse(Mirror(width=8), z, 17, -1.0).flatten(1)
    assert (moved[:, 17] == -1).all()
    assert ((moved == 0.5).sum(1) == 63).all()
    assert (z == 0.5).all()


def test_a_perturbation_of_strength_zero_is_the_plain_decoding():
    torch.manual_seed(0)
    net, z = Autoencoder(width=8).eval(), torch.randn(6, 4, 4, 4)
    assert_close(latent_space.decode_perturbed(net, z, 0.0, seeded()), net.decode(z).clamp(-1, 1))


@pytest.mark.parametrize("index", [64, -1, 2.0])
def test_a_dimension_that_there_is_not_is_rejected(index):
    with pytest.raises(ValueError, match="from 0 to 63"):
        latent_space.traverse(VAE(width=8), torch.zeros(2, 4, 4, 4), index, 0.0)


def test_one_latent_has_no_standard_deviation():
    with pytest.raises(ValueError, match="at least 2 rows"):
        latent_space.decode_perturbed(Autoencoder(width=8), torch.zeros(1, 4, 4, 4), 0.5, seeded())


def test_neighbours_of_the_same_class_in_separate_clusters():
    points = torch.cat([torch.randn(15, 3, generator=seeded()), 100 + torch.randn(15, 3, generator=seeded(1))])
    labels = torch.tensor([0] * 15 + [1] * 15)
    assert latent_space.same_class_neighbours(points, labels) == 1
    mixed = latent_space.same_class_neighbours(points, torch.arange(30) % 2)
    assert 0.3 < mixed < 0.7
    with pytest.raises(ValueError, match="points"):
        latent_space.same_class_neighbours(torch.tensor(1.0), labels)


def test_the_pixels_are_a_space_whose_latents_are_the_images():
    x = torch.rand(3, 1, 4, 4, generator=seeded()) * 2 - 1
    assert torch.equal(latent_space.PixelSpace().decode(latent_space.PixelSpace().encode(x)), x)
