"""What a prior buys: what the command writes, and the means of the stored figures."""

import json
import statistics

import pytest
import torch
from oracles import seeded

from course_lib import device
from course_lib.experiments.ch3_vae import latent_space, prior_effects
from course_lib.vae import VAE


def test_the_command_measures_every_space_with_every_seed(monkeypatch, tmp_path):
    trained = []

    def train_space(name, machine, seed, steps=None, base=None):
        trained.append((name, seed, isinstance(base, VAE)))
        return VAE(width=8)

    report = dict.fromkeys(latent_space.ROWS, 1.0) | {"copy PSNR": float("inf")}
    monkeypatch.setattr(prior_effects, "train_space", train_space)
    monkeypatch.setattr(prior_effects.latent_space, "latent_space_report", lambda *arguments: report)
    figures = json.loads(prior_effects.measure_latent_space(steps=1, seed=4, out=tmp_path / "space.json").read_text())
    assert [name for name, _, _ in trained] == list(prior_effects.SPACES) * 3
    assert {seed for _, seed, _ in trained} == {4, 5, 6}
    assert all(has_base for name, _, has_base in trained if name == prior_effects.BETA_16)
    assert set(figures["spaces"]) == {prior_effects.PIXELS, *prior_effects.SPACES}
    assert all(len(reports) == 3 and "copy PSNR" not in reports[0] for reports in figures["spaces"].values())
    assert (figures["command"], figures["seeds"], figures["steps"]) == ("course measure latent-space", 3, 1)


def test_a_stored_mean_is_that_of_the_seeds_with_its_standard_error():
    values = [report["prior Fréchet"] for report in prior_effects.RESULT.read()["spaces"]["dense VAE"]]
    mean, error = prior_effects.stored_mean("dense VAE", "prior Fréchet")
    assert mean == pytest.approx(sum(values) / 3)
    assert error == pytest.approx(statistics.stdev(values) / 3**0.5)


@pytest.mark.parametrize(("space", "row", "match"), [("cubic", "same class", "space"), ("dense VAE", "height", "row")])
def test_a_space_or_a_row_that_there_is_not_is_refused(space, row, match):
    with pytest.raises(ValueError, match=match):
        prior_effects.stored_mean(space, row)


def test_beta_16_needs_the_network_from_which_it_continues():
    with pytest.raises(ValueError, match="base"):
        prior_effects.train_space(prior_effects.BETA_16, device.find("cpu"), 0)


def test_a_report_has_every_row(monkeypatch):
    machine = device.find("cpu")
    from course_lib.experiments.evaluator import Evaluator

    evaluator = Evaluator(machine)
    x, y = torch.rand(60, 1, 32, 32, generator=seeded()) * 2 - 1, torch.arange(60) % 7
    report = latent_space.latent_space_report(latent_space.PixelSpace(), x, y, evaluator, seeded())
    assert set(report) == set(latent_space.ROWS)
    assert 0 <= report["same class"] <= 1
