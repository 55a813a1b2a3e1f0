"""Noise, targets, loss and denoiser, against algebra, sums by hand and counting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import SCHEDULES, NoHostReads, normal, seeded
from scipy.stats import chisquare, kstest
from torch.testing import assert_close

from course_lib import diffusion, schedule

KINDS = ("eps", "x0", "v")


class Recorder:
    """A network that keeps what it was given and returns a fixed function of it."""

    def __call__(self, x_t, t, y):
        self.x_t, self.t, self.y = x_t, t, y
        return 0.5 * x_t


@given(st.sampled_from(sorted(SCHEDULES)), st.sampled_from(KINDS), st.integers(2, 1200), st.data())
@settings(max_examples=150, deadline=None)
def test_what_a_network_predicts_leads_back_to_data_and_noise(name, kind, T, data):
    level = SCHEDULES[name](T).level(data.draw(st.integers(1, T - 1)))
    seed = data.draw(st.integers(0, 99))
    x0, eps = normal(2, 3, 2, 2, seed=seed), normal(2, 3, 2, 2, seed=seed + 100)
    x_t = diffusion.add_noise(x0, eps, level)
    back = diffusion.to_x0(kind, diffusion.target(kind, x0, eps, level), x_t, level)
    loss_of_digits = 1e-13 * max(1, level.ratio, 1 / level.ratio)
    assert_close(back, x0, rtol=0, atol=100 * loss_of_digits)
    assert_close(diffusion.to_eps(back, x_t, level), eps, rtol=0, atol=1000 * loss_of_digits * max(1, 1 / level.ratio))


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 1200))
@settings(max_examples=40, deadline=None)
def test_v_and_x0_tell_the_data_even_from_pure_noise(name, T):
    level = SCHEDULES[name](T).level(T)
    x0, eps = normal(1, 2, 2, 2), normal(1, 2, 2, 2, seed=1)
    x_t = diffusion.add_noise(x0, eps, level)
    for kind in ("x0", "v"):
        assert_close(diffusion.to_x0(kind, diffusion.target(kind, x0, eps, level), x_t, level), x0)


def test_v_is_the_change_of_x_along_the_angle():
    # Salimans & Ho 2022, appendix D: with alpha = cos, sigma = sin of an angle, v = d x_t / d angle.
    x0, eps, angle = normal(1, 1, 2, 2), normal(1, 1, 2, 2, seed=1), torch.tensor(0.7, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda a: a.cos() * x0 + a.sin() * eps, angle)
    level = schedule.Level(1, angle.cos().item(), angle.sin().item())
    assert_close(diffusion.target("v", x0, eps, level), slope)


def test_levels_of_a_batch_give_what_single_levels_give():
    table, t = schedule.cosine(100), torch.tensor([1, 40, 99])
    x0, eps, out = (normal(3, 2, 4, 4, seed=s) for s in (0, 1, 2))
    together = table.at(t)
    for kind in KINDS:
        x_t = diffusion.add_noise(x0, eps, together)
        for i, level in enumerate(table.level(int(n)) for n in t):
            one = slice(i, i + 1)
            close = {"rtol": 1e-4, "atol": 1e-4}  # .at is float32, and alpha is 1 - 5e-5 and less than 2e-2
            assert_close(x_t[one], diffusion.add_noise(x0[one], eps[one], level), **close)
            wanted = diffusion.to_x0(kind, out[one], x_t[one], level)
            assert_close(diffusion.to_x0(kind, out, x_t, together)[one], wanted, **close)


def test_noise_without_signal_tells_no_data():
    x = normal(1, 1, 2, 2)
    with pytest.raises(ValueError, match="t=10, where no signal is left"):
        diffusion.to_x0("eps", x, x, schedule.flow(10).level(10))


@pytest.mark.parametrize("call", [diffusion.target, diffusion.to_x0, diffusion.loss, diffusion.denoiser])
def test_an_unknown_kind_is_refused(call):
    x, level = normal(1, 1, 2, 2), schedule.linear().level(5)
    arguments = {
        diffusion.target: ("score", x, x, level),
        diffusion.to_x0: ("score", x, x, level),
        diffusion.loss: (Recorder(), x, None, schedule.linear(), "score"),
        diffusion.denoiser: (Recorder(), "score"),
    }
    with pytest.raises(ValueError, match=r"kind is 'score'.*'eps', 'x0', 'v'"):
        call(*arguments[call])


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_the_mean_square_computed_by_hand(name, kind):
    net, table, x0 = Recorder(), SCHEDULES[name](50), normal(64, 2, 3, 3)
    found = diffusion.loss(net, x0, None, table, kind, generator=seeded(3))
    total = 0.0
    for x, clean, t in zip(net.x_t, x0, net.t.tolist(), strict=True):
        alpha, sigma = table.alphas[t].item(), table.sigmas[t].item()
        noise = (x - alpha * clean) / sigma
        wanted = {"eps": noise, "x0": clean, "v": alpha * noise - sigma * clean}[kind]
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
    strata = (torch.arange(batch + 1).double() * T / batch).tolist()  # the i-th step lies in the i-th of equal shares
    for i, step in enumerate(t.tolist()):
        assert strata[i] - 1e-3 <= step <= strata[i + 1] + 1 + 1e-3


def test_a_batch_of_T_visits_every_step_once():
    for seed in range(5):
        t = diffusion.stratified_steps(1000, 1000, torch.device("cpu"), seeded(seed))
        assert t.tolist() == list(range(1, 1001))


def test_each_picture_sees_every_step_equally_often():
    generator = seeded()
    t = torch.stack([diffusion.stratified_steps(3, 10, torch.device("cpu"), generator) for _ in range(4000)])
    assert chisquare(torch.bincount(t.flatten(), minlength=11)[1:].numpy()).pvalue > 0.01
    first = torch.bincount(t[:, 0], minlength=11)[1:5].numpy()  # of t: 1, 2, 3 and a third of 4
    assert chisquare(first, [1200, 1200, 1200, 400]).pvalue > 0.01


def test_labels_are_dropped_in_the_asked_share():
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
        share = (gone.sum(1) == lost).float().mean().item()
        assert share == pytest.approx(chance, abs=4 * (chance * (1 - chance) / n) ** 0.5)
    alone = (1 - drop) * drop * (1 - drop) ** 2
    for factor in range(3):
        share = (gone[:, factor] & (gone.sum(1) == 1)).float().mean().item()
        assert share == pytest.approx(alone, abs=4 * (alone * (1 - alone) / n) ** 0.5)


@pytest.mark.parametrize(("y", "labels"), [(3, [3, 3]), ((1, 4), [[1, 4], [1, 4]]), (torch.tensor([5, 6]), [5, 6]), (None, None)])
def test_a_denoiser_gives_its_labels_to_every_picture(y, labels):
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


def test_a_training_step_reads_no_value_back():
    """On a GPU each would wait for the device; test_gpu asks the driver, this asks torch, anywhere."""
    net, x0, y = torch.nn.Conv2d(1, 1, 1), normal(8, 1, 2, 2, dtype=torch.float32), torch.arange(8)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    with NoHostReads():
        for _ in range(2):
            value = diffusion.loss(lambda x, t, y: net(x), x0, y, schedule.cosine(), "v", generator=seeded(), null_label=9)
            value.backward()
            optimizer.step()
            optimizer.zero_grad()


def test_inputs_are_left_as_they_were():
    x0, y = normal(8, 1, 2, 2), torch.arange(8)
    kept = x0.clone(), y.clone()
    diffusion.loss(Recorder(), x0, y, schedule.linear(), "v", null_label=10, drop=0.9)
    level = schedule.linear().level(500)
    for kind in KINDS:
        diffusion.denoiser(Recorder(), kind, y)(x0, level)
        diffusion.to_x0(kind, x0, x0, level)
        diffusion.target(kind, x0, x0, level)
    diffusion.clamped(diffusion.denoiser(Recorder(), "eps", y))(x0, level)
    assert torch.equal(x0, kept[0])
    assert torch.equal(y, kept[1])


@pytest.mark.parametrize("kind", KINDS)
def test_denoiser_turns_the_networks_output_into_data(kind):
    net, level, x_t = Recorder(), schedule.flow().level(300), normal(4, 1, 2, 2)
    found = diffusion.denoiser(net, kind, 7)(x_t, level)
    assert torch.equal(net.t, torch.full((4,), 300))
    assert torch.equal(net.y, torch.full((4,), 7))
    out = 0.5 * x_t
    wanted = {"x0": out, "eps": (x_t - 0.3 * out) / 0.7, "v": (0.7 * x_t - 0.3 * out) / 0.58}[kind]
    assert_close(found, wanted)


def test_denoiser_hands_labels_on():
    net, level, x_t = Recorder(), schedule.linear().level(3), normal(4, 1, 2, 2)
    y = torch.tensor([3, 1, 0, 2])
    diffusion.denoiser(net, "v", y)(x_t, level)
    assert torch.equal(net.y, y)
    diffusion.denoiser(net, "v")(x_t, level)
    assert net.y is None


def test_autocast_reaches_the_network_and_nothing_else():
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


def test_clamped_holds_data_in_its_range():
    x = torch.linspace(-3, 3, 8).view(2, 1, 2, 2)
    level = schedule.linear().level(3)
    assert_close(diffusion.clamped(lambda x_t, level: x_t)(x, level), x.clip(-1, 1))
    assert_close(diffusion.clamped(lambda x_t, level: x_t, 0.0, 2.0)(x, level), x.clip(0, 2))
