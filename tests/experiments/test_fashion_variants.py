"""Variants of the recipes' autoencoders: each differs from the recipe in what it names, and in nothing else."""

import json

import pytest
import torch
from oracles import seeded
from torch.testing import assert_close

from course_lib import device, recipes
from course_lib.experiments import fashion_variants
from course_lib.judges.classifier import Classifier
from course_lib.recipes.losses import beta_loss
from course_lib.vae import VAE

CPU = device.find("cpu", "fp32")


@pytest.fixture
def fashion(monkeypatch, tmp_path):
    """Stand-ins for Fashion-MNIST (uint8) that need no file: the same 300 images to train on and to test; and an empty runs/."""
    images = torch.randint(0, 256, (300, 1, 32, 32), generator=seeded(), dtype=torch.uint8)
    images = torch.cat([images[:150], 255 - images[150:] // 3])
    for module in ("experiments.fashion_variants", "recipes.fashion"):
        monkeypatch.setattr(f"course_lib.{module}.fashion_mnist", lambda split, on: (images, None))
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    return images


def small_vae() -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(width=8).eval()


def test_a_shape_changes_the_bottleneck_and_nothing_else_of_the_recipe(fashion):
    net, training = recipes.untrained_network("fashion-autoencoder", seed=1, steps=7, factor=4, latent_channels=2)
    same, full = recipes.untrained_network("fashion-autoencoder", seed=1)
    assert net.config == same.config | {"factor": 4, "latent_channels": 2}
    assert (training.steps, training.seed, training.lr) == (7, 1, full.lr)
    trained = fashion_variants.train_autoencoder(4, 2, CPU, steps=1, seed=1, progress=False)
    # One step of Adam moves no weight by more than the learning rate: this is that network after one step.
    moved = [(trained.state_dict()[name] - w).abs().max().item() for name, w in net.state_dict().items()]
    assert 0 < max(moved) <= 1.1 * training.lr


def test_the_point_of_the_recipes_own_shape_is_the_recipes_network(fashion, tmp_path):
    options = recipes.RunOptions(steps=2, progress=False)
    recipe = recipes.fashion_autoencoder(tmp_path / "net.safetensors", CPU, options).ema
    again = fashion_variants.train_autoencoder(8, 4, CPU, steps=2, progress=False)
    assert_close(again.state_dict(), recipe.state_dict(), rtol=0, atol=0)


def test_another_beta_starts_at_the_trained_network_and_leaves_it_unchanged(fashion):
    net = small_vae()
    before = {name: w.clone() for name, w in net.state_dict().items()}
    moved = fashion_variants.train_beta_vae(4.0, net, CPU, steps=1, progress=False)
    for name, w in net.state_dict().items():
        assert torch.equal(w, before[name])
        assert (moved.state_dict()[name] - w).abs().max() <= 1.1 * fashion_variants.LR  # one step of Adam
    assert not net.training


def test_a_beta_is_fine_tuning_with_its_loss(fashion):
    net = small_vae()
    direct = fashion_variants.fine_tune(net, beta_loss(4.0), CPU, steps=2, seed=3, progress=False)
    named = fashion_variants.train_beta_vae(4.0, net, CPU, steps=2, seed=3, progress=False)
    assert_close(named.state_dict(), direct.state_dict(), rtol=0, atol=0)


def test_weights_without_a_gradient_stay_where_they_are(fashion):
    net = small_vae()

    def decoder_only(vae, batch, generator):
        with torch.no_grad():
            z = vae.encode(batch[0].float() / 127.5 - 1).mean
        return vae.decode(z).float().square().mean()

    tuned = fashion_variants.fine_tune(net, decoder_only, CPU, steps=3, progress=False)
    assert_close(tuned.encoder.state_dict(), net.encoder.state_dict(), rtol=0, atol=0)
    assert not torch.equal(tuned.decoder[0].weight, net.decoder[0].weight)


def test_the_base_of_the_recipes_seed_is_the_recipes_and_another_is_trained_once(fashion, monkeypatch):
    recipe = small_vae()
    monkeypatch.setattr(fashion_variants.recipes, "load_or_train", lambda name, machine: recipe)
    assert fashion_variants.load_or_train_base(CPU) is recipe
    first = fashion_variants.load_or_train_base(CPU, seed=1, steps=2, progress=False)
    assert json.loads(recipes.saved_file("fashion-vae-seed-1-steps-2").with_suffix(".json").read_text())["seed"] == 1
    monkeypatch.setattr(fashion_variants, "train", lambda *_, **__: pytest.fail("trained again"))
    again = fashion_variants.load_or_train_base(CPU, seed=1, steps=2)
    assert_close(again.state_dict(), first.state_dict(), rtol=0, atol=0)
    assert not again.training


def test_a_saved_base_is_the_recipe_with_that_seed(fashion, tmp_path):
    recipe = recipes.fashion_vae(tmp_path / "net.safetensors", CPU, recipes.RunOptions(seed=1, steps=2, progress=False)).ema
    base = fashion_variants.load_or_train_base(CPU, seed=1, steps=2, progress=False)
    assert_close(base.state_dict(), recipe.state_dict(), rtol=0, atol=0)


def test_a_classifier_of_another_seed_is_trained_once(fashion, monkeypatch):
    calls = []

    def train(out, machine, options):
        calls.append((options.seed, options.steps))
        recipes.store.weights.save(out, recipes.build(Classifier, {}, options.seed), {"config": {}})

    monkeypatch.setattr(fashion_variants.recipes, "fashion_classifier", train)
    found = [fashion_variants.load_or_train_classifier(CPU, seed) for seed in (1, 2, 1)]
    assert calls == [(1, None), (2, None)]
    assert_close(found[0].state_dict(), recipes.build(Classifier, {}, 1).state_dict(), rtol=0, atol=0)
    assert_close(found[2].state_dict(), found[0].state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fashion_variants.fine_tune(small_vae(), beta_loss(1.0), CPU, steps=0), "steps is 0"),
        (lambda: fashion_variants.train_beta_vae(-1.0, small_vae(), CPU), "beta is -1"),
        (lambda: fashion_variants.load_or_train_base(CPU, seed=1.5), "seed is 1.5"),
        (lambda: fashion_variants.load_or_train_classifier(CPU, seed="one"), "seed is 'one'"),
    ],
)
def test_what_cannot_be_trained_is_named(call, match):
    with pytest.raises((ValueError, TypeError), match=match):
        call()
