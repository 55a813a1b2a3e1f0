"""The VAE, its posterior and ELBO, against torch.distributions and the linear VAE whose optimum is known."""

import math
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import perturbed, random_images
from oracles import normal, seeded
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from torch.testing import assert_close

from course_lib.vae import (
    ELBO,
    VAE,
    DenseVAE,
    Posterior,
    active_units,
    elbo_loss,
    free_bits,
    iwae,
    kl_warmup,
    log_likelihood,
    log_weights,
)


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
@pytest.mark.parametrize(("channels", "latent_channels"), [(1, 4), (3, 2)])
def test_shapes(factor, channels, latent_channels):
    x = random_images(2, channels, 32, 16)
    vae = VAE(channels, width=8, factor=factor, latent_channels=latent_channels)
    posterior = vae.encode(x)
    latent = (2, latent_channels, 32 // factor, 16 // factor)
    assert posterior.mean.shape == posterior.logvar.shape == posterior.sample().shape == latent
    assert vae.decode(posterior.mode()).shape == vae(x).shape == x.shape
    assert vae.elbo(x).value.shape == (2,)


def test_every_weight_gets_a_gradient():
    vae = perturbed(VAE(3, width=8, factor=4))
    elbo_loss(vae, random_images(4, 3, 16, 16), generator=seeded()).backward()
    without = [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not without


def test_config_rebuilds_the_network():
    vae = perturbed(VAE(3, width=8, factor=4, latent_channels=3, blocks=2, noise_std=0.3))
    rebuilt = VAE(**vae.config)
    rebuilt.load_state_dict(vae.state_dict())
    x = random_images(2, 3, 16, 16)
    assert torch.equal(rebuilt(x), vae(x))
    assert rebuilt.noise_std == 0.3


def test_each_image_is_encoded_independently():
    vae, x = perturbed(VAE(1, width=8)), random_images(4, 1, 32, 32)
    assert_close(vae.encode(x).mean[1:2], vae.encode(x[1:2]).mean, rtol=1e-4, atol=1e-5)
    assert_close(vae(x)[3:], vae(x[3:]), rtol=1e-4, atol=1e-5)


def test_kl_agrees_with_distributions():
    posterior = Posterior(normal(5, 4, 2, 2), normal(5, 4, 2, 2, seed=1))
    wanted = kl_divergence(Normal(posterior.mean, (posterior.logvar / 2).exp()), Normal(0.0, 1.0))
    assert_close(posterior.kl_per_dim(), wanted)
    assert_close(posterior.kl(), wanted.sum((1, 2, 3)))
    assert_close(posterior.std, posterior.logvar.exp().sqrt())


def test_kl_is_summed_over_the_dimensions():
    # A mean of 1 at unit variance costs half a nat in each of 64 dimensions.
    posterior = Posterior(torch.ones(3, 4, 4, 4), torch.zeros(3, 4, 4, 4))
    assert_close(posterior.kl(), torch.full((3,), 32.0))
    assert_close(Posterior(torch.zeros(2, 4, 4, 4), torch.zeros(2, 4, 4, 4)).kl(), torch.zeros(2))


def test_samples_have_the_posteriors_moments_and_use_only_the_generator():
    posterior = Posterior(torch.full((50_000, 1, 1, 1), 0.3), torch.full((50_000, 1, 1, 1), -1.0))
    state = torch.get_rng_state()
    z = posterior.sample(seeded())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(z, posterior.sample(seeded()))
    std = math.exp(-0.5)
    assert z.mean().item() == pytest.approx(0.3, abs=4 * std / 50_000**0.5)
    assert z.std().item() == pytest.approx(std, rel=4 / (2 * 50_000) ** 0.5)
    assert torch.equal(posterior.mode(), posterior.mean)


def test_gradients_pass_through_the_sample():
    # E[z²] = mean² + exp(logvar), so its gradient is 2 · mean and exp(logvar).
    n, mean, logvar = 200_000, torch.tensor(0.7, requires_grad=True), torch.tensor(-0.4, requires_grad=True)
    z = Posterior(mean.expand(n, 1, 1, 1), logvar.expand(n, 1, 1, 1)).sample(seeded())
    z.square().mean().backward()
    assert mean.grad.item() == pytest.approx(1.4, abs=0.02)
    assert logvar.grad.item() == pytest.approx(math.exp(-0.4), abs=0.02)


def test_log_likelihood_agrees_with_distributions():
    x, reconstruction = normal(4, 3, 5, 5), normal(4, 3, 5, 5, seed=1)
    wanted = Normal(reconstruction, 0.3).log_prob(x).sum((1, 2, 3))
    assert_close(log_likelihood(x, reconstruction, 0.3), wanted)


def test_elbo_is_the_log_likelihood_of_one_sample_minus_the_kl():
    vae, x = perturbed(VAE(1, width=8, factor=4, noise_std=0.3)), random_images(6, 1, 16, 16)
    posterior = vae.encode(x)
    noise = torch.randn(posterior.mean.shape, generator=seeded(4))
    decoded = vae.decode(posterior.mean + noise * (posterior.logvar / 2).exp())
    likelihood = Normal(decoded, 0.3).log_prob(x).sum((1, 2, 3))
    kl = kl_divergence(Normal(posterior.mean, posterior.std), Normal(0.0, 1.0)).sum((1, 2, 3))
    elbo = vae.elbo(x, seeded(4))
    assert_close(elbo.value, likelihood - kl)
    assert_close(elbo.loss(), (kl - likelihood).mean())
    assert_close(elbo.loss(beta=2.5), (2.5 * kl - likelihood).mean())
    assert_close(elbo_loss(vae, x, 2.5, seeded(4)), (2.5 * kl - likelihood).mean())
    assert_close(elbo.bits_per_dim(256), -(likelihood - kl) / 256 / math.log(2))


def test_log_weights_agree_with_distributions():
    vae, x = perturbed(VAE(1, width=8, factor=4, noise_std=0.3)), random_images(3, 1, 16, 16)
    q, generator = vae.encode(x), seeded(4)
    for found in log_weights(vae, x, 2, seeded(4)):
        z = q.sample(generator)
        terms = Normal(0.0, 1.0).log_prob(z), -Normal(q.mean, q.std).log_prob(z), Normal(vae.decode(z), 0.3).log_prob(x)
        assert_close(found, sum(t.sum((1, 2, 3)) for t in terms), rtol=1e-4, atol=1e-2)


def test_the_importance_weighted_bound_is_the_log_of_the_mean_weight():
    weights = normal(12, 5) * 3
    assert_close(iwae(weights, 12), weights.exp().mean(0).log())
    assert_close(iwae(weights, 1), weights.mean(0))
    assert_close(iwae(weights, 4), weights.view(3, 4, 5).exp().mean(1).log().mean(0))
    assert_close(iwae(weights + 1000, 12), iwae(weights, 12) + 1000)  # far beyond the range of exp


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_bound_rises_with_k_for_every_image(seed):
    weights = normal(12, 5, seed=seed) * 2
    bounds = torch.stack([iwae(weights, k) for k in (1, 2, 6, 12)])
    assert (bounds.diff(dim=0) >= -1e-12).all()


@pytest.mark.parametrize("k", [0, 5, 24])
def test_a_k_that_does_not_divide_the_number_of_samples_raises(k):
    with pytest.raises(ValueError, match=f"k is {k}"):
        iwae(normal(12, 5), k)


def test_free_bits_count_only_what_exceeds_the_floor_on_average():
    kl = torch.tensor([[0.0, 3.0, 0.1], [1.0, 1.0, 0.1]], requires_grad=True)  # means 0.5, 2 and 0.1
    loss = free_bits(kl, 0.5)
    assert loss.item() == pytest.approx(0.5 + 2.0 + 0.5)
    loss.backward()
    assert kl.grad[:, 1:].tolist() == [[0.5, 0.0], [0.5, 0.0]]  # a dimension below the floor has no gradient
    assert free_bits(kl, 0.0).item() == pytest.approx(kl.sum(1).mean().item())
    assert free_bits(kl.view(2, 3, 1, 1), 4.0).item() == pytest.approx(12.0)


def test_the_warm_up_rises_linearly_to_one_and_stays_there():
    assert [kl_warmup(step, 4) for step in range(7)] == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert kl_warmup(0, 0) == 1


def test_bfloat16_is_close_and_its_elbo_is_in_float32():
    vae, x = perturbed(VAE(1, width=8)), random_images(8, 1, 32, 32)
    full = vae.elbo(x, seeded())
    with torch.autocast("cpu", torch.bfloat16):
        half = vae.elbo(x, seeded())
    assert half.kl.dtype == half.log_likelihood.dtype == torch.float32
    assert_close(half.kl, full.kl, rtol=0.05, atol=0.1)
    assert_close(half.log_likelihood, full.log_likelihood, rtol=0.05, atol=1.0)


def test_an_extreme_log_variance_stays_finite():
    vae, x = VAE(1, width=8), random_images(2, 1, 32, 32)
    with torch.no_grad():
        vae.encoder[-1].bias[4:] = 1000.0
    elbo = vae.elbo(x, seeded())
    assert elbo.value.isfinite().all()


def test_channels_last_gives_the_same_output():
    vae, x = perturbed(VAE(3, width=8)), random_images(4, 3, 32, 32)
    wanted = vae(x)
    found = vae.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert_close(found, wanted, rtol=1e-4, atol=1e-5)


# A VAE with linear encoder and decoder is probabilistic PCA (Tipping & Bishop 1999): with noise variance s² the best model
# reproduces each eigenvalue λ > s² of the data's covariance and collapses the others; its posterior has variance s²/λ.

EIGENVALUES = torch.tensor([4.0, 1.5, 0.3, 0.02, 0.01, 0.005], dtype=torch.float64)
NOISE = 0.2


def linear_data(n=400):
    """Rows whose sample covariance (divided by n) has these eigenvalues exactly."""
    x = normal(n, 6)
    x = x - x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / n)).T
    axes = torch.linalg.qr(normal(6, 6, seed=1)).Q
    return x @ (EIGENVALUES.sqrt().diag() @ axes.T) + normal(6, seed=2)


class LinearVAE(nn.Module):
    """x [n, 6] ↔ z [n, 4], from the library's Posterior, log_likelihood and ELBO."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 4).double(), nn.Linear(4, 6).double()
        self.logvar = nn.Parameter(torch.zeros(4, dtype=torch.float64))
        with torch.no_grad():
            for i, p in enumerate(self.parameters()):
                p.copy_(0.3 * normal(*p.shape, seed=10 + i))

    def posterior(self, x):
        mean = self.encoder(x)
        return Posterior(mean, self.logvar.expand_as(mean))

    def elbo(self, x, generator):
        q = self.posterior(x)
        return ELBO(log_likelihood(x, self.decoder(q.sample(generator)), NOISE), q.kl())

    def log_prob(self, x):
        """The exact log p(x) of this decoder, by torch.distributions."""
        W = self.decoder.weight
        return MultivariateNormal(self.decoder.bias, W @ W.T + NOISE**2 * torch.eye(6).double()).log_prob(x)


@cache
def fitted(beta=1.0, steps=1500):
    vae, x, generator = LinearVAE(), linear_data(), seeded()
    optimizer = torch.optim.Adam(vae.parameters(), 0.03)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        vae.elbo(x, generator).loss(beta).backward()
        optimizer.step()
        rate.step()
    return vae, x


@torch.no_grad()
def mean_elbo(vae, x, repeats=200):
    elbos = [vae.elbo(x, seeded(100 + i)) for i in range(repeats)]
    return torch.stack([e.value.mean() for e in elbos]).mean().item(), elbos[0].kl.mean().item()


def test_a_linear_vae_reaches_the_optimum_of_probabilistic_pca():
    vae, x = fitted()
    best_eigenvalues = EIGENVALUES.clamp(min=NOISE**2)  # of the best model's covariance; Tipping & Bishop 1999, eq. 4 and 7
    best = -(6 * math.log(2 * math.pi) + best_eigenvalues.log().sum() + (EIGENVALUES / best_eigenvalues).sum()).item() / 2
    elbo, kl = mean_elbo(vae, x)
    assert elbo <= best + 1e-2
    assert elbo == pytest.approx(best, rel=0.01)
    # The rate of each active direction is log(λ/s²)/2 nats, and that of a collapsed one is 0.
    assert kl == pytest.approx((EIGENVALUES / NOISE**2).clamp(min=1).log().sum().item() / 2, rel=0.02)
    model = vae.decoder.weight @ vae.decoder.weight.T + NOISE**2 * torch.eye(6).double()
    assert_close(torch.linalg.eigvalsh(model).flip(0)[:3], EIGENVALUES[:3], rtol=0.05, atol=0)


def test_directions_below_the_noise_collapse():
    vae, x = fitted()
    posterior = vae.posterior(x)
    active = active_units(posterior)
    assert active.sum() == 3  # of 4 latents: the fourth direction, 0.02, lies below the noise, 0.04
    assert_close(posterior.logvar[0, ~active], torch.zeros(1).double(), rtol=0, atol=0.02)
    assert_close(posterior.logvar[0, active].sort().values, (NOISE**2 / EIGENVALUES[:3]).log(), rtol=0.03, atol=0.03)


def test_beta_moves_the_threshold_of_collapse():
    # a beta-VAE with noise s² represents the directions above beta · s² (Lucas et al. 2019, section 4): 0.4 here.
    vae, x = fitted(beta=10.0)
    assert active_units(vae.posterior(x)).sum() == 2


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_elbo_never_exceeds_the_likelihood(seed):
    vae, x = LinearVAE(), linear_data(50)
    with torch.no_grad():
        for i, p in enumerate(vae.parameters()):
            p.copy_(0.5 * normal(*p.shape, seed=seed + i))
        values = torch.stack([vae.elbo(x, seeded(i)).value.mean() for i in range(400)])
        assert values.mean() <= vae.log_prob(x).mean() + 4 * values.std() / 400**0.5


def test_elbo_is_the_likelihood_where_the_posterior_is_exact():
    vae, x = LinearVAE(), linear_data(200)
    with torch.no_grad():  # orthogonal columns, so that the true posterior has no correlations
        W = torch.linalg.qr(normal(6, 4, seed=3)).Q * torch.tensor([2.0, 1.0, 0.5, 0.1])
        inverse = torch.linalg.inv(W.T @ W + NOISE**2 * torch.eye(4).double())  # Tipping & Bishop 1999, eq. 6
        vae.decoder.weight.copy_(W)
        vae.encoder.weight.copy_(inverse @ W.T)
        vae.encoder.bias.copy_(-inverse @ W.T @ vae.decoder.bias)
        vae.logvar.copy_((NOISE**2 * inverse.diagonal()).log())
        values = torch.stack([vae.elbo(x, seeded(i)).value.mean() for i in range(400)])
        error = 4 * values.std().item() / 400**0.5
        assert values.mean().item() == pytest.approx(vae.log_prob(x).mean().item(), abs=error)


def test_active_units_counts_what_varies():
    mean = torch.zeros(100, 2, 1, 2)
    mean[:, 0, 0, 0] = normal(100, dtype=torch.float32)
    mean[:, 1, 0, 1] = 5.0  # a constant carries no information, however large
    mean[:, 1, 0, 0] = 0.05 * normal(100, seed=1, dtype=torch.float32)
    posterior = Posterior(mean, torch.zeros_like(mean))
    assert active_units(posterior).tolist() == [[[True, False]], [[False, False]]]
    assert active_units(posterior, 1e-4).sum() == 2


@pytest.mark.parametrize("noise_std", [0.0, -1.0])
def test_a_noise_std_that_is_not_positive_raises(noise_std):
    with pytest.raises(ValueError, match="noise_std"):
        VAE(noise_std=noise_std)


def test_images_whose_sides_are_not_multiples_of_the_factor_raise():
    with pytest.raises(ValueError, match="multiples of 8"):
        VAE(1, width=8).encode(torch.zeros(2, 1, 28, 28))


def test_a_dense_vae_is_the_same_model_with_layers_of_matrices():
    x = random_images(3, 1, 16, 16)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = DenseVAE(size=16, hidden=8, latent_channels=2, noise_std=0.5)
    posterior = vae.encode(x)
    assert posterior.mean.shape == posterior.logvar.shape == (3, 2, 1, 1)
    assert vae.decode(posterior.mode()).shape == vae(x).shape == x.shape
    bound = vae.elbo(x, seeded(1))
    expected = Normal(vae.decode(posterior.sample(seeded(1))), 0.5).log_prob(x).flatten(1).sum(1)
    assert_close(bound.log_likelihood, expected)
    assert DenseVAE(**vae.config).load_state_dict(vae.state_dict())
    bound.loss().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())


def test_a_dense_vae_refuses_images_of_another_size():
    with pytest.raises(ValueError, match=r"\[B, 1, 16, 16\]"):
        DenseVAE(size=16).encode(random_images(1, 1, 32, 32))
    with pytest.raises(ValueError, match="noise_std"):
        DenseVAE(noise_std=0.0)
