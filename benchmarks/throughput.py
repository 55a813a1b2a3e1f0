"""The speed of data and metrics: the renderer, the latent cache, the metrics; matmul rates; threads compared with processes."""

import multiprocessing
import statistics
import subprocess
import sys

import torch

from benchmarks.timing import interleaved
from course_lib import device as devices
from course_lib import metrics, teddies
from course_lib.codec import VAECodec, cache
from course_lib.device import Machine
from course_lib.recipes import configs
from course_lib.vae import VAE


def matmul(machine: Machine) -> dict[str, float]:
    """GFLOP/s at each precision that this device supports."""
    kinds = ["32-true", "bf16-mixed"]
    rates = {}
    for precision in kinds:
        here = Machine(machine.device, precision, machine.threads, machine.name)
        rates[precision] = devices.matmul_rate(here) / 1e9
    return rates


def measure(machine: Machine) -> dict:
    """Images per second of each, medians of seven."""
    generator = torch.Generator().manual_seed(0)
    factors = teddies.sample_factors(1024, generator).to(machine.device)
    images = torch.randint(0, 256, (1000, 1, 32, 32), generator=generator, dtype=torch.uint8).to(machine.device)
    vae = VAE(**configs.FASHION_VAE["cpu"][0]).to(machine.device).eval()
    codec = VAECodec(vae, torch.zeros(4, device=machine.device), torch.ones(4, device=machine.device))
    a, b = (torch.randn(1000, 64, generator=generator).to(machine.device) for _ in range(2))
    x, y = (torch.rand(256, 3, 64, 64, generator=generator).to(machine.device) * 2 - 1 for _ in range(2))
    took = interleaved(
        {
            "Teddies drawn at 64×64": lambda: teddies.render(factors, 64),
            "Fashion-MNIST encoded to latents": lambda: cache(codec, images),
            "Fréchet distance, 64 features": lambda: metrics.frechet_distance(a, b),
            "SSIM at 64×64": lambda: metrics.ssim(x, y),
        },
        machine,
    )
    counts = dict(zip(took, (1024, 1000, 1000, 256), strict=True))
    return {name: counts[name] / t.seconds for name, t in took.items()} | {"import course_lib (s beyond torch)": import_seconds()}


def import_seconds() -> float:
    """Seconds that ``import course_lib`` takes beyond torch, in a fresh interpreter."""
    code = "import torch, time; t = time.perf_counter(); import course_lib; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def threads(steps: int = 60) -> dict[str, float]:
    """Images per second of the latent denoiser's training on a CPU: one thread, all of them, as many as other programs leave
    (`device.leave_busy_cores`), and as many processes of one, which exchange their gradients. And the same while another program
    keeps one core busy."""
    cores = torch.get_num_threads()
    found = {}
    for busy in (False, True):
        hog = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
        if busy:
            hog.start()
        for name, (processes, each) in {
            "1 thread": (1, 1),
            f"{cores} threads": (1, cores),
            "as many as are left": (1, 0),
            f"{cores} processes of 1 thread": (cores, 1),
        }.items():
            found[name + ", one core busy" * busy] = statistics.median(_rate(processes, each, steps) for _ in range(3))
        if busy:
            hog.terminate()
    return found


def _spin() -> None:
    while True:
        pass


def _rate(processes: int, threads: int, steps: int) -> float:
    """Images per second, measured in a separate program."""
    command = [sys.executable, "-m", "benchmarks.data_parallel", str(processes), str(threads), str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
