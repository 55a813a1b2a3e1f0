"""The exported models, run by onnxruntime without Python's network, against torch."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from course_lib import device, recipes, text_to_image
from course_lib.diffusion import denoiser
from course_lib.samplers import ddim, dpmpp_2m, heun
from course_lib.tools.cli import cli
from course_lib.tools.site import live, models
from course_lib.tools.site.links import SiteError

MACHINE = device.find("cpu", "fp32")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    done = CliRunner().invoke(cli, ["export", str(folder)])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in folder.iterdir()) == sorted(models.FILES)
    return folder


@pytest.fixture(scope="module")
def run(exported):
    """Run an exported file on named arrays or tensors."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {}

    def call(name: str, **inputs) -> np.ndarray:
        session = sessions.setdefault(name, onnxruntime.InferenceSession(str(exported / name), options))
        return session.run(None, {key: np.asarray(value) for key, value in inputs.items()})[0]

    return call


def walk(run, facts: dict, noise: np.ndarray, labels: np.ndarray, negative: np.ndarray, scale: float, steps: int) -> np.ndarray:
    """The page's walk in NumPy: images."""
    levels, rows = facts["levels"][str(steps)], facts["coefficients"][str(steps)]
    x, terms = noise * np.float32(levels[0][2]), [noise]
    both = np.concatenate([labels, np.broadcast_to(negative, labels.shape)])
    for (t, alpha, sigma), row in zip(levels, rows, strict=False):
        level = {"t": np.int64(t), "alpha": np.float32(alpha), "sigma": np.float32(sigma)}
        towards, away = np.split(run("denoiser.onnx", x_t=np.concatenate([x, x]), labels=both, **level), 2)
        terms.append(away + np.float32(scale) * (towards - away))
        x = sum(np.float32(factor) * term for factor, term in zip(row, terms, strict=True))
    return run("decoder.onnx", latents=x)


@pytest.mark.parametrize(
    ("prompts", "negative", "scale", "steps"),
    [
        (["two pink teddy bears with a green scarf reading on a meadow"], "", 3.0, 10),
        (["a blue teddy bear at night", "sleeping in the snow", ""], "a brown bear", 5.5, 4),
        (["golden bears eating honey"] * 7, "", 1.0, 1),
    ],
)
def test_an_exported_walk_equals_that_of_torch(exported, run, prompts, negative, scale, steps):
    facts = json.loads((exported / "models.json").read_text(encoding="utf-8"))
    model = text_to_image.load(MACHINE)
    labels, away = model.encode_prompt(prompts), model.encode_prompt(negative)[0]
    expected = model.sample(labels, scale, steps, seed=3, negative_condition=away)
    noise = torch.randn(len(prompts), *model.shape, generator=torch.Generator().manual_seed(3))
    assert facts["shape"] == list(model.shape)
    got = walk(run, facts, noise.numpy(), labels.numpy(), away.numpy(), scale, steps)
    assert np.abs(got - expected.numpy()).max() < 1e-4
    assert expected.std() > 0.1


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_exported_map_equals_chapter_3s_decoder(run, batch):
    points = torch.randn(batch, 2, 1, 1, generator=torch.Generator().manual_seed(batch))
    with torch.no_grad():
        expected = recipes.load_or_train("fashion-map-vae", MACHINE).decode(points)
    assert np.abs(run("map.onnx", latents=points) - expected.numpy()).max() < 1e-4


@pytest.mark.parametrize("steps", [1, 2, 3, 20])
@pytest.mark.parametrize("sampler", [dpmpp_2m, ddim])
def test_coefficients_repeat_the_sampler_for_any_denoiser(sampler, steps):
    levels, generator = recipes.make_schedule().grid(steps), torch.Generator().manual_seed(steps)
    noise = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    denoise = denoiser(lambda x, t, y: torch.tanh(x * 1.7 + 0.01 * t.view(-1, 1, 1, 1)), "x0")
    x, terms = noise * levels[0].sigma, [noise]
    for level, row in zip(levels, models.coefficients(sampler, levels), strict=False):
        terms.append(denoise(x, level))
        x = sum(factor * term for factor, term in zip(row, terms, strict=True))
    torch.testing.assert_close(x, sampler(denoise, noise * levels[0].sigma, levels))


def test_a_sampler_of_several_calls_a_step_has_no_such_coefficients():
    with pytest.raises(ValueError, match="one network call a step"):
        models.coefficients(heun, recipes.make_schedule().grid(3))


def test_weights_are_stored_as_small_as_they_are_shipped(exported):
    stored = {name: (exported / name).stat().st_size for name in models.FILES}
    parameters = sum(p.numel() for p in text_to_image.load(MACHINE).net.parameters())
    assert stored["denoiser.onnx"] < 2.1 * parameters + 60_000
    assert sum(stored.values()) < 5_000_000


@pytest.mark.parametrize("integers", [False, True])
def test_a_weight_is_shortened_without_changing_a_value(integers):
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(64, 48, bias=False)
    values = torch.randint(-127, 128, (48, 64), generator=generator).float()
    values[:, 0] = 127
    steps = torch.rand(48, 1, generator=generator) if integers else 2.0**-7
    layer.weight.data = values * steps
    payload = models._trace(layer, x=torch.zeros(2, 64))
    session = onnxruntime.InferenceSession(payload)
    stored = session.run(None, {"x": np.eye(64, dtype=np.float32)})[0].T
    assert np.allclose(stored, layer.weight.detach().numpy(), rtol=0 if not integers else 1e-6, atol=0)
    kinds = {one.data_type for one in onnx.load_from_string(payload).graph.initializer if np.prod(one.dims) >= 1024}
    assert kinds == {onnx.TensorProto.INT8 if integers else onnx.TensorProto.FLOAT16}


def test_a_missing_runtime_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "PACKAGE", tmp_path)
    with pytest.raises(SiteError, match=r"onnxruntime-web's .* is not at .*make site"):
        live.fill(tmp_path)
