"""Speeds that the workbook promises, measured on this machine: ``course bench``.

Each speed stands beside the machine's own matmul rate at the same precision, measured in the same run, because a share of what
the hardware can do travels better than seconds. Run it with nothing else busy.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_lib import device as devices
from course_lib import recipes, settings, teddies
from course_lib.autoencoder import VAE
from course_lib.codec import Codec, PixelCodec, VAECodec, decode_all
from course_lib.device import Machine
from course_lib.diffusion import denoiser, loss
from course_lib.guidance import guide, within
from course_lib.samplers import dpmpp_2m
from course_lib.unet import UNet


def seconds(run: Callable[[], object], machine: Machine, repeats: int = 7, warm_up: int = 2) -> float:
    """Median seconds of one call."""
    times = []
    for i in range(warm_up + repeats):
        machine.synchronize()
        began = time.perf_counter()
        run()
        machine.synchronize()
        if i >= warm_up:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def training_step(net: nn.Module, objective: Callable[[], Tensor], machine: Machine) -> tuple[float, float]:
    """Seconds and FLOPs of one step: forward, backward, AdamW. FLOPs count matmuls and convolutions only."""
    net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4, fused=True)

    def step() -> None:
        with machine.autocast():
            value = objective()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    with FlopCounterMode(display=False) as counter:
        step()
    return seconds(step, machine), float(counter.get_total_flops())


def denoiser_step(machine: Machine) -> tuple[float, float]:
    """The latent denoiser's training step, as its recipe has it."""
    config, training = settings.FASHION_DENOISER[settings.size(machine)]
    net = UNet(in_channels=4, **config).to(machine.device)
    x0 = torch.randn(training.batch_size, 4, 4, 4, device=machine.device).to(memory_format=torch.channels_last)
    y = torch.zeros(training.batch_size, dtype=torch.long, device=machine.device)
    schedule = recipes.SCHEDULE()
    return training_step(net, lambda: loss(net, x0, y, schedule, recipes.KIND, null_label=net.null_label), machine)


def vae_step(machine: Machine) -> tuple[float, float]:
    """The VAE's training step, as its recipe has it."""
    config, training = settings.FASHION_VAE[settings.size(machine)]
    vae = VAE(**config).to(machine.device)
    images = torch.rand(training.batch_size, 1, 32, 32, device=machine.device) * 2 - 1
    return training_step(vae, lambda: vae.elbo(images).loss(), machine)


def sampling(codec: Codec, net: nn.Module, shape: tuple[int, ...], scale, machine: Machine, n: int, steps: int) -> float:
    """Images per second of n guided samples, decoded to pixels."""
    y = torch.arange(n, device=machine.device) % recipes.NUM_CLASSES
    autocast = None if machine.dtype == torch.float32 else machine.dtype
    cond = denoiser(net, recipes.KIND, y, autocast)
    null = denoiser(net, recipes.KIND, recipes.NUM_CLASSES, autocast)
    levels = recipes.SCHEDULE().grid(steps)
    noise = torch.randn(n, *shape, device=machine.device)
    return n / seconds(
        lambda: decode_all(codec, dpmpp_2m(guide(cond, null, scale), levels[0].sigma * noise, levels)), machine, 3, 1
    )


def import_seconds() -> float:
    """Seconds that ``import course_lib`` takes beyond torch, in a fresh interpreter."""
    code = "import torch, time; t = time.perf_counter(); import course_lib; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print every figure with its unit."""
    machine = devices.find()
    print(machine)
    peak = devices.matmul_rate(machine)
    print(f"matmul                             {peak / 1e9:10,.0f} GFLOP/s")
    for name, (took, flops) in {"denoiser": denoiser_step(machine), "VAE": vae_step(machine)}.items():
        rate = flops / took
        print(f"{name + ' training step':34} {took * 1e3:10.1f} ms   {rate / 1e9:,.0f} GFLOP/s, {rate / peak:.0%} of matmul")
    size = settings.size(machine)
    unet = UNet(in_channels=4, **settings.FASHION_DENOISER[size][0]).to(machine.device).eval()
    vae = VAE(**settings.FASHION_VAE[size][0]).to(machine.device)
    rival = UNet(in_channels=1, **settings.PIXEL_DENOISER[size][0]).to(machine.device).eval()
    ones = torch.ones(vae.latent_channels, device=machine.device)
    latent = VAECodec(vae, 0 * ones, ones)
    both = sampling(latent, unet, (4, 4, 4), 2.0, machine, 500, 20)
    interval = sampling(latent, unet, (4, 4, 4), within(2.0, 0.2, 5.0), machine, 500, 20)
    pixel = sampling(PixelCodec(), rival, (1, 32, 32), 2.0, machine, 50, 20)
    print(f"guided samples, 20 steps, decoded  {both:10,.0f} images/s   guided in an interval: {interval:,.0f} images/s")
    print(f"the same in pixel space            {pixel:10,.1f} images/s   latent is {both / pixel:,.0f} times faster")
    factors = teddies.sample_factors(2048, torch.Generator().manual_seed(0)).to(machine.device)
    drawn = 2048 / seconds(lambda: teddies.render(factors, 64), machine, 3, 1)
    print(f"Teddies at 64×64                   {drawn:10,.0f} images/s")
    print(f"import course_lib                  {import_seconds():10.3f} s beyond torch")
