"""Training on two processes equals training on one, with DDP and with FSDP; and what happens when one of them dies."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from train_cases import Interruption, run, sharded_net

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
pytestmark = pytest.mark.processes

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
    assert [file.name for file in tmp_path.glob("*run.pt*")] == ["run.pt"]  # the state at the end, and no draft or lock


@pytest.fixture(scope="module", params=[DDP, FSDP], ids=["ddp", "fsdp"])
def half_dead(request, tmp_path_factory):
    """A run of two processes, of which the second died in step 15: its folder, and the finished command."""
    folder = tmp_path_factory.mktemp("half_dead")
    return folder, on_two_processes(folder, ends_at=15, who="one", **request.param)


def test_a_process_that_dies_ends_the_run_with_a_sentence_that_names_the_saved_step(half_dead):
    folder, done = half_dead
    assert done.returncode != 0
    assert "another process of this run ended" in done.stderr
    assert re.search(r"run\.pt.* step 10\b", done.stderr)
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
