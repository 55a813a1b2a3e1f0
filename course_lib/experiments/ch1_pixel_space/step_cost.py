"""The cost of one denoising step in pixels, for a convolutional and an attention network: operations and seconds."""

import time
from collections.abc import Callable

import torch
from torch import nn

from course_lib.arguments import check_number, check_sizes
from course_lib.device import Machine
from course_lib.dit import DiT
from course_lib.experiments.flops import flops
from course_lib.unet import UNet


def convolutional_denoiser(side: int) -> nn.Module:
    """Build a denoiser of RGB images from convolutions alone: the UNet without its attention, for any side that 4 divides."""
    check_sizes(side=side)
    if side % 4:
        raise ValueError(f"side is {side}, but this UNet halves it twice: it must be a multiple of 4.")
    return UNet(in_channels=3, width=32, multipliers=(1, 2, 4), blocks=1, attention=(), heads=0, num_classes=None)


def attention_denoiser(side: int, patch: int = 1) -> nn.Module:
    """Build a denoiser of RGB images in which every token attends to every token: the DiT.

    patch: side of the square of pixels that becomes one token; it divides side. By default every pixel is a token, the most
    expensive case.
    """
    return DiT(in_channels=3, size=side, patch=patch, dim=32, depth=2, heads=1, num_classes=None)


def step_flops(make: Callable[[int], nn.Module], side: int) -> int:
    """Count the floating-point operations of one denoising step for one image of side × side pixels, without computing it.

    An addition counts one, a multiplication one; only convolutions and matrix products count, as usual. On torch's meta device
    tensors have a shape but no values, so 1024×1024 pixels cost nothing.
    """
    check_sizes(side=side)
    with torch.device("meta"):
        net, x, t = make(side), torch.empty(1, 3, side, side), torch.ones(1, dtype=torch.int64)
    with torch.no_grad():
        return flops(lambda: net(x, t))


@torch.no_grad()
def step_seconds(make: Callable[[int], nn.Module], side: int, machine: Machine, min_seconds: float = 0.3) -> float:
    """Measure the seconds of one denoising step for one image: the fastest of several, after one step to warm up.

    The steps take at least ``min_seconds`` together. A first step of more than ten times that is not repeated: its warm-up is
    negligible.
    """
    check_sizes(side=side)
    check_number("min_seconds", min_seconds, at_least=0)
    net = make(side).to(machine.device).eval()
    x = torch.zeros(1, 3, side, side, device=machine.device)
    t = torch.ones(1, dtype=torch.int64, device=machine.device)
    times: list[float] = []
    while len(times) < 2 or sum(times[1:]) < min_seconds:
        start = time.perf_counter()
        with machine.autocast():
            net(x, t)
        machine.synchronize()
        times.append(time.perf_counter() - start)
        if times[0] > 10 * min_seconds:
            break
    return min(times[1:] or times)


def format_duration(seconds: float) -> str:
    """Format seconds in the unit that people would choose: 0.2 s, 14 minutes, 13 hours, 2.6 years."""
    seconds = check_number("seconds", seconds, at_least=0)
    units = (("years", 31_557_600), ("days", 86_400), ("hours", 3600), ("minutes", 60))
    for name, length in units:
        if seconds >= 2 * length:
            count = seconds / length
            return f"{count:.1f} {name}" if count < 10 else f"{count:,.0f} {name}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
