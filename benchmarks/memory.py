"""Peak memory of a training step and of sampling, each in a process of its own: ours and other libraries'."""

import multiprocessing
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from benchmarks import sampling
from benchmarks.steps import objective, plans, training_step
from course_lib import device as devices
from course_lib.device import Machine

T = TypeVar("T")


def resident() -> tuple[float, float]:
    """Memory of this process in MiB: now, and at its peak.

    Raises ValueError where the system does not tell (it must have /proc, as Linux has).
    """
    status = Path("/proc/self/status")
    if not status.exists():
        raise ValueError(f"this system, {sys.platform}, does not tell a process's peak memory: measure it on Linux")
    found = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return tuple(int(found[name].split()[0]) / 2**10 for name in ("VmRSS", "VmHWM"))


def peak(run: Callable[[], object], machine: Machine) -> float:
    """Peak memory of ``run`` in MiB, beyond what this process (or the GPU) holds already."""
    if machine.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        machine.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resident()[0]
    run()
    return max(0.0, resident()[1] - before)


def train(plan: str, name: str, machine: Machine, steps: int = 3) -> float:
    """Peak memory in MiB of a training step with one network of a plan: weights, gradients, optimizer and saved activations."""
    chosen = plans()[plan]
    net = chosen.nets[name]()

    def run() -> None:
        step = training_step(net, objective(net, chosen, machine, name == "ours"), machine, name == "ours")
        for _ in range(steps):
            step()

    return peak(run, machine)


def draw(name: str, machine: Machine) -> float:
    """Peak memory in MiB of guided sampling, one of `sampling.ways`."""
    return peak(sampling.ways(machine)[name][0], machine)


def alone(job: Callable[[Machine], T], machine: Machine) -> T:
    """Run ``job`` in a fresh process, since what this one once held would count too."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_on, (job, str(machine.device), machine.precision, machine.threads))


def _on(job: Callable[[Machine], T], device: str, precision: str, threads: int) -> T:
    return job(devices.find(device, precision, threads))


def measure(machine: Machine) -> dict[str, float]:
    """Peak memory in MiB of everything that `steps` and `sampling` time."""
    found = {}
    for plan, chosen in plans().items():
        for name in chosen.nets:
            found[f"training step, {plan}, {chosen.batch} images: {name}"] = alone(partial(train, plan, name), machine)
    for name, (_, n) in sampling.ways(machine).items():
        found[f"guided samples, {n} images: {name}"] = alone(partial(draw, name), machine)
    return found
