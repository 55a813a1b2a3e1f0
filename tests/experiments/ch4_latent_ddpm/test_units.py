"""Latents in a wrong unit: each arm against the definition of the training that it stands for."""

import json

import pytest
import torch

from course_lib import device, schedule
from course_lib.diffusion import denoiser
from course_lib.experiments.ch4_latent_ddpm import schedules_and_scaling, units
from course_lib.samplers import ddim
from course_lib.vae import VAE

CPU = device.find("cpu", "fp32")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Linear(torch.nn.Module):
    """A network whose answer depends on its input, its step and its label, and that records them."""

    def forward(self, x, t, y):
        self.seen = x, t, y
        return 0.4 * x + 0.01 * t.view(-1, 1, 1, 1)


@pytest.mark.parametrize("unit", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("name", units.ARMS)
def test_the_loss_of_an_arm_is_that_of_its_definition(unit, name):
    """From scratch: data unit · u, noised with the cosine's rates; input and target in this unit, or as for unit variance."""
    wrong_input, wrong_target = units.ARMS[name]
    u, labels = torch.randn(64, 2, 3, 3, generator=seeded(1)), torch.arange(64) % 10
    net = Linear()
    found = units.unit_loss(units.InUnit(net, unit, wrong_input, wrong_target), (u, labels), seeded(2))
    x, t, _ = net.seen
    level = schedule.cosine().at(t)
    size = (level.alpha**2 * unit**2 + level.sigma**2).sqrt()
    noised = x if wrong_input else size * x  # in the wrong unit
    eps = (noised - level.alpha * unit * u) / level.sigma
    assert eps.std().item() == pytest.approx(1, abs=0.1)
    wrong, right = level.alpha * eps - level.sigma * unit * u, (level.alpha * unit * eps - level.sigma * u) / size
    goal = wrong if wrong_target else right
    expected = (0.4 * x + 0.01 * t.view(-1, 1, 1, 1) - goal).square().mean()
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("unit", [0.2, 5.0])
def test_an_exact_network_of_the_wrong_unit_draws_the_data(unit):
    """For data at one point c the v in the wrong unit is known; the samples in unit variance must be c."""
    c = torch.linspace(-1, 1, 18).view(2, 3, 3)

    class Exact(torch.nn.Module):
        def forward(self, x, t, y):
            level = schedule.cosine().at(t)
            eps = (x - level.alpha * unit * c) / level.sigma
            return level.alpha * eps - level.sigma * unit * c

    net = units.InUnit(Exact(), unit)
    x = ddim(denoiser(net, "v"), torch.randn(4, 2, 3, 3, generator=seeded()), net.schedule.grid(10))
    torch.testing.assert_close(x, c.expand(4, 2, 3, 3), atol=1e-3, rtol=1e-3)


def test_the_schedule_has_the_snr_of_the_wrong_unit():
    net = units.InUnit(Linear(), 5.0)
    for t in (100, 500, 900):
        gain = schedules_and_scaling.snr_db(net.schedule.level(t)) - schedules_and_scaling.snr_db(schedule.cosine().level(t))
        assert gain == pytest.approx(schedules_and_scaling.snr_offset_db(5.0))


def test_stretched_latents_are_larger_and_decode_to_the_same():
    torch.manual_seed(0)
    vae, images = VAE(width=8), torch.rand(3, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        before, decoded = vae.encode(images), vae(images)
        units.stretch_latents(vae, 5.0)
        after, again = vae.encode(images), vae(images)
    torch.testing.assert_close(after.mean, 5 * before.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after.logvar, before.logvar)
    torch.testing.assert_close(again, decoded, atol=1e-4, rtol=1e-4)


def test_the_small_denoiser_is_the_same_for_a_seed():
    latents = torch.zeros(1, 4, 2, 2)
    (one, config), (again, _), (other, _) = (schedules_and_scaling.small_denoiser(latents, 7, seed) for seed in (1, 1, 2))
    assert (config.steps, config.seed) == (7, 1)
    assert torch.equal(one.embed.weight, again.embed.weight)
    assert not torch.equal(one.embed.weight, other.embed.weight)


def test_the_command_measures_every_arm_and_every_scaling(monkeypatch, tmp_path):
    def measure_arm(unit, name, codec, evaluator, steps, seed):
        return {"unit": unit, "arm": name, "seed": seed, "frechet": steps + seed}

    def measure_scaling(name, codec, evaluator, steps, seed):
        return {"scaling": name, "seed": seed, "frechet": steps - seed}

    monkeypatch.setattr(units, "measure_arm", measure_arm)
    monkeypatch.setattr(units, "measure_scaling", measure_scaling)
    monkeypatch.setattr(units, "train_vae", lambda beta, factor, machine: (beta, factor))
    monkeypatch.setattr(units, "describe_vae", lambda name, codec, evaluator: {"vae": name, "settings": codec})
    monkeypatch.setattr(units, "Evaluator", lambda machine: None)
    monkeypatch.setattr(units.recipes, "load_codec", lambda name, machine: None)
    figures = json.loads(units.measure(steps=3, seed=1, out=tmp_path / "u.json").read_text())
    assert units.distances(figures) == {arm: [4, 5] for arm in units.arms()}
    assert [vae["settings"] for vae in figures["vaes"]] == [list(settings) for settings in units.VAES.values()]
    assert units.distances_by_scaling(figures) == {name: [2, 1] for name in units.SCALINGS}
    assert (figures["steps"], figures["command"]) == (3, "course measure units")
