"""Noise, prediction types, loss and denoiser, against algebra, closed forms, diffusers, sums by hand and counting."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import SCHEDULES, normal, seeded, toy
from scipy.stats import chisquare, kstest
from torch.testing import assert_close

from course_lib import diffusion, schedule
from course_lib.gaussian_mixture import gaussian_mixture
from course_lib.samplers import ddim

PREDICTION_TYPES = ("eps", "x0", "v", "velocity")


class Recorder:
    """A network that records its inputs and returns a fixed function of x_t."""

    def __call__(self, x_t, t, y):
        self.x_t, self.t, self.y = x_t, t, y
        return 0.5 * x_t


def by_definition(prediction_type, x0, eps, alpha, sigma):
    """The four prediction types from data and noise, as the papers define them."""
    return {"eps": eps, "x0": x0, "v": alpha * eps - sigma * x0, "velocity": eps - x0}[prediction_type]


def test_the_prediction_types_are_those_tested_here():
    assert diffusion.PREDICTION_TYPES == PREDICTION_TYPES


@given(st.sampled_from(sorted(SCHEDULES)), st.sampled_from(PREDICTION_TYPES), st.integers(2, 1200), st.data())
@settings(max_examples=150, deadline=None)
def test_every_prediction_type_determines_data_and_noise(name, prediction_type, T, data):
    level = SCHEDULES[name](T).level(data.draw(st.integers(1, T - 1)))
    seed = data.draw(st.integers(0, 99))
    x0, eps = normal(2, 3, 2, 2, seed=seed), normal(2, 3, 2, 2, seed=seed + 100)
    x_t = diffusion.add_noise(x0, eps, level)
    out = diffusion.target(prediction_type, x0, eps, level)
    back = diffusion.to_x0(prediction_type, out, x_t, level)
    rounding = 1e-13 * max(1, level.ratio, 1 / level.ratio)
    assert_close(back, x0, rtol=0, atol=100 * rounding)
    assert_close(diffusion.to_eps("x0", back, x_t, level), eps, rtol=0, atol=1000 * rounding * max(1, 1 / level.ratio))
    assert_close(diffusion.to_eps(prediction_type, out, x_t, level), eps, rtol=0, atol=100 * rounding)


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 1200))
@settings(max_examples=40, deadline=None)
def test_v_and_velocity_determine_data_and_noise_at_both_ends(name, T):
    for level in (SCHEDULES[name](T).level(t) for t in (0, T)):
        x0, eps = normal(1, 2, 2, 2), normal(1, 2, 2, 2, seed=1)
        x_t = diffusion.add_noise(x0, eps, level)
        for prediction_type in ("x0", "v", "velocity"):
            out = diffusion.target(prediction_type, x0, eps, level)
            assert_close(diffusion.to_x0(prediction_type, out, x_t, level), x0)
        for prediction_type in ("eps", "v", "velocity"):
            out = diffusion.target(prediction_type, x0, eps, level)
            assert_close(diffusion.to_eps(prediction_type, out, x_t, level), eps)


def undetermined(prediction_type, level):
    """Whether x_t and this prediction leave the rest open: the noise where all is noise, the data where all is data."""
    return (prediction_type, 0.0) in (("eps", level.alpha), ("x0", level.sigma))


def amplification(prediction_type, level):
    """By how much the division by alpha (of eps) or by sigma (of x0) enlarges rounding errors."""
    if undetermined(prediction_type, level):
        return 1.0
    ratio = {"eps": level.ratio, "x0": 1 / level.ratio if level.sigma > 0 else 1.0}
    return max(1.0, ratio.get(prediction_type, 1.0))


@pytest.mark.parametrize(("source", "to"), list(product(PREDICTION_TYPES, repeat=2)))
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_prediction_type_converts_to_every_other_and_back_at_every_level(name, source, to):
    """Against the definitions, the two ends included; refused exactly where the output does not determine the other type."""
    table, x0, eps = SCHEDULES[name](20), normal(2, 2, 3, 3), normal(2, 2, 3, 3, seed=1)
    for level in (table.level(t) for t in range(21)):
        x_t = level.alpha * x0 + level.sigma * eps
        out, wanted = (by_definition(p, x0, eps, level.alpha, level.sigma) for p in (source, to))
        if source != to and undetermined(source, level):
            with pytest.raises(ValueError, match=rf"t={level.t}\b"):
                diffusion.convert(source, to, out, x_t, level)
            continue
        error = 1e-13 * amplification(source, level)
        converted = diffusion.convert(source, to, out, x_t, level)
        assert_close(converted, wanted, rtol=0, atol=error)
        if source == to or not undetermined(to, level):
            back = diffusion.convert(to, source, converted, x_t, level)
            assert_close(back, out, rtol=0, atol=10 * error * amplification(to, level))


def test_v_is_the_change_of_x_along_the_angle():
    # Salimans & Ho 2022, appendix D: with alpha = cos, sigma = sin of an angle, v = d x_t / d angle.
    x0, eps, angle = normal(1, 1, 2, 2), normal(1, 1, 2, 2, seed=1), torch.tensor(0.7, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda a: a.cos() * x0 + a.sin() * eps, angle)
    level = schedule.Level(1, angle.cos().item(), angle.sin().item())
    assert_close(diffusion.target("v", x0, eps, level), slope)


def test_velocity_is_the_change_of_x_along_the_straight_line():
    # Lipman et al. 2023, Liu et al. 2022: x_t = (1 - s) x0 + s eps, and the velocity is d x_t / d s at every s.
    x0, eps, s = normal(1, 1, 2, 2), normal(1, 1, 2, 2, seed=1), torch.tensor(0.3, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda s: (1 - s) * x0 + s * eps, s)
    for t in (0, 300, 1000):
        assert_close(diffusion.target("velocity", x0, eps, schedule.flow().level(t)), slope)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_expected_prediction_of_gaussian_data_is_known(name):
    """For data N(m, c²) the best prediction of each type is linear in x_t: its mean plus covariance over variance.

    The velocity field of the flow is then the closed form of Lipman et al. 2023, eq. 10 and 11 (there with time reversed).
    """
    mean, std, table = 0.7, 0.4, SCHEDULES[name](50)
    mixture = gaussian_mixture(torch.full((1, 3), mean, dtype=torch.float64), std)
    x_t = normal(6, 3, 1, 1)
    for level in (table.level(t) for t in (1, 10, 25, 49)):
        a, s = level.alpha, level.sigma
        variance, residual = a**2 * std**2 + s**2, x_t - a * mean
        wanted = {
            "x0": mean + a * std**2 / variance * residual,
            "eps": s / variance * residual,
            "v": -s * mean + (a * s - s * a * std**2) / variance * residual,
            "velocity": -mean + (s - a * std**2) / variance * residual,
        }
        x0_hat = mixture.denoise(x_t, level)
        close = {"rtol": 1e-9, "atol": 1e-11 * max(1, 1 / level.ratio)}
        for prediction_type, out in wanted.items():
            assert_close(diffusion.convert("x0", prediction_type, x0_hat, x_t, level), out, **close)
            assert_close(diffusion.to_x0(prediction_type, out, x_t, level), x0_hat, **close)


def test_a_straight_path_between_two_gaussians_has_a_known_velocity():
    """By transport: x_t of N(m, c²) data flows along m (1 - s) + q · sd(s), whose derivative the velocity field must be."""
    mean, std = 0.7, 0.4
    mixture = gaussian_mixture(torch.tensor([[mean]], dtype=torch.float64), std)
    q = normal(5, 1, 1, 1)

    def path(s):
        return (1 - s) * mean + ((1 - s) ** 2 * std**2 + s**2).sqrt() * q

    for t in (1, 300, 700, 999):
        level, s = schedule.flow().level(t), torch.tensor(t / 1000, dtype=torch.float64)
        slope = torch.autograd.functional.jacobian(path, s)
        x_t = path(s)
        assert_close(diffusion.convert("x0", "velocity", mixture.denoise(x_t, level), x_t, level), slope)


@pytest.mark.parametrize("steps", [1, 10, 50])
def test_a_velocity_network_is_sampled_as_by_the_flow_matching_scheduler_of_diffusers(steps):
    from diffusers import FlowMatchEulerDiscreteScheduler

    def net(x_t, t, y):
        return 0.9 * x_t.sin() + t.view(-1, 1, 1, 1) / 1000

    table, x = schedule.flow(1000), normal(20, 2, 1, 1, dtype=torch.float32)
    levels = table.grid(steps)
    reference = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
    reference.set_timesteps(sigmas=[level.sigma for level in levels[:-1]])
    assert_close(reference.sigmas.double(), torch.tensor([level.sigma for level in levels]).double(), rtol=0, atol=1e-6)
    theirs = x
    for t in reference.timesteps:  # 1000 · sigma, our t
        theirs = reference.step(net(theirs, t.round()[None], None), t, theirs).prev_sample
    ours = ddim(diffusion.denoiser(net, "velocity"), x, levels)
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_exact_velocity_network_leads_noise_to_the_data():
    """Through the loss's target, the denoiser and a sampler: Euler's steps along the exact velocity field of a mixture."""
    mixture, levels = toy(), schedule.flow(1000).grid(25)

    def net(x_t, t, y):
        level = schedule.flow(1000).level(int(t[0]))
        return diffusion.convert("x0", "velocity", mixture.denoise(x_t, level), x_t, level)

    x = start = normal(20, 2, 1, 1)
    for here, there in pairwise(levels):
        x = x + (there.sigma - here.sigma) * net(x, torch.tensor([here.t]), None)
    assert_close(ddim(diffusion.denoiser(net, "velocity"), start, levels), x)
    assert_close(x, ddim(mixture.denoiser(), start, levels))


def test_levels_of_a_batch_give_what_single_levels_give():
    table, t = schedule.cosine(100), torch.tensor([1, 40, 99])
    x0, eps, out = (normal(3, 2, 4, 4, seed=s) for s in (0, 1, 2))
    together = table.at(t)
    for prediction_type in PREDICTION_TYPES:
        x_t = diffusion.add_noise(x0, eps, together)
        for i, level in enumerate(table.level(int(n)) for n in t):
            one = slice(i, i + 1)
            close = {"rtol": 1e-4, "atol": 1e-4}  # .at is float32, and alpha is 1 - 5e-5 and less than 2e-2
            assert_close(x_t[one], diffusion.add_noise(x0[one], eps[one], level), **close)
            for solve in (diffusion.to_x0, diffusion.to_eps):
                wanted = solve(prediction_type, out[one], x_t[one], level)
                assert_close(solve(prediction_type, out, x_t, together)[one], wanted, **close)


def test_noise_without_signal_does_not_determine_the_data():
    x = normal(1, 1, 2, 2)
    with pytest.raises(ValueError, match=r"t=10\b.*alpha = 0"):
        diffusion.to_x0("eps", x, x, schedule.flow(10).level(10))


def test_data_without_noise_does_not_determine_the_noise():
    x = normal(1, 1, 2, 2)
    with pytest.raises(ValueError, match=r"t=0\b.*sigma = 0"):
        diffusion.to_eps("x0", x, x, schedule.flow(10).level(0))


@pytest.mark.parametrize(
    "call",
    [diffusion.target, diffusion.to_x0, diffusion.to_eps, diffusion.convert, diffusion.loss, diffusion.denoiser],
)
def test_an_unknown_prediction_type_is_refused(call):
    x, level = normal(1, 1, 2, 2), schedule.linear().level(5)
    arguments = {
        diffusion.target: [("score", x, x, level)],
        diffusion.to_x0: [("score", x, x, level)],
        diffusion.to_eps: [("score", x, x, level)],
        diffusion.convert: [("score", "x0", x, x, level), ("x0", "score", x, x, level)],
        diffusion.loss: [(Recorder(), x, None, schedule.linear(), "score")],
        diffusion.denoiser: [(Recorder(), "score")],
    }
    for row in arguments[call]:
        with pytest.raises(ValueError, match=r"'score'.*'eps', 'x0', 'v', 'velocity'"):
            call(*row)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_loss_is_the_mean_square_computed_by_hand(name, prediction_type):
    net, table, x0 = Recorder(), SCHEDULES[name](50), normal(64, 2, 3, 3)
    found = diffusion.loss(net, x0, None, table, prediction_type, generator=seeded(3))
    total = 0.0
    for x, clean, t in zip(net.x_t, x0, net.t.tolist(), strict=True):
        alpha, sigma = table.alphas[t].item(), table.sigmas[t].item()
        noise = (x - alpha * clean) / sigma
        wanted = by_definition(prediction_type, clean, noise, alpha, sigma)
        total += ((0.5 * x - wanted) ** 2).sum().item()
    assert found.shape == ()
    assert found.item() == pytest.approx(total / x0.numel(), rel=1e-4)


def test_noise_of_the_loss_is_standard_normal():
    net, table, x0 = Recorder(), schedule.cosine(), normal(500, 1, 4, 4)
    diffusion.loss(net, x0, None, table, "v", generator=seeded(1))
    level = table.at(net.t)
    noise = (net.x_t - level.alpha * x0) / level.sigma
    assert kstest(noise.flatten().numpy(), "norm").pvalue > 0.01


def test_loss_is_scalar_float32_with_a_gradient_under_autocast():
    net = torch.nn.Conv2d(3, 3, 1)
    x0 = normal(8, 3, 4, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = diffusion.loss(lambda x, t, y: net(x), x0, None, schedule.cosine(), "v", generator=seeded())
    assert found.dtype == torch.float32
    found.backward()
    assert net.weight.grad.abs().sum() > 0


@given(st.integers(1, 300), st.integers(1, 1000), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_steps_are_spread_evenly(batch, T, seed):
    t = diffusion.stratified_steps(batch, T, torch.device("cpu"), seeded(seed))
    assert t.dtype == torch.int64
    assert t.min() >= 1
    assert t.max() <= T
    strata = (torch.arange(batch + 1).double() * T / batch).tolist()  # the i-th step lies in the i-th of equal intervals
    for i, step in enumerate(t.tolist()):
        assert strata[i] - 1e-3 <= step <= strata[i + 1] + 1 + 1e-3


def test_a_batch_of_T_visits_every_step_once():
    for seed in range(5):
        t = diffusion.stratified_steps(1000, 1000, torch.device("cpu"), seeded(seed))
        assert t.tolist() == list(range(1, 1001))


def test_each_image_gets_every_step_equally_often():
    generator = seeded()
    t = torch.stack([diffusion.stratified_steps(3, 10, torch.device("cpu"), generator) for _ in range(4000)])
    assert chisquare(torch.bincount(t.flatten(), minlength=11)[1:].numpy()).pvalue > 0.01
    first = torch.bincount(t[:, 0], minlength=11)[1:5].numpy()  # of t: 1, 2, 3 and a third of 4
    assert chisquare(first, [1200, 1200, 1200, 400]).pvalue > 0.01


@given(st.floats(-2, 2), st.floats(0.3, 2), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_logit_normal_steps_have_the_density_of_the_paper(mean, std, seed):
    """Esser et al. 2024, eq. 19, integrated numerically: exp(−(logit t − m)² / 2 s²) / (s √(2 pi) t (1 − t))."""
    n, T = 20_000, 20
    t = diffusion.logit_normal_steps(n, T, torch.device("cpu"), seeded(seed), mean, std)
    u = (np.arange(T * 2000) + 0.5) / (T * 2000)
    density = np.exp(-((np.log(u / (1 - u)) - mean) ** 2) / (2 * std**2)) / (std * np.sqrt(2 * np.pi) * u * (1 - u))
    wanted = density.reshape(T, 2000).mean(1) / T
    assert t.dtype == torch.int64
    assert_close(torch.bincount(t - 1, minlength=T).double() / n, torch.from_numpy(wanted), rtol=0, atol=5e-4)


def test_logit_normal_steps_of_one_image_are_random():
    t = torch.cat([diffusion.logit_normal_steps(1, 1000, torch.device("cpu"), seeded(seed)) for seed in range(2000)])
    assert kstest((t / (1000.5 - t)).log().numpy(), "norm").pvalue > 0.01
    with pytest.raises(ValueError, match="std is 0"):
        diffusion.logit_normal_steps(3, 1000, torch.device("cpu"), std=0)


def test_the_loss_takes_the_steps_that_it_is_given():
    net, x0 = Recorder(), normal(5, 1, 2, 2, dtype=torch.float32)

    def draw(batch, T, device, generator):
        return torch.full((batch,), T - 7, device=device)

    diffusion.loss(net, x0, None, schedule.flow(100), "velocity", generator=seeded(), draw_steps=draw)
    assert net.t.tolist() == [93] * 5


@pytest.mark.parametrize(
    ("prediction_type", "weight"), [("x0", lambda a, s: 1 / s), ("eps", lambda a, s: 1 / a), ("v", lambda a, s: 1)]
)
def test_the_error_of_v_is_that_of_the_prediction_over_a_rate(prediction_type, weight):
    """By algebra with alpha² + sigma² = 1: v − v' = −(x0 − x0') / sigma = (eps − eps') / alpha."""
    x0, table = normal(7, 2, 3, 3, dtype=torch.float32), schedule.cosine()
    draw = diffusion.steps_between(100, 900)
    net = Recorder()
    found = diffusion.loss(net, x0, None, table, prediction_type, generator=seeded(), draw_steps=draw, measured_in="v")
    level = table.at(net.t)
    eps = (net.x_t - level.alpha * x0) / level.sigma
    error = (0.5 * net.x_t - by_definition(prediction_type, x0, eps, level.alpha, level.sigma)) * weight(level.alpha, level.sigma)
    assert_close(found, error.square().mean(), rtol=1e-4, atol=1e-4)


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_steps_between_stay_there_and_take_each_equally_often(first, more, seed):
    last = first + more
    t = diffusion.steps_between(first, last)(more + 1, 200, torch.device("cpu"), seeded(seed))
    assert t.tolist() == list(range(first, last + 1))
    with pytest.raises(ValueError, match=f"T is {last - 1}"):
        diffusion.steps_between(first, last)(4, last - 1, torch.device("cpu"), None)


def test_labels_are_dropped_with_the_given_probability():
    y, n = torch.arange(20_000) % 10, 20_000
    dropped = diffusion.drop_labels(y, 10, 0.1, seeded())
    assert dropped.dtype == y.dtype
    gone = dropped == 10
    assert torch.equal(dropped[~gone], y[~gone])
    assert gone.float().mean().item() == pytest.approx(0.1, abs=4 * (0.09 / n) ** 0.5)
    assert torch.equal(diffusion.drop_labels(y, 10, 0.0, seeded()), y)
    assert (diffusion.drop_labels(y, 10, 1.0, seeded()) == 10).all()


def test_several_labels_are_dropped_together_and_one_by_one():
    n, drop = 20_000, 0.2
    y = torch.arange(n)[:, None] % torch.tensor([2, 3, 5])
    dropped = diffusion.drop_labels(y, (2, 3, 5), drop, seeded())
    gone = dropped == torch.tensor([2, 3, 5])
    assert torch.equal(dropped[~gone], y[~gone])
    chances = {0: (1 - drop) * (1 - drop) ** 3, 3: drop + (1 - drop) * drop**3}  # of losing none, and all three
    for lost, chance in chances.items():
        found = (gone.sum(1) == lost).float().mean().item()
        assert found == pytest.approx(chance, abs=4 * (chance * (1 - chance) / n) ** 0.5)
    alone = (1 - drop) * drop * (1 - drop) ** 2
    for factor in range(3):
        found = (gone[:, factor] & (gone.sum(1) == 1)).float().mean().item()
        assert found == pytest.approx(alone, abs=4 * (alone * (1 - alone) / n) ** 0.5)


@pytest.mark.parametrize(("y", "labels"), [(3, [3, 3]), ((1, 4), [[1, 4], [1, 4]]), (torch.tensor([5, 6]), [5, 6]), (None, None)])
def test_a_denoiser_passes_its_labels_to_every_image(y, labels):
    net = Recorder()
    diffusion.denoiser(net, "x0", y)(normal(2, 1, 1, 1), schedule.cosine().level(500))
    assert (net.y if net.y is None else net.y.tolist()) == labels


def test_the_loss_drops_labels_only_where_there_is_a_null_label():
    net, x0, y = Recorder(), normal(2000, 1, 1, 1), torch.arange(2000) % 10
    diffusion.loss(net, x0, y, schedule.linear(), "eps", generator=seeded())
    assert torch.equal(net.y, y)
    diffusion.loss(net, x0, y, schedule.linear(), "eps", generator=seeded(), null_label=10, drop=0.3)
    gone = net.y == 10
    assert torch.equal(net.y[~gone], y[~gone])
    assert gone.float().mean().item() == pytest.approx(0.3, abs=0.05)
    diffusion.loss(net, x0, None, schedule.linear(), "eps", generator=seeded(), null_label=10)
    assert net.y is None


def test_randomness_comes_from_the_generator_alone():
    net, x0, y = Recorder(), normal(8, 1, 2, 2), torch.arange(8)

    def run(seed):
        value = diffusion.loss(net, x0, y, schedule.linear(), "v", generator=seeded(seed), null_label=10, drop=0.5)
        return value, net.x_t, net.t, net.y

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = run(5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    for a, b in zip(first, run(5), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first[1], run(6)[1])


def test_inputs_are_not_modified():
    x0, y = normal(8, 1, 2, 2), torch.arange(8)
    before = x0.clone(), y.clone()
    diffusion.loss(Recorder(), x0, y, schedule.linear(), "v", null_label=10, drop=0.9)
    level = schedule.linear().level(500)
    for prediction_type in PREDICTION_TYPES:
        diffusion.denoiser(Recorder(), prediction_type, y)(x0, level)
        diffusion.to_x0(prediction_type, x0, x0, level)
        diffusion.target(prediction_type, x0, x0, level)
    diffusion.clamp_x0(diffusion.denoiser(Recorder(), "eps", y))(x0, level)
    assert torch.equal(x0, before[0])
    assert torch.equal(y, before[1])


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_denoiser_turns_the_networks_output_into_data(prediction_type):
    net, level, x_t = Recorder(), schedule.flow().level(300), normal(4, 1, 2, 2)
    found = diffusion.denoiser(net, prediction_type, 7)(x_t, level)
    assert torch.equal(net.t, torch.full((4,), 300))
    assert torch.equal(net.y, torch.full((4,), 7))
    out = 0.5 * x_t
    wanted = {"x0": out, "eps": (x_t - 0.3 * out) / 0.7, "v": (0.7 * x_t - 0.3 * out) / 0.58, "velocity": x_t - 0.3 * out}
    assert_close(found, wanted[prediction_type])


def test_denoiser_passes_labels_on():
    net, level, x_t = Recorder(), schedule.linear().level(3), normal(4, 1, 2, 2)
    y = torch.tensor([3, 1, 0, 2])
    diffusion.denoiser(net, "v", y)(x_t, level)
    assert torch.equal(net.y, y)
    diffusion.denoiser(net, "v")(x_t, level)
    assert net.y is None


def test_autocast_applies_to_the_network_only():
    conv, seen = torch.nn.Conv2d(1, 1, 1), []

    def net(x, t, y):
        seen.append((x.dtype, torch.is_autocast_enabled("cpu")))
        return conv(x)

    level, x_t = schedule.cosine().level(999), normal(4, 1, 2, 2, dtype=torch.float32)
    found = diffusion.denoiser(net, "v", autocast=torch.bfloat16)(x_t, level)
    assert seen == [(torch.float32, True)]
    assert found.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x_t)
    assert out.dtype == torch.bfloat16
    assert_close(found, level.alpha * x_t - level.sigma * out.float(), rtol=1e-6, atol=1e-6)
    diffusion.denoiser(net, "v")(x_t, level)
    assert seen[1] == (torch.float32, False)


def test_clamp_x0_limits_x0_to_the_range_of_the_data():
    x = torch.linspace(-3, 3, 8).view(2, 1, 2, 2)
    level = schedule.linear().level(3)
    assert_close(diffusion.clamp_x0(lambda x_t, level: x_t)(x, level), x.clip(-1, 1))
    assert_close(diffusion.clamp_x0(lambda x_t, level: x_t, 0.0, 2.0)(x, level), x.clip(0, 2))
