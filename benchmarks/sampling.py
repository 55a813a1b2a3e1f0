"""The cost of sampling: the sampler without its network, and 500 guided samples compared with diffusers' own loop."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.timing import Timing, interleaved
from course_lib import recipes
from course_lib.codec import Codec, PixelCodec, VAECodec, decode_all
from course_lib.device import Machine
from course_lib.guidance import classifier_free_guide
from course_lib.recipes import configs
from course_lib.samplers import ddim, dpmpp_2m, heun
from course_lib.unet import UNet
from course_lib.vae import VAE

SHAPE, PIXELS = (4, 4, 4), (1, 32, 32)
SCALE = 2.0


def overhead(machine: Machine, batch: int = 500, steps: int = 20) -> dict[str, dict]:
    """The time of each sampler with a network that returns at once, relative to one guided call of the recipe's network."""
    net = _denoiser(machine)
    x = torch.randn(batch, *SHAPE, device=machine.device)
    levels = recipes.make_schedule().grid(steps)
    guided = _guided(net, batch, machine)
    runs = {
        name: (lambda walk=walk: walk(lambda x_t, level: x, x, levels))
        for name, walk in {"DDIM": ddim, "DPM-Solver++(2M)": dpmpp_2m, "Heun": heun}.items()
    }
    with torch.no_grad():
        took = interleaved({"network": lambda: guided(x, levels[5])} | runs, machine)
    one = took.pop("network").seconds
    return {
        name: {"microseconds_per_step": 1e6 * t.seconds / steps, "share_of_a_step": t.seconds / steps / one}
        for name, t in took.items()
    }


def ways(machine: Machine, n: int = 500, steps: int = 20) -> dict[str, tuple[Callable[[], Tensor], int]]:
    """Guided samples from noise to pixels, each as (function, number): ours, diffusers' scheduler around the same
    weights, and diffusers in pixel space, where a tenth of them suffices."""
    net = _denoiser(machine)
    vae = VAE(**configs.FASHION_VAE["cpu"][0]).to(machine.device)
    codec = VAECodec(vae, torch.zeros(4, device=machine.device), torch.ones(4, device=machine.device))
    plan = configs.PIXEL_DENOISER["cpu"][0]
    baseline = UNet(in_channels=1, **plan)
    make = peers.diffusers_unet(1, 32, plan["multipliers"], plan["blocks"], plan["attention"])
    pixel = peers.matched(make, range(8, 65, 4), peers.parameters(baseline), 0.1).to(machine.device).eval()
    few = max(n // 10, 1)
    return {
        "ours": (lambda: _ours(net, codec, n, steps, machine), n),
        "diffusers, the same weights": (lambda: _diffusers(net, codec, SHAPE, n, steps, machine), n),
        "diffusers, pixel space": (lambda: _diffusers(pixel, PixelCodec(), PIXELS, few, steps, machine), few),
    }


def guided_samples(machine: Machine, n: int = 500, steps: int = 20, repeats: int = 5) -> dict[str, dict]:
    """Images per second of each of the `ways`."""
    every = ways(machine, n, steps)
    took = interleaved({name: draw for name, (draw, _) in every.items()}, machine, repeats, warm_up=1)
    return {name: _rate(timing, every[name][1]) for name, timing in took.items()}


def _rate(timing: Timing, n: int) -> dict:
    return {"images_per_second": n / timing.seconds, "low": n / timing.high, "high": n / timing.low}


def _denoiser(machine: Machine) -> UNet:
    net = UNet(in_channels=4, **configs.FASHION_DENOISER["cpu"][0]).to(machine.device, memory_format=torch.channels_last)
    return net.eval()


def _guided(net: nn.Module, n: int, machine: Machine):
    autocast = None if machine.dtype == torch.float32 else machine.dtype
    y = torch.arange(n, device=machine.device) % recipes.NUM_CLASSES
    return classifier_free_guide(net, recipes.PREDICTION_TYPE, y, recipes.NUM_CLASSES, SCALE, autocast=autocast)


def _ours(net: nn.Module, codec: Codec, n: int, steps: int, machine: Machine) -> Tensor:
    levels = recipes.make_schedule().grid(steps)
    noise = torch.randn(n, *SHAPE, device=machine.device)
    return decode_all(codec, dpmpp_2m(_guided(net, n, machine), levels[0].sigma * noise, levels))


@torch.no_grad()
def _diffusers(net: nn.Module, codec: Codec, shape: tuple[int, ...], n: int, steps: int, machine: Machine) -> Tensor:
    """The loop of diffusers' pipelines: both halves of classifier-free guidance in one doubled batch, its own scheduler."""
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    scheduler.set_timesteps(steps)
    x = torch.randn(n, *shape, device=machine.device) * scheduler.init_noise_sigma
    y = torch.arange(n, device=machine.device) % recipes.NUM_CLASSES
    labels = torch.cat([y, torch.full_like(y, recipes.NUM_CLASSES)])
    for t in scheduler.timesteps:
        doubled = scheduler.scale_model_input(torch.cat([x, x]), t)
        with machine.autocast():
            cond, null = net(doubled, t.expand(2 * n).to(machine.device), labels).float().chunk(2)
        x = scheduler.step(null + SCALE * (cond - null), t, x).prev_sample
    return decode_all(codec, x)
