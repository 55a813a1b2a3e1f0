"""The sweep over ways of making latents: its points, its resumption, and the correlations read from what it stores."""

import json
from types import SimpleNamespace

import pytest
import torch
from oracles import seeded
from scipy.stats import spearmanr

from course_lib import device, recipes
from course_lib.autoencoder import Autoencoder
from course_lib.codec import cache
from course_lib.experiments.ch12_latents import codecs, comparison
from course_lib.judges.classifier import Classifier, classify
from course_lib.metrics import frechet_distance

CPU = device.find("cpu", "fp32")


@pytest.fixture
def small_world(monkeypatch, tmp_path):
    """An evaluator of 60 test images, 300 images to train on, an untrained autoencoder as the only way, and an empty runs/."""
    x = (torch.rand(300, 1, 32, 32, generator=seeded()) * 255).to(torch.uint8)
    labels = torch.arange(300) % 10
    net = recipes.build(Classifier, {}).eval()
    evaluator = SimpleNamespace(machine=CPU, net=net, images=x[:60], labels=labels[:60], features=classify(net, x[:60])[0])
    evaluator.frechet = lambda images: frechet_distance(classify(net, images)[0], evaluator.features)
    way = codecs.Way("a family", "1", lambda machine, seed, steps: recipes.build(Autoencoder, {"width": 8}, seed))
    monkeypatch.setattr(comparison, "WAYS", {"a way": way, "another": way})
    monkeypatch.setattr(codecs, "WAYS", comparison.WAYS)
    monkeypatch.setattr(comparison, "FIRST", ("another",))
    monkeypatch.setattr(comparison, "BATCH", 16)
    monkeypatch.setattr(comparison, "fashion_mnist", lambda split, on: (x, labels))
    monkeypatch.setattr(comparison, "Evaluator", lambda machine: evaluator)
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    return evaluator


def test_a_point_has_everything_that_is_promised(small_world):
    point = comparison.measure_point("a way", small_world, seed=1, steps=2, n=20)
    assert set(point) == {
        "way",
        "family",
        "seed",
        "steps",
        "shape",
        "seconds",
        "pixel_floor",
        *comparison.PREDICTORS,
        *comparison.OUTCOMES,
    }
    assert (point["way"], point["family"], point["seed"], point["kl"]) == ("a way", "a family", 1, None)
    assert (point["shape"], point["dimensions"]) == ([4, 4, 4], 64)
    assert 0 <= point["agreement"] <= 1
    assert min(point["irreducible_low"], point["irreducible_high"]) > 0
    json.dumps(point, allow_nan=False)


def test_a_point_is_measured_on_the_ways_own_reconstructions(small_world):
    point = comparison.measure_point("a way", small_world, seed=1, steps=1, n=20)
    net, x = recipes.build(Autoencoder, {"width": 8}, 1).eval(), small_world.images.float() / 127.5 - 1
    with torch.no_grad():
        errors = (net(x).clamp(-1, 1) - x).square().flatten(1).mean(1)
    assert point["psnr"] == pytest.approx((10 * torch.log10(4 / errors)).mean().item(), abs=2e-3)


def test_the_samples_of_some_ways_are_stored_for_the_eye(small_world, monkeypatch):
    monkeypatch.setattr(comparison, "SHOWN_WAYS", ("a way",))
    monkeypatch.setattr(comparison, "STEPS", 1)
    drawn = []
    monkeypatch.setattr(comparison, "generate", lambda *args, **options: drawn.append(noise) or noise)
    noise = torch.rand(20, 1, 32, 32, generator=seeded()) * 2 - 1
    points = [comparison.measure_point("a way", small_world, seed, 1, n=20) for seed in range(2)]
    found = comparison.stored_samples({"points": points})
    assert ["samples" in point for point in points] == [True, False]
    assert found["a way"].shape == (comparison.SHOWN, 1, 32, 32)
    assert (found["a way"].float() / 127.5 - 1 - noise[: comparison.SHOWN]).abs().max() <= 1 / 127.5


def test_real_images_score_as_real(evaluator):
    scores = comparison.quality(evaluator.images[:200], evaluator.labels[:200], evaluator)
    assert scores["agreement"] == pytest.approx(0.92, abs=0.06)
    half = comparison.quality(evaluator.images[:200] // 2, evaluator.labels[:200], evaluator)
    assert half["frechet"] > scores["frechet"]
    assert half["kid"] > scores["kid"]
    assert half["pixel_frechet"] > scores["pixel_frechet"]


def test_the_judge_that_was_not_trained_is_principal_components(small_world):
    x = small_world.images[:20].float() / 127.5 - 1
    test = (small_world.images.float() / 127.5 - 1).flatten(1).double()
    _, _, axes = torch.linalg.svd(test - test.mean(0), full_matrices=False)
    expected = ((x.flatten(1).double() - test.mean(0)) @ axes[:3].T).abs()
    found = comparison.pixel_features(x, small_world, 3).abs()
    torch.testing.assert_close(found.flip(1), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(comparison.pixel_features(small_world.images[:20], small_world, 3).abs(), found)


def test_the_denoiser_takes_the_latents_channels_and_the_recipes_settings(small_world):
    codec = codecs.make_codec("a way", CPU, images=small_world.images)
    latents = cache(codec, small_world.images).repeat(3, 4, 1, 1)
    result = comparison.train_denoiser(latents, small_world.labels.repeat(3), CPU, steps=2, seed=1)
    assert result.steps == 2
    same, _ = recipes.untrained_network("fashion-ldm", 1, in_channels=16)
    assert {k: w.shape for k, w in result.ema.state_dict().items()} == {k: w.shape for k, w in same.state_dict().items()}


# --- the sweep -----------------------------------------------------------------------------------------------------


@pytest.fixture
def sweep(small_world, monkeypatch):
    """The calls of `measure_point`, which is replaced, and stops at the third."""
    calls = []

    def measure_point(name, evaluator, seed, steps):
        calls.append((name, seed))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"way": name, "seed": seed, "frechet": 10.0 + seed, "steps": steps}

    monkeypatch.setattr(comparison, "measure_point", measure_point)
    return calls


def test_a_second_start_continues_where_the_first_stopped(sweep, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        comparison.measure(steps=3, out=tmp_path / "latents.json")
    partial = tmp_path / "latents_steps_3.jsonl"
    assert len(comparison.read_points(partial)) == 2
    assert not (tmp_path / "latents.json").exists()
    figures = json.loads(comparison.measure(steps=3, out=tmp_path / "latents.json").read_text())
    assert sweep == [("another", 0), ("another", 1), ("a way", 0), ("a way", 0), ("a way", 1)]
    assert [(p["way"], p["seed"]) for p in figures["points"]] == [("a way", 0), ("a way", 1), ("another", 0), ("another", 1)]
    assert (figures["steps"], figures["seeds"], figures["command"]) == (3, 2, "course measure latents")
    assert set(figures["real"]) == set(comparison.OUTCOMES)
    assert comparison.by_way(figures, "frechet") == {"a way": [10.0, 11.0], "another": [10.0, 11.0]}
    assert figures["longer"] == {"steps": 12, "points": []}
    assert not partial.exists()


def test_some_ways_are_trained_longer_as_well(sweep, monkeypatch, tmp_path):
    sweep += [None] * 3  # beyond the interruption
    monkeypatch.setattr(comparison, "LONG_WAYS", ("a way",))
    figures = json.loads(comparison.measure(steps=3, out=tmp_path / "latents.json").read_text())
    assert [(p["way"], p["seed"], p["steps"]) for p in figures["longer"]["points"]] == [("a way", 0, 12), ("a way", 1, 12)]
    assert {p["steps"] for p in figures["points"]} == {3}


def test_the_first_ways_are_ways():
    assert set(comparison.FIRST) <= set(codecs.WAYS)
    assert len(set(comparison.FIRST)) == len(comparison.FIRST)


# --- correlations --------------------------------------------------------------------------------------------------


def figures() -> dict:
    """Six ways, two seeds: quality follows psnr exactly with seed 0, and not with seed 1. Two ways have no KL."""
    frechet = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 1.0, 4.0, 3.0, 6.0, 5.0]]
    constant = dict.fromkeys(comparison.PREDICTORS, 1.0)
    points = [
        {**constant, "way": f"w{i}", "seed": s, "psnr": -float(i), "kl": None if i < 2 else float(i), "frechet": frechet[s][i]}
        for s in range(2)
        for i in range(6)
    ]
    return {"seed": 0, "seeds": 2, "points": points}


def test_correlations_are_spearmans_for_each_seed():
    ways = [f"w{i}" for i in range(6)]
    found = comparison.correlations(figures(), "frechet", ways)
    assert found["psnr"][0] == -1
    assert found["psnr"][1] == pytest.approx(spearmanr([0, -1, -2, -3, -4, -5], [2, 1, 4, 3, 6, 5]).statistic)
    assert found["kl"] == [1.0, pytest.approx(0.6)]  # of w2 … w5 alone: ranks 1 2 3 4 against 2 1 4 3
    assert all(value != value for value in found["floor"])  # constant: there is no order


def test_a_predictor_of_fewer_than_three_ways_is_left_out():
    found = comparison.correlations(figures(), "frechet", ["w0", "w1", "w2", "w3"])
    assert "kl" not in found
    assert found["psnr"] == [-1, pytest.approx(-0.6)]


def test_rank_correlation_is_the_textbooks_formula():
    a, b = [3.0, 1.0, 4.0, 1.5, 5.0], [2.0, 7.0, 1.0, 8.0, 3.0]
    ranks = [torch.tensor(x).argsort().argsort() for x in (a, b)]
    expected = 1 - 6 * (ranks[0] - ranks[1]).square().sum().item() / (5 * 24)
    assert comparison.rank_correlation(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: comparison.rank_correlation([1.0], [2.0]), "at least 2"),
        (lambda: comparison.rank_correlation([1.0, 2.0], [2.0]), "equally many"),
        (lambda: comparison.correlations(figures(), "colour"), "colour"),
        (lambda: comparison.measure_point("no way", SimpleNamespace(machine=CPU)), "no way"),
        (lambda: comparison.measure(steps=-1), "steps is -1"),
    ],
)
def test_what_cannot_be_compared_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
