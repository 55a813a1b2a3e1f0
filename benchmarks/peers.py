"""The libraries that we are compared with, diffusers and denoising-diffusion-pytorch, each network as large as ours."""

import bisect
import functools
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor, nn

from course_lib.recipes.configs import NUM_CLASSES

TORCHVISION = ("torchvision", "torchvision.transforms", "torchvision.utils", "torchvision.datasets")


class Adapter(nn.Module):
    """Another library's network with our signature, (x_t, t, y) → prediction. ``call`` calls it with its own."""

    def __init__(self, net: nn.Module, call: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.call = net, call

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.call(self.net, x, t, y)


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def matched(make: Callable[[int], nn.Module], widths: Iterable[int], wanted: int, within: float = 0.05) -> nn.Module:
    """Return the network of the width whose number of parameters is nearest to ``wanted``.

    Raises ValueError if its relative difference is larger than ``within``.
    """

    @functools.cache
    def count(width: int) -> int:
        with torch.device("meta"):  # counted without allocating weights
            return parameters(make(width))

    ordered = sorted(widths)  # a wider network has more parameters
    above = bisect.bisect_left(ordered, wanted, key=count)
    width = min(ordered[max(above - 1, 0) : above + 1], key=lambda w: abs(count(w) - wanted))
    if abs(count(width) / wanted - 1) > within:
        raise ValueError(
            f"The nearest width, {width}, has {count(width):,} parameters, but {wanted:,} within {within:.0%} are wanted: "
            "allow finer widths."
        )
    return make(width)


def diffusers_unet(channels: int, side: int, multipliers: tuple[int, ...], blocks: int, attention: tuple[int, ...]):
    """width → diffusers' UNet2DModel with labels, of our UNet's plan."""
    from diffusers import UNet2DModel

    def make(width: int) -> nn.Module:
        kinds = ["Attn" if level in attention else "" for level in range(len(multipliers))]
        net = UNet2DModel(
            sample_size=side, in_channels=channels, out_channels=channels, layers_per_block=blocks, norm_num_groups=4,
            attention_head_dim=width, num_class_embeds=NUM_CLASSES + 1,
            block_out_channels=tuple(width * m for m in multipliers),
            down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
            up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        )  # fmt: skip
        return Adapter(net, lambda net, x, t, y: net(x, t, class_labels=y).sample)

    return make


def diffusers_dit(channels: int, side: int, patch: int, depth: int, heads: int):
    """width → diffusers' DiTTransformer2DModel, of our DiT's plan."""
    from diffusers import DiTTransformer2DModel

    def make(width: int) -> nn.Module:
        net = DiTTransformer2DModel(
            num_attention_heads=heads, attention_head_dim=width // heads, in_channels=channels, out_channels=channels,
            num_layers=depth, sample_size=side, patch_size=patch, num_embeds_ada_norm=NUM_CLASSES,
        )  # fmt: skip
        return Adapter(net, lambda net, x, t, y: net(x, timestep=t, class_labels=y).sample)

    return make


def lucidrains_unet(channels: int, multipliers: tuple[int, ...]):
    """width → denoising-diffusion-pytorch's Unet, which takes no labels and has two blocks at each resolution."""

    def make(width: int) -> nn.Module:
        net = lucidrains().Unet(dim=width, dim_mults=multipliers, channels=channels, flash_attn=True)
        return Adapter(net, lambda net, x, t, y: net(x, t))

    return make


def lucidrains() -> ModuleType:
    """The package denoising_diffusion_pytorch.

    It imports torchvision only for its Trainer's data; since no build of that matches every torch, an empty stand-in replaces it
    where it is missing. Raises ValueError where the package itself is missing.
    """
    if find_spec("denoising_diffusion_pytorch") is None:
        raise ValueError("denoising-diffusion-pytorch is not installed: run `make bench`, which installs it.")
    stand_ins = TORCHVISION if find_spec("torchvision") is None else ()
    for name in stand_ins:
        sys.modules[name] = _Empty(name)
    try:
        import denoising_diffusion_pytorch
    finally:
        for name in stand_ins:  # no other code may take them for the real ones
            del sys.modules[name]
    return denoising_diffusion_pytorch


class _Empty(ModuleType):
    """A module that has every name, each an empty module."""

    __path__: tuple = ()
    __spec__ = None

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Empty(f"{self.__name__}.{name}")
