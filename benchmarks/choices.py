"""Measurements behind choices of the library: which attention, one batch or two, compile or not."""

import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.steps import objective, plans, training_step
from benchmarks.timing import interleaved
from course_lib import layers
from course_lib.device import Machine
from course_lib.guidance import MAX_FUSED_BATCH
from course_lib.recipes import configs
from course_lib.teddies import NUM_VALUES
from course_lib.unet import UNet

TOKENS = ((128, 4, 16, 16), (128, 4, 64, 16), (64, 3, 64, 64), (16, 4, 256, 32), (8, 4, 1024, 16))  # B, heads, N, d


def attention(machine: Machine) -> dict[str, dict]:
    """Seconds of `layers.attend`'s two ways, forward and backward, in each precision: fused kernel, and two products."""
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        for shape in TOKENS:
            batch, heads, tokens, d = shape
            qkv = torch.randn(batch, tokens, 3, heads, d, device=machine.device, dtype=dtype, requires_grad=True)  # as one Linear
            slope = torch.randn(batch, tokens, heads * d, device=machine.device, dtype=dtype)

            def there_and_back(way: Callable, qkv=qkv, slope=slope) -> None:
                qkv.grad = None
                way(*qkv.permute(2, 0, 3, 1, 4)).transpose(1, 2).reshape(slope.shape).backward(slope)

            runs = {"fused": F.scaled_dot_product_attention, "two products": layers.naive_attention}
            took = interleaved({name: partial(there_and_back, way) for name, way in runs.items()}, machine, 15)
            kind = str(dtype).removeprefix("torch.")
            found[f"{kind}, {tokens} tokens of {d} numbers, {batch} × {heads} heads"] = {
                name: t.seconds for name, t in took.items()
            }
    return found


@torch.no_grad()
def guidance(machine: Machine) -> dict[str, dict]:
    """Seconds of one guided step for n images, as two calls of n or one of 2n, with chapter 4's network and the Teddies'."""
    found = {}
    fashion = UNet(in_channels=4, **configs.FASHION_DENOISER["cpu"][0]), torch.tensor(0), (4, 4, 4)
    teddies = UNet(**configs.TEDDIES_DENOISER[0]), torch.zeros(len(NUM_VALUES), dtype=torch.long), (4, 8, 8)
    for name, (net, label, shape) in {"Fashion-MNIST": fashion, "teddies": teddies}.items():
        net.to(machine.device, memory_format=torch.channels_last).eval()
        for n in (1, 8, MAX_FUSED_BATCH, 128, 512):
            x, t = torch.randn(n, *shape, device=machine.device), torch.full((n,), 500, device=machine.device)
            y = label.to(machine.device).expand(n, *label.shape)
            twice = [torch.cat([v, v]) for v in (x, t, y)]

            def ask(times: int, given: list[Tensor], net=net) -> None:
                with machine.autocast():
                    for _ in range(times):
                        net(*given)

            runs = {"two calls": lambda: ask(2, [x, t, y]), "one doubled": lambda: ask(1, twice)}  # noqa: B023 (run here)
            took = interleaved(runs, machine, 9 if n > MAX_FUSED_BATCH else 25)
            found[f"{name}, {n}"] = {way: timing.seconds for way, timing in took.items()}
    return found


def compiled(machine: Machine) -> dict[str, dict]:
    """For each network of `steps.plans`: seconds of a training step, eager and compiled, and of the first compiled one."""
    found = {}
    for name, plan in plans().items():
        net = plan.nets["ours"]()
        runs = {
            way: training_step(net, objective(candidate, plan, machine), machine)
            for way, candidate in {"eager": net, "compiled": torch.compile(net)}.items()
        }
        began = time.perf_counter()
        runs["compiled"]()
        machine.synchronize()
        first = time.perf_counter() - began
        took = {way: timing.seconds for way, timing in interleaved(runs, machine, 5).items()}
        found[name] = took | {"first step compiled": first}
    return found
