"""Copies and floors: distances whose distribution is known, SciPy's test, and real images that score as real images do."""

import json

import pytest
import torch

from course_lib import device
from course_lib.codec import PixelCodec
from course_lib.experiments.ch4_latent_ddpm import sample_check
from course_lib.images import to_float

CPU = device.find("cpu", "fp32")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_probability_of_being_nearer_is_counted():
    control, other = torch.tensor([2.0, 4.0, 6.0]), torch.tensor([1.0, 3.0, 3.5, 7.0])
    found = sample_check.summarise({"control": control, "other": other}, "control")["other"]
    pairs = (other[:, None] < control).double().mean().item()
    assert found["nearer_than_control"] == pytest.approx(pairs, abs=1e-4)
    assert found["quantiles"][0] == 1.0
    assert found["quantiles"][20] == pytest.approx(3.25)
    assert found["quantiles"][-1] == 7.0
    assert found["nearer_than_1_percent"] == 0.25  # of 1, 3, 3.5 and 7 the first lies below 2.04


def test_equal_distributions_are_not_distinguished_and_copies_are():
    control, same = (torch.randn(500, generator=seeded(seed)).abs() + 5 for seed in (0, 1))
    found = sample_check.summarise({"control": control, "same": same, "copies": same - 3}, "control")
    assert found["control"]["nearer_than_control"] == pytest.approx(0.5)
    assert found["same"]["nearer_than_control"] == pytest.approx(0.5, abs=0.06)
    assert found["same"]["p"] > 0.01
    assert found["copies"]["nearer_than_control"] > 0.95
    assert found["copies"]["nearer_than_1_percent"] > 0.9
    assert found["copies"]["p"] < 1e-6


def test_balanced_rows_have_every_class_equally_often():
    labels = torch.cat([torch.arange(10).repeat(2), torch.zeros(15, dtype=torch.int64)])
    rows = sample_check.balanced_rows(labels, 12)
    assert labels[rows].bincount().tolist() == [2, 2] + 8 * [1]
    assert len(rows.unique()) == 12
    with pytest.raises(ValueError, match="n is 30, but there are only 21 labels"):
        sample_check.balanced_rows(labels, 30)


def test_the_distance_of_a_shift_is_its_square_and_the_floor_is_small():
    """Between equal Gaussians that are shifted by d the Fréchet distance is |d|²."""
    train, test = (torch.randn(4000, 3, generator=seeded(seed)) for seed in (0, 1))
    samples = torch.randn(1000, 3, generator=seeded(2)) + torch.tensor([3.0, 0.0, 4.0])
    found = sample_check.quality_and_floors(samples, train, test, (200, 1000))
    assert found["frechet"]["1000"]["samples"] == pytest.approx(25, rel=0.05)
    for n in ("200", "1000"):
        mean, low, high = found["frechet"][n]["floor"]
        assert 0 <= low < mean < high < 0.3
    assert found["frechet"]["1000"]["floor"][0] < found["frechet"]["200"]["floor"][0]
    low, high = found["kid"]["floor"][1:]
    assert low < 0.01
    assert found["kid"]["samples"] > 10 * high


def test_training_images_as_samples_are_found_out(evaluator, monkeypatch):
    """They are at distance 0 from the training images; new ones are not."""
    images, labels = (part[:600] for part in sample_check.fashion_mnist("train", CPU.device))
    monkeypatch.setattr(sample_check, "fashion_mnist", lambda split, on: (images, labels))
    monkeypatch.setattr(sample_check, "COUNTS", (20,))
    copies = to_float(images[sample_check.balanced_rows(labels, 20)])
    found = sample_check.check_samples(copies, PixelCodec(), evaluator)
    for space in ("pixels", "features"):
        assert found["nearest"][space]["samples"]["quantiles"][-1] == pytest.approx(0, abs=1e-3)
        assert found["nearest"][space]["new images"]["quantiles"][0] > 0
        assert found["nearest"][space][sample_check.CONTROL] == found["nearest"][space]["new images"]
    assert found["samples"] == found["compared"] == 20
    assert len(json.dumps(found)) < 30_000


def test_the_command_checks_what_it_draws(monkeypatch, tmp_path):
    monkeypatch.setattr(sample_check, "Evaluator", lambda machine: None)
    monkeypatch.setattr(sample_check.recipes, "load_codec", lambda name, machine: None)
    monkeypatch.setattr(sample_check, "draw_samples", lambda codec, machine, n, seed: ("drawn", n, seed))
    monkeypatch.setattr(sample_check, "check_samples", lambda drawn, codec, evaluator, seed: {"drawn": drawn, "seed": seed})
    figures = json.loads(sample_check.measure(40, 3, tmp_path / "s.json").read_text())
    assert figures == {"drawn": ["drawn", 40, 3], "seed": 3}
