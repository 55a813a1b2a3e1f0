"""Pixel models on patches: what is trained, that an exact network is followed to its image, and what the command writes."""

import json

import pytest
import torch

from course_lib import device, schedule
from course_lib.codec import PixelCodec
from course_lib.diffusion import steps_between
from course_lib.dit import DiT
from course_lib.experiments.ch4_latent_ddpm import pixel_targets
from course_lib.experiments.generate import generate
from course_lib.recipes.losses import denoising_loss
from course_lib.unet import UNet

CPU = device.find("cpu", "fp32")


@pytest.mark.parametrize("name", pixel_targets.ARMS)
def test_an_exact_network_of_one_image_is_followed_to_it(name):
    arm, image = pixel_targets.ARMS[name], torch.linspace(-1, 1, 1024).view(1, 32, 32)

    class Exact(torch.nn.Module):
        def forward(self, x_t, t, y):
            level = schedule.cosine().at(t)
            eps = (x_t - level.alpha * image) / level.sigma
            return image.expand(x_t.shape) if arm.target == "x0" else level.alpha * eps - level.sigma * image

    make = pixel_targets.factory(arm, Exact(), CPU)
    images = generate(make, torch.arange(3), PixelCodec(), pixel_targets.SHAPE, CPU, levels=schedule.cosine().grid(5))
    torch.testing.assert_close(images, image.expand(3, 1, 32, 32), atol=1e-4, rtol=1e-4)


def test_x0_is_clamped():
    make = pixel_targets.factory(pixel_targets.ARMS["patches of 4×4, x0"], lambda x, t, y: 5 * torch.ones_like(x), CPU)
    assert make(torch.zeros(2, dtype=torch.int64))(torch.zeros(2, 1, 32, 32), schedule.cosine().level(500)).max() == 1


def test_the_arms_networks():
    nets = {name: pixel_targets.untrained(arm)[0] for name, arm in pixel_targets.ARMS.items()}
    assert type(nets["UNet, v"]) is UNet
    x, t, y = torch.zeros(2, 1, 32, 32), torch.ones(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    for net in nets.values():
        assert net(x, t, y).shape == x.shape
    tokens = {name: net.position.shape[1] for name, net in nets.items() if type(net) is DiT}
    assert tokens == {name: 64 if arm.patch == 4 else 4 for name, arm in pixel_targets.ARMS.items() if arm.patch}


def test_the_loss_of_x0_is_that_of_v():
    """‖v − v̂‖² = ‖x0 − x̂0‖² / sigma², at every level of the training."""
    seen = {}

    def net(x_t, t, y):
        seen.update(x_t=x_t, t=t)
        return 0.3 * x_t

    x0, labels = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(40, dtype=torch.int64)
    loss = denoising_loss(10, "x0", draw_steps=steps_between(pixel_targets.FIRST, 1000), measured_in="v")
    found = loss(net, (x0, labels), torch.Generator().manual_seed(1))
    assert seen["t"].min() >= pixel_targets.FIRST
    sigma = schedule.cosine().at(seen["t"]).sigma
    assert sigma.min() > 0.049
    torch.testing.assert_close(found, ((0.3 * seen["x_t"] - x0) / sigma).square().mean(), rtol=1e-4, atol=1e-4)


def test_the_command_measures_every_arm(monkeypatch, tmp_path):
    monkeypatch.setattr(pixel_targets, "Evaluator", lambda machine: None)
    monkeypatch.setattr(
        pixel_targets, "measure_arm", lambda name, evaluator, seconds, seed: {"arm": name, "seconds": seconds, "seed": seed}
    )
    figures = json.loads(pixel_targets.measure(2.5, 1, tmp_path / "p.json").read_text())
    assert figures["points"] == [{"arm": name, "seconds": 2.5, "seed": 1} for name in pixel_targets.ARMS]
    assert figures["command"] == "course measure pixel-targets"
