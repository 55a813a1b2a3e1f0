"""Rate against distortion: a point against torch.distributions, and what the command writes."""

import json

import pytest
import torch
from oracles import seeded
from torch.distributions import Normal, kl_divergence

from course_lib import device
from course_lib.experiments import fashion_variants
from course_lib.experiments.ch3_vae import rate_distortion
from course_lib.vae import VAE


def images(n: int = 40) -> torch.Tensor:
    return torch.rand(n, 1, 32, 32, generator=seeded()) * 2 - 1


@torch.no_grad()
def test_a_point_is_rate_and_distortion_of_torch_distributions():
    torch.manual_seed(0)
    net, x = VAE(width=8).eval(), images()
    q = net.encode(x)
    rate = kl_divergence(Normal(q.mean, q.std), Normal(0.0, 1.0)).flatten(1).sum(1)
    distortion = -Normal(net.decode(q.sample(seeded())), net.noise_std).log_prob(x).flatten(1).sum(1)
    found = rate_distortion.rate_distortion_point(net, x)
    assert found["rate"] == pytest.approx(rate.mean().item(), abs=2e-3)
    assert found["distortion"] == pytest.approx(distortion.mean().item(), rel=1e-4)
    assert found["elbo"] == pytest.approx(-(rate + distortion).mean().item(), rel=1e-4)
    assert found["distortion_error"] == pytest.approx(distortion.std().item() / 40**0.5, rel=1e-3)


def test_the_command_measures_every_beta_and_records_its_settings(monkeypatch, tmp_path):
    for module in (rate_distortion, fashion_variants):
        monkeypatch.setattr(module, "fashion_mnist", lambda split, on: ((images(80) * 127.5 + 127.5).to(torch.uint8), None))
    monkeypatch.setattr(rate_distortion, "load_or_train_base", lambda machine: VAE(width=8))
    file = rate_distortion.measure_rate_distortion(steps=1, out=tmp_path / "curve.json")
    figures = json.loads(file.read_text())
    assert [p["beta"] for p in figures["points"]] == list(rate_distortion.BETAS)
    assert len(rate_distortion.BETAS) >= 6
    assert (figures["command"], figures["seed"], figures["steps"]) == ("course measure rate-distortion", 0, 1)
    assert figures["machine"] == str(device.find())


def test_a_missing_curve_is_reported_by_its_file(monkeypatch, tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"rate_distortion\.json"):
        rate_distortion.RESULT.read()


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (images(1), "at least 2 rows"),
        (images() * torch.nan, "images contains NaN"),
        ((images() * 127.5 + 127.5).to(torch.uint8), "to_float"),
    ],
)
def test_images_without_a_point_are_rejected(x, match):
    with pytest.raises(ValueError, match=match):
        rate_distortion.rate_distortion_point(VAE(width=8), x)
