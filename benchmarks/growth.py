"""How cost grows with image side, latent channels, batch and data-set size, each with its fitted exponent."""

import time
from functools import partial

import torch

from benchmarks import memory
from benchmarks.steps import Plan, objective, training_step
from benchmarks.timing import interleaved
from course_lib import teddies
from course_lib.device import Machine
from course_lib.experiments.flops import power_law_exponent
from course_lib.unet import UNet


def _step(shape: tuple[int, int, int], batch: int, machine: Machine, attention: tuple[int, ...] = (2,)):
    net = UNet(in_channels=shape[0], width=16, multipliers=(1, 2, 4), blocks=1, attention=attention)
    return training_step(net, objective(net, Plan(shape, batch, {}), machine), machine)


def _grown(runs: dict[int, object], machine: Machine, each: dict[int, int] | None = None) -> dict:
    """Seconds for each size, per image where ``each`` gives the batch, and the exponent."""
    took = {size: t.seconds / (each or {}).get(size, 1) for size, t in interleaved(runs, machine, repeats=5).items()}
    return {"sizes": list(took), "seconds": list(took.values()), "exponent": power_law_exponent(list(took), list(took.values()))}


def measure(machine: Machine, streamed: int = 1_000_000) -> dict:
    """The four laws; each cost is the seconds of a training step, per image for the sides; ``streamed`` Teddies at last."""
    sides = {16: 32, 32: 16, 64: 8, 128: 2}  # side: batch
    return {
        "image side, without attention": _grown({s: _step((3, s, s), b, machine, ()) for s, b in sides.items()}, machine, sides),
        "image side, attention at a quarter of it": _grown(
            {s: _step((3, s, s), b, machine) for s, b in sides.items()}, machine, sides
        ),
        "latent channels": _grown({c: _step((c, 8, 8), 32, machine) for c in (4, 8, 16, 32)}, machine),
        "batch": _grown({b: _step((4, 8, 8), b, machine) for b in (16, 64, 256)}, machine),
        "data set": memory.alone(partial(data_set, streamed), machine),  # alone, so that its peak is its own
    }


def data_set(n: int, machine: Machine, batch: int = 2000) -> dict:
    """Render n Teddies at 16×16 batch by batch, as a training that streams them would: seconds and memory so far."""
    sizes, seconds, held = [], [], []
    began, drawn = time.perf_counter(), 0
    marks = [n // 100, n // 10, n]
    while drawn < n:
        factors = teddies.sample_factors(min(batch, n - drawn), torch.Generator().manual_seed(drawn)).to(machine.device)
        teddies.render(factors, 16)
        drawn += len(factors)
        while marks and drawn >= marks[0]:
            machine.synchronize()
            sizes.append(marks.pop(0))
            seconds.append(time.perf_counter() - began)
            held.append(memory.resident()[1])
    return {"sizes": sizes, "seconds": seconds, "peak_mib": held, "exponent": power_law_exponent(sizes, seconds)}
