"""Prompts followed over scales and steps: one row on a small model, and what the command measures and writes."""

import json

import pytest
import torch

from course_lib import device, schedule, teddies, text_to_image
from course_lib.experiments.ch5_guidance import prompt_steps

CPU = device.find("cpu", "fp32")


class ConditionNet(torch.nn.Module):
    """Predicts v such that x0_hat is a fiftieth of the sum of the condition, in every pixel."""

    def forward(self, x, t, y):
        at = schedule.cosine().at(t)
        x0 = y.sum(1).view(-1, 1, 1, 1) / 50 + 0 * x
        return (at.alpha * x - x0) / at.sigma


class IdentityCodec:
    """The latents are the images."""

    def decode(self, latents):
        return latents.clamp(-1, 1)


@pytest.fixture
def model():
    return text_to_image.TextToImage(ConditionNet(), IdentityCodec(), schedule.cosine(), CPU, shape=(3, 8, 8))


@pytest.mark.parametrize("rule", [*prompt_steps.RULES, prompt_steps.DDIM])
def test_a_row_has_a_value_for_every_seed(model, rule, monkeypatch):
    drawn = []

    def adherence(reader, images, labels):
        drawn.append((images, labels))
        return {"all": len(images) / 100, "fur": 0.5}

    monkeypatch.setattr(prompt_steps, "adherence", adherence)
    row = prompt_steps.measure_row(model, None, rule, 2.0, 5, 6, range(2, 4))
    assert row["adherence"] == {"all": [0.06, 0.06], "fur": [0.5, 0.5]}
    assert [(labels < torch.tensor(teddies.NUM_VALUES)).all().item() for _, labels in drawn] == [True, True]
    assert not torch.equal(drawn[0][1], drawn[1][1])
    assert row["clipped"] == [round((images.abs() > prompt_steps.CLIPPED).double().mean().item(), 4) for images, _ in drawn]
    if rule in (prompt_steps.PLAIN, prompt_steps.DDIM):
        assert row["effective_scale"] == pytest.approx(2.0, abs=1e-3)


def test_the_command_measures_every_row(monkeypatch, tmp_path):
    def measure_row(model, reader, rule, scale, steps, prompts, seeds):
        return {"rule": rule, "scale": scale, "steps": steps, "prompts": prompts, "seeds": list(seeds)}

    monkeypatch.setattr(prompt_steps, "measure_row", measure_row)
    monkeypatch.setattr(prompt_steps.text_to_image, "load", lambda machine: None)
    monkeypatch.setattr(prompt_steps.recipes, "load_or_train", lambda name, machine: None)
    figures = json.loads(prompt_steps.measure(samples=9, seed=4, out=tmp_path / "p.json").read_text())
    points = prompt_steps.read_points(figures)
    assert set(points) == set(prompt_steps.rows())
    assert len(points) == len(prompt_steps.rows()) == 18
    assert all((p["prompts"], p["seeds"]) == (9, [4, 5, 6]) for p in points.values())
    assert figures["command"] == "course measure prompt-steps"
