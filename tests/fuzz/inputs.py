"""Small valid inputs for the specs: tensors, and networks whose calls take a millisecond."""

import functools
from typing import Any

import torch
from odd_values import Denoise
from torch import Tensor, nn

from course_lib import device, schedule, teddies
from course_lib.codec import VAECodec
from course_lib.device import Machine
from course_lib.diffusion import denoiser
from course_lib.schedule import BatchLevel, Level, Schedule
from course_lib.text import TextDenoiser
from course_lib.unet import UNet
from course_lib.vae import VAE, Posterior


def normal(*shape: int) -> Tensor:
    """Unit Gaussian noise."""
    return torch.randn(*shape)


def images(n: int = 3, channels: int = 1, side: int = 8) -> Tensor:
    """Float images in [-1, 1]: [n, channels, side, side]."""
    return torch.rand(n, channels, side, side) * 2 - 1


def photos(n: int = 3, channels: int = 1, side: int = 8) -> Tensor:
    """uint8 images [n, channels, side, side]."""
    return torch.randint(256, (n, channels, side, side), dtype=torch.uint8)


def classes(n: int, count: int) -> Tensor:
    """Labels int64 [n], of count classes in turn."""
    return torch.arange(n) % count


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(int(torch.randint(2**31, ()).item()))


@functools.cache
def cosine() -> Schedule:
    return schedule.cosine()


def level() -> Level:
    return cosine().level(400)


def batch_level(n: int = 3) -> BatchLevel:
    return cosine().at(torch.linspace(10, 900, n).long())


def levels(steps: int = 3) -> list[Level]:
    return cosine().grid(steps)


def scattered(net: nn.Module, seed: int = 0) -> nn.Module:
    """The network with noise on all weights, since new ones have layers at zero; in evaluation mode."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p += 0.05 * torch.randn(p.shape, generator=source)
    return net.eval()


def built(make: Any, *args: Any, **options: Any) -> Any:
    """A network built with seeded weights, without a change of torch's own generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return scattered(make(*args, **options))


@functools.cache
def unet(num_classes: Any = 10, channels: int = 4) -> UNet:
    shape = {"in_channels": channels, "width": 8, "multipliers": (1,), "blocks": 1, "attention": (), "heads": 2}
    return built(UNet, **shape, num_classes=num_classes)


@functools.cache
def text_denoiser() -> TextDenoiser:
    shape = {"in_channels": 4, "width": 8, "multipliers": (1,), "blocks": 1, "attention": (0,), "heads": 2}
    return built(TextDenoiser, 16, 1, **shape)


@functools.cache
def vae(channels: int = 1) -> VAE:
    return built(VAE, channels, width=8)


@functools.cache
def codec(channels: int = 1) -> VAECodec:
    return VAECodec(vae(channels), torch.zeros(4), torch.ones(4))


@functools.cache
def machine() -> Machine:
    return device.find("cpu", "fp32", 1)


def network(num_classes: Any = 10) -> Denoise:
    """A network as a function (x_t, t, y)."""
    return Denoise(unet(num_classes))


def denoise() -> Denoise:
    """A denoiser of images [B, C, H, W] of any size."""
    return Denoise(lambda x_t, level: x_t / (1 + level.sigma))


def unet_denoiser() -> Any:
    return denoiser(unet(), "v", 3)


def tokens(n: int = 3) -> Tensor:
    from course_lib import text

    return text.tokenise(["two pink teddy bears reading", "", "one bear"][:n])


def factors(n: int = 4) -> teddies.Factors:
    return teddies.sample_factors(n, generator())


def labels(n: int = 3) -> Tensor:
    """Labels of teddies, int64 [n, 5]."""
    return factors(n).labels()


def posterior(n: int = 4) -> Posterior:
    return Posterior(normal(n, 2, 2, 2), normal(n, 2, 2, 2))
