"""Render factors to pixels, in batches, on the device of the factors."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.arguments import check_flag, check_integer

from .bear import SLEEPING, Bear, bear_frames
from .canvas import Patch, colours
from .factors import Factors, check_factors
from .palette import AMBIENT, choose_palette
from .props import draw_behind, draw_in_front
from .scenes import draw_background, draw_blanket

SMALLEST, LARGEST = 16, 1024
BRIGHTNESS_RANGE, SATURATION_RANGE = 0.5, 0.4  # how far the factors of these names change the tones and the colours
#: Pixels drawn at once (about 100 bytes for each): enough that computing an operation takes longer than calling it.
PIXELS_AT_ONCE_CPU, PIXELS_AT_ONCE = 2**20, 2**22


@torch.no_grad()
def render(factors: Factors, size: int = 64, chunk: int | None = None, fine: bool = True, grain: bool = True) -> Tensor:
    """Draw the teddies: float32 [N, 3, size, size] in [-1, 1], on the device of the factors.

    `size` is 16 to 1024; the image is the same at every size, up to sampling. `chunk` is the number of images drawn at
    once (default: 256 at 64×64 on a CPU); it changes speed and memory, never the image. Without `fine`, the fur has no
    grain and all cloth is plain: the factors `grain` and `fabric` are ignored; without `grain` alone, cloth keeps its
    texture. Raises ValueError for a size or a factor out of range.
    """
    check_flag("fine", fine)
    check_flag("grain", grain)
    if isinstance(size, bool) or not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size is {size!r}; expected an integer number of pixels from {SMALLEST} to {LARGEST}.")
    if chunk is not None:
        chunk = check_integer("chunk", chunk, at_least=1)
    checked = check_factors(factors)
    finer = 4 if size < 24 else 2 if size < 48 else 1  # small images are drawn larger, then averaged
    drawn_size = size * finer
    device = factors.device
    budget = PIXELS_AT_ONCE_CPU if device.type == "cpu" else PIXELS_AT_ONCE
    at_once = chunk or max(1, budget // drawn_size**2)
    images = torch.empty(len(factors), 3, size, size, device=device)
    with torch.autocast(device.type, enabled=False):
        backgrounds, shown = _backgrounds(checked, drawn_size, device)
        for count, activity, group in _groups(checked):
            for rows in group.split(at_once):
                rows = rows.to(device)
                drawn = _draw(factors[rows], count, activity, backgrounds[..., shown[rows]], fine, grain).permute(3, 0, 1, 2)
                images[rows] = F.avg_pool2d(drawn, finer) if finer > 1 else drawn
    return images


def _groups(factors: Factors) -> Iterator[tuple[int, int, Tensor]]:
    """The rows that have count and activity in common, which are drawn together: (count, activity, rows)."""
    group = factors.activity * 2 + factors.count
    for key in group.unique().tolist():
        yield key % 2 + 1, key // 2, (group == key).nonzero().flatten()


def _backgrounds(factors: Factors, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The backgrounds that appear [3, size, size, K], and the index of each image's background among them [N]."""
    present, which = factors.background.unique(return_inverse=True)
    drawn = [draw_background(number, size, device) for number in present.tolist()]
    return torch.stack(drawn, dim=-1) if drawn else torch.zeros(3, size, size, 0, device=device), which.to(device)


def _draw(factors: Factors, count: int, activity: int, images: Tensor, fine: bool = True, grain: bool = True) -> Tensor:
    """Draw on the backgrounds [3, H, W, N], back to front: images with this count and activity."""
    sheet = Patch.full(images)
    upright, frames = bear_frames(factors, count)
    palette = choose_palette(factors, fine, grain)
    draw_blanket(sheet, upright, palette, count)
    bears = [Bear(sheet, frame, count, which, activity, palette) for which, frame in enumerate(frames)]
    for bear in bears:
        draw_behind(bear)
        bear.draw_fur()
        bear.draw_face()
        bear.draw_scarf()
        draw_in_front(bear)
        if activity != SLEEPING:
            bear.draw_paws()
    return _grade_colours(sheet, factors)


def _grade_colours(sheet: Patch, factors: Factors) -> Tensor:
    """Apply brightness, saturation, and the colour and side of the light to the full image, then map [0, 1] to [-1, 1].

    Brightness is a tone curve that leaves black and white unchanged, so that nothing is lost at either end; saturation
    moves every colour towards or away from the grey of its luma (ITU-R BT.601).
    """
    rgb = sheet.rgb
    rgb.addcmul_(rgb - rgb * rgb, BRIGHTNESS_RANGE * factors.brightness)
    grey = torch.add(rgb[0] * 0.299, rgb[1], alpha=0.587).add_(rgb[2], alpha=0.114)
    rgb.lerp_(grey, -SATURATION_RANGE * factors.saturation)
    warm, cold, ambient = (colours(codes, sheet.device).T for codes in (("#140600",), ("#000018",), AMBIENT))
    tint = ambient[:, factors.background] + (warm - cold) * factors.warmth  # [3, N]
    side = 1 + 0.10 * factors.light * sheet.xs  # [W, N]
    return rgb.mul_(tint[:, None, None] * side * 2).sub_(1).clamp_(-1, 1)
