"""Chapter 1's experiments, against closed forms, plain loops and sets of known answer."""

import math
import time

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from course_lib.device import Machine
from course_lib.experiments.ch1_pixel_space import pixels
from course_lib.images import of_length, patches


def test_flops_of_a_convolution_are_those_of_the_textbook():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 7, 3, padding=1)

        def forward(self, x, t):
            return self.conv(x)

    assert pixels.step_flops(lambda side: Net(), 20) == 2 * 20 * 20 * 7 * 3 * 9


def test_flops_of_attention_include_the_table_of_all_pairs():
    dim, depth = 32, 2
    side = 48

    def rest(side):  # everything that is not the table of pairs
        return pixels.step_flops(pixels.attention, side) - depth * 4 * side**4 * dim

    per_pixel = (rest(2 * side) - rest(side)) / (3 * side**2)
    assert_close(per_pixel, float(2 * (depth * 12 * dim**2 + 2 * 3 * dim)))  # qkv 3, out 1, mlp 8; embedding and head


def test_a_step_of_convolutions_costs_the_same_for_each_pixel():
    counts = [pixels.step_flops(pixels.convolution, side) for side in (128, 256, 512)]
    assert counts[2] - counts[1] == 4 * (counts[1] - counts[0])


def test_seconds_are_those_of_a_slow_net():
    class Slow(nn.Module):
        def forward(self, x, t):
            assert x.shape == (1, 3, 8, 8)
            assert t.shape == (1,)
            deadline = time.perf_counter() + 0.02
            while time.perf_counter() < deadline:
                pass
            return x

    machine = Machine(torch.device("cpu"), "32-true", 1, "test")
    assert 0.02 <= pixels.step_seconds(lambda side: Slow(), 8, machine, at_least=0.1) < 0.1


def test_exponent_of_a_power_law():
    sides = [16, 32, 80]
    assert_close(pixels.exponent(sides, [0.3 * side**2.7 for side in sides]), 2.7)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.25 s"),
        (90, "90 s"),
        (114, "114 s"),
        (200, "3.3 minutes"),
        (46800, "13 hours"),
        (4.5e10, "1,426 years"),
        (8.2e7, "2.6 years"),
    ],
)
def test_times_read_as_people_say_them(seconds, text):
    assert pixels.as_time(seconds) == text


def test_noise_has_neither_neighbours_nor_anything_to_pack():
    noise = torch.randint(0, 256, (1, 3, 96, 96), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    found = pixels.redundancy(noise, 4)
    assert found.correlation[1:].abs().max() < 0.03
    assert found.r2 < 0.01
    assert found.bits >= found.raw == 24


def test_patches_are_the_squares_of_a_plain_loop():
    image = torch.arange(2 * 3 * 8 * 12.0).view(2, 3, 8, 12)
    squares = [image[b, :, y : y + 4, x : x + 4].flatten() for b in range(2) for y in (0, 4) for x in (0, 4, 8)]
    assert_close(patches(image, 4), torch.stack(squares))


def test_centre_cuts_and_does_not_resize():
    image = torch.arange(3 * 10 * 14).view(3, 10, 14)
    assert torch.equal(pixels.centre(image, 4)[0], image[:, 3:7, 5:9])


def test_a_slow_first_step_is_not_repeated():
    calls = []

    class Slower(nn.Module):
        def forward(self, x, t):
            calls.append(time.sleep(0.05))
            return x

    machine = Machine(torch.device("cpu"), "32-true", 1, "test")
    assert 0.05 <= pixels.step_seconds(lambda side: Slower(), 8, machine, at_least=0.004) < 0.2
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("kind", "d", "noise", "rank"),
    [("subspace", 3, 0.0, 3), ("subspace", 3, 0.01, 32), ("sphere", 3, 0.0, 4), ("swiss roll", 2, 0.0, 3)],
)
def test_known_points_lie_in_as_many_axes_as_they_claim(kind, d, noise, rank):
    x = pixels.known(kind, d, 200, seed=0, ambient=32, noise=noise)
    assert x.shape == (200, 32)
    assert torch.linalg.matrix_rank(x) == rank
    if kind == "sphere":
        assert_close(x.norm(dim=1), torch.ones(200, dtype=x.dtype))


def test_the_swiss_roll_is_the_textbooks_one_and_keeps_its_lengths():
    """The oracle is scikit-learn's: the distances between points have the same distribution; and the radius is the angle."""
    from sklearn.datasets import make_swiss_roll

    ours = torch.pdist(pixels.known("swiss roll", 2, 1500, seed=0))
    theirs = torch.pdist(torch.from_numpy(make_swiss_roll(1500, random_state=0)[0]))
    levels = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
    assert_close(*(d[:: len(d) // 100_000].quantile(levels) for d in (ours, theirs)), rtol=0.03, atol=0)


def levina_bickel(x, k=10):
    """The maximum-likelihood dimension of Levina & Bickel 2004, eq. 9, averaged as MacKay & Ghahramani 2005 advise."""
    near = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values[:, 1 : k + 1]
    return 1 / (near[:, -1:] / near[:, :-1]).log().mean().item() * (k - 2) / (k - 1)


@pytest.mark.parametrize(
    ("kind", "d", "noise"),
    [("subspace", d, 0.0005) for d in (2, 4, 8)] + [("sphere", d, 0.0) for d in (2, 4, 8)] + [("swiss roll", 2, 0.0)],
)
def test_two_nn_and_a_second_opinion_are_within_15_percent_on_the_calibration_sets(kind, d, noise):
    """The second opinion is another estimator, from ten neighbours, written here; it reads 8 dimensions low on 2,000 points."""
    x = pixels.known(kind, d, 2000, seed=4, noise=noise)
    assert pixels.dimensions(x).two_nn == pytest.approx(d, rel=0.15)
    assert levina_bickel(x) == pytest.approx(d, rel=0.2)


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_two_nn_and_a_second_opinion_count_the_free_factors_of_teddies(k):
    x = pixels.free_teddies(k, 1200, seed=7).flatten(1).double()
    assert pixels.dimensions(x).two_nn == pytest.approx(k, rel=0.15)
    assert levina_bickel(x) == pytest.approx(k, rel=0.25)


def test_known_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="sphere"):
        pixels.known("torus", 2, 10, seed=0)


def test_estimates_agree_with_the_truth_on_a_plane():
    found = pixels.dimensions(pixels.known("subspace", 2, 600, seed=1))
    assert found.pca == 2
    assert found.participation == pytest.approx(2, rel=0.02)
    assert found.two_nn == pytest.approx(2, rel=0.15)


def test_free_teddies_vary_in_as_many_factors_as_said():
    assert_close(*pixels.free_teddies(0, 2, seed=0, size=16))
    tilted, placed = (pixels.free_teddies(k, 3, seed=0, size=16) for k in (1, 2))
    assert (tilted[0] - tilted[1]).abs().max() > 0.1
    assert (placed[0] - tilted[0]).abs().max() > 0.1  # the second factor moves what the first left in place


def test_a_step_of_noise_is_exactly_as_long_as_asked():
    noise = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    length = torch.tensor([0.5, 1, 2, 3, 4])
    assert_close(of_length(noise, length).flatten(1).norm(dim=1), length)


def test_distance_to_the_bank_is_that_of_all_pairs():
    generator = torch.Generator().manual_seed(0)
    bank = torch.randint(0, 256, (50, 1, 4, 4), generator=generator, dtype=torch.uint8)
    x = torch.rand(6, 1, 4, 4, generator=generator) * 2 - 1
    table = (x[:, None] - (bank / 127.5 - 1)[None]).flatten(2).norm(dim=2)
    assert_close(pixels.to_bank(x, bank, rows=7).float(), table.amin(1))


def test_a_walk_takes_two_steps_of_one_length():
    bank = pixels.teddy_bank(20, seed=0, size=16)
    walk = pixels.teddy_walk([0.0, 0.5], 4, bank, seed=1)
    assert_close(walk.moved[0], walk.noisy[0])
    assert walk.distance[0].abs().max() == 0
    for images in (walk.moved, walk.noisy):
        assert_close((images[1] - walk.moved[0]).flatten(1).norm(dim=1), walk.distance[1])


def test_shifted_moves_to_the_right():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    assert_close(pixels.shifted(image, 1)[0, 0, 0], torch.tensor([-1.0, 0, 1, 2]))


def test_readings_of_a_judge_whose_answers_are_known():
    class Judge(nn.Module):
        def features(self, x):
            return x.flatten(1)

        head = nn.Identity()

    images = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).view(3, 1, 1, 2)
    confidence, correct = pixels.readings(Judge(), images, torch.tensor([0, 1, 0]))
    assert confidence == pytest.approx(math.e / (1 + math.e))
    assert correct == pytest.approx(2 / 3)


def test_a_kernel_density_agrees_with_one_computed_by_torch_distributions():
    train, validation, test = pixels.gaussian_points(3, (80, 40, 30), seed=0)
    found = pixels.kernel_density_fit(train, validation, test)
    kernels = torch.distributions.Normal(train, found.bandwidth)
    each = kernels.log_prob(test[:, None]).sum(2)
    assert_close(found.log_likelihood, (each.logsumexp(1) - math.log(80)).mean().item())
    own = kernels.log_prob(train[:30, None]).sum(2).logsumexp(1) - math.log(80)
    assert_close(found.own, own.mean().item())
    shares = torch.distributions.Categorical(logits=each)
    assert_close(found.kernels, shares.entropy().exp().median().item())


def test_principal_points_hold_the_largest_variances_in_order():
    x = torch.randn(300, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1.0, 3.0], [0.1, 2.0]])
    train, rest = pixels.principal_points(x, 3, (200, 100))
    assert train.shape == (200, 3)
    assert rest.shape == (100, 3)
    assert_close(train.T.cov().diagonal(), torch.linalg.eigvalsh(x[:200].flatten(1).double().T.cov()).flip(0)[:3])


@pytest.mark.parametrize("d", [1, 3])
def test_one_gaussian_agrees_with_scipy(d):
    from scipy.stats import multivariate_normal

    train, test = pixels.gaussian_points(d, (60, 20), seed=1)
    fitted = multivariate_normal(train.mean(0).numpy(), train.T.cov().numpy())
    assert_close(pixels.one_gaussian(train, test), fitted.logpdf(test.numpy()).mean().item())
