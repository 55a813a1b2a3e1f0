"""Teddies: the same image at every size, and factors that are independent and have the stated effect."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from course_lib import teddies
from course_lib.images import to_float
from course_lib.teddies import NUM_COMBINATIONS, VALUES, canvas, captions, render, sample_factors, scenes
from course_lib.teddies.render import _draw

EVERY_ACTIVITY = [i % 6 for i in range(12)]
EVERY_COUNT = [i // 6 for i in range(12)]


def every_activity(**fixed):
    """Factors with every activity of one bear and of two, the rest at random."""
    return sample_factors(12, 5, activity=EVERY_ACTIVITY, count=EVERY_COUNT, **fixed)


# --- the image -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fine():
    return render(every_activity(), 256)


@pytest.mark.parametrize(("size", "mean", "most"), [(16, 0.010, 0.10), (32, 0.010, 0.10), (64, 0.012, 0.19), (128, 0.006, 0.13)])
def test_same_image_at_every_size(fine, size, mean, most):
    """The oracle is the finer image, averaged. Bounds are on a range of 2; `most` is the bound for 99 % of the pixels."""
    scale = 256 // size
    coarse = render(every_activity(), size)
    error = (F.avg_pool2d(fine, scale) - coarse).abs()
    assert error.mean() < mean
    assert error.amax(1).flatten().quantile(0.99) < most
    for axis in (-1, -2):  # a shift of half a pixel, to the side or upwards, would be noticed
        moved = (F.avg_pool2d(fine.roll(scale // 2, axis), scale) - coarse).abs().mean()
        assert moved > 2 * error.mean()


def test_patches_crop_nothing(monkeypatch):
    """Parts are drawn only in the patch that they can reach; drawn everywhere, they give the same image, at every extreme."""
    factors = sample_factors(72, 9, activity=[i % 6 for i in range(72)])
    factors = factors.replace(**{name: getattr(factors, name).sign() for name in teddies.NUISANCE})
    small, normal = render(factors, 16), render(factors, 64)
    monkeypatch.setattr(canvas.Patch, "crop", lambda patch, *box: patch)
    assert_close(render(factors, 16), small, atol=1e-4, rtol=0)
    assert_close(render(factors, 64), normal, atol=1e-4, rtol=0)


def test_odd_sizes_and_the_ends_of_the_range():
    one = every_activity()[:1]
    for size in (16, 17, 23, 47, 97, 1024):
        assert render(one, size).shape == (1, 3, size, size)


def test_range_dtype_and_device():
    factors = every_activity(light=1.0, warmth=1.0)
    images = render(factors)
    assert images.dtype == torch.float32
    assert images.shape == (12, 3, 64, 64)
    assert images.device == factors.device
    assert images.is_contiguous()
    assert images.min() >= -1
    assert images.max() <= 1
    assert images.std() > 0.3


def test_deterministic_and_alone_as_in_a_batch():
    factors = sample_factors(40, 1)
    together = render(factors)
    assert torch.equal(together, render(factors))
    for row in (0, 7, 39):
        assert_close(render(factors[row]), together[row : row + 1], atol=1e-5, rtol=0)


def test_chunks_do_not_change_the_image():
    factors = sample_factors(30, 2, activity="reading")
    assert_close(render(factors, chunk=30), render(factors, chunk=1), atol=1e-5, rtol=0)
    assert_close(render(factors, chunk=7), render(factors), atol=1e-5, rtol=0)


def test_drawing_stays_on_its_device_and_never_waits_for_it():
    """On the meta device a tensor of another device, or reading a value (a host sync), raises."""
    fields = {field.name: field.name in teddies.DISCRETE for field in dataclasses.fields(teddies.Factors)}
    factors = teddies.Factors(**{
        name: torch.zeros(2, dtype=torch.int64 if discrete else torch.float32, device="meta")
        for name, discrete in fields.items()
    })  # fmt: skip
    for activity in range(6):
        drawn = _draw(factors, 1, activity, torch.zeros(3, 32, 32, 2, device="meta"))
        assert drawn.device.type == "meta"
        assert drawn.shape == (3, 32, 32, 2)
    for background in range(5):
        assert scenes.draw_background(background, 32, torch.device("meta")).device.type == "meta"


def test_empty_batch():
    assert render(sample_factors(0, 1), 32).shape == (0, 3, 32, 32)


def test_autocast_does_not_affect_the_drawing():
    factors = sample_factors(6, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = render(factors)
    assert torch.equal(inside, render(factors))


@pytest.mark.posix
def test_memory_is_bounded():
    """More and larger images need only the memory of the images themselves, measured in a separate process."""
    code = """
import resource, torch
torch.set_num_threads(1)
from course_lib.teddies import render, sample_factors
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
render(sample_factors(1, 0, background="beach"), 1024); before = peak()
render(sample_factors(4, 0, background="beach"), 1024); print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3 * 12 + 75  # MiB: three more images of 12, and slack for the allocator


# --- the factors -----------------------------------------------------------------------------------------------------


def change(name):
    base = sample_factors(1, 4, count="one", fur="brown", activity="waving", scarf="red", fabric="plain", grain=1,
                          background="beach", **dict.fromkeys(teddies.CONTINUOUS, 0.0))  # fmt: skip
    value = 0.7 if name in teddies.CONTINUOUS else getattr(base, name) + 1
    return base, base.replace(**{name: value})


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(teddies.Factors)])
def test_every_factor_changes_the_image(name):
    before, after = change(name)
    seen = (render(before) - render(after)).abs().amax(1)
    assert (seen > 0.05).sum() >= (6 if name == "grain" else 25)


@pytest.mark.parametrize("name", teddies.PERCEPTUAL)
def test_perceptual_factors_leave_the_shapes_unchanged(name):
    """Perceptual factors change a little almost anywhere; they do not move dark regions relative to light ones."""
    before, after = (render(one, 128).mean(1).flatten() for one in change(name))
    assert torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.9


def test_scarf_changes_only_the_neck():
    before, _ = change("scarf")
    seen = (render(before, 128) - render(before.replace(scarf="green"), 128)).abs().amax(1)[0] > 0
    rows, columns = seen.nonzero().T
    bear = (render(before, 128) - render(before.replace(fur="blue"), 128)).abs().amax(1)[0] > 0
    assert 0.005 < seen.float().mean() < 0.08
    assert seen.float().mean() < bear.float().mean() / 3
    assert rows.min() > 55
    assert rows.max() < 110
    assert columns.min() > 40
    assert columns.max() < 88


def test_scarf_is_visible_in_every_image():
    """The scarf's own colour is visible, in every pose, at 64 pixels, for one bear and for two."""
    factors = every_activity(scarf="red", fur="grey", fabric="plain", warmth=0.0)
    red = render(factors) - render(factors.replace(scarf="none"))
    redder = (red[:, 0] - red[:, 1]) > 0.3
    assert redder.flatten(1).sum(1).min() >= 12


def test_background_leaves_the_bear_unchanged():
    before, _ = change("background")
    images = torch.cat([render(before.replace(background=name), 64) for name in ("meadow", "beach")])
    face = images[:, :, 22:30, 28:36]
    corner = images[:, :, :8, :8]
    assert (face[0] - face[1]).abs().mean() < 0.05
    assert (corner[0] - corner[1]).abs().mean() > 0.1


def test_the_continuous_factors_span_eight_dimensions():
    """The derivative of the image with respect to the eight continuous factors has rank eight: none is idle or redundant."""
    base = change("x")[0]
    centre = render(base, 64)
    step = 0.05
    steps = [(render(base.replace(**{name: step}), 64) - centre).flatten() / step for name in teddies.CONTINUOUS]
    values = torch.linalg.svdvals(F.normalize(torch.stack(steps), dim=1))
    assert len(values) == 8
    assert values[-1] > 0.15


def test_brightness_is_a_tone_curve_that_leaves_black_and_white():
    """In white light, no pixel gets darker with more brightness, and black and white stay."""
    base = change("x")[0].replace(background="meadow")
    dark, plain, bright = (render(base.replace(brightness=b), 64) for b in (-1.0, 0.0, 1.0))
    assert (bright - plain).min() >= -1e-6
    assert (plain - dark).min() >= -1e-6
    assert_close((bright + dark) / 2, plain)  # as much up as down
    assert 0.1 < (bright - dark).mean() < 0.6
    ends = plain.abs() > 0.98
    assert ends.any()
    assert (bright - dark)[ends].abs().max() < 0.05


def test_saturation_scales_the_colours_and_preserves_the_luma():
    """The oracle is the standard's luma and colour differences; clipped pixels, which break both, are left out."""
    base = change("x")[0].replace(background="meadow")
    grey, plain, vivid = (render(base.replace(saturation=s), 64).double() for s in (-1.0, 0.0, 1.0))
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    unclipped = vivid.abs().amax(1, keepdim=True) < 0.999
    assert unclipped.double().mean() > 0.5
    light, chroma = [], []
    for x in (grey, plain, vivid):
        light.append(torch.einsum("nchw,c->nhw", x, luma)[:, None])
        chroma.append(((x - light[-1]) * unclipped).square().mean().sqrt())
    assert_close(light[0], light[1], atol=1e-5, rtol=0)
    assert_close(light[2][unclipped], light[1][unclipped], atol=1e-5, rtol=0)
    assert_close(chroma[0] / chroma[1], 2 - chroma[2] / chroma[1], atol=1e-5, rtol=0)
    assert 0.3 < chroma[0] / chroma[1] < 0.8


def test_without_grain_cloth_keeps_its_texture():
    factors = sample_factors(12, 4)
    smooth = render(factors, 64, grain=False)
    assert torch.equal(smooth, render(factors.replace(grain=5), 64, grain=False))
    assert not torch.equal(smooth, render(factors.replace(fabric="dots"), 64, grain=False))
    plain = factors.replace(fabric="plain")
    assert torch.equal(render(plain, 64, grain=False), render(plain, 64, fine=False))
    images, drawn = teddies.dataset(5, 1, 32, grain=False)
    assert_close(to_float(images), render(drawn, 32, grain=False), atol=1 / 127.5, rtol=0)


def test_without_fine_texture_grain_and_fabric_are_not_drawn():
    """The rest is: every other factor is still visible, and regions with neither fur nor cloth are the same."""
    factors = every_activity()
    plain = render(factors, 64, fine=False)
    assert torch.equal(plain, render(factors.replace(grain=5, fabric="dots"), 64, fine=False))
    assert_close(plain[:, :, :4], render(factors, 64)[:, :, :4])
    assert (plain - render(factors.replace(fabric="plain"), 64)).abs().mean() < 0.05
    rough, smooth = (
        render(factors.replace(fabric="plain", scarf="none"), 256, fine=fine).diff(dim=-1).abs().mean() for fine in (True, False)
    )
    assert smooth < rough


def test_nuisance_factors_move_scale_and_tilt_the_bear():
    """The bear's centre of mass and size, measured in the image alone, change as the factors say."""

    def shape_of(**nuisance):
        one = change("x")[0].replace(**nuisance)
        shown = (render(one, 128) - render(one.replace(fur="blue"), 128)).abs().amax(1)[0] > 0.05
        rows, columns = shown.nonzero().T.float()
        upper = rows < rows.median()
        return columns.mean(), rows.mean(), len(rows), columns[upper].mean() - columns[~upper].mean()

    x, y, area, lean = zip(
        *(shape_of(**change) for change in ({}, {"x": 1.0}, {"y": 1.0}, {"size": 1.0}, {"tilt": 1.0})), strict=True
    )
    assert x[1] > x[0] + 4
    assert y[2] < y[0] - 3
    assert area[3] > area[0] * 1.15
    assert lean[4] > lean[0] + 3


# --- sampling factors ---------------------------------------------------------------------------------------


def test_sampling_is_seeded_uniform_and_respects_fixed_factors():
    factors = sample_factors(6000, torch.Generator().manual_seed(3), light=0.0, scarf="green", x=torch.linspace(-1, 1, 6000))
    again = sample_factors(6000, 3)
    assert torch.equal(factors.fur, again.fur)
    assert torch.equal(factors.tilt, again.tilt)
    assert factors.scarf.eq(VALUES["scarf"].index("green")).all()
    assert factors.light.eq(0).all()
    assert torch.equal(factors.x, torch.linspace(-1, 1, 6000))
    for name in ("count", "fur", "activity", "background", "fabric"):
        expected = torch.full((len(VALUES[name]),), 6000 / len(VALUES[name]))
        chi2 = ((getattr(factors, name).bincount(minlength=len(expected)) - expected) ** 2 / expected).sum()
        assert chi2 < 25, name  # 99.9 % point at 5 degrees of freedom is 20.5
    assert abs(again.tilt.mean()) < 0.03
    assert_close(again.tilt.var(), torch.tensor(1 / 3), atol=0.02, rtol=0)


def test_factors_index_slice_and_move():
    factors = sample_factors(10, 0)
    assert len(factors) == 10
    assert len(factors[3]) == len(factors[-1]) == 1
    assert torch.equal(factors[2:5].fur, factors.fur[2:5])
    assert torch.equal(factors[torch.tensor([4, 1])].x, factors.x[[4, 1]])
    assert factors.to("cpu").device.type == "cpu"
    pink = factors.replace(fur="pink")
    assert pink.fur.eq(2).all()
    assert torch.equal(pink.grain, factors.grain)
    assert pink.describe(0)["fur"] == "pink"
    with pytest.raises(IndexError):
        factors[10]


def test_combinations_are_numbered_one_to_one():
    ids = torch.arange(NUM_COMBINATIONS)
    factors = sample_factors(NUM_COMBINATIONS, 0, **teddies.combination(ids))
    assert torch.equal(teddies.combination_id(factors), ids)
    assert len(set(map(tuple, factors.labels().tolist()))) == NUM_COMBINATIONS == 2 * 6 * 6 * 5 * 5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sample_factors(2, 0, fur="purple"), ["purple", "brown", "blue"]),
        (lambda: sample_factors(2, 0, hat="red"), ["hat", "scarf"]),
        (lambda: sample_factors(2, 0, count=2), ["count", "2", "0 to 1"]),
        (lambda: sample_factors(2, 0, fur=0.5), ["fur", "float32", "integers"]),
        (lambda: sample_factors(2, 0, x=1.5), ["x", "1.5", "[-1, 1]"]),
        (lambda: sample_factors(2, 0, x=[0.0, 0.1, 0.2]), ["x", "(3,)", "2"]),
        (lambda: sample_factors(-1, 0), ["-1"]),
        (lambda: render(sample_factors(2, 0), 8), ["8", "16", "1024"]),
        (lambda: render(sample_factors(2, 0), 2048), ["2048", "1024"]),
        (lambda: render(sample_factors(2, 0), 64.0), ["64.0", "16", "1024"]),
        (lambda: render(sample_factors(2, 0), chunk=0), ["chunk", "0"]),
        (lambda: render(dataclasses.replace(sample_factors(2, 0), fur=torch.tensor([0, 6]))), ["fur", "6", "0 to 5"]),
        (lambda: render(dataclasses.replace(sample_factors(2, 0), x=torch.tensor([0.0, torch.nan]))), ["x", "nan"]),
        (lambda: render(dataclasses.replace(sample_factors(2, 0), x=torch.zeros(3))), ["x", "3 rows", "count 2"]),
        (lambda: captions(sample_factors(2, 0), mention=("grain",)), ["grain", "fur"]),
        (lambda: teddies.combination(NUM_COMBINATIONS), [str(NUM_COMBINATIONS)]),
    ],
)
def test_errors_name_the_given_and_the_expected_value(call, words):
    with pytest.raises(ValueError, match=r".+") as error:
        call()
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
