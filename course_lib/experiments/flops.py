"""What a network call costs, counted and not run: operations and memory, in pixels and in latents, at any resolution.

On torch's meta device tensors have a shape and no numbers, so that a picture of 1024 pixels costs nothing to count.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_lib.recipes import configs
from course_lib.unet import UNet
from course_lib.vae import VAE

COPIES = 5  # of the weights while training: themselves, their gradient, Adam's two moments, the moving average


def flops(run: Callable[[], object]) -> int:
    """Floating-point operations of one call of ``run``; matmuls, attention and convolutions only."""
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        run()
    return counter.get_total_flops()


@torch.no_grad()
def flops_per_step(net: nn.Module, shape: tuple[int, ...]) -> int:
    """Floating-point operations of one network call for one image."""
    return flops(lambda: net(*_inputs(net, shape, 1)))


def training_memory(net: nn.Module, shape: tuple[int, ...], batch: int) -> int:
    """Bytes that a training step holds when its backward pass begins: five copies of the weights, and every tensor that the
    network's layers keep for their gradients.

    Each picture adds the same, so that one and two of them tell what a large batch would hold.
    """
    one, two = _kept(net, shape, 1), _kept(net, shape, 2)
    return one + (batch - 1) * (two - one) + COPIES * sum(p.numel() * p.element_size() for p in net.parameters())


def _kept(net: nn.Module, shape: tuple[int, ...], batch: int) -> int:
    """Bytes that autograd keeps for the backward pass, the weights not among them, counted by its own hooks."""
    weights = {p.untyped_storage()._cdata for p in net.parameters()}
    kept = {}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        kept[storage._cdata] = storage  # one that two layers keep is held once; what is entered here stays alive
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        net(*_inputs(net, shape, batch))
    return sum(storage.nbytes() for key, storage in kept.items() if key not in weights)


def _inputs(net: nn.Module, shape: tuple[int, ...], batch: int) -> tuple[Tensor, Tensor, None]:
    device = next(net.parameters()).device
    return torch.zeros(batch, *shape, device=device), torch.ones(batch, dtype=torch.long, device=device), None


@dataclass(frozen=True)
class Side:
    """What one picture of this many pixels a side costs: operations of a network call in each space, and of one decoding."""

    side: int
    pixel: int
    latent: int
    decoding: int

    def ratio(self, steps: int = 20) -> float:
        """How many times more a sample of so many steps costs in pixel space, the decoding included."""
        return steps * self.pixel / (steps * self.latent + self.decoding)


def networks() -> dict[str, UNet]:
    """The recipes' denoisers of pixels and of latents, untrained, on the CPU and of a CPU's size on every machine."""
    sizes = {"pixel": (1, configs.PIXEL_DENOISER), "latent": (4, configs.FASHION_DENOISER)}
    return {name: UNet(in_channels=channels, **config["cpu"][0]) for name, (channels, config) in sizes.items()}


def shapes(side: int) -> dict[str, tuple[int, int, int]]:
    """What these networks see of a picture of side × side pixels; side is a multiple of 8."""
    return {"pixel": (1, side, side), "latent": (4, side // 8, side // 8)}


def at_side(side: int) -> Side:
    """The operations for pictures of side × side pixels, counted on the meta device: any multiple of 8."""
    seen = shapes(side)
    calls = [flops_per_step(net.to("meta"), seen[name]) for name, net in networks().items()]
    vae, code = VAE(**configs.FASHION_VAE["cpu"][0]).to("meta"), torch.zeros(1, *seen["latent"], device="meta")
    with torch.no_grad():
        return Side(side, *calls, flops(lambda: vae.decode(code)))


def memory_at_side(side: int, batch: int = 64) -> dict[str, int]:
    """Bytes that a training step holds in each space, for a batch of pictures of side × side pixels; it runs two of them."""
    return {name: training_memory(net, shapes(side)[name], batch) for name, net in networks().items()}


def extrapolate(x: Sequence[float], y: Sequence[float], to: float) -> float:
    """The power law through the points, fitted by least squares in the logarithms, read off at x = to."""
    a, b = (torch.tensor([math.log(v) for v in values], dtype=torch.float64) for values in (x, y))
    slope = ((a - a.mean()) * (b - b.mean())).sum() / (a - a.mean()).square().sum()
    return math.exp(b.mean() + slope * (math.log(to) - a.mean()))
