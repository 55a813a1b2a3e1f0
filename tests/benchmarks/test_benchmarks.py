"""The benchmark's own arithmetic, the sizes of the compared networks, and the report; speeds themselves are never tested."""

import json
import re
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from benchmarks import gpu, growth, memory, peers, records, report, roofline, run, steps, throughput, timing
from course_lib import device, recipes
from course_lib.device import Machine
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.flops import flops
from course_lib.recipes import configs
from course_lib.storage import paths
from course_lib.tools import cli
from course_lib.unet import UNet

CPU = Machine(torch.device("cpu"), "32-true", 1, "a test's CPU")


def test_alternatives_take_turns_and_the_median_counts(monkeypatch):
    clock = iter([0.0, 0.0] + [v for took in (1.0, 10.0, 3.0, 30.0, 2.0, 20.0) for v in (0.0, took)])
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    calls = []
    took = timing.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, CPU, repeats=3, warm_up=1)
    assert calls == ["a", "b"] * 4
    assert took["a"] == timing.Timing(2.0, 1.0, 3.0)
    assert took["b"] == timing.Timing(20.0, 10.0, 30.0)
    with pytest.raises(ValueError, match="repeats is 0"):
        timing.interleaved({}, CPU, repeats=0)


def test_a_compared_network_has_the_wanted_size():
    net = peers.matched(lambda width: nn.Linear(width, width), range(1, 100), 50 * 51)
    assert net.in_features == 50
    with pytest.raises(ValueError, match=r"The nearest width, 10, has 110 parameters, but 2,550 within 5%"):
        peers.matched(lambda width: nn.Linear(width, width), range(1, 11), 50 * 51)


@pytest.mark.parametrize("plan", ["UNet, latents 4×8×8", "UNet, pixels 3×32×32", "DiT, latents 4×8×8"])
def test_diffusers_networks_are_of_our_size_and_take_a_step(plan):
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


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"denoising-diffusion-pytorch .*`make bench`"):
        peers.lucidrains()


def test_flops_are_those_of_the_matmuls():
    net, x = nn.Linear(8, 4, bias=False), torch.randn(16, 8)
    step = steps.training_step(net, lambda: net(x).square().mean(), CPU)
    assert flops(step) == 2 * 2 * 16 * 8 * 4  # forward, and the weights' gradient; x needs none


def test_parts_are_stored_one_by_one_and_written_as_a_page(tmp_path, monkeypatch):
    monkeypatch.setitem(run.PARTS, "matmul", lambda machine: {"32-true": 123.456})
    monkeypatch.setitem(run.PARTS, "throughput", lambda machine: {"images": 1234.5})
    run.run(["matmul"], tmp_path)
    run.run(["throughput"], tmp_path)
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| 32-true | 123 |" in page
    assert "| images | 1,234 |" in page or "| images | 1,235 |" in page
    (file,) = tmp_path.glob("*.json")
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert list(stored) == ["matmul", "throughput"]
    assert stored["matmul"]["versions"]["torch"] == torch.__version__


def test_an_unknown_part_is_refused_by_the_command_line():
    done = CliRunner().invoke(cli.cli, ["bench", "speed"])
    assert done.exit_code == 2
    with pytest.raises(ValueError, match=r"'speed'.*matmul, roofline, steps"):
        run.run(["speed"])


def test_every_part_has_its_place():
    assert list(report.TABLES) == list(run.PARTS)
    assert set(run.PARTS) - set(run.parts_for(CPU)) == {"gpu"}
    gpu = Machine(torch.device("cuda", 0), "bf16-mixed", 1, "a test's GPU")
    assert set(run.PARTS) - set(run.parts_for(gpu)) == {"threads"}


@pytest.mark.processes
@pytest.mark.parametrize("processes", [1, 2])
def test_processes_and_threads_are_timed_by_the_same_program(processes):
    assert throughput._rate(processes, threads=1, steps=2) > 0


def test_peak_memory_is_what_was_held_at_once():
    """200 MiB twice, one after the other, are 200 MiB; the page that holds them must have been written to."""
    found = memory.alone(_twice_200_mib, CPU)
    assert 195 < found < 240


def _twice_200_mib(machine):
    def run():
        for _ in range(2):
            torch.ones(200 * 2**18)

    return memory.peak(run, machine)


@pytest.mark.processes
def test_a_trainings_memory_is_measured_in_a_process_of_its_own():
    held = memory.alone(partial(memory.train, "UNet, latents 4×8×8", "ours", steps=1), CPU)
    batch_of_maps = 128 * 64 * 8 * 8 * 4 / 2**20
    assert 10 * batch_of_maps < held < 1000


def test_a_block_cannot_be_faster_than_its_roofline():
    """The bytes of a linear layer, counted by hand: 3 x, 2 y and 3 (w and b), all in fp32."""
    step, passing = roofline.step_of(nn.Linear(8, 16), (torch.randn(4, 8),), CPU)
    assert passing == 4 * (3 * 32 + 2 * 64 + 3 * (128 + 16))
    assert flops(step) == 3 * 2 * 4 * 8 * 16
    assert roofline.bandwidth(CPU, mib=16) > 1e8


def test_what_a_gpu_would_be_asked_runs_on_a_cpu(monkeypatch):
    small = {"in_channels": 4, "size": 8, "patch": 2, "dim": 32, "depth": 1, "heads": 2}
    monkeypatch.setattr(torch, "compile", lambda net: net)
    assert set(gpu.dit(CPU, batch=2, config=small)) == {"eager", "compiled"}
    assert set(gpu.graphs(CPU, counts=(1,), steps=2)["1 images"]) == {"launched one by one", "CUDA graph"}
    assert gpu.many_teddies(CPU, n=3, steps=2, batch=2) > 0


def test_the_denoiser_trained_again_is_compared_with_the_shipped_one(monkeypatch):
    untrained = UNet(**configs.TEDDIES_DENOISER[0])
    monkeypatch.setattr(recipes, "teddies_ldm", lambda out, machine, options: SimpleNamespace(ema=untrained))
    found = gpu.flagship(CPU, n=8)
    assert found["prompt adherence, shipped"] > 0.7
    assert found["prompt adherence"] < 0.3


def test_without_a_gpu_the_gpu_part_says_what_to_do():
    with pytest.raises(ValueError, match="`course bench gpu`"):
        gpu.measure(CPU)


def test_streaming_a_data_set_is_measured_on_the_way():
    found = growth.data_set(300, CPU, batch=50)
    assert found["sizes"] == [3, 30, 300]
    assert found["seconds"] == sorted(found["seconds"])
    assert len(found["peak_mib"]) == 3
    law = {"sizes": [16, 32], "seconds": [1.0, 4.0], "exponent": 2.0}
    text = "\n".join(report.TABLES["growth"]({"image side": law, "data set": found}))
    assert "| image side | 16: 1,000 ms, 32: 4,000 ms | 2.00 |" in text


def test_each_processor_and_precision_has_a_file_of_its_own():
    xeon = Machine(torch.device("cpu"), "32-true", 2, "Intel(R) Xeon(R) Processor")
    assert report.file_stem(xeon) == "intel-xeon-processor-32-true"
    assert report.file_stem(replace(xeon, precision="bf16-mixed")) == "intel-xeon-processor-bf16-mixed"


def test_ways_are_compared_in_milliseconds():
    text = "\n".join(report.TABLES["attention"]({"64 tokens": {"fused": 0.004, "two products": 0.001}}))
    assert "| 64 tokens | 4 | 1 | 4× |" in text


def test_the_parts_that_the_texts_name_exist():
    texts = [paths.ROOT / "README.md", *paths.ROOT.glob("notebooks/*.md"), *paths.ROOT.glob("course_lib/**/*.py")]
    named = {part for text in texts for part in re.findall(r"`?course bench ([a-z]+)", text.read_text(encoding="utf-8"))}
    assert {"steps", "attention", "guidance"} <= named <= set(run.PARTS)


def test_the_ladder_ends_where_the_last_target_is_reached(monkeypatch):
    distances = {10.0: 31.0, 15.0: 12.0, 20.0: 9.5, 30.0: 6.9, 45.0: 5.0}
    monkeypatch.setattr(records, "Evaluator", lambda machine: None)
    facts = {"floor": 2.1, "kid": 0.01, "near copies": 0.012}
    monkeypatch.setattr(
        records, "one_run", lambda _, seconds, n, seed: {"seconds": seconds, "frechet": distances[seconds]} | facts
    )
    found = records.measure(CPU)
    assert [run["seconds"] for run in found["runs"]] == [10, 15, 20, 30]
    assert found["reached"] == {"20.0": 15.0, "10.0": 20.0, "7.0": 30.0}
    assert records.measure(CPU, (10.0, 15.0))["reached"] == {"20.0": 15.0, "10.0": None, "7.0": None}
    lines = report.TABLES["records"](found)
    assert (
        lines[0]
        == "distance 20 in 15 s, distance 10 in 20 s, distance 7 in 30 s. 10,000 samples each; as many real images are at 2.10."
    )
    assert "| 20 | 9.5 | 0.01 | 0.012 |" in lines


def test_a_run_of_the_record_list_counts_all_of_its_seconds(monkeypatch):
    """Trained for real, for a moment; the check of 10,000 samples takes minutes, and has tests of its own."""
    drawn = []
    frechet = {"1000": {"samples": 31.5, "floor": [4.0, 3.9, 4.1]}, "10000": {"samples": 30.5, "floor": [2.0, 1.9, 2.1]}}
    found = {"frechet": frechet, "kid": {"samples": 0.2}, "nearest": {"features": {"samples": {"nearer_than_1_percent": 0.015}}}}
    monkeypatch.setattr(records, "check_samples", lambda samples, *_: drawn.append(samples) or found)
    run = records.one_run(Evaluator(device.find("cpu")), 3.0, 20)
    assert 3.0 < run.pop("seconds") < 60
    assert run == {"frechet": 30.5, "floor": 2.0, "kid": 0.2, "near copies": 0.015}
    assert drawn[0].shape == (20, 1, 32, 32)
