"""Pixels against latents: the two guided denoisers, and what the comparison writes."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib import device, schedule
from course_lib.experiments.ch4_latent_ddpm import equal_time

CPU = device.find("cpu", "fp32")


def test_the_pixel_model_is_clamped_and_the_latent_model_is_not():
    class Big(nn.Module):  # a v-network whose x0_hat lies far outside [-1, 1]
        def forward(self, x, t, y):
            return torch.full_like(x, -50.0)

    x, level, y = torch.zeros(2, 1, 4, 4), schedule.cosine().level(500), torch.zeros(2, dtype=torch.long)
    assert equal_time.guided_factory("pixel", Big(), CPU)(y)(x, level).abs().max() == 1
    assert equal_time.guided_factory("latent", Big(), CPU)(y)(x, level).abs().max() > 10


@pytest.fixture
def calls(monkeypatch):
    """Replace both trainings, the codec and the evaluation; collect what the trainings are asked for."""
    asked = []

    def training(name, seconds):
        def train(out, machine, options, *rest):
            asked.append((name, options.max_seconds, options.seed, out.name))
            return SimpleNamespace(ema=None, seconds=seconds, images_per_second=1234.4)

        return train

    monkeypatch.setattr(equal_time.recipes, "fashion_vae", training("vae", 5.0))
    monkeypatch.setattr(equal_time.recipes, "fashion_ldm", training("latent", 9.0))
    monkeypatch.setattr(equal_time.recipes, "fashion_pixel_ddpm", training("pixel", 15.0))
    monkeypatch.setattr(equal_time.VAECodec, "fit", staticmethod(lambda vae, images: None))
    monkeypatch.setattr(equal_time, "fashion_mnist", lambda split, device: (torch.zeros(3, 1, 32, 32), None))
    monkeypatch.setattr(equal_time, "Evaluator", lambda machine: None)
    monkeypatch.setattr(equal_time, "_evaluate_model", lambda space, *rest: {"space": space})
    return asked


def test_both_models_get_the_same_seconds(calls, tmp_path):
    """The latent model's VAE gets a third, and its denoiser what VAE and encoding leave of the seconds."""
    figures = json.loads(equal_time.measure(seconds=15.0, seed=3, out=tmp_path / "figures.json").read_text())
    (vae, latent, pixel) = calls
    assert vae == ("vae", 5.0, 3, "vae.safetensors")
    assert latent == ("latent", pytest.approx(10.0, abs=0.5), 3, "ldm.safetensors")
    assert pixel == ("pixel", 15.0, 3, "pixel.safetensors")
    assert (figures["seconds"], figures["seed"], figures["command"]) == (15.0, 3, "course measure pixel-vs-latent")
    assert figures["latent"] == {
        "vae_seconds": 5.0,
        "vae_rate": 1234,
        "encoding_seconds": pytest.approx(0, abs=0.5),
        "space": "latent",
    }
    assert figures["pixel"] == {"space": "pixel"}
