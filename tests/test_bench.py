"""The benchmark's own arithmetic, its rivals' sizes and its report; speeds themselves are never tested."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from course_lib import cli
from course_lib.bench import peers, report, run, steps, throughput, timing
from course_lib.device import Machine

CPU = Machine(torch.device("cpu"), "32-true", 1, "a test's CPU")


def test_rivals_take_turns_and_the_median_counts(monkeypatch):
    clock = iter([0.0, 0.0] + [v for took in (1.0, 10.0, 3.0, 30.0, 2.0, 20.0) for v in (0.0, took)])
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    calls = []
    took = timing.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, CPU, repeats=3, warm_up=1)
    assert calls == ["a", "b"] * 4
    assert took["a"] == timing.Timing(2.0, 1.0, 3.0)
    assert took["b"] == timing.Timing(20.0, 10.0, 30.0)
    with pytest.raises(ValueError, match="repeats is 0"):
        timing.interleaved({}, CPU, repeats=0)


def test_the_exponent_of_a_power_law():
    sizes = [16, 32, 64, 128]
    assert timing.exponent(sizes, [3 * s**1.7 for s in sizes]) == pytest.approx(1.7)
    with pytest.raises(ValueError, match="2 sizes and 1 costs"):
        timing.exponent([1, 2], [1])


def test_a_rival_is_made_as_large_as_wanted():
    net = peers.matched(lambda width: nn.Linear(width, width), range(1, 100), 50 * 51)
    assert net.in_features == 50
    with pytest.raises(ValueError, match=r"The nearest width, 10, has 110 parameters, but 2,550 within 5%"):
        peers.matched(lambda width: nn.Linear(width, width), range(1, 11), 50 * 51)


@pytest.mark.parametrize("plan", ["UNet, latents 4×8×8", "UNet, pictures 3×32×32", "DiT, latents 4×8×8"])
def test_diffusers_networks_are_of_our_size_and_take_a_step(plan, monkeypatch):
    monkeypatch.setattr(peers, "lucidrains_unet", lambda *_: nn.Linear)  # need not be installed
    found = steps.plans()[plan]
    ours, theirs = found.nets["ours"](), found.nets["diffusers"]()
    assert peers.parameters(theirs) == pytest.approx(peers.parameters(ours), rel=0.05)
    x, t, y = torch.randn(2, *found.shape), torch.tensor([1, 900]), torch.tensor([0, 3])
    assert ours(x, t, y).shape == theirs(x, t, y).shape == x.shape
    small = steps.Plan(found.shape, 2, {"ours": lambda: ours, "diffusers": lambda: theirs})
    lines = steps.compare(small, CPU, peak=1e9, repeats=1)
    assert [line["network"] for line in lines] == ["ours", "diffusers"]
    for line in lines:
        assert line["gflop"] > 0
        assert line["share_of_matmul"] == pytest.approx(line["gflop"] / line["milliseconds"][0] * 1e3, rel=1e-6)


def test_a_missing_rival_is_told(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="denoising-diffusion-pytorch is not installed: run `make bench`"):
        peers.lucidrains()


def test_flops_are_those_of_the_matmuls():
    net, x = nn.Linear(8, 4, bias=False), torch.randn(16, 8)
    step = steps.training_step(net, lambda: net(x).square().mean(), CPU)
    assert steps.counted(step) == 2 * 2 * 16 * 8 * 4  # forward, and the weights' gradient; x needs none


def test_parts_are_kept_one_by_one_and_written_as_a_page(tmp_path, monkeypatch):
    monkeypatch.setitem(run.PARTS, "matmul", lambda machine: {"32-true": 123.456})
    monkeypatch.setitem(run.PARTS, "throughput", lambda machine: {"pictures": 1234.5})
    done = CliRunner().invoke(cli.cli, ["bench", "matmul", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    CliRunner().invoke(cli.cli, ["bench", "throughput", "--out", str(tmp_path)])
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| 32-true | 123 |" in page
    assert "| pictures | 1,234 |" in page or "| pictures | 1,235 |" in page
    stored = json.loads((tmp_path / "cpu.json").read_text(encoding="utf-8"))
    assert list(stored) == ["matmul", "throughput"]
    assert stored["matmul"]["versions"]["torch"] == torch.__version__


def test_an_unknown_part_is_refused():
    done = CliRunner().invoke(cli.cli, ["bench", "speed"])
    assert done.exit_code != 0
    assert "there is no part 'speed'; choose from matmul, steps" in str(done.exception or done.output)


def test_every_part_has_its_table():
    assert set(report.TABLES) == set(run.PARTS)


def test_processes_and_threads_are_timed_alike():
    assert throughput._rate(threads=1, batch=4, steps=2) > 0
