"""The exact mixtures, the oracle of other tests: against torch.distributions, autograd, quadrature and counting."""

import pytest
import torch
from oracles import normal, seeded, toy
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.testing import assert_close

from course_lib import schedule
from course_lib.gaussian_mixture import gaussian_mixture
from course_lib.schedule import Level

LEVELS = [Level(0, 1.0, 0.0), schedule.linear().level(1), schedule.cosine().level(500), schedule.flow().level(900)]


def covariances(mixture):
    axes = torch.eye(mixture.means.shape[1]).to(mixture.means) if mixture.axes is None else mixture.axes
    return axes @ mixture.variances.diag_embed() @ axes.mT


def reference(mixture, level, k=slice(None)):
    """p(x_t) of the Gaussians k, by torch.distributions."""
    noisy = level.alpha**2 * covariances(mixture) + level.sigma**2 * torch.eye(mixture.means.shape[1]).to(mixture.means)
    return MixtureSameFamily(Categorical(mixture.weights[k]), MultivariateNormal(level.alpha * mixture.means[k], noisy[k]))


@pytest.mark.parametrize("level", LEVELS)
def test_density_and_score_agree_with_distributions_and_autograd(level):
    mixture, x = toy(), normal(50, 2, 1, 1).requires_grad_()
    for y, k in [(None, slice(None)), (0, [0]), (2, [2, 3]), (3, slice(None))]:
        wanted = reference(mixture, level, k).log_prob(x.flatten(1))
        assert_close(mixture.log_prob(x, level, y), wanted)
        (slope,) = torch.autograd.grad(wanted.sum(), x)
        assert_close(mixture.score(x, level, y), slope)
        (ours,) = torch.autograd.grad(mixture.log_prob(x, level, y).sum(), x)
        assert_close(ours, slope)


@pytest.mark.parametrize("level", LEVELS)
def test_classifier_is_bayes_rule(level):
    mixture, x = toy(), normal(50, 2, 1, 1)
    joint = [reference(mixture, level, k).log_prob(x.flatten(1)) + mixture.weights[k].sum().log() for k in ([0], [1], [2, 3])]
    wanted = torch.stack(joint, 1) - reference(mixture, level).log_prob(x.flatten(1))[:, None]
    assert_close(mixture.class_log_prob(x, level), wanted)
    assert_close(mixture.class_log_prob(x, level).exp().sum(1), torch.ones(50, dtype=torch.float64))


@pytest.mark.parametrize("t", [1, 300, 700, 1000])
@pytest.mark.parametrize("y", [None, 1])
def test_denoiser_is_the_mean_over_a_fine_grid_of_data(t, y):
    level = schedule.linear().level(t)
    mixture = gaussian_mixture(
        torch.tensor([[-1.0], [0.8], [1.1]]).double(),
        torch.tensor([0.3, 0.2, 0.5]),
        torch.tensor([1.0, 2.0, 3.0]),
        torch.tensor([0, 1, 1]),
    )
    x0 = torch.linspace(-5, 5, 200_001, dtype=torch.float64)
    k = slice(None) if y is None else [1, 2]
    prior = reference(mixture, Level(0, 1.0, 0.0), k).log_prob(x0[:, None])
    x_t = torch.tensor([-1.5, -0.3, 0.2, 1.0, 2.0], dtype=torch.float64)
    posterior = (prior - (x_t[:, None] - level.alpha * x0) ** 2 / (2 * level.sigma**2)).softmax(1)
    wanted = (posterior * x0).sum(1)
    assert_close(mixture.denoiser(y)(x_t.view(-1, 1, 1, 1), level).flatten(), wanted, rtol=1e-7, atol=1e-7)


def test_denoiser_without_signal_is_the_mean_and_without_noise_the_identity():
    mixture, x = toy(), normal(6, 2, 1, 1)
    mean = (mixture.weights @ mixture.means).view(1, 2, 1, 1).expand(6, -1, -1, -1)
    assert_close(mixture.denoise(x, schedule.flow().level(1000)), mean)
    assert_close(mixture.denoise(x, Level(0, 1.0, 0.0)), x)


def test_with_variance_0_x_t_is_denoised_to_the_nearest_point():
    data = normal(5, 3)
    mixture = gaussian_mixture(data, 0.0)
    x = data.view(5, 3, 1, 1) + 0.01 * normal(5, 3, 1, 1, seed=1)
    assert_close(mixture.denoise(x, Level(1, 1.0, 0.01)), data.view(5, 3, 1, 1))


def test_samples_have_the_mixtures_moments_and_classes():
    mixture, n = toy(), 40_000
    x, y = mixture.sample(n, seeded())
    assert x.shape == (n, 2, 1, 1)
    fractions = torch.bincount(y, minlength=3) / n
    assert_close(fractions, torch.tensor([1.0, 2.0, 1.5]) / 4.5, atol=4 * (0.25 / n) ** 0.5, rtol=0)
    for k in (0, 1):
        members = x[y == k].flatten(1)
        spread = covariances(mixture)[k]
        error = 4 * (spread.diagonal().max() / len(members)) ** 0.5
        assert_close(members.mean(0), mixture.means[k], atol=error, rtol=0)
        assert_close(members.T.cov(), spread, atol=4 * 0.25 * (2 / len(members)) ** 0.5, rtol=0)
    assert mixture.sample(100, seeded(), y=2)[1].tolist() == [2] * 100
    assert mixture.sample(8, seeded(), y=torch.arange(8) % 3)[1].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_one_spread_given_in_four_ways():
    means, level, x = normal(3, 2), Level(5, 0.8, 0.6), normal(10, 2, 1, 1, seed=1)
    std = torch.tensor(0.3, dtype=torch.float64)  # in float32, 0.3 is another number
    ways = [0.3, std.expand(3), std.expand(3, 2), (std**2 * torch.eye(2, dtype=torch.float64)).expand(3, 2, 2)]
    found = [gaussian_mixture(means, way).denoise(x, level) for way in ways]
    for other in found[1:]:
        assert_close(other, found[0], rtol=1e-12, atol=1e-12)


def test_labels_by_batch_and_levels_by_batch_equal_one_by_one():
    mixture, table = toy(), schedule.cosine()
    x, t, y = normal(4, 2, 1, 1), torch.tensor([3, 100, 600, 1000]), torch.tensor([0, 2, 1, 3])
    together = mixture.denoise(x, table.at(t), y)
    alone = [mixture.denoise(x[i : i + 1], table.level(int(t[i])), int(y[i])) for i in range(4)]
    assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-6)  # .at is float32
    assert torch.equal(mixture.denoise(x[3:], table.level(9), 3), mixture.denoise(x[3:], table.level(9)))


def test_images_keep_their_shape_and_precision():
    mixture = gaussian_mixture(normal(2, 3, 4, 5), 0.1)
    x = mixture.sample(7, seeded())[0]
    assert x.shape == (7, 3, 4, 5)
    out = mixture.denoise(x.float(), Level(5, 0.8, 0.6))
    assert out.shape == x.shape
    assert out.dtype == torch.float32
    assert mixture.to(dtype=torch.float32).sample(2, seeded())[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"means": torch.zeros(3)}, "means"),
        ({"spread": torch.ones(2)}, "spread"),
        ({"spread": -1.0}, "negative"),
        ({"spread": torch.tensor([[1.0, 2.0], [2.0, 1.0]]).expand(3, 2, 2)}, "negative"),
        ({"weights": torch.tensor([1.0, 0.0, 1.0])}, "weights"),
        ({"labels": torch.tensor([0, 2, 2])}, "labels"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, name):
    with pytest.raises(ValueError, match=name):
        gaussian_mixture(**({"means": torch.zeros(3, 2), "spread": 1.0} | arguments))


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="classes 0 to 2"):
        toy().denoiser(4)
