"""Guidance against the closed-form guided score of a Gaussian mixture, Bayes' rule, and the papers' formulas."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import SCHEDULES, VARIANCE_PRESERVING, normal, toy
from torch.testing import assert_close

from course_lib import diffusion, guidance, schedule
from course_lib.guidance import (
    MAX_FUSED_BATCH,
    classifier_free_guide,
    classifier_guide,
    guidance_interval,
    guide,
    scale_from_w,
    w_from_scale,
)
from course_lib.samplers import ddim, dpmpp_2m, heun
from course_lib.schedule import Level

scales = st.floats(-5, 20, allow_subnormal=False)


def forbidden(x_t, level):
    raise AssertionError("the reference denoiser was called where scale is 1")


def x0_from_score(score, x_t, level):
    """Tweedie's formula: alpha · E[x0 | x_t] = x_t + sigma² · score."""
    return (x_t + level.sigma**2 * score) / level.alpha


@given(st.integers(0, 10**6), st.integers(1, 1000), st.floats(0, 1), st.booleans())
@settings(max_examples=50, deadline=None)
def test_scale_1_is_the_main_denoiser_bit_for_bit(seed, t, rescale, by_level):
    x, level = normal(3, 2, 4, 4, seed=seed, dtype=torch.float32), schedule.cosine().level(t)
    main = diffusion.denoiser(lambda x, t, y: x.sin() * 1.7, "v")
    scale = (lambda level: 1.0) if by_level else 1
    assert torch.equal(guide(main, forbidden, scale, rescale)(x, level), main(x, level))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0, 7.5])
def test_guided_x0_is_that_of_the_guided_score(name, scale):
    """Classifier-free guidance: the score of p(x) · (p(x | y) / p(x))^scale at this level."""
    mixture, x = toy(), normal(50, 2, 1, 1)
    for y in (0, 2):
        d = guide(mixture.denoiser(y), mixture.denoiser(), scale)
        for t in (50, 500, 990):
            level = SCHEDULES[name]().level(t)
            noisy = x.clone().requires_grad_()
            log_p, log_p_y = (mixture.log_prob(noisy, level, label) for label in (None, y))
            (score,) = torch.autograd.grad((log_p + scale * (log_p_y - log_p)).sum(), noisy)
            assert_close(d(x, level), x0_from_score(score, x, level), rtol=1e-6, atol=1e-8)


@given(scales, st.sampled_from(sorted(SCHEDULES)), st.integers(1, 999))
@settings(max_examples=60, deadline=None)
def test_guiding_x0_is_guiding_eps(scale, name, t):
    """x0_hat and eps_hat are linear in each other, so guided noise (as in the paper) leads to the same x0_hat."""
    level, x = SCHEDULES[name]().level(t), normal(4, 2, 3, 3)
    cond, null = normal(4, 2, 3, 3, seed=1), normal(4, 2, 3, 3, seed=2)
    guided = diffusion.to_x0("eps", null + scale * (cond - null), x, level)
    d = guide(*(lambda x_t, level, out=out: diffusion.to_x0("eps", out, x_t, level) for out in (cond, null)), scale)
    assert_close(d(x, level), guided, rtol=1e-8, atol=1e-8 * (1 + level.ratio) * (1 + abs(scale)))


@given(scales)
@settings(max_examples=50, deadline=None)
def test_the_papers_weight_and_our_scale(scale):
    w = w_from_scale(scale)
    assert scale_from_w(w) == pytest.approx(scale)
    assert w_from_scale(1.0) == 0
    cond, null, x = normal(1, 1, 2, 2, seed=1), normal(1, 1, 2, 2, seed=2), normal(1, 1, 2, 2)
    papers = (1 + w) * cond - w * null  # Ho & Salimans 2022, eq. 6
    d = guide(lambda x_t, level: cond, lambda x_t, level: null, scale_from_w(w))
    assert_close(d(x, Level(1, 0.8, 0.6)), papers)


def test_autoguidance_is_the_same_line_with_a_weaker_model():
    """Karras et al. 2024, eq. 1: w · D1 + (1 - w) · D0, here with D0 the mixture seen through more noise."""
    mixture, x, level = toy(), normal(10, 2, 1, 1), Level(1, 0.8, 0.6)

    def weaker(x_t, level):
        return mixture.denoise(x_t, level._replace(sigma=1.5 * level.sigma), 1)

    strong = mixture.denoiser(1)
    wanted = 2.3 * strong(x, level) + (1 - 2.3) * weaker(x, level)
    assert_close(guide(strong, weaker, 2.3)(x, level), wanted)


def test_interval_includes_its_upper_end_only():
    scale = guidance_interval(3.0, 0.5, 2.0)
    levels = {r: Level(1, 1.0, r) for r in (0.0, 0.5, 0.500001, 1.0, 2.0, 2.000001)}
    found = {r: scale(level) for r, level in levels.items()}
    assert found == {0.0: 1.0, 0.5: 1.0, 0.500001: 3.0, 1.0: 3.0, 2.0: 3.0, 2.000001: 1.0}
    assert guidance_interval(3.0, 0.0, float("inf"))(schedule.flow().level(1000)) == 3.0
    assert guidance_interval(3.0, 0.0, 80.0)(schedule.flow().level(1000)) == 1.0


def test_the_reference_is_called_inside_the_interval_alone():
    table, calls, mixture = schedule.linear(), [], toy()

    def null(x_t, level):
        calls.append(level.ratio)
        return mixture.denoise(x_t, level)

    levels = table.grid(25)
    ddim(guide(mixture.denoiser(1), null, guidance_interval(2.0, 0.3, 5.0)), normal(3, 2, 1, 1), levels)
    inside = [level.ratio for level in levels[:-1] if 0.3 < level.ratio <= 5.0]
    assert calls == inside
    assert 0 < len(inside) < 25


def test_rescale_restores_the_standard_deviation():
    x, level = normal(5, 3, 4, 4), Level(1, 0.8, 0.6)
    cond, null = normal(5, 3, 4, 4, seed=1) * torch.arange(1, 6).view(5, 1, 1, 1), normal(5, 3, 4, 4, seed=2)
    denoisers = (lambda x_t, level: cond), (lambda x_t, level: null)
    full = guide(*denoisers, 4.0, rescale=1.0)(x, level)
    assert_close(full.flatten(1).std(1), cond.flatten(1).std(1))
    off, some = (guide(*denoisers, 4.0, rescale=phi)(x, level) for phi in (0.0, 0.7))
    assert_close(off, null + 4 * (cond - null))
    for i in range(5):  # Lin et al. 2023, eq. 15 and 16, one image at a time
        rescaled = off[i] * cond[i].std() / off[i].std()
        assert_close(some[i], 0.7 * rescaled + 0.3 * off[i])


@pytest.mark.parametrize("n", [1, 5, MAX_FUSED_BATCH, MAX_FUSED_BATCH + 1])
@pytest.mark.parametrize("null", [3, (3, 5)])
def test_classifier_free_guidance_makes_one_call_or_two(n, null):
    calls = []

    def net(x, t, y):
        calls.append(len(x))
        label = y.view(len(x), -1).double().mean(1).view(-1, 1, 1, 1)
        return (x * (1 + label)).sin() + t.view(-1, 1, 1, 1) / 1000

    y = torch.arange(n) % 3
    y = y if null == 3 else torch.stack([y, (y + 1) % 5], 1)
    x, levels = normal(n, 2, 4, 4), schedule.cosine().grid(6)
    scale = guidance_interval(3.0, 0.2, 5.0)
    separate = guide(diffusion.denoiser(net, "v", y), diffusion.denoiser(net, "v", null), scale, 0.5)
    wanted = [separate(x, level) for level in levels[:-1]]
    calls.clear()
    guided = classifier_free_guide(net, "v", y, null, scale, 0.5)
    for level, expected in zip(levels[:-1], wanted, strict=True):
        assert_close(guided(x, level), expected)
    inside = sum(scale(level) != 1 for level in levels[:-1])
    assert 0 < inside < 6
    guided_calls = [2 * n] * inside if n <= MAX_FUSED_BATCH else [n] * 2 * inside
    assert sorted(calls) == sorted([n] * (6 - inside) + guided_calls)


def test_classifier_free_guidance_refuses_a_wrong_rescale():
    with pytest.raises(ValueError, match="rescale is 2"):
        classifier_free_guide(lambda x, t, y: x, "v", torch.zeros(1), 1, 2.0, rescale=2)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_classifiers_gradient_at_scale_1_is_bayes_rule(name):
    mixture, x = toy(), normal(50, 2, 1, 1)
    for y in (0, 2):
        d = classifier_guide(mixture.denoiser(), lambda x_t, level, y=y: mixture.class_log_prob(x_t, level)[:, y])
        for t in (50, 500, 990):
            level = SCHEDULES[name]().level(t)
            assert_close(d(x, level), mixture.denoise(x, level, y), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_a_scaled_classifier_is_the_guided_score(scale):
    """So classifier guidance and classifier-free guidance at the same scale are the same, if both are exact."""
    mixture, x, level = toy(), normal(50, 2, 1, 1), schedule.cosine().level(400)
    d = classifier_guide(mixture.denoiser(), lambda x_t, level: mixture.class_log_prob(x_t, level)[:, 1], scale)
    score = (1 - scale) * mixture.score(x, level) + scale * mixture.score(x, level, 1)
    assert_close(d(x, level), x0_from_score(score, x, level))
    assert_close(d(x, level), guide(mixture.denoiser(1), mixture.denoiser(), scale)(x, level))


@pytest.mark.parametrize("sample", [ddim, dpmpp_2m, heun])
@pytest.mark.parametrize("name", VARIANCE_PRESERVING)
def test_a_classifier_guides_inside_a_sampler(name, sample):
    mixture, x_T, levels = toy(), normal(20, 2, 1, 1), SCHEDULES[name]().grid(20)
    d = classifier_guide(mixture.denoiser(), lambda x_t, level: mixture.class_log_prob(x_t, level)[:, 2])
    with torch.no_grad():
        found = sample(d, x_T, levels)
    assert not found.requires_grad
    assert_close(found, sample(mixture.denoiser(2), x_T, levels), rtol=1e-6, atol=1e-6)


def test_the_weights_of_a_learned_classifier_get_no_gradient():
    net = torch.nn.Linear(2, 3)
    x, level = normal(4, 2, 1, 1, dtype=torch.float32), schedule.cosine().level(400)

    def log_prob(x_t, level):
        return net(x_t.flatten(1)).log_softmax(1)[:, 0]

    found = classifier_guide(lambda x_t, level: x_t, log_prob, 2.0)(x, level)
    probability = net(x.flatten(1)).softmax(1)
    slope = net.weight[0] - probability @ net.weight  # of log softmax
    wanted = x.flatten(1) + 2.0 * level.sigma**2 / level.alpha * slope
    assert_close(found.flatten(1), wanted)
    assert net.weight.grad is None
    assert not found.requires_grad
    assert not x.requires_grad


def test_the_classifier_is_not_called_at_scale_0_and_without_signal():
    x = normal(4, 2, 1, 1)
    main = toy().denoiser()
    for scale in (0.0, lambda level: 0.0):
        level = schedule.cosine().level(400)
        assert torch.equal(classifier_guide(main, forbidden, scale)(x, level), main(x, level))
    last = schedule.flow().level(1000)
    assert torch.equal(classifier_guide(main, forbidden, 3.0)(x, last), main(x, last))


@pytest.mark.parametrize(("lo", "hi"), [(2.0, 2.0), (3.0, 2.0), (-1.0, 2.0)])
def test_an_empty_interval_is_refused(lo, hi):
    with pytest.raises(ValueError, match="guidance interval"):
        guidance_interval(3.0, lo, hi)


@pytest.mark.parametrize("rescale", [-0.1, 1.5])
def test_rescale_outside_its_range_is_refused(rescale):
    with pytest.raises(ValueError, match=f"rescale is {rescale}"):
        guide(toy().denoiser(), toy().denoiser(), 2.0, rescale)


# --- rules, against least squares, the papers' own loops, and diffusers ---------------------------------------------

LEVEL = schedule.cosine().level(400)
MAIN, REF, X_T = (normal(3, 4, 4, 6, seed=seed) for seed in (0, 1, 2))


def combined(rule, scale: float, level: Level = LEVEL):
    """What `guide` makes of MAIN and REF at X_T."""
    return guide(lambda x, level: MAIN, lambda x, level: REF, scale, rule=rule)(X_T, level)


def plain(scale: float):
    return REF + scale * (MAIN - REF)


def slope(target, direction) -> np.ndarray:
    """Least-squares multiple of the direction that comes closest to the target, image by image, by numpy: [B]."""
    rows = zip(target.flatten(1).numpy(), direction.flatten(1).numpy(), strict=True)
    return np.array([np.linalg.lstsq(d[:, None], t, rcond=None)[0][0] for t, d in rows])


def test_the_effective_scale_is_the_least_squares_one_and_that_of_the_noise():
    guided = normal(3, 4, 4, 6, seed=3)
    found = guidance.effective_scale(guided, MAIN, REF)
    np.testing.assert_allclose(found, slope(guided - REF, MAIN - REF))
    noises = [(X_T - LEVEL.alpha * x0) / LEVEL.sigma for x0 in (guided, MAIN, REF)]
    assert_close(guidance.effective_scale(*noises), found)
    assert_close(guidance.effective_scale(plain(3.5), MAIN, REF), torch.full((3,), 3.5, dtype=torch.float64))
    assert guidance.effective_scale(MAIN, MAIN, MAIN).isnan().all()


@pytest.mark.parametrize(("eta", "max_norm"), [(0.0, None), (0.4, None), (0.0, 5.0)])
def test_projected_guidance_agrees_with_orthogonal_bases_and_with_diffusers(eta, max_norm):
    found = combined(guidance.projected(eta, max_norm), 4.0)
    for i in range(3):
        main, step = MAIN[i].flatten().numpy(), (MAIN - REF)[i].flatten().numpy()
        if max_norm is not None:
            step = step * min(1.0, max_norm / np.linalg.norm(step))
        basis = np.linalg.qr(np.stack([main, np.ones_like(main)], 1))[0][:, 0]  # a unit vector along main
        along = basis * (basis @ step)
        np.testing.assert_allclose(found[i].flatten(), main + 3.0 * (step - along + eta * along), rtol=1e-9, atol=1e-9)
    theirs = pytest.importorskip("diffusers.guiders.adaptive_projected_guidance").normalized_guidance
    other = theirs(MAIN, REF, 3.0, eta=eta, norm_threshold=max_norm or 0.0, use_original_formulation=True)
    assert_close(found, other, rtol=1e-6, atol=1e-6)


def test_projected_guidance_adds_nothing_along_the_estimate_and_eta_1_is_plain():
    step = combined(guidance.projected(), 4.0) - MAIN
    assert (step * MAIN).flatten(1).sum(1).abs().max() < 1e-9
    assert_close(combined(guidance.projected(eta=1.0), 4.0), plain(4.0))
    flat = guide(lambda x, level: 0 * x, lambda x, level: REF, 3.0, rule=guidance.projected())(X_T, LEVEL)
    assert_close(flat, -2 * REF)  # an estimate of zeros has no direction: nothing is removed


def test_frequencies_have_their_own_scales():
    rule = guidance.frequency_decoupled(2.0)
    assert_close(combined(rule, 2.0), plain(2.0))
    ones, zeros = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(2, 2)[None, None]
    for difference, scale in ((ones, 2.0), (board, 5.0), (torch.ones(1, 1, 4, 1) * torch.tensor([1.0, 1.0, -1.0, -1.0]), 2.0)):
        found = rule(difference, zeros, 5.0, zeros, LEVEL)
        assert_close(found, scale * difference)
    energy = combined(rule, 5.0) - plain(2.0)  # only frequencies that have no mean in a block of 2×2
    assert torch.nn.functional.avg_pool2d(energy, 2).abs().max() < 1e-9


def test_zero_star_fits_the_reference_velocity_before_it_guides():
    found = combined(guidance.zero_star(), 3.0)
    u_main, u_ref, u_found = ((X_T - LEVEL.alpha * x0) / LEVEL.sigma - x0 for x0 in (MAIN, REF, found))  # eps − x0
    fitted = torch.from_numpy(slope(u_main, u_ref)).view(-1, 1, 1, 1) * u_ref
    assert_close(u_found, fitted + 3.0 * (u_main - fitted))
    theirs = pytest.importorskip("diffusers.guiders.classifier_free_zero_star_guidance").cfg_zero_star_scale
    best = theirs(u_main.flatten(1), u_ref.flatten(1)).view(-1, 1, 1, 1)
    assert_close(u_found, best * u_ref + 3.0 * (u_main - best * u_ref), rtol=1e-5, atol=1e-5)


def test_zero_star_stands_still_above_a_level():
    """On the straight line of flow matching, x_t does not move where the velocity is 0."""
    flow = schedule.flow()
    rule = guidance.zero_star(zero_above=2.0)
    grid = [flow.level(t) for t in (900, 800, 700)]  # noise over signal 9, 4 and 2.3
    x = ddim(guide(lambda x, level: MAIN, lambda x, level: REF, 3.0, rule=rule), X_T, grid)
    assert_close(x, X_T)
    low = flow.level(500)
    assert_close(combined(rule, 3.0, low), combined(guidance.zero_star(), 3.0, low))
    clean = combined(rule, 3.0, flow.level(0))
    assert_close(clean, plain(3.0))


@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("name", ["cosine", "flow"])
def test_cfg_plus_plus_is_its_papers_loop(strength, name):
    """Algorithm 2: x0 by interpolation of the two estimates, and the unconditional one's noise added back."""
    mixture, grid = toy(), getattr(schedule, name)().grid(12)
    x = start = normal(40, 2, 1, 1)
    for here, there in pairwise(grid):
        uncond, cond = mixture.denoise(x, here), mixture.denoise(x, here, 0)
        noise = x / here.sigma if here.alpha == 0 else (x - here.alpha * uncond) / here.sigma
        x = there.alpha * (uncond + strength * (cond - uncond)) + there.sigma * noise
    scale = guidance.cfg_plus_plus_scale(strength, grid)
    assert_close(ddim(guide(mixture.denoiser(0), mixture.denoiser(), scale), start, grid), x, rtol=1e-8, atol=1e-8)
    assert scale(grid[-2]) == pytest.approx(strength)  # the last step leads to clean data
    assert scale(grid[5]) == pytest.approx(strength / (1 - grid[6].ratio / grid[5].ratio))


def test_scale_1_is_the_main_estimate_for_every_rule():
    for rule in (guidance.projected(), guidance.frequency_decoupled(3.0), guidance.zero_star()):
        assert torch.equal(combined(rule, 1.0), MAIN)


def test_mistakes_in_rules_are_named():
    with pytest.raises(ValueError, match=r"rescale is 0\.7 and a rule is given"):
        guide(lambda x, level: MAIN, lambda x, level: REF, 2.0, rescale=0.7, rule=guidance.projected())
    with pytest.raises(ValueError, match="max_norm"):
        guidance.projected(max_norm=0.0)
    with pytest.raises(ValueError, match="where H and W are even"):
        guidance.frequency_decoupled(2.0)(*(torch.zeros(1, 1, 3, 4),) * 2, 2.0, torch.zeros(1, 1, 3, 4), LEVEL)
    with pytest.raises(ValueError, match="t = 400 begins no step"):
        guidance.cfg_plus_plus_scale(0.5, schedule.cosine().grid(3))(LEVEL)
    with pytest.raises(ValueError, match=r"guided has shape"):
        guidance.effective_scale(MAIN, MAIN[:1], REF)
    assert math.isfinite(guidance.cfg_plus_plus_scale(0.5, schedule.flow().grid(4))(schedule.flow().grid(4)[0]))
