"""Each block compared with its roofline: the minimum seconds on this machine's arithmetic and memory (Williams et al. 2009)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.timing import interleaved
from course_lib import device as devices
from course_lib.device import Machine
from course_lib.dit import DiTBlock
from course_lib.experiments.flops import flops
from course_lib.layers import GroupNorm, ResBlock, SelfAttention
from course_lib.unet import Attention2d


def bandwidth(machine: Machine, mib: int = 512) -> float:
    """Bytes per second that a copy of a tensor far beyond the caches reads and writes."""
    a = torch.ones(mib * 2**18, device=machine.device)
    b = torch.empty_like(a)
    return 2 * a.nbytes / interleaved({"copy": lambda: b.copy_(a)}, machine, 5)["copy"].low


def blocks(batch: int = 128) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
    """The blocks of our networks, in the sizes of the Teddies' denoiser and of the DiT of `steps.plans`."""
    maps, tokens = torch.randn(batch, 64, 8, 8).to(memory_format=torch.channels_last), torch.randn(batch, 64, 192)
    return {
        "3×3 convolution, 64 channels, 8×8": (nn.Conv2d(64, 64, 3, padding=1), (maps,)),
        "GroupNorm, 64 channels, 8×8": (GroupNorm(64), (maps,)),
        "SiLU, 64 channels, 8×8": (nn.SiLU(), (maps,)),
        "ResBlock": (ResBlock(64, 64, 256), (maps, torch.randn(batch, 256))),
        "Attention2d, 4 heads": (Attention2d(64, 4), (maps,)),
        "Linear, 192 → 768, 64 tokens": (nn.Linear(192, 768), (tokens,)),
        "GELU, 768 numbers, 64 tokens": (nn.GELU(), (torch.randn(batch, 64, 768),)),
        "SelfAttention, 3 heads of 64": (SelfAttention(192, 3), (tokens,)),
        "DiTBlock": (DiTBlock(192, 3, 4.0), (tokens, torch.randn(batch, 192))),
    }


def step_of(block: nn.Module, given: tuple[Tensor, ...], machine: Machine) -> tuple[Callable[[], None], int]:
    """Forward and backward of one block, and the bytes that it must move if all intermediate values stay in the caches.

    Forward reads x and the weights w and writes y; backward reads x, w and dy, and writes dx and dw: 3 x, 2 y and 3 w. x and y
    count in the precision of the products, as they would pass between blocks, weights in fp32.
    """
    block.to(machine.device, memory_format=torch.channels_last)
    given = tuple(v.to(machine.device, machine.dtype).requires_grad_() for v in given)
    with machine.autocast():
        out = block(*given)
    slope = torch.randn_like(out)

    def step() -> None:
        block.zero_grad(set_to_none=True)
        for v in given:
            v.grad = None
        with machine.autocast():
            y = block(*given)
        y.backward(slope)

    size = machine.dtype.itemsize
    passing = (3 * sum(v.numel() for v in given) + 2 * out.numel()) * size + 3 * sum(p.nbytes for p in block.parameters())
    return step, passing


def measure(machine: Machine) -> dict:
    """For each block: GFLOP, MiB, milliseconds, the minimum by the roofline, and which of its limits applies."""
    peak, flow, found = devices.matmul_rate(machine), bandwidth(machine), {}
    for name, (block, given) in blocks().items():
        step, passing = step_of(block, given, machine)
        work = flops(step)
        least = max(work / peak, passing / flow)
        took = interleaved({name: step}, machine, 15)[name].seconds
        found[name] = {
            "gflop": work / 1e9,
            "mib": passing / 2**20,
            "seconds": took,
            "least": least,
            "bound": "arithmetic" if work / peak > passing / flow else "memory",
        }
    return {"matmul_gflops": peak / 1e9, "gigabytes_per_second": flow / 1e9, "blocks": found}
