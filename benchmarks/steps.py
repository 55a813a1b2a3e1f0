"""A training step of our networks and other libraries' networks of equal size: images per second, fraction of matmul."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.timing import interleaved
from course_lib import device as devices
from course_lib import recipes
from course_lib.device import Machine
from course_lib.diffusion import loss
from course_lib.dit import DiT
from course_lib.experiments.flops import flops
from course_lib.unet import UNet
from course_lib.vae import VAE


@dataclass(frozen=True)
class Plan:
    """One comparison: the shape of what is denoised, the batch size, and a function for each network that builds it."""

    shape: tuple[int, int, int]
    batch: int
    nets: dict[str, Callable[[], nn.Module]]


def plans() -> dict[str, Plan]:
    """The comparisons. The other libraries' widths are chosen for as many parameters as ours, within 5 %."""
    latent = UNet(in_channels=4, width=64, multipliers=(1,), blocks=2, attention=(0,))
    pixels = UNet(in_channels=3, width=32, multipliers=(1, 2, 4), blocks=2, attention=(2,))
    dit = DiT(in_channels=4, size=8, patch=1, dim=192, depth=6, heads=3)
    even = range(8, 257, 4)

    def as_large(make: Callable[[int], nn.Module], ours: nn.Module, widths=even) -> Callable[[], nn.Module]:
        return lambda: peers.matched(make, widths, peers.parameters(ours))

    return {
        "UNet, latents 4×8×8": Plan((4, 8, 8), 128, {
            "ours": lambda: latent,
            "diffusers": as_large(peers.diffusers_unet(4, 8, (1,), 2, (0,)), latent),
            "lucidrains": as_large(peers.lucidrains_unet(4, (1,)), latent, range(8, 257, 2)),
        }),
        "UNet, pixels 3×32×32": Plan((3, 32, 32), 32, {
            "ours": lambda: pixels,
            "diffusers": as_large(peers.diffusers_unet(3, 32, (1, 2, 4), 2, (2,)), pixels),
            "lucidrains": as_large(peers.lucidrains_unet(3, (1, 2, 4)), pixels, range(8, 129, 2)),
        }),
        "DiT, latents 4×8×8": Plan((4, 8, 8), 64, {
            "ours": lambda: dit,
            "diffusers": as_large(peers.diffusers_dit(4, 8, 1, 6, 3), dit, range(48, 289, 12)),
        }),
    }  # fmt: skip


def training_step(net: nn.Module, objective: Callable[[], Tensor], machine: Machine, ours: bool = True) -> Callable[[], None]:
    """One step of training: forward under autocast, backward, AdamW. Other libraries keep their default memory layout."""
    net.to(machine.device, memory_format=torch.channels_last if ours else torch.contiguous_format)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4, fused=machine.device.type in ("cpu", "cuda"))

    def step() -> None:
        with machine.autocast():
            value = objective()
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def objective(net: nn.Module, plan: Plan, machine: Machine, ours: bool = True) -> Callable[[], Tensor]:
    """The same loss for all: v-prediction at random noise levels, on random data of the plan's shape."""
    layout = torch.channels_last if ours else torch.contiguous_format
    x0 = torch.randn(plan.batch, *plan.shape, device=machine.device).to(memory_format=layout)
    y = torch.zeros(plan.batch, dtype=torch.long, device=machine.device)
    schedule = recipes.make_schedule()
    return lambda: loss(net, x0, y, schedule, recipes.PREDICTION_TYPE)


def compare(plan: Plan, machine: Machine, peak: float, repeats: int = 9) -> list[dict]:
    """One line for each network of a plan, timed in turns."""
    nets = {name: make() for name, make in plan.nets.items()}
    steps = {
        name: training_step(net, objective(net, plan, machine, name == "ours"), machine, name == "ours")
        for name, net in nets.items()
    }
    work = {name: flops(step) for name, step in steps.items()}
    took = interleaved(steps, machine, repeats)
    return [
        {
            "network": name,
            "parameters": peers.parameters(nets[name]),
            "milliseconds": [1e3 * v for v in (timing.seconds, timing.low, timing.high)],
            "images_per_second": plan.batch / timing.seconds,
            "gflop": work[name] / 1e9,
            "share_of_matmul": work[name] / timing.seconds / peak,
        }
        for name, timing in took.items()
    ]


def vae(machine: Machine, peak: float) -> dict:
    """The training step of chapter 3's VAE."""
    net = VAE(width=16).to(machine.device)
    images = (torch.rand(64, 1, 32, 32, device=machine.device) * 2 - 1).to(memory_format=torch.channels_last)
    step = training_step(net, lambda: net.elbo(images).loss(), machine)
    work = flops(step)
    took = interleaved({"vae": step}, machine)["vae"]
    return {"images_per_second": 64 / took.seconds, "share_of_matmul": work / took.seconds / peak}


def measure(machine: Machine) -> dict:
    """Measure all comparisons, and the matmul rate in the same run."""
    peak = devices.matmul_rate(machine)
    found = {name: compare(plan, machine, peak) for name, plan in plans().items()}
    return {"matmul_gflops": peak / 1e9, "vae": vae(machine, peak), "comparisons": found}
