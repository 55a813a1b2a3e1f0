"""Autoencoder, posterior and ELBO, against torch.distributions and the linear VAE whose optimum is known."""

import math
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import normal, seeded
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from torch.testing import assert_close

from course_lib.autoencoder import Autoencoder, reconstruction_loss
from course_lib.vae import ELBO, VAE, Posterior, active_units, elbo_loss, free_bits, iwae, kl_warmup, log_likelihood, log_weights


def pictures(*shape, seed=0):
    return normal(*shape, seed=seed, dtype=torch.float32).tanh()


def woken(net):
    """The network with noise on all its weights: fresh ones have layers at zero, behind which nothing shows."""
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p += 0.1 * normal(*p.shape, seed=i, dtype=p.dtype)
    return net


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
@pytest.mark.parametrize(("channels", "latents"), [(1, 4), (3, 2)])
def test_shapes(factor, channels, latents):
    x = pictures(2, channels, 32, 16)
    code = (2, latents, 32 // factor, 16 // factor)
    net = Autoencoder(channels, width=8, factor=factor, latent_channels=latents)
    assert net.encode(x).shape == code
    assert net(x).shape == x.shape
    vae = VAE(channels, width=8, factor=factor, latent_channels=latents)
    posterior = vae.encode(x)
    assert posterior.mean.shape == posterior.logvar.shape == posterior.sample().shape == code
    assert vae.decode(posterior.mode()).shape == vae(x).shape == x.shape
    assert vae.elbo(x).value.shape == (2,)


@pytest.mark.parametrize("kind", [Autoencoder, VAE])
def test_every_weight_learns(kind):
    net = woken(kind(3, width=8, factor=4))
    x = pictures(4, 3, 16, 16)
    (elbo_loss(net, x, generator=seeded()) if kind is VAE else reconstruction_loss(net, x)).backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not silent


@pytest.mark.parametrize("kind", [Autoencoder, VAE])
def test_config_rebuilds_the_network(kind):
    net = woken(kind(3, width=8, factor=4, latent_channels=3, blocks=2))
    again = kind(**net.config)
    again.load_state_dict(net.state_dict())
    x = pictures(2, 3, 16, 16)
    assert torch.equal(again(x), net(x))


def test_each_picture_is_coded_alone():
    net, x = woken(VAE(1, width=8)), pictures(4, 1, 32, 32)
    assert_close(net.encode(x).mean[1:2], net.encode(x[1:2]).mean, rtol=1e-4, atol=1e-5)
    assert_close(net(x)[3:], net(x[3:]), rtol=1e-4, atol=1e-5)


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


def test_samples_have_the_posteriors_moments_from_the_generator_alone():
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


def test_elbo_is_likelihood_less_kl_of_one_sample():
    vae, x = woken(VAE(1, width=8, factor=4, noise_std=0.3)), pictures(6, 1, 16, 16)
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


def test_log_weights_are_those_of_torch_distributions():
    vae, x = woken(VAE(1, width=8, factor=4, noise_std=0.3)), pictures(3, 1, 16, 16)
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
    assert_close(iwae(weights + 1000, 12), iwae(weights, 12) + 1000)  # far outside of what exp can hold


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_bound_rises_with_k_for_every_image(seed):
    weights = normal(12, 5, seed=seed) * 2
    bounds = torch.stack([iwae(weights, k) for k in (1, 2, 6, 12)])
    assert (bounds.diff(dim=0) >= -1e-12).all()


@pytest.mark.parametrize("k", [0, 5, 24])
def test_draws_that_make_no_whole_groups_are_refused(k):
    with pytest.raises(ValueError, match=f"k is {k}"):
        iwae(normal(12, 5), k)


def test_free_bits_charge_only_what_exceeds_the_floor_on_average():
    kl = torch.tensor([[0.0, 3.0, 0.1], [1.0, 1.0, 0.1]], requires_grad=True)  # means 0.5, 2 and 0.1
    cost = free_bits(kl, 0.5)
    assert cost.item() == pytest.approx(0.5 + 2.0 + 0.5)
    cost.backward()
    assert kl.grad[:, 1:].tolist() == [[0.5, 0.0], [0.5, 0.0]]  # the last number pays nothing more for saying more
    assert free_bits(kl, 0.0).item() == pytest.approx(kl.sum(1).mean().item())
    assert free_bits(kl.view(2, 3, 1, 1), 4.0).item() == pytest.approx(12.0)


def test_the_warm_up_rises_evenly_and_then_stays():
    assert [kl_warmup(step, 4) for step in range(7)] == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert kl_warmup(0, 0) == 1


def test_the_autoencoders_loss_is_the_likelihood_up_to_its_constant():
    net, x = woken(Autoencoder(1, width=8, factor=4)), pictures(6, 1, 16, 16)
    constant = 256 * (math.log(0.2) + math.log(2 * math.pi) / 2)
    wanted = -(Normal(net(x), 0.2).log_prob(x).sum((1, 2, 3)) + constant).mean()
    assert_close(reconstruction_loss(net, x, 0.2), wanted)


def test_bfloat16_stays_near_and_its_sums_are_float32():
    vae, x = woken(VAE(1, width=8)), pictures(8, 1, 32, 32)
    full = vae.elbo(x, seeded())
    with torch.autocast("cpu", torch.bfloat16):
        half = vae.elbo(x, seeded())
    assert half.kl.dtype == half.log_likelihood.dtype == torch.float32
    assert_close(half.kl, full.kl, rtol=0.05, atol=0.1)
    assert_close(half.log_likelihood, full.log_likelihood, rtol=0.05, atol=1.0)


def test_an_extreme_log_variance_stays_finite():
    vae, x = VAE(1, width=8), pictures(2, 1, 32, 32)
    with torch.no_grad():
        vae.encoder[-1].bias[4:] = 1000.0
    elbo = vae.elbo(x, seeded())
    assert elbo.value.isfinite().all()


def test_channels_last_changes_nothing():
    vae, x = woken(VAE(3, width=8)), pictures(4, 3, 32, 32)
    wanted = vae(x)
    found = vae.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert_close(found, wanted, rtol=1e-4, atol=1e-5)


# A VAE with linear encoder and decoder is probabilistic PCA (Tipping & Bishop 1999): with noise variance s² the best model
# keeps each eigenvalue λ > s² of the data's covariance as it is and collapses the others; its posterior has variance s²/λ.

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
    kept = EIGENVALUES.clamp(min=NOISE**2)  # of the best model's covariance; Tipping & Bishop 1999, eq. 4 and 7
    best = -(6 * math.log(2 * math.pi) + kept.log().sum() + (EIGENVALUES / kept).sum()).item() / 2
    elbo, kl = mean_elbo(vae, x)
    assert elbo <= best + 1e-2
    assert elbo == pytest.approx(best, rel=0.01)
    # The rate of each direction kept is log(λ/s²)/2 nats, and that of a collapsed one is 0.
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
    # beta-VAE with noise s² keeps what lies above beta · s² (Lucas et al. 2019, section 4): 0.4 here.
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
    mean[:, 1, 0, 1] = 5.0  # a constant carries nothing, however large
    mean[:, 1, 0, 0] = 0.05 * normal(100, seed=1, dtype=torch.float32)
    posterior = Posterior(mean, torch.zeros_like(mean))
    assert active_units(posterior).tolist() == [[[True, False]], [[False, False]]]
    assert active_units(posterior, 1e-4).sum() == 2


@pytest.mark.parametrize("factor", [0, 1, 3, 12])
def test_a_factor_that_is_no_power_of_two_is_refused(factor):
    with pytest.raises(ValueError, match=f"factor is {factor}.*power of two"):
        Autoencoder(factor=factor)


@pytest.mark.parametrize(("factor", "stem"), [(8, 3), (8, 1), (4, 8)])
def test_a_stem_that_does_not_fit_is_refused(factor, stem):
    with pytest.raises(ValueError, match=f"stem is {stem}.*power of two"):
        Autoencoder(factor=factor, stem=stem)


@pytest.mark.parametrize(("factor", "stem", "side"), [(8, 2, 4), (8, 4, 4), (8, 8, 4), (4, 4, 8), (16, 4, 2), (2, 2, 16)])
def test_any_stem_leads_to_the_same_latents_and_back(factor, stem, side):
    net = Autoencoder(3, width=8, factor=factor, latent_channels=5, stem=stem)
    images = torch.zeros(2, 3, 32, 32)
    assert net.encode(images).shape == (2, 5, side, side)
    assert net(images).shape == images.shape
    strides = [layer.stride[0] for layer in net.encoder if isinstance(layer, torch.nn.Conv2d)]
    assert (strides[0], max(strides[1:])) == (stem, 2 if stem < factor else 1)


@pytest.mark.parametrize("noise_std", [0.0, -1.0])
def test_noise_that_is_not_positive_is_refused(noise_std):
    with pytest.raises(ValueError, match="noise_std"):
        VAE(noise_std=noise_std)


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 1, 32, 30), (1, 32, 32)])
def test_pictures_that_cannot_be_halved_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 8"):
        VAE(1, width=8).encode(torch.zeros(shape))
