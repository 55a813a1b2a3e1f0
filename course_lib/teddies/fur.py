"""Fur: soft, lit ellipses with grain, and fabric with its texture."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .canvas import Frame, Patch, rim, wave
from .palette import Look

WAVES = 40  # plane waves in the grain
DOTS = 0.2  # the share of a dotted cloth that is dots
FUZZ = 0.009  # how far the grain roughens an edge, in the bear's units


class Part(NamedTuple):
    """A plush ellipse at (x, y) with half-axes a, b, turned by `angle`.

    `cream` 1 is the pale fur of the muzzle; `base` is its brightness; `shadow` > 0 makes it a soft shadow instead.
    """

    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0
    cream: float = 0.0
    base: float = 0.70
    shadow: float = 0.0


def both(part: Part) -> list[Part]:
    """A part and its mirror image."""
    return [part, part._replace(x=-part.x, angle=-part.angle)]


@lru_cache(maxsize=8)
def _waves(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Wave vectors (radians per unit) and weights of the grain, [WAVES] each: golden-angle directions, 4 to 45."""
    k = torch.arange(WAVES, device=device, dtype=torch.float32)
    rate = 2 * math.pi * 4.0 * (45.0 / 4.0) ** ((k * 0.618034) % 1.0)
    turn = k * (math.pi * (3 - math.sqrt(5)))
    return rate * turn.cos() * 1.5, rate * turn.sin() * 0.75, torch.full_like(k, math.sqrt(2 / WAVES))


def grain(patch: Patch, frame: Frame, seed: Tensor) -> Tensor:
    """Noise [H, W, N] of about unit variance, fixed to the frame: a sum of plane waves whose phases come from the seed.

    cos(k·p + phase) splits into a row and a column term, so that the sum over waves is one matrix product; each wave is
    averaged over the pixel (a sinc), so that what is too fine to be seen is not drawn.
    """
    wx, wy, weight = _waves(patch.device)
    number = torch.arange(WAVES, device=patch.device)
    mixed = (seed[:, None] * 7919 + number * 104729 + 12345) * 2654435761 % 4294967296 >> 8
    phase = mixed.to(torch.float32) * (2 * math.pi / 2**24)  # [N, WAVES]
    x, y, ax, ay, inverse = (t.view(-1, 1) for t in frame[:5])
    square = inverse * inverse
    kx = (frame.flip * wx * ax - wy * ay) * square  # the waves in picture units
    ky = (frame.flip * wx * ay + wy * ax) * square
    fade = torch.sinc(kx * (patch.pixel / (2 * math.pi))) * torch.sinc(ky * (patch.pixel / (2 * math.pi)))
    column = kx[:, :, None] * (patch.xs.mT - x[:, :, None])  # [N, WAVES, W]
    row = (ky[:, :, None] * (patch.ys.view(1, -1) - y[:, :, None]) + phase[:, :, None]).mT  # [N, H, WAVES]
    strength = (fade * weight)[:, None, :]
    left = torch.cat([row.cos() * strength, row.sin() * -strength], dim=2)
    return (left @ torch.cat([column.cos(), column.sin()], dim=1)).permute(1, 2, 0).contiguous()


def plush(patch: Patch, frame: Frame, parts: list[tuple[Patch, Frame, Part]], look: Look) -> None:
    """Paint fur: the parts one over another, each lit like a ball from the lamp's side, its edge roughened by grain.

    Each part comes with the piece of the patch that it can reach, and is worked out only there.
    """
    h, w, n = patch.rgb.shape[1:]
    noise = patch.rgb.new_zeros(h, w, n) if look.grain is None else grain(patch, frame, look.grain)
    alpha, shade, cream = (torch.zeros_like(noise) for _ in range(3))
    one = alpha.new_ones(())
    per_blur = 1 / patch.blur(frame)
    fuzz = torch.addcmul(one * 0.5, noise, per_blur, value=FUZZ)
    lamps = {}
    for piece, home, part in parts:
        u, v = piece.uv(home.at(part.x, part.y, part.angle), part.a, part.b)
        shade_here = piece.same(shade, patch)
        if part.shadow:
            shade_here.mul_((u * u).addcmul_(v, v).sqrt_().sub_(1).clamp_(-1, 0).mul_(part.shadow).add_(1))
            continue
        distance = rim(u, v, part.a, part.b, part.a / part.b)
        cover = torch.addcmul(piece.same(fuzz, patch), distance, per_blur, value=-1).clamp_(0, 1)
        if id(home) not in lamps:
            lamps[id(home)] = _lamp(home, look)
        shade_here.lerp_(_lit(lamps[id(home)], part, u, v), cover)
        piece.same(alpha, patch).lerp_(one, cover)
        piece.same(cream, patch).lerp_(one * part.cream, cover)
    shade.add_(noise, alpha=0.055).clamp_(0, 1.12)
    body = torch.addcmul(look.dark, look.light - look.dark, shade)
    pale = torch.addcmul(look.light, look.cream - look.light, (shade * 0.65).add_(0.45))
    patch.paint(alpha, body.lerp_(pale, cream))


def _lamp(home: Frame, look: Look) -> tuple[Tensor, Tensor]:
    """The direction to the lamp in a frame."""
    across = home.flip * (look.lamp_x * home.ax + 0.8 * home.ay) * home.inverse
    return across, (0.8 * home.ax - look.lamp_x * home.ay) * home.inverse


def _lit(lamp: tuple[Tensor, Tensor], part: Part, u: Tensor, v: Tensor) -> Tensor:
    """Brightness of a ball: lit from above and from the lamp, dark to its edge, a rim of light. Overwrites u, v."""
    across, up = lamp
    if part.angle:
        cos, sin = math.cos(part.angle), math.sin(part.angle)
        across, up = across * cos + up * sin, up * cos - across * sin
    square = (u * u).addcmul_(v, v)
    toward = u.mul_(across).addcmul_(v, up)
    lit = torch.addcmul(toward * 0.20, toward, square, value=0.16)
    return lit.addcmul_(square, square, value=-0.30).add_(part.base)


def fabric(u: Tensor, v: Tensor, period: float, blur: tuple[Tensor, Tensor], kind: Tensor) -> Tensor:
    """How much of the pattern's second colour shows, [H, W, N]: plain, stripes, checks or dots by `kind` [N].

    `blur` is a pixel's width along u and along v. Overwrites both.
    """
    rate, (blur_u, blur_v) = 2 * math.pi / period, blur
    cos_u, cos_v = (u * rate).cos_(), (v * rate).cos_()
    fade = (period / blur_v - 1).clamp_(0, 1)
    dots = (cos_u + cos_v).sub_(0.75).div_(rate * blur_v).add_(0.5).clamp_(0, 1).sub_(DOTS).mul_(fade).add_(DOTS)
    along = wave(v, period, blur_v)
    checks = wave(u, period, blur_u).add_(along).mul_(0.5)
    return torch.where(kind == 1, along, torch.where(kind == 2, checks, dots)).mul_(kind > 0)
