"""The samplers against diffusers' schedulers, SciPy's solver, closed forms of Gaussians, and identities."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import SCHEDULES, VARIANCE_PRESERVING, normal, probability_flow, seeded, toy
from torch.testing import assert_close

from course_lib import diffusion, schedule
from course_lib.gaussian_mixture import gaussian_mixture
from course_lib.samplers import as_cuda_graph, ddim, ddpm, dpmpp_2m, heun, posterior_std


def seeded_ddpm(*arguments, **options):
    """DDPM with the same noise at each call."""
    return ddpm(*arguments, generator=seeded(), **options)


DETERMINISTIC = {"ddim": ddim, "dpmpp_2m": dpmpp_2m, "heun": heun}
SAMPLERS = DETERMINISTIC | {"ddpm": seeded_ddpm}
BETAS = {
    "linear": {"beta_schedule": "linear"},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
}
each_sampler = pytest.mark.parametrize("sample", SAMPLERS.values(), ids=SAMPLERS)


def by_diffusers(scheduler, table, steps, x, net=None, **step_arguments):
    """Diffusers' own loop on the exact mixture (or a net). Its float32 table is replaced by ours in float64, which
    test_schedule compares with it, so that rounding cannot hide a difference."""
    scheduler.alphas_cumprod = table.alphas[1:] ** 2
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        level = table.level(int(t) + 1)  # their index 0 is our step 1
        out = toy().denoise(x, level) if net is None else net(x, torch.tensor([int(t) + 1]), None)
        x = scheduler.step(out, t, x, **step_arguments).prev_sample
    return x


@pytest.mark.parametrize("steps", [1, 10, 50])
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", VARIANCE_PRESERVING)
def test_ddim_equals_diffusers(name, eta, steps):
    from diffusers import DDIMScheduler

    table, x = SCHEDULES[name](1000), normal(20, 2, 1, 1)
    options = {"clip_sample": False, "prediction_type": "sample", "timestep_spacing": "trailing"}
    theirs = by_diffusers(DDIMScheduler(**options, **BETAS[name]), table, steps, x, eta=eta, generator=seeded(1))
    ours = ddim(toy().denoiser(), x, table.grid(steps), eta=eta, generator=seeded(1))
    assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [20, 100])
@pytest.mark.parametrize("name", VARIANCE_PRESERVING)
def test_ddpm_equals_diffusers_and_is_ddim_with_eta_1(name, steps):
    from diffusers import DDPMScheduler

    table, x = SCHEDULES[name](100), normal(20, 2, 1, 1)
    options = {"clip_sample": False, "prediction_type": "sample", "timestep_spacing": "trailing"}
    reference = DDPMScheduler(num_train_timesteps=100, **options)
    theirs = by_diffusers(reference, table, steps, x, generator=seeded(1))
    ours = ddpm(toy().denoiser(), x, table.grid(steps), generator=seeded(1))
    assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert torch.equal(ours, ddim(toy().denoiser(), x, table.grid(steps), eta=1.0, generator=seeded(1)))


@pytest.mark.parametrize("steps", [1, 7, 50])
@pytest.mark.parametrize("name", SCHEDULES)
def test_ddpm_samples_the_posterior_step_by_step(name, steps):
    """Against equations 6 and 7 of Ho et al. 2020 as they stand there, with alpha and beta of the stride between two levels."""
    mixture, levels = toy(), SCHEDULES[name](100).grid(steps)
    x = start = levels[0].sigma * normal(20, 2, 1, 1)
    generator = seeded(1)
    for here, there in pairwise(levels):
        alphas_cumprod, before = (  # of the variance-preserving process through the same noise over signal
            1 / (1 + level.ratio**2) for level in (here, there)
        )
        alpha, beta = alphas_cumprod / before, 1 - alphas_cumprod / before
        x_t, x0 = x / math.hypot(here.alpha, here.sigma), mixture.denoise(x, here)
        mean = before**0.5 * beta / (1 - alphas_cumprod) * x0 + alpha**0.5 * (1 - before) / (1 - alphas_cumprod) * x_t
        variance = (1 - before) / (1 - alphas_cumprod) * beta
        length = math.hypot(there.alpha, there.sigma)
        assert posterior_std(here, there) == pytest.approx(length * variance**0.5, rel=1e-9, abs=1e-12)
        if variance > 0:
            mean = mean + variance**0.5 * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        x = length * mean
    assert_close(ddpm(mixture.denoiser(), start, levels, generator=seeded(1)), x, rtol=1e-8, atol=1e-8)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
@pytest.mark.parametrize("steps", [1, 2, 10, 20, 50])
@pytest.mark.parametrize("name", VARIANCE_PRESERVING)
def test_dpmpp_2m_equals_diffusers(name, steps):
    from diffusers import DPMSolverMultistepScheduler

    table, x = SCHEDULES[name](1000), normal(20, 2, 1, 1)
    reference = DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        final_sigmas_type="zero",
        lower_order_final=True,
        timestep_spacing="trailing",
        prediction_type="sample",
        **BETAS[name],
    )
    theirs = by_diffusers(reference, table, steps, x)  # it rounds to float32 at each step
    ours = dpmpp_2m(toy().denoiser(), x, table.grid(steps))
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("prediction_type", "theirs"), [("eps", "epsilon"), ("v", "v_prediction"), ("x0", "sample")])
def test_a_network_of_each_prediction_type_is_sampled_as_in_diffusers(prediction_type, theirs):
    from diffusers import DDIMScheduler

    table, x = schedule.linear(1000), normal(20, 2, 1, 1)

    def net(x_t, t, y):
        return 0.9 * x_t.sin() + t.view(-1, 1, 1, 1) / 1000

    reference = DDIMScheduler(clip_sample=False, prediction_type=theirs, timestep_spacing="trailing")
    wanted = by_diffusers(reference, table, 20, x, net)
    assert_close(ddim(diffusion.denoiser(net, prediction_type), x, table.grid(20)), wanted, rtol=1e-8, atol=1e-8)


def test_ddim_on_the_straight_line_is_eulers_method():
    x = start = normal(20, 2, 1, 1)
    levels = schedule.flow(1000).grid(25)
    for here in levels[:-1]:
        x0 = toy().denoise(x, here)
        velocity = (x - x0) / here.sigma  # eps - x0 by x_t = (1 - s) x0 + s eps
        x = x - velocity / 25
    assert_close(ddim(toy().denoiser(), start, levels), x)


@pytest.mark.parametrize(("sample", "order"), [(ddim, 1), (dpmpp_2m, 2), (heun, 2)])
@pytest.mark.parametrize("name", SCHEDULES)
def test_order_of_convergence(name, sample, order):
    """Halving the step divides the error by 2^order. Between two levels where the flow is smooth: the last step, to
    clean data, is first order for all three."""
    table = SCHEDULES[name](1000)
    start, end = table.level(960), table.level(320)
    x = start.alpha * toy().sample(30, seeded())[0] + start.sigma * normal(30, 2, 1, 1)
    wanted = probability_flow(toy(), x, start, end)
    steps, errors = [40, 80, 160, 320], []
    for n in steps:
        levels = [table.level(960 - i * 640 // n) for i in range(n + 1)]
        errors.append((sample(toy().denoiser(), x, levels) - wanted).square().mean().sqrt().item())
    fits = [math.log2(a / b) for a, b in pairwise(errors)]
    assert fits[-1] == pytest.approx(order, abs=0.15), (errors, fits)


@pytest.mark.parametrize("name", SCHEDULES)
def test_second_order_pays_from_pure_noise_to_data(name):
    """Over full grids, as in practice; Heun in noise over signal would throw x far off at cosine's first step."""
    table = SCHEDULES[name](1000)
    mixture = gaussian_mixture(toy().means, 0.5)
    noise = normal(200, 2, 1, 1)
    start = table.level(1000)
    near = probability_flow(mixture, start.sigma * noise, start, table.level(1)) if start.alpha > 0 else None
    if near is None:  # the straight line starts without signal; a first tiny step from there is exact to 1e-6
        mean = (mixture.weights @ mixture.means).view(1, 2, 1, 1)
        first = schedule.Level(0, 1e-6, 1 - 1e-6)
        near = probability_flow(mixture, first.alpha * mean + first.sigma * noise, first, table.level(1))
    wanted = mixture.denoise(near, table.level(1))
    for steps, gain in [(10, 1.2), (50, 2.0)]:
        error = {
            key: (sample(mixture.denoiser(), start.sigma * noise, table.grid(steps)) - wanted).square().mean().sqrt()
            for key, sample in DETERMINISTIC.items()
        }
        assert error["dpmpp_2m"] * gain < error["ddim"], error
        assert error["heun"] * gain < error["ddim"], error


@given(st.sampled_from(sorted(SCHEDULES)), st.sampled_from(sorted(SAMPLERS)), st.integers(1, 1000), st.data(), st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_a_denoiser_that_always_returns_the_data_leads_to_it_in_any_number_of_steps(name, sampler, T, data, eta):
    table, steps = SCHEDULES[name](T), data.draw(st.integers(1, min(T, 40)))
    known = normal(3, 2, 2, 2, seed=1)
    options = {"eta": eta, "generator": seeded()} if sampler == "ddim" else {}
    seen = []
    options["callback"] = lambda i, level, x_t, x0: seen.append((level, x_t))
    noise = normal(3, 2, 2, 2)
    x_T = diffusion.add_noise(known, noise, table.level(T))
    found = SAMPLERS[sampler](lambda x_t, level: known, x_T, table.grid(steps), **options)
    assert_close(found, known, rtol=0, atol=1e-12)
    if sampler in ("ddim", "dpmpp_2m") and eta == 0:  # and at every step x_t is the data under the same noise
        for level, x_t in seen:
            assert_close(x_t, diffusion.add_noise(known, noise, level), rtol=0, atol=1e-9)


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(2, 1000), st.data())
@settings(max_examples=50, deadline=None)
def test_ddim_on_gaussian_data_is_a_known_linear_map(name, T, data):
    table, steps = SCHEDULES[name](T), data.draw(st.integers(1, min(T, 30)))
    mean, std = 0.7, 0.4
    mixture = gaussian_mixture(torch.full((1, 3), mean, dtype=torch.float64), std)
    x_T = normal(5, 3, 1, 1)
    levels = table.grid(steps)
    wanted, a, s = x_T, levels[0].alpha, levels[0].sigma
    for there in levels[1:]:
        gain = a * std**2 / (a**2 * std**2 + s**2)  # of x0_hat with respect to x_t
        factor = there.alpha * gain + there.sigma * (1 - a * gain) / s
        wanted = there.alpha * mean + factor * (wanted - a * mean)
        a, s = there.alpha, there.sigma
    assert_close(ddim(mixture.denoiser(), x_T, levels), wanted, rtol=1e-8, atol=1e-9)


def test_ddpm_preserves_the_mean_and_variance_of_gaussian_data():
    mean, std, n = 0.7, 0.4, 20_000
    mixture = gaussian_mixture(torch.tensor([[mean]], dtype=torch.float64), std)
    table = schedule.cosine(1000)
    for steps, bias in [(20, None), (250, 0.02)]:
        levels = table.grid(steps)
        m, v = 0.0, 1.0  # of x_t, by DDPM's eq. 7: mean coefficients and variance of q(x_s | x_t, x0)
        for here, there in pairwise(levels):
            beta = 1 - here.alpha**2 / there.alpha**2
            on_x0 = there.alpha * beta / here.sigma**2
            on_x = (here.alpha / there.alpha) * there.sigma**2 / here.sigma**2
            gain = here.alpha * std**2 / (here.alpha**2 * std**2 + here.sigma**2)
            m = on_x0 * (mean + gain * (m - here.alpha * mean)) + on_x * m
            v = (on_x0 * gain + on_x) ** 2 * v + beta * there.sigma**2 / here.sigma**2
        found = ddpm(mixture.denoiser(), normal(n, 1, 1, 1), levels, generator=seeded(1))
        assert found.mean().item() == pytest.approx(m, abs=4 * std / n**0.5)
        assert found.var().item() == pytest.approx(v, rel=4 * (2 / n) ** 0.5)
        assert m == pytest.approx(mean, abs=2e-3)
        if bias:  # with few steps the variance of x0 given x_t is missing; with many it hardly is
            assert v == pytest.approx(std**2, rel=2 * bias)


@each_sampler
@pytest.mark.parametrize("name", SCHEDULES)
def test_samples_of_every_schedule_lie_on_the_data(name, sample):
    mixture = gaussian_mixture(toy().means, 0.1, toy().weights)
    start = SCHEDULES[name]().level(1000)
    found = sample(mixture.denoiser(), start.sigma * normal(2000, 2, 1, 1), SCHEDULES[name]().grid(50)).flatten(1)
    distance = (found[:, None] - mixture.means).norm(dim=2).min(dim=1)
    # Of a plane Gaussian, a fraction 1 - exp(-d²/2) lies within d standard deviations; the last step may shrink it a little.
    assert 0.05 < distance.values.median() < 1.1 * 0.1 * math.sqrt(2 * math.log(2))
    assert distance.values.quantile(0.99) < 1.1 * 0.1 * math.sqrt(2 * math.log(100))
    fractions = torch.bincount(distance.indices, minlength=4) / 2000
    assert_close(fractions.double(), mixture.weights, rtol=0, atol=0.05)


@each_sampler
def test_callback_sees_each_step(sample):
    levels, seen, calls = schedule.cosine(100).grid(7), [], []

    def denoise(x_t, level):
        calls.append(level.t)
        return toy().denoise(x_t, level)

    x_T = normal(3, 2, 1, 1)
    found = sample(denoise, x_T, levels, callback=lambda *step: seen.append(step))
    assert [i for i, *_ in seen] == list(range(7))
    assert [level for _, level, *_ in seen] == levels[:-1]
    assert torch.equal(seen[0][2], x_T)
    for _, level, x_t, x0 in seen:
        assert_close(x0, toy().denoise(x_t, level))
    assert torch.equal(found, seen[-1][3]) or torch.allclose(found, seen[-1][3], rtol=0, atol=1e-12)
    assert len(calls) == (13 if sample is heun else 7)  # Heun: two calls a step, but the last
    assert torch.equal(sample(denoise, x_T, levels), found)


@each_sampler
def test_samplers_change_neither_their_input_nor_precision_gradients_and_random_state(sample):
    x_T = normal(3, 2, 1, 1, dtype=torch.float32).requires_grad_()
    before = x_T.detach().clone()
    state = torch.get_rng_state()
    found = sample(toy().denoiser(), x_T, schedule.linear(50).grid(5))
    assert torch.equal(x_T, before)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert not found.is_inference()
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_of_eta_comes_from_the_generator_alone():
    levels, x = schedule.linear(50).grid(10), normal(3, 2, 1, 1)
    state = torch.get_rng_state()
    a, b, c = (ddim(toy().denoiser(), x, levels, eta=1.0, generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("sample", DETERMINISTIC.values(), ids=DETERMINISTIC)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SCHEDULES)
def test_single_precision_is_enough(name, dtype, sample):
    table = SCHEDULES[name]()
    x_T = table.level(1000).sigma * normal(50, 2, 1, 1)
    wanted = sample(toy().denoiser(), x_T, table.grid(20))
    found = sample(toy(dtype).denoiser(), x_T.to(dtype), table.grid(20))
    assert_close(found.double(), wanted, rtol=2e-4, atol=2e-4)


@each_sampler
def test_levels_must_fall(sample):
    levels = schedule.linear(10).grid(5)
    for wrong in ([], levels[:1], levels[::-1], [levels[0], levels[0], levels[-1]]):
        with pytest.raises(ValueError, match="at least two levels, noisiest first"):
            sample(toy().denoiser(), normal(1, 2, 1, 1), wrong)


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_eta_outside_its_range_is_refused(eta):
    with pytest.raises(ValueError, match=f"eta is {eta}"):
        ddim(toy().denoiser(), normal(1, 2, 1, 1), schedule.linear(10).grid(5), eta=eta)


@each_sampler
def test_an_eps_network_cannot_start_without_signal(sample):
    net = diffusion.denoiser(lambda x, t, y: x, "eps")
    with pytest.raises(ValueError, match="no signal is left"):
        sample(net, normal(1, 2, 1, 1), schedule.flow(10).grid(5))


def test_without_a_gpu_as_cuda_graph_returns_the_function_itself():
    def sample(x_T):
        return x_T

    assert as_cuda_graph(sample, torch.zeros(2, 3)) is sample
