"""The recipes: what they save can be loaded, fits its data, and repeats."""

import tempfile
import typing

import pytest
import torch
from torch.testing import assert_close

from course_lib import codec, data, device, recipes, teddies, text
from course_lib.images import to_float
from course_lib.metrics import psnr
from course_lib.recipes import configs, fashion, judges, losses, store
from course_lib.recipes import teddies as teddies_recipes
from course_lib.storage import atomic, paths, shipped, weights
from course_lib.text import TextDenoiser
from course_lib.unet import UNet


def quiet(steps, seed=0):
    return recipes.RunOptions(seed, steps, progress=False)


def few(split="train", device=None):
    """Fashion-MNIST's first 6,000 training or 1,000 test images: enough for recipes of a few steps."""
    n = {"train": 6000, "test": 1000}[split]
    return tuple(part[:n] for part in data.fashion_mnist(split, device))


@pytest.fixture(scope="module", autouse=True)
def few_images():
    with pytest.MonkeyPatch.context() as patch:
        for module in (fashion, judges):
            patch.setattr(module, "fashion_mnist", few)
        yield


@pytest.fixture(scope="module")
def machine():
    return device.find(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def trained(machine, tmp_path_factory):
    """A VAE of a few steps, saved in a folder of its own for all tests of the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield recipes.fashion_vae(None, machine, quiet(12))


def test_load_or_train_loads_what_was_saved(trained, machine):
    loaded = recipes.load_or_train("fashion-vae", machine)
    assert_close(loaded.state_dict(), trained.ema.state_dict(), rtol=0, atol=0)
    assert not loaded.training


def test_the_metadata_hold_the_test_psnr(trained, machine):
    _, metadata = weights.load(recipes.saved_file("fashion-vae"))
    tests = to_float(few("test")[0])
    with torch.no_grad():
        decoded = torch.cat([trained.ema(x) for x in tests.split(1000)])
    assert metadata["metrics"]["test_psnr"] == pytest.approx(psnr(decoded, tests).item(), abs=1e-3)
    assert metadata["steps"] == 12
    assert metadata["command"] == "course train fashion-vae"


def test_the_codec_gives_unit_variance_latents(trained, machine):
    latents = codec.cache(recipes.load_codec("fashion-vae", machine), few()[0])
    assert_close(latents.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    assert_close(latents.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)


def test_a_seed_repeats_a_run_and_leaves_the_callers_generator_alone(machine, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    runs = [
        recipes.fashion_autoencoder(tmp_path / f"{i}.safetensors", machine, quiet(3, seed)) for i, seed in enumerate((0, 0, 1))
    ]
    assert_close(torch.get_rng_state(), before)
    assert_close(runs[0].losses, runs[1].losses, rtol=0, atol=0)
    assert not torch.equal(runs[0].losses, runs[2].losses)


def test_the_denoiser_trains_on_the_saved_vae(trained, machine, tmp_path):
    file = tmp_path / "ldm.safetensors"
    result = recipes.fashion_ldm(file, machine, quiet(2))
    state, metadata = weights.load(file)
    assert metadata["config"]["in_channels"] == 4
    assert set(state) == set(result.ema.state_dict())


def test_an_unknown_network_is_named_with_the_choices(machine):
    with pytest.raises(ValueError, match=r"'mona-lisa'; choose from fashion-autoencoder"):
        recipes.load_or_train("mona-lisa", machine)


def test_type_checkers_know_the_class_of_every_recipes_network():
    hints = [typing.get_type_hints(one) for one in typing.get_overloads(store.load_or_train)]
    stated = {name: hint["return"] for hint in hints for name in typing.get_args(hint["name"])}
    assert stated == {name: entry.network for name, entry in recipes.RECIPES.items()}


def test_only_a_vae_has_a_codec(machine):
    with pytest.raises(ValueError, match="fashion-classifier trains a Classifier"):
        recipes.load_codec("fashion-classifier", machine)


def test_missing_shipped_weights_are_named_and_not_trained_unasked(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "data_dir", lambda: tmp_path)
    monkeypatch.setattr(shipped, "data_dir", lambda: tmp_path)
    (tmp_path / "manifest.json").write_bytes((paths.data_dir() / "manifest.json").read_bytes())
    for name, entry in recipes.RECIPES.items():
        if entry.shipped:
            with pytest.raises(paths.DataError, match=rf"{entry.file.name} is missing.*git checkout -- .*{entry.command}"):
                recipes.load_or_train(name, machine, quiet(1))
    assert [file.name for file in tmp_path.rglob("*")] == ["manifest.json"]


def test_shipped_weights_are_trained_into_their_place_when_asked(machine, tmp_path, monkeypatch):
    file = tmp_path / "weights" / "fashion_classifier.safetensors"
    monkeypatch.setattr(store, "data_dir", lambda: tmp_path)  # of the weights alone: the images are still read from data/
    recipes.fashion_classifier(None, machine, quiet(1))
    state, metadata = weights.load(file)
    assert metadata["steps"] == 1
    assert_close(recipes.load_or_train("fashion-classifier", machine).state_dict(), state, rtol=0, atol=0, check_dtype=False)


def no_training(*arguments, **options):
    pytest.fail("trained before the output file was tried")


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_an_output_file_is_tried_before_the_training(name, machine, tmp_path, monkeypatch):
    """A folder, a place under a file, and the default in a folder that cannot be made."""
    for module in (fashion, judges, teddies_recipes):
        monkeypatch.setattr(module, "train", no_training)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    for out in (tmp_path / "folder", tmp_path / "file" / "x.safetensors"):
        with pytest.raises(atomic.OutputError, match=rf"{out.name}.*(is a folder|cannot be written)"):
            recipes.RECIPES[name].train(out=out, machine=machine, options=quiet(1))
    if not recipes.RECIPES[name].shipped:
        monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "file" / "runs"))
        with pytest.raises(atomic.OutputError, match="COURSE_RUNS names another folder"):
            recipes.RECIPES[name].train(machine=machine, options=quiet(1))
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_that_cannot_be_saved_in_their_place_are_saved_elsewhere(trained, machine, tmp_path, monkeypatch):
    """The disk fills up during the training."""
    out, write = tmp_path / "out" / "ldm.safetensors", weights.write_atomically

    def full(file, payload):
        if file.parent == out.parent:
            raise atomic.OutputError(f"{file} cannot be written (No space left on device): free some space.")
        return write(file, payload)

    monkeypatch.setattr(weights, "write_atomically", full)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(atomic.OutputError, match=r"No space left.*The trained weights are in .*ldm.safetensors: move them"):
        recipes.fashion_ldm(out, machine, quiet(2))
    (elsewhere,) = tmp_path.glob("course-*/ldm.safetensors")
    assert weights.load(elsewhere)[1]["steps"] == 2


def test_a_resume_file_outlives_a_run_that_was_not_saved(tmp_path, monkeypatch):
    """Whatever goes wrong between the last step and the end of saving."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))

    def run(outcome):
        with store.resumable("teddies-vae") as file:
            file.write_bytes(b"the state of the last step")
            outcome()

    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["teddies_vae.resume"]
    run(lambda: None)
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs"]


def test_the_shipped_judge_reads_the_test_images(machine):
    from course_lib.judges.classifier import classify

    net = recipes.load_or_train("fashion-classifier", machine)
    images, labels = data.fashion_mnist("test")
    right = (classify(net, images[:2000])[1].argmax(1) == labels[:2000]).double().mean().item()
    assert right >= 0.9


def test_a_denoiser_of_captions_is_given_the_labels_that_are_not_dropped():
    captions = []

    def net(x, t, y):
        captions.extend(text.detokenise(y))
        return x

    labels = teddies.sample_factors(500, 0).labels()
    losses.text_denoising_loss()(net, (torch.zeros(500, 4, 8, 8), labels), torch.Generator().manual_seed(0))
    given = teddies.labels_from_captions(captions)
    dropped = given == torch.tensor(teddies.NUM_VALUES)
    assert (given[~dropped] == labels[~dropped]).all()
    assert dropped.all(1).double().mean().item() == pytest.approx(0.1, abs=0.04)  # the empty caption
    assert dropped.double().mean().item() == pytest.approx(1 - 0.9 * 0.9, abs=0.04)  # dropped with all, or by itself


def test_captions_and_labels_condition_the_same_unet():
    words = recipes.build(TextDenoiser, configs.TEDDIES_WORDS[0])
    factors = recipes.build(UNet, configs.TEDDIES_DENOISER[0])
    shared = {name for name, _ in words.unet.named_parameters() if ".reading." not in name}
    assert shared == {name for name, _ in factors.named_parameters() if "conditioning.label" not in name}
    assert words.null_label == tuple(text.tokenise("")[0].tolist())


@torch.no_grad()
def test_the_shipped_vae_of_teddies_reconstructs_new_ones_better_than_an_image_of_a_quarter_of_the_pixels(machine):
    vae = recipes.load_or_train("teddies-vae", machine)
    _, metadata = weights.load(paths.data_dir() / "weights" / "teddies_vae.safetensors")
    for name, fine in {"test_psnr_without_grain_and_texture": False, "test_psnr": True}.items():
        tests = to_float(teddies.dataset(200, 77, unseen=True, fine=fine)[0])
        assert vae.encode(tests).mean.shape == (200, 4, 8, 8)
        reconstructions = vae(tests).clamp(-1, 1)
        found = (10 * torch.log10(4 / (reconstructions - tests).square().mean((1, 2, 3)))).mean().item()
        assert found == pytest.approx(metadata["metrics"][name], abs=0.4)
        smaller = torch.nn.functional.avg_pool2d(tests, 2)  # 12 times as many values as the latents
        enlarged = torch.nn.functional.interpolate(smaller, scale_factor=2, mode="bilinear", align_corners=False)
        assert found > psnr(enlarged, tests).item() + 2
