"""The recipes: what they save can be loaded, belongs to its data, and repeats."""

import pytest
import torch
from torch.testing import assert_close

from course_lib import codec, data, device, recipes, teddies, text
from course_lib.images import to_float
from course_lib.metrics import psnr
from course_lib.recipes import configs, losses
from course_lib.storage import paths, weights


@pytest.fixture(scope="module")
def machine():
    return device.find(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def trained(machine, tmp_path_factory):
    """A VAE of a few steps, saved in a folder of its own for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield recipes.fashion_vae(steps=12, machine=machine, progress=False)


def test_ready_loads_what_was_saved(trained, machine):
    loaded = recipes.load_or_train("fashion-vae", machine)
    assert_close(loaded.state_dict(), trained.ema.state_dict(), rtol=0, atol=0)
    assert not loaded.training


def test_the_card_says_how_good_it_is(trained, machine):
    _, card = weights.load(recipes.saved_file("fashion-vae"))
    tests = to_float(data.fashion_mnist("test")[0])
    with torch.no_grad():
        decoded = torch.cat([trained.ema(x) for x in tests.split(1000)])
    assert card["metrics"]["test_psnr"] == pytest.approx(psnr(decoded, tests).item(), abs=1e-3)
    assert card["steps"] == 12
    assert card["command"] == "course train fashion-vae"


def test_the_codec_gives_unit_variance_latents(trained, machine):
    latents = codec.cache(recipes.load_codec("fashion-vae", machine), data.fashion_mnist("train")[0])
    assert_close(latents.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    assert_close(latents.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)


def test_a_seed_repeats_a_run_and_leaves_the_callers_numbers_alone(machine, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    runs = [
        recipes.fashion_autoencoder(steps=3, seed=s, machine=machine, progress=False, out=tmp_path / f"{i}.safetensors")
        for i, s in enumerate((0, 0, 1))
    ]
    assert_close(torch.get_rng_state(), before)
    assert_close(runs[0].losses, runs[1].losses, rtol=0, atol=0)
    assert not torch.equal(runs[0].losses, runs[2].losses)


def test_the_denoiser_trains_on_the_saved_vae(trained, machine, tmp_path):
    file = tmp_path / "ldm.safetensors"
    result = recipes.fashion_ldm(steps=2, machine=machine, progress=False, out=file)
    state, card = weights.load(file)
    assert card["config"]["in_channels"] == 4
    assert set(state) == set(result.ema.state_dict())


def test_an_unknown_network_is_one_sentence(machine):
    with pytest.raises(ValueError, match=r"no recipe for a network 'mona-lisa'; choose from fashion-autoencoder"):
        recipes.load_or_train("mona-lisa", machine)


def test_shipped_weights_that_are_gone_are_made_where_they_belong(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "_shipped", lambda name: tmp_path / f"{name}.safetensors")
    net = recipes.load_or_train("fashion-classifier", machine, steps=1, progress=False)
    weights, _ = weights.load(tmp_path / "fashion-classifier.safetensors")
    assert_close(net.state_dict(), weights, rtol=0, atol=0, check_dtype=False)


def test_the_shipped_judge_reads_the_test_images(machine):
    from course_lib.judges.classifier import classify

    net = recipes.load_or_train("fashion-classifier", machine)
    images, labels = data.fashion_mnist("test")
    right = (classify(net, images[:2000])[1].argmax(1) == labels[:2000]).double().mean().item()
    assert right >= 0.9


def test_the_denoiser_that_reads_is_told_the_factors_that_are_left_in_words():
    told = []

    def net(x, t, y):
        told.extend(text.detokenise(y))
        return x

    labels = teddies.sample_factors(500, 0).labels()
    losses.text_denoising_loss()(net, (torch.zeros(500, 4, 8, 8), labels), torch.Generator().manual_seed(0))
    heard = teddies.labels_from_captions(told)
    left_out = heard == torch.tensor(teddies.NUM_VALUES)
    assert (heard[~left_out] == labels[~left_out]).all()
    assert left_out.all(1).double().mean().item() == pytest.approx(0.1, abs=0.04)  # told nothing at all
    assert left_out.double().mean().item() == pytest.approx(1 - 0.9 * 0.9, abs=0.04)  # dropped with all, or by itself


def test_words_and_factors_are_told_to_the_same_unet():
    words, factors = (recipes._build(name, setting[0]) for name, setting in
                      (("teddies-words", configs.TEDDIES_WORDS), ("teddies-ldm", configs.TEDDIES_DENOISER)))  # fmt: skip
    shared = {name for name, _ in words.unet.named_parameters() if ".reading." not in name}
    assert shared == {name for name, _ in factors.named_parameters() if "conditioning.label" not in name}
    assert words.null_label == tuple(text.tokenise("")[0].tolist())


@torch.no_grad()
def test_the_shipped_vae_of_teddies_copies_new_ones_better_than_a_picture_of_a_quarter_of_the_pixels(machine):
    vae = recipes.load_or_train("teddies-vae", machine)
    _, card = weights.load(paths.data_dir() / "weights" / "teddies_vae.safetensors")
    for name, fine in {"test_psnr_without_grain_and_texture": False, "test_psnr": True}.items():
        tests = to_float(teddies.dataset(200, 77, unseen=True, fine=fine)[0])
        assert vae.encode(tests).mean.shape == (200, 4, 8, 8)
        copies = vae(tests).clamp(-1, 1)
        found = (10 * torch.log10(4 / (copies - tests).square().mean((1, 2, 3)))).mean().item()
        assert found == pytest.approx(card["metrics"][name], abs=0.4)
        smaller = torch.nn.functional.avg_pool2d(tests, 2)  # 12 times as many numbers as the latents
        enlarged = torch.nn.functional.interpolate(smaller, scale_factor=2, mode="bilinear", align_corners=False)
        assert found > psnr(enlarged, tests).item() + 2
