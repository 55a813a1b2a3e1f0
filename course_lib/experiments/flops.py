"""The cost of a network call, counted without running it: operations and memory, in pixels and in latents, at any resolution.

On torch's meta device tensors have a shape but no values, so counting an image of 1024×1024 pixels costs nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_lib.arguments import MAX_SIZE, check_integer, check_integers, check_number, check_numbers
from course_lib.recipes import configs
from course_lib.unet import UNet
from course_lib.vae import VAE

TENSORS_PER_WEIGHT = 5  # while training: the weight, its gradient, Adam's two moments, the moving average


def flops(run: Callable[[], object]) -> int:
    """Count the floating-point operations of one call of ``run``: matrix products, attention and convolutions only."""
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        run()
    return counter.get_total_flops()


@torch.no_grad()
def flops_per_step(net: nn.Module, shape: tuple[int, ...]) -> int:
    """Count the floating-point operations of one network call for one image."""
    return flops(lambda: net(*_inputs(net, shape, 1)))


def training_memory(net: nn.Module, shape: tuple[int, ...], batch: int) -> int:
    """Return the bytes that a training step holds when its backward pass begins.

    These are five tensors for each weight, and every tensor that the layers save for their gradients. Each image adds the same
    amount, so batches of one and two images give the amount of a large batch.
    """
    check_integer("batch", batch, at_least=1)
    one, two = _saved_bytes(net, shape, 1), _saved_bytes(net, shape, 2)
    return one + (batch - 1) * (two - one) + TENSORS_PER_WEIGHT * sum(p.numel() * p.element_size() for p in net.parameters())


def _saved_bytes(net: nn.Module, shape: tuple[int, ...], batch: int) -> int:
    """Return the bytes that autograd saves for the backward pass, without the weights, counted by autograd's own hooks."""
    weights = {p.untyped_storage()._cdata for p in net.parameters()}
    saved = {}

    def save(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        saved[storage._cdata] = storage  # a storage that two layers save counts once; the reference keeps its address unique
        return x

    with torch.autograd.graph.saved_tensors_hooks(save, lambda x: x):
        net(*_inputs(net, shape, batch))
    return sum(storage.nbytes() for key, storage in saved.items() if key not in weights)


def _inputs(net: nn.Module, shape: tuple[int, ...], batch: int) -> tuple[Tensor, Tensor, None]:
    check_integers("shape", shape, 1, MAX_SIZE)
    device = next(net.parameters()).device
    return torch.zeros(batch, *shape, device=device), torch.ones(batch, dtype=torch.long, device=device), None


@dataclass(frozen=True)
class SamplingCost:
    """Operations for one image of side × side pixels: of a network call in each space, and of one decoding."""

    side: int
    pixel: int
    latent: int
    decoding: int

    def ratio(self, steps: int = 20) -> float:
        """Return the cost of a sample of this many steps in pixels, as a multiple of its cost in latents with decoding."""
        check_integer("steps", steps, at_least=1)
        return steps * self.pixel / (steps * self.latent + self.decoding)


def denoisers() -> dict[str, UNet]:
    """Build the recipes' denoisers of pixels and of latents, untrained, on the CPU and in a CPU's size on every machine."""
    configurations = {"pixel": (1, configs.PIXEL_DENOISER), "latent": (4, configs.FASHION_DENOISER)}
    return {name: UNet(in_channels=channels, **config["cpu"][0]) for name, (channels, config) in configurations.items()}


def input_shapes(side: int) -> dict[str, tuple[int, int, int]]:
    """Return the input shape of each denoiser for images of side × side pixels; side is a multiple of 8."""
    check_integer("side", side, 8, MAX_SIZE)
    if side % 8:
        raise ValueError(f"side is {side}, but the VAE halves it three times: it must be a multiple of 8.")
    return {"pixel": (1, side, side), "latent": (4, side // 8, side // 8)}


def cost_at_side(side: int) -> SamplingCost:
    """Count the operations for images of side × side pixels, on the meta device; side is any multiple of 8."""
    shapes = input_shapes(side)
    calls = {name: flops_per_step(net.to("meta"), shapes[name]) for name, net in denoisers().items()}
    vae, latent = VAE(**configs.FASHION_VAE["cpu"][0]).to("meta"), torch.zeros(1, *shapes["latent"], device="meta")
    with torch.no_grad():
        return SamplingCost(side, calls["pixel"], calls["latent"], flops(lambda: vae.decode(latent)))


def memory_at_side(side: int, batch: int = 64) -> dict[str, int]:
    """Return the bytes that a training step holds in each space, for a batch of images of side × side pixels.

    It runs the networks on one and on two images.
    """
    return {name: training_memory(net, input_shapes(side)[name], batch) for name, net in denoisers().items()}


def power_law_exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Fit y = c · x^p by least squares in the logarithms; return p.

    Raises ValueError for fewer than two different x, or unequally many x and y.
    """
    x, y = check_numbers("x", x, above=0), check_numbers("y", y, above=0)
    if len(x) != len(y) or len({math.log(v) for v in x}) < 2:
        raise ValueError(
            f"There are {len(x)} x and {len(y)} y, but a power law needs equally many of both, with at least two different x."
        )
    a, b = (torch.tensor([math.log(v) for v in values], dtype=torch.float64) for values in (x, y))
    return (((a - a.mean()) * (b - b.mean())).sum() / (a - a.mean()).square().sum()).item()


def extrapolate_power_law(x: Sequence[float], y: Sequence[float], to: float) -> float:
    """Fit a power law to the points by least squares in the logarithms, and return its value at x = to."""
    p, to = power_law_exponent(x, y), check_number("to", to, above=0)
    mean_x, mean_y = (sum(math.log(v) for v in values) / len(values) for values in (x, y))
    log_y = mean_y + p * (math.log(to) - mean_x)
    return math.exp(check_number("the logarithm of the extrapolated value", log_y, at_most=700))
