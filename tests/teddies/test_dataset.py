"""Teddies as a data set: held-out combinations stay out, images match their factors, and a seed reproduces them."""

import pytest
import torch
from torch.testing import assert_close

from course_lib import device, recipes, teddies
from course_lib.images import to_float
from course_lib.recipes import configs
from course_lib.storage import weights


def test_a_tenth_of_the_combinations_is_held_out():
    every = teddies.sample_factors(teddies.NUM_COMBINATIONS, 0, **teddies.combination(torch.arange(teddies.NUM_COMBINATIONS)))
    out = teddies.is_held_out(every)
    assert out.sum() == teddies.NUM_COMBINATIONS // 10
    for name in teddies.SEMANTIC:  # no single value is missing from either part
        for part in (out, ~out):
            assert len(getattr(every[part], name).unique()) == len(teddies.VALUES[name])


def test_a_set_has_only_seen_or_only_held_out_combinations():
    for unseen in (False, True):
        images, factors = teddies.dataset(300, 1, size=16, unseen=unseen)
        assert images.shape == (300, 3, 16, 16)
        assert images.dtype == torch.uint8
        assert bool((teddies.is_held_out(factors) == unseen).all())


def test_the_images_are_those_of_the_factors():
    images, factors = teddies.dataset(20, 2, size=32, fine=False)
    assert_close(to_float(images), teddies.render(factors, 32, fine=False), atol=1 / 127.5, rtol=0)


def test_a_seed_reproduces_a_set_and_a_longer_set_starts_with_it():
    few, _ = teddies.dataset(10, 3, size=16)
    many, _ = teddies.dataset(30, 3, size=16)
    assert torch.equal(few, many[:10])
    assert not torch.equal(few, teddies.dataset(10, 4, size=16)[0])


def test_an_empty_set():
    images, factors = teddies.dataset(0, 0)
    assert images.shape == (0, 3, 64, 64)
    assert len(factors) == 0


@pytest.mark.parametrize(
    ("recipe", "texture", "channels"),
    [(recipes.teddies_vae, "test_psnr", 4), (recipes.teddies_128_vae, "test_psnr_without_grain", 8)],
)
def test_a_vae_of_teddies_saves_its_metrics_and_latent_statistics(recipe, texture, channels, tmp_path, monkeypatch):
    runs = tmp_path / "runs"  # does not exist yet, as in a fresh clone
    monkeypatch.setenv("COURSE_RUNS", str(runs))
    monkeypatch.setattr(configs, "NUM_TEDDIES", 64)
    dataset = teddies.dataset  # the recipe evaluates on 1,000 images; the assertions do not depend on how many
    monkeypatch.setattr(teddies, "dataset", lambda n, *arguments, **options: dataset(min(n, 64), *arguments, **options))
    machine = device.find(device="cpu", precision="fp32")
    recipe(tmp_path / "vae.safetensors", machine, recipes.RunOptions(steps=2, progress=False))
    _, metadata = weights.load(tmp_path / "vae.safetensors")
    assert set(metadata["metrics"]) == {texture, "test_psnr_without_grain_and_texture"}
    assert len(metadata["latents"]["mean"]) == channels
    assert [file.name for file in runs.iterdir()] == []
