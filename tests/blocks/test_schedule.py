"""The schedules against diffusers' tables, closed forms, and identities that hold for every length."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import SCHEDULES, VARIANCE_PRESERVING
from torch.testing import assert_close

from course_lib import schedule
from course_lib.schedule import BatchLevel, Level

lengths = st.integers(1, 1500)
any_schedule = st.sampled_from(sorted(SCHEDULES))
quick = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("linear", {"beta_schedule": "linear"}),
        ("cosine", {"beta_schedule": "squaredcos_cap_v2"}),
        ("scaled_linear", {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}),
    ],
)
def test_tables_equal_those_of_diffusers(ours, theirs):
    from diffusers import DDPMScheduler

    reference = DDPMScheduler(num_train_timesteps=1000, **theirs)
    table = SCHEDULES[ours](1000)
    # Theirs are float32: multiplied again in float64, the betas agree to their own rounding.
    betas = reference.betas.double()
    assert_close(table.alphas[1:] ** 2, torch.cumprod(1 - betas, 0), rtol=2e-5, atol=1e-12)
    assert_close((table.alphas[1:] ** 2).float(), reference.alphas_cumprod, rtol=3e-4, atol=1e-9)


def test_cosine_follows_its_formula_up_to_the_cap():
    def f(u):  # Nichol & Dhariwal 2021, eq. 17
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    wanted = torch.tensor([f(t / 500) / f(0) for t in range(500)], dtype=torch.float64)
    assert_close(schedule.cosine(500).alphas[:-1] ** 2, wanted)


@given(lengths)
@quick
def test_flow_is_a_straight_line(T):
    table = schedule.flow(T)
    u = torch.linspace(0, 1, T + 1, dtype=torch.float64)
    assert_close(table.sigmas, u)
    assert_close(table.alphas, 1 - u)


@given(lengths, st.sampled_from(sorted(VARIANCE_PRESERVING)))
@quick
def test_variance_is_preserved(T, name):
    table = SCHEDULES[name](T)
    assert_close(table.alphas**2 + table.sigmas**2, torch.ones(T + 1, dtype=torch.float64))


@given(lengths, any_schedule)
@quick
def test_every_schedule_starts_clean_and_loses_signal_at_each_step(T, name):
    table = SCHEDULES[name](T)
    assert table.T == T
    assert table.alphas.dtype == table.sigmas.dtype == torch.float64
    assert (table.alphas[0], table.sigmas[0]) == (1, 0)
    ratios = [table.level(t).ratio for t in range(T + 1)]
    assert all(a < b for a, b in pairwise(ratios))
    assert all(math.isfinite(r) for r in ratios[:-1])


@pytest.mark.parametrize("name", ["linear", "scaled_linear"])
@pytest.mark.parametrize("T", [250, 500, 4000])
def test_another_length_keeps_the_noise_at_its_end(name, T):
    # Betas scale with 1/T, so log alphas_cumprod, minus their sum, stays: up to the second order, betas²/2.
    ends = [2 * math.log(SCHEDULES[name](n).level(n).alpha) for n in (T, 1000)]
    assert ends[0] == pytest.approx(ends[1], rel=0.05)


@given(lengths, st.data(), any_schedule)
@quick
def test_grid_runs_from_noise_to_data(T, data, name):
    steps = data.draw(st.integers(1, T))
    table = SCHEDULES[name](T)
    levels = table.grid(steps)
    ts = [level.t for level in levels]
    assert len(levels) == steps + 1
    assert (ts[0], ts[-1]) == (T, 0)
    strides = [a - b for a, b in pairwise(ts)]
    assert min(strides) >= 1
    assert max(strides) - min(strides) <= (0 if T % steps == 0 else 2)
    assert all(level == table.level(level.t) for level in levels)
    assert all(type(level) is Level and type(level.alpha) is float and type(level.sigma) is float for level in levels)


def test_grid_is_the_trailing_one_of_diffusers():
    from diffusers import DDIMScheduler

    reference = DDIMScheduler(num_train_timesteps=1000, timestep_spacing="trailing")
    for steps in (1, 7, 20, 30, 50, 999, 1000):
        reference.set_timesteps(steps)
        ours = [level.t - 1 for level in schedule.linear().grid(steps)[:-1]]
        # Both round 1000, 999.5, … to even, but rounding errors put a half on one side or the other.
        assert max(abs(a - b) for a, b in zip(ours, reference.timesteps.tolist(), strict=True)) <= 1
        if 1000 % steps == 0:
            assert ours == reference.timesteps.tolist()


@given(lengths, any_schedule)
@quick
def test_levels_of_a_batch_equal_the_single_ones(T, name):
    table = SCHEDULES[name](T)
    t = torch.arange(T + 1)
    together = table.at(t)
    assert type(together) is BatchLevel
    assert together.alpha.shape == together.sigma.shape == (T + 1, 1, 1, 1)
    assert torch.equal(together.t, t)
    alone = torch.tensor([[table.level(i).alpha, table.level(i).sigma] for i in range(T + 1)])  # float32
    assert torch.equal(together.alpha.flatten(), alone[:, 0])
    assert torch.equal(together.sigma.flatten(), alone[:, 1])
    ratios = torch.tensor([table.level(i).ratio for i in range(T + 1)])
    assert_close(together.ratio.flatten(), ratios)


def test_ratio_and_half_log_snr_of_one_level_and_of_a_batch():
    level = Level(3, 0.8, 0.6)
    assert level.ratio == pytest.approx(0.75)
    assert level.half_log_snr == pytest.approx(-math.log(0.75))
    batch = BatchLevel(torch.tensor([3]), torch.tensor([0.8]), torch.tensor([0.6]))
    assert_close(batch.ratio, torch.tensor([0.75]))
    assert_close(batch.half_log_snr, -torch.tensor([0.75]).log())
    clean, noise = schedule.flow(10).level(0), schedule.flow(10).level(10)
    assert (clean.ratio, clean.half_log_snr) == (0, math.inf)
    assert (noise.ratio, noise.half_log_snr) == (math.inf, -math.inf)


@pytest.mark.parametrize("name", VARIANCE_PRESERVING)
def test_half_log_snr_is_the_lambda_of_dpm_solver_and_half_the_log_snr(name):
    """Against the lambda table of diffusers' solver, made from its own betas, and against the definition of the SNR."""
    from diffusers import DPMSolverMultistepScheduler

    betas = {"linear": "linear", "cosine": "squaredcos_cap_v2", "scaled_linear": "scaled_linear"}
    ends = {"beta_start": 0.00085, "beta_end": 0.012} if name == "scaled_linear" else {}
    reference = DPMSolverMultistepScheduler(num_train_timesteps=1000, beta_schedule=betas[name], **ends)
    table = SCHEDULES[name](1000)
    ours = torch.tensor([table.level(t).half_log_snr for t in range(1, 1001)])
    assert_close(ours, reference.lambda_t, rtol=1e-3, atol=1e-3)  # theirs is float32, of tables near 0 and 1
    snr = table.alphas[1:] ** 2 / table.sigmas[1:] ** 2  # the power of the signal over the power of the noise
    assert_close(ours.double(), snr.log() / 2, rtol=1e-5, atol=1e-6)
    together = table.at(torch.arange(1, 1001)).half_log_snr.flatten()
    assert_close(together, ours, rtol=1e-3, atol=1e-3)  # `at` is float32


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_lengths_and_steps_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="T is 0"):
        make(0)
    for t in (-1, 11):
        with pytest.raises(ValueError, match=f"t is {t}.*0 to 10"):
            make(10).level(t)
    for steps in (0, 11):
        with pytest.raises(ValueError, match=f"steps is {steps}.*1 to 10"):
            make(10).grid(steps)


@given(lengths, st.floats(0.05, 20))
@quick
def test_the_shifted_flow_is_sd3s_resolution_shift(T, factor):
    """Esser et al. 2024, eq. 23, where t is the rate of the noise and the line goes from 1 − t to t."""
    table = schedule.shifted(schedule.flow(T), factor)
    t = torch.arange(T + 1, dtype=torch.float64) / T
    t = factor * t / (1 + (factor - 1) * t)
    assert_close(table.sigmas, t)
    assert_close(table.alphas, 1 - t)


@given(st.integers(2, 1500), any_schedule, st.floats(0.05, 20))
@quick
def test_a_shift_lowers_half_the_log_snr_everywhere_by_the_same(T, name, factor):
    plain = SCHEDULES[name](T)
    table = schedule.shifted(plain, factor)
    t = slice(1, T)
    ratio = (table.alphas[t] ** 2 / table.sigmas[t] ** 2) / (plain.alphas[t] ** 2 / plain.sigmas[t] ** 2)
    assert_close(ratio, torch.full_like(ratio, factor**-2), rtol=1e-6, atol=0)
    if name in VARIANCE_PRESERVING:
        assert_close(table.alphas**2 + table.sigmas**2, torch.ones(T + 1, dtype=torch.float64))
    back = schedule.shifted(table, 1 / factor)
    assert_close(back.alphas, plain.alphas)
    assert_close(back.sigmas, plain.sigmas)


def test_a_shift_by_nothing_is_refused():
    with pytest.raises(ValueError, match="factor is 0"):
        schedule.shifted(schedule.flow(), 0)
