"""Training settings that change how a run is computed and not what, and the messages for wrong ones."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from train_cases import MACHINE, Interruption, assert_same, config, make_net, noisy_loss, plain_loss, run, sharded_net

from course_lib import device
from course_lib.training import train

# How it is computed, not what


def test_bf16_stays_near_fp32():
    bf16 = device.Machine(torch.device("cpu"), "bf16-mixed", 1, "the test's CPU")
    dtypes = set()

    def loss_fn(net, batch, generator):
        dtypes.add((batch[0].dtype, net(batch[0]).dtype))
        return noisy_loss(net, batch, generator)

    low, full = run(loss_fn=loss_fn, machine=bf16), run(loss_fn=noisy_loss)
    assert dtypes == {(torch.float32, torch.bfloat16)}  # the batch arrives unrounded, the network computes in bf16
    assert all(p.dtype == torch.float32 for p in low.net.parameters())
    torch.testing.assert_close(low.losses, full.losses, rtol=0.05, atol=0.02)
    assert not torch.equal(low.losses, full.losses)


def conv_run(**changes):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1))
    formats = []

    def loss_fn(net, batch, generator):
        formats.append(batch[0].is_contiguous(memory_format=torch.channels_last))
        return (net(batch[0]).float() - batch[0]).square().mean()

    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return run(net, loss_fn, (images,), **changes), formats


def test_channels_last_reaches_the_network_and_changes_nothing_else():
    (last, formats), (first, _) = conv_run(channels_last=True), conv_run()
    assert all(formats)
    assert last.net[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last.losses, first.losses, rtol=1e-3, atol=1e-4)


def test_compile_passes_the_compiled_network_to_the_loss(monkeypatch):
    compiled = []
    real = torch.compile

    def compile_eagerly(net):  # the compiler itself is tested with the networks; here it would cost a minute
        compiled.append(real(net, backend="eager"))
        return compiled[0]

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    used = []

    def loss_fn(net, batch, generator):
        used.append(net)
        return plain_loss(net, batch, generator)

    net = nn.Linear(6, 1)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    result = run(net, loss_fn, compile=True)
    assert used[0] is compiled[0]
    assert result.net is net
    other = nn.Linear(6, 1)
    other.load_state_dict(start)
    torch.testing.assert_close(result.losses, run(other, plain_loss).losses)


TWO = """
import json, os, sys, warnings, torch
warnings.simplefilter("ignore")
from train_cases import MACHINE, config, make_data, noisy_loss, sharded_net
from course_lib.training import train

folder, ends_at, how, changes = sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
held, sharded_blocks = [], []

def on_step(step, net, ema):
    weights = [p for n in (net, ema) for p in n.parameters()]
    held.append(sum(getattr(p, "_local_tensor", p).numel() for p in weights) / sum(p.numel() for p in weights))
    sharded_blocks[:] = [name for name, part in net.named_modules() if type(part).__name__.startswith("FSDP")]
    if step == ends_at and (how == "all" or rank == 1):
        sys.stderr.flush()
        os._exit(3)

rank = int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))  # torchrun's, or Fabric's
net, cfg = sharded_net(seed=rank), config(save_every=10, **changes)  # the weights of rank 0 are those that train
result = train(net, noisy_loss, make_data(), cfg, machine=MACHINE, resume_file=folder + "/run.pt", on_step=on_step)
assert result.net is net
state = {"net": net.state_dict(), "ema": result.ema.state_dict(), "losses": result.losses, "steps": len(held)}
state |= {"held": held[0], "sharded_blocks": sharded_blocks}
torch.save(state, folder + f"/{rank}.pt")
"""
DDP, FSDP = {"strategy": "ddp", "devices": 2}, {"strategy": "fsdp", "devices": 2}
each_strategy = pytest.mark.parametrize("how", [DDP, FSDP], ids=["ddp", "fsdp"])


def script_for_two(folder, ends_at=0, who="all", **changes):
    """The command and the environment of a process that, with another one, trains. See `on_two_processes`."""
    script = folder / "two.py"
    script.write_text(TWO)
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return [str(script), str(folder), str(ends_at), who, json.dumps(changes)], env


def on_two_processes(folder, ends_at=0, who="all", **changes):
    """Two CPU processes, each with half of each batch. ends_at: after this step all of them die, or rank 1 alone."""
    command, env = script_for_two(folder, ends_at, who, **changes)
    return subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, timeout=120)


def of_rank(folder, rank):
    return torch.load(folder / f"{rank}.pt", weights_only=True)  # which would not read sharded weights


def assert_near(losses, net, result):
    torch.testing.assert_close(losses, result.losses, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net, dict(result.net.state_dict()), rtol=1e-4, atol=1e-5)


@each_strategy
def test_two_processes_equal_one(tmp_path, how):
    """Noise and dropout included: what a shard draws depends on its number, and one process may compute several shards."""
    clip = 1e-6  # Adam hides a wrong norm, unless the gradients come near its eps
    done = on_two_processes(tmp_path, shards=4, grad_clip=clip, **how)
    assert done.returncode == 0, done.stderr
    one = run(sharded_net(), shards=4, grad_clip=clip)
    for rank in (0, 1):
        two = of_rank(tmp_path, rank)
        assert_near(two["losses"], two["net"], one)
        torch.testing.assert_close(two["ema"], dict(one.ema.state_dict()), rtol=1e-4, atol=1e-5)
        assert two["sharded_blocks"] == (["blocks.0", "blocks.1"] if how == FSDP else [])  # each is gathered by itself
    assert not torch.allclose(two["losses"], run(sharded_net(), shards=1, grad_clip=clip).losses, rtol=1e-3)
    held = [of_rank(tmp_path, rank)["held"] for rank in (0, 1)]  # of all weights and averages
    assert sum(held) == pytest.approx(1 if how == FSDP else 2)
    assert max(held) < (0.6 if how == FSDP else 1.1)
    assert not list(tmp_path.glob("run.pt*"))


@pytest.fixture(scope="module", params=[DDP, FSDP], ids=["ddp", "fsdp"])
def half_dead(request, tmp_path_factory):
    """A run of two processes, of which the second died in step 15: its folder, and the finished command."""
    folder = tmp_path_factory.mktemp("half_dead")
    return folder, on_two_processes(folder, ends_at=15, who="one", **request.param)


def test_a_process_that_dies_ends_the_run_with_a_sentence_that_names_the_saved_step(half_dead):
    folder, done = half_dead
    assert done.returncode != 0
    assert "another process of this run ended" in done.stderr
    assert "run.pt holds step 10" in done.stderr
    assert torch.load(folder / "run.pt", weights_only=True)["step"] == 10


def test_a_run_of_two_processes_continues_in_one(half_dead, tmp_path):
    file = shutil.copy(half_dead[0] / "run.pt", tmp_path)
    steps = []
    result = run(
        sharded_net(), resume_file=file, shards=2, save_every=10, on_step=lambda step, net, ema: steps.append(step)
    )  # fmt: skip
    assert steps[0] == 11
    uninterrupted = run(sharded_net(), shards=2)
    assert_near(uninterrupted.losses, dict(uninterrupted.net.state_dict()), result)
    torch.testing.assert_close(dict(uninterrupted.ema.state_dict()), dict(result.ema.state_dict()), rtol=1e-4, atol=1e-5)


@each_strategy
def test_a_run_of_one_process_continues_in_two(tmp_path, how):
    with pytest.raises(KeyboardInterrupt):
        run(sharded_net(), resume_file=tmp_path / "run.pt", shards=2, save_every=10, on_step=Interruption(15))
    done = on_two_processes(tmp_path, **how)
    assert done.returncode == 0, done.stderr
    two, uninterrupted = of_rank(tmp_path, 1), run(sharded_net(), shards=2)
    assert two["steps"] == 15
    assert_near(two["losses"], two["net"], uninterrupted)
    torch.testing.assert_close(two["ema"], dict(uninterrupted.ema.state_dict()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("nodes", [1, 2])
def test_torchrun_starts_the_same_script(tmp_path, nodes):
    """One node with two processes; and two nodes with one process each, both of them on this machine."""
    command, env = script_for_two(tmp_path, strategy="ddp", devices=2 // nodes, nodes=nodes)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={2 // nodes}", f"--nnodes={nodes}"]
    torchrun += ["--master_addr=localhost", f"--master_port={port}"]
    started = [
        subprocess.Popen([*torchrun, f"--node_rank={node}", *command], env=env, stderr=subprocess.PIPE, text=True)
        for node in range(nodes)
    ]
    for process in started:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors
    two = of_rank(tmp_path, 1)
    assert_near(two["losses"], two["net"], run(sharded_net(), shards=2))


def test_the_command_trains_in_two_processes_and_saves_once(tmp_path):
    out = tmp_path / "small.safetensors"
    command = [Path(sys.executable).parent / "course", "train", "fashion-autoencoder", "--steps", "4", "--devices", "2"]
    env = {**os.environ, "COURSE_THREADS": "1", "COURSE_DEVICE": "cpu"}
    done = subprocess.run([*command, "--out", out], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("4 steps in") == 1
    assert out.exists()


def test_no_step_reads_a_number_off_the_device():
    """Reading one (`.item()`, `if tensor:`) makes a GPU wait. Twice as many steps need no more reads: none is in a step."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        reads = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.reads += func is torch.ops.aten._local_scalar_dense.default
            return func(*args, **(kwargs or {}))

    counts = []
    for steps in (10, 20):
        with Count() as count:
            run(steps=steps, log_every=100)
        counts.append(count.reads)
    assert counts[0] == counts[1]


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, r"TrainConfig.steps is 0, expected at least 1"),
        ({"lr": -1.0}, r"TrainConfig.lr is -1.0, expected above 0"),
        ({"schedule": "linear"}, r"TrainConfig.schedule is 'linear', expected 'cosine' or 'constant'"),
        ({"ema_decay": 1.0}, r"TrainConfig.ema_decay is 1.0"),
        ({"optimizer": "sgd"}, r"TrainConfig.optimizer is 'sgd', expected 'adamw' or 'muon'"),
        ({"optimizer": "muon", "weight_decay": 0.1}, r"TrainConfig.weight_decay is 0.1, expected 0 with Muon"),
        ({"optimizer": "muon", "strategy": "fsdp"}, r"TrainConfig.strategy is 'fsdp', expected 'ddp' with Muon"),
        ({"grad_clip": 0}, r"TrainConfig.grad_clip is 0, expected above 0, or None"),
        ({"min_lr_ratio": 2}, r"TrainConfig.min_lr_ratio is 2, expected a fraction"),
        ({"batch_size": 3, "devices": 2}, r"TrainConfig.batch_size is 3, expected a multiple of devices"),
        ({"batch_size": 8, "shards": 3, "devices": 2}, r"TrainConfig.shards is 3, expected a multiple of devices"),
        ({"batch_size": 8, "shards": 3}, r"TrainConfig.batch_size is 8, expected a multiple of shards"),
        ({"shards": 0}, r"TrainConfig.shards is 0, expected at least 1"),
        ({"max_seconds": 5, "devices": 2}, r"TrainConfig.max_seconds is 5, expected None on several devices"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((), "data must be a tensor, or a tuple of tensors"),
        ((torch.tensor(1.0),), "whose first dimension counts the rows"),
        ((torch.zeros(0, 6), torch.zeros(0, 1)), "data has 0 rows, fewer than batch_size 32"),
        ((torch.zeros(31, 6), torch.zeros(31, 1)), "data has 31 rows, fewer than batch_size 32"),
        ((torch.zeros(40, 6), torch.zeros(39, 1)), r"the tensors of data have \[40, 39\] rows"),
    ],
)
def test_wrong_data_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        train(make_net(), noisy_loss, data, config(), machine=MACHINE)


@pytest.mark.parametrize(
    ("loss_fn", "message"),
    [
        (lambda net, batch, generator: net(batch[0]), r"one number as a tensor of shape \(\), not shape \(32, 1\)"),
        (lambda net, batch, generator: 1.0, "not float"),
        (lambda net, batch, generator: batch[0].mean(), "does not depend on the network's weights"),
    ],
)
def test_a_wrong_loss_is_named(loss_fn, message):
    with pytest.raises(ValueError, match=message):
        run(loss_fn=loss_fn)


def test_a_network_without_parameters_is_named():
    with pytest.raises(ValueError, match="no trainable parameter"):
        run(nn.ReLU())


def test_fsdp_in_fp16_is_refused():
    with pytest.raises(ValueError, match="not in fp16: set COURSE_PRECISION=fp32"):
        run(machine=replace(MACHINE, precision="16-mixed"), **FSDP)


def test_an_error_in_the_loss_leaves_the_network_usable():
    net = make_net()
    with pytest.raises(ZeroDivisionError):
        run(net, on_step=Interruption(3, ZeroDivisionError()))
    assert not net.training
    assert_same(run(make_net(), steps=5), run(make_net(), steps=5))
