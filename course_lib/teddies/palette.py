"""Colours: light and dark fur, scarves, and the blanket and light of each background."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .canvas import colours
from .factors import Factors

# In the order of factors.VALUES. Fur goes from dark (in shade) to light (lit); cream is muzzle, belly and paw pads.
FUR_DARK = ("#4d2a12", "#b9730f", "#cf5585", "#484848", "#b3a59c", "#2f57a8")
FUR_LIGHT = ("#a8683a", "#ffd25a", "#ffaecb", "#a3a3a3", "#fffdf6", "#86bdfb")
CREAM = ("#efcf9c", "#fff3c8", "#ffeaf0", "#e6e6e6", "#ffe6dc", "#e6f4ff")
SCARF = ("#000000", "#d92532", "#1f9d4d", "#2453d6", "#ffd21f")
SCARF_MARK = ("#000000", "#ffc9c2", "#b5f0bd", "#a9c8ff", "#c97a00")
BLANKET = ("#e8604c", "#2f9bb5", "#7a5bb8", "#4f7f6b", "#c8434e")
BLANKET_MARK = ("#fff1dc", "#fdf6e3", "#d9c6ff", "#f3e3c0", "#fff5f0")
AMBIENT = ("#ffffff", "#fffaf2", "#e2e6ff", "#fff8f0", "#f8fbff")


class Palette(NamedTuple):
    """Colours of N images, each [3, 1, 1, N], and the direction of the light, [N]."""

    dark: Tensor
    light: Tensor
    cream: Tensor
    scarf: Tensor
    scarf_mark: Tensor
    blanket: Tensor
    blanket_mark: Tensor
    lamp_x: Tensor
    grain: Tensor | None  # [N], the seed of the fur; None: fur without grain
    fabric: Tensor  # [N]
    scarved: Tensor  # [N], 1 where there is a scarf


def choose_palette(factors: Factors, fine: bool = True, grain: bool = True) -> Palette:
    """Return the colours of these factors; fur has no grain without `fine` or `grain`, cloth no texture without `fine`."""
    device = factors.device

    def pick(codes: tuple[str, ...], which: Tensor) -> Tensor:
        return colours(codes, device).T[:, which][:, None, None]

    return Palette(
        dark=pick(FUR_DARK, factors.fur),
        light=pick(FUR_LIGHT, factors.fur),
        cream=pick(CREAM, factors.fur),
        scarf=pick(SCARF, factors.scarf),
        scarf_mark=pick(SCARF_MARK, factors.scarf),
        blanket=pick(BLANKET, factors.background),
        blanket_mark=pick(BLANKET_MARK, factors.background),
        lamp_x=factors.light * 0.8,
        grain=factors.grain if fine and grain else None,
        fabric=factors.fabric if fine else torch.zeros_like(factors.fabric),
        scarved=(factors.scarf > 0).to(torch.float32),
    )
