"""Factors to pixels, in batches, on the factors' own device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .bear import SLEEPING, Bear, stand
from .canvas import Patch, colours
from .factors import Factors, check
from .palette import AMBIENT, look
from .props import behind, held
from .scenes import background, blanket

SMALLEST, LARGEST = 16, 1024
BEND, VIVID = 0.5, 0.4  # how far brightness bends the tones, and saturation stretches the colours
#: Pixels drawn at once (about 100 bytes for each): enough that calling an operation costs less than doing it.
PIXELS_AT_ONCE_CPU, PIXELS_AT_ONCE = 2**20, 2**22


@torch.no_grad()
def render(factors: Factors, size: int = 64, chunk: int | None = None, fine: bool = True) -> Tensor:
    """Draw the teddies: float32 [N, 3, size, size] in [-1, 1], on the device of the factors.

    `size` is 16 to 1024; the picture is the same at every size, up to sampling. `chunk` is how many pictures are drawn
    at once (default: 256 at 64×64 on a CPU); it changes speed and memory, never the picture. Without `fine`, the fur
    has no grain and all cloth is plain: what those two factors say is then not drawn. Raises ValueError for a size or a
    factor out of range.
    """
    if not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size is {size!r}; expected a whole number of pixels from {SMALLEST} to {LARGEST}.")
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}; expected how many pictures to draw at once, 1 or more.")
    known = check(factors)
    finer = 4 if size < 24 else 2 if size < 48 else 1  # small pictures are drawn larger, then averaged
    drawn_at = size * finer
    device = factors.device
    budget = PIXELS_AT_ONCE_CPU if device.type == "cpu" else PIXELS_AT_ONCE
    at_once = chunk or max(1, budget // drawn_at**2)
    pictures = torch.empty(len(factors), 3, size, size, device=device)
    with torch.autocast(device.type, enabled=False):
        scenes, scene = _scenes(known, drawn_at, device)
        for count, activity, rows in _alike(known):
            for some in rows.split(at_once):
                some = some.to(device)
                drawn = _draw(factors[some], count, activity, scenes[..., scene[some]], fine).permute(3, 0, 1, 2)
                pictures[some] = F.avg_pool2d(drawn, finer) if finer > 1 else drawn
    return pictures


def _alike(known: Factors):
    """Pictures that share count and activity are drawn together: (count, activity, their rows)."""
    kind = known.activity * 2 + known.count
    for key in kind.unique().tolist():
        yield key % 2 + 1, key // 2, (kind == key).nonzero().flatten()


def _scenes(known: Factors, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The backgrounds that the pictures show [3, size, size, K], and which of them each shows [N]."""
    shown, which = known.background.unique(return_inverse=True)
    scenes = [background(number, size, device) for number in shown.tolist()]
    return torch.stack(scenes, dim=-1) if scenes else torch.zeros(3, size, size, 0, device=device), which.to(device)


def _draw(factors: Factors, count: int, activity: int, pictures: Tensor, fine: bool = True) -> Tensor:
    """Draw on the empty scenes [3, H, W, N], back to front: pictures of one kind."""
    sheet = Patch.whole(pictures)
    upright, places = stand(factors, count)
    paints = look(factors, fine)
    blanket(sheet, upright, paints, count)
    bears = [Bear(sheet, place, count, which, activity, paints) for which, place in enumerate(places)]
    for bear in bears:
        behind(bear)
        bear.draw_fur()
        bear.draw_face()
        bear.draw_scarf()
        held(bear)
        if activity != SLEEPING:
            bear.draw_paws()
    return _grade(sheet, factors)


def _grade(sheet: Patch, factors: Factors) -> Tensor:
    """Brightness, saturation, the light's colour and side over the whole picture, then [0, 1] to [-1, 1].

    Brightness bends the tones and keeps black black and white white, so that nothing is lost at either end; saturation
    moves every colour to or from the grey of its own luma (ITU-R BT.601).
    """
    rgb = sheet.rgb
    rgb.addcmul_(rgb - rgb * rgb, BEND * factors.brightness)
    grey = torch.add(rgb[0] * 0.299, rgb[1], alpha=0.587).add_(rgb[2], alpha=0.114)
    rgb.lerp_(grey, -VIVID * factors.saturation)
    warm, cold, ambient = (colours(codes, sheet.device).T for codes in (("#140600",), ("#000018",), AMBIENT))
    tint = ambient[:, factors.background] + (warm - cold) * factors.warmth  # [3, N]
    side = 1 + 0.10 * factors.light * sheet.xs  # [W, N]
    return rgb.mul_(tint[:, None, None] * side * 2).sub_(1).clamp_(-1, 1)
