"""Rate against distortion: a point against torch.distributions, and what the command writes."""

import json

import pytest
import torch
from oracles import seeded
from torch.distributions import Normal, kl_divergence

from course_lib import device, recipes
from course_lib.autoencoder import VAE
from course_lib.experiments import betas


def images(n: int = 40) -> torch.Tensor:
    return torch.rand(n, 1, 32, 32, generator=seeded()) * 2 - 1


@torch.no_grad()
def test_a_point_is_rate_and_distortion_of_torch_distributions():
    torch.manual_seed(0)
    net, x = VAE(width=8).eval(), images()
    q = net.encode(x)
    rate = kl_divergence(Normal(q.mean, q.std), Normal(0.0, 1.0)).flatten(1).sum(1)
    distortion = -Normal(net.decode(q.sample(seeded())), net.noise_std).log_prob(x).flatten(1).sum(1)
    found = betas.point(net, x)
    assert found["rate"] == pytest.approx(rate.mean().item(), abs=2e-3)
    assert found["distortion"] == pytest.approx(distortion.mean().item(), rel=1e-4)
    assert found["elbo"] == pytest.approx(-(rate + distortion).mean().item(), rel=1e-4)
    assert found["distortion_error"] == pytest.approx(distortion.std().item() / 40**0.5, rel=1e-3)


def test_the_command_measures_every_beta_and_says_how(monkeypatch, tmp_path):
    monkeypatch.setattr(betas, "fashion_mnist", lambda split, on: ((images(80) * 127.5 + 127.5).to(torch.uint8), None))
    file = betas.measure(steps=1, out=tmp_path / "curve.json")
    figures = json.loads(file.read_text())
    assert [p["beta"] for p in figures["points"]] == list(betas.BETAS)
    assert len(betas.BETAS) >= 6
    assert (figures["command"], figures["seed"], figures["steps"]) == ("course train rate-distortion", 0, 1)
    assert figures["machine"] == str(device.find())


def test_the_network_is_the_recipe_s(monkeypatch):
    monkeypatch.setattr(betas, "fashion_mnist", lambda split, on: ((images(80) * 127.5 + 127.5).to(torch.uint8), None))
    net = betas.beta_vae(1.0, device.find("cpu"), steps=1, progress=False)
    assert net.config == VAE(1, **recipes._VAE["cpu"][0]).config


def test_a_missing_curve_is_named(monkeypatch, tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"rate_distortion\.json"):
        betas.stored()
