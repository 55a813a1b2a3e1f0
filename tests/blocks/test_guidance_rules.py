"""The rules of guidance against least squares, the papers' own loops, and diffusers."""

import itertools
import math

import numpy as np
import pytest
import torch
from oracles import normal, toy
from torch.testing import assert_close

from course_lib import guidance_rules, schedule
from course_lib.guidance import guide
from course_lib.samplers import ddim
from course_lib.schedule import Level

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
    found = guidance_rules.effective_scale(guided, MAIN, REF)
    np.testing.assert_allclose(found, slope(guided - REF, MAIN - REF))
    noises = [(X_T - LEVEL.alpha * x0) / LEVEL.sigma for x0 in (guided, MAIN, REF)]
    assert_close(guidance_rules.effective_scale(*noises), found)
    assert_close(guidance_rules.effective_scale(plain(3.5), MAIN, REF), torch.full((3,), 3.5, dtype=torch.float64))
    assert guidance_rules.effective_scale(MAIN, MAIN, MAIN).isnan().all()


@pytest.mark.parametrize(("eta", "max_norm"), [(0.0, None), (0.4, None), (0.0, 5.0)])
def test_projected_guidance_agrees_with_orthogonal_bases_and_with_diffusers(eta, max_norm):
    found = combined(guidance_rules.projected(eta, max_norm), 4.0)
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
    step = combined(guidance_rules.projected(), 4.0) - MAIN
    assert (step * MAIN).flatten(1).sum(1).abs().max() < 1e-9
    assert_close(combined(guidance_rules.projected(eta=1.0), 4.0), plain(4.0))
    flat = guide(lambda x, level: 0 * x, lambda x, level: REF, 3.0, rule=guidance_rules.projected())(X_T, LEVEL)
    assert_close(flat, -2 * REF)  # an estimate of zeros has no direction: nothing is removed


def test_frequencies_have_their_own_scales():
    rule = guidance_rules.frequency_decoupled(2.0)
    assert_close(combined(rule, 2.0), plain(2.0))
    ones, zeros = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(2, 2)[None, None]
    for difference, scale in ((ones, 2.0), (board, 5.0), (torch.ones(1, 1, 4, 1) * torch.tensor([1.0, 1.0, -1.0, -1.0]), 2.0)):
        found = rule(difference, zeros, 5.0, zeros, LEVEL)
        assert_close(found, scale * difference)
    energy = combined(rule, 5.0) - plain(2.0)  # only frequencies that have no mean in a block of 2×2
    assert torch.nn.functional.avg_pool2d(energy, 2).abs().max() < 1e-9


def test_zero_star_fits_the_reference_velocity_before_it_guides():
    found = combined(guidance_rules.zero_star(), 3.0)
    u_main, u_ref, u_found = ((X_T - LEVEL.alpha * x0) / LEVEL.sigma - x0 for x0 in (MAIN, REF, found))  # eps − x0
    fitted = torch.from_numpy(slope(u_main, u_ref)).view(-1, 1, 1, 1) * u_ref
    assert_close(u_found, fitted + 3.0 * (u_main - fitted))
    theirs = pytest.importorskip("diffusers.guiders.classifier_free_zero_star_guidance").cfg_zero_star_scale
    best = theirs(u_main.flatten(1), u_ref.flatten(1)).view(-1, 1, 1, 1)
    assert_close(u_found, best * u_ref + 3.0 * (u_main - best * u_ref), rtol=1e-5, atol=1e-5)


def test_zero_star_stands_still_above_a_level():
    """On the straight line of flow matching, x_t does not move where the velocity is 0."""
    flow = schedule.flow()
    rule = guidance_rules.zero_star(zero_above=2.0)
    grid = [flow.level(t) for t in (900, 800, 700)]  # noise over signal 9, 4 and 2.3
    x = ddim(guide(lambda x, level: MAIN, lambda x, level: REF, 3.0, rule=rule), X_T, grid)
    assert_close(x, X_T)
    low = flow.level(500)
    assert_close(combined(rule, 3.0, low), combined(guidance_rules.zero_star(), 3.0, low))
    clean = combined(rule, 3.0, flow.level(0))
    assert_close(clean, plain(3.0))


@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("name", ["cosine", "flow"])
def test_cfg_plus_plus_is_its_papers_loop(strength, name):
    """Algorithm 2: x0 by interpolation of the two estimates, and the unconditional one's noise added back."""
    mixture, grid = toy(), getattr(schedule, name)().grid(12)
    x = start = normal(40, 2, 1, 1)
    for here, there in itertools.pairwise(grid):
        uncond, cond = mixture.denoise(x, here), mixture.denoise(x, here, 0)
        noise = x / here.sigma if here.alpha == 0 else (x - here.alpha * uncond) / here.sigma
        x = there.alpha * (uncond + strength * (cond - uncond)) + there.sigma * noise
    scale = guidance_rules.cfg_plus_plus_scale(strength, grid)
    assert_close(ddim(guide(mixture.denoiser(0), mixture.denoiser(), scale), start, grid), x, rtol=1e-8, atol=1e-8)
    assert scale(grid[-2]) == pytest.approx(strength)  # the last step leads to clean data
    assert scale(grid[5]) == pytest.approx(strength / (1 - grid[6].ratio / grid[5].ratio))


def test_scale_1_is_the_main_estimate_for_every_rule():
    for rule in (guidance_rules.projected(), guidance_rules.frequency_decoupled(3.0), guidance_rules.zero_star()):
        assert torch.equal(combined(rule, 1.0), MAIN)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"rescale is 0\.7 and a rule is given"):
        guide(lambda x, level: MAIN, lambda x, level: REF, 2.0, rescale=0.7, rule=guidance_rules.projected())
    with pytest.raises(ValueError, match="max_norm"):
        guidance_rules.projected(max_norm=0.0)
    with pytest.raises(ValueError, match="where H and W are even"):
        guidance_rules.frequency_decoupled(2.0)(*(torch.zeros(1, 1, 3, 4),) * 2, 2.0, torch.zeros(1, 1, 3, 4), LEVEL)
    with pytest.raises(ValueError, match="t = 400 begins no step"):
        guidance_rules.cfg_plus_plus_scale(0.5, schedule.cosine().grid(3))(LEVEL)
    with pytest.raises(ValueError, match=r"guided has shape"):
        guidance_rules.effective_scale(MAIN, MAIN[:1], REF)
    assert math.isfinite(guidance_rules.cfg_plus_plus_scale(0.5, schedule.flow().grid(4))(schedule.flow().grid(4)[0]))
