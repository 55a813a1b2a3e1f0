"""The curve of bottlenecks: its points against plain loops and singular values, and what the command writes."""

import json
import math

import pytest
import torch
from oracles import seeded

from course_lib import device, recipes
from course_lib.autoencoder import Autoencoder
from course_lib.experiments import fashion_variants
from course_lib.experiments.ch2_autoencoder import bottlenecks
from course_lib.images import to_float


@pytest.fixture
def fashion(monkeypatch):
    """Stand-ins for Fashion-MNIST (uint8) that need no file: the same 300 images to train on and to test."""
    images = torch.randint(0, 256, (300, 1, 32, 32), generator=seeded(), dtype=torch.uint8)
    images = torch.cat([images[:150], 255 - images[150:] // 3])
    for module in (bottlenecks, fashion_variants):
        monkeypatch.setattr(module, "fashion_mnist", lambda split, on: (images, None))
    return images


def mean_psnr(reconstructions: torch.Tensor, images: torch.Tensor) -> float:
    """In dB, one image after another, by hand."""
    errors = [(c.clamp(-1, 1) - x).square().mean().item() for c, x in zip(reconstructions, images, strict=True)]
    return sum(10 * math.log10(4 / e) for e in errors) / len(errors)


@torch.no_grad()
def test_a_point_is_the_networks_shape_and_the_mean_psnr_of_its_reconstructions(fashion):
    torch.manual_seed(0)
    net, x = Autoencoder(width=8, factor=4, latent_channels=3).eval(), to_float(fashion[:20])
    found = bottlenecks.bottleneck_point(net, x)
    assert (found["factor"], found["channels"], found["numbers"]) == (4, 3, 3 * 8 * 8)
    assert found["parameters"] == sum(w.numel() for w in net.state_dict().values())
    assert found["psnr"] == pytest.approx(mean_psnr(net(x), x), abs=1e-3)


def test_the_command_measures_every_shape_and_pca(fashion, tmp_path):
    figures = json.loads(bottlenecks.measure_bottlenecks(steps=1, seed=3, out=tmp_path / "curve.json").read_text())
    assert [(p["factor"], p["channels"]) for p in figures["points"]] == list(bottlenecks.SHAPES)
    assert [p["numbers"] for p in figures["points"]] == [16, 32, 64, 128, 256, 64, 128, 256]
    assert (figures["command"], figures["seed"], figures["steps"]) == ("course measure bottlenecks", 3, 1)
    assert (figures["machine"], figures["images"]) == (str(device.find()), 300)
    x = to_float(fashion)
    u, s, v = torch.linalg.svd((x - x.mean(0)).flatten(1).double(), full_matrices=False)
    for row, k in zip(figures["pca"], (16, 32, 64, 128, 256), strict=True):
        best = (u[:, :k] * s[:k] @ v[:k]).view_as(x) + x.mean(0)
        assert row["numbers"] == k
        assert row["psnr"] == pytest.approx(mean_psnr(best, x), abs=2e-3)


def test_the_stored_curve_is_complete_and_of_the_recipes_length():
    figures = bottlenecks.RESULT.read()
    assert [(p["factor"], p["channels"]) for p in figures["points"]] == list(bottlenecks.SHAPES)
    assert [p["numbers"] for p in figures["pca"]] == sorted({p["numbers"] for p in figures["points"]})
    assert figures["steps"] == recipes.untrained_network("fashion-autoencoder")[1].steps
    assert figures["images"] == 10_000
    assert figures["command"].endswith(bottlenecks.RESULT.name)  # measured when the command was still `course train`


@pytest.mark.parametrize(("content", "problem"), [(None, "missing"), (b"{}", "truncated"), (b'{"points": []} ', "altered")])
def test_a_missing_or_altered_curve_is_named_with_its_command(monkeypatch, tmp_path, content, problem):
    entry = {"bytes": 15, "sha256": "0" * 64, "licence": "MIT", "source": "a test", "command": bottlenecks.RESULT.command}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {bottlenecks.RESULT.file: entry}}))
    if content is not None:
        (tmp_path / "results").mkdir()
        (tmp_path / bottlenecks.RESULT.file).write_bytes(content)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=rf"bottlenecks\.json is {problem} .*course measure bottlenecks"):
        bottlenecks.RESULT.read()


def test_uint8_images_are_rejected_before_they_are_encoded():
    with pytest.raises(ValueError, match="to_float"):
        bottlenecks.bottleneck_point(Autoencoder(width=8), torch.zeros(2, 1, 16, 16, dtype=torch.uint8))
