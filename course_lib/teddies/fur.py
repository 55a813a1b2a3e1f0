"""Fur: soft, lit ellipses with grain, and fabric with its texture."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .canvas import Frame, Patch, ellipse_distance, stripes
from .palette import Palette

WAVES = 40  # plane waves in the grain
DOTS = 0.2  # the fraction of a dotted cloth that is dots
FUZZ = 0.009  # how far the grain roughens an edge, in units of the bear


class Part(NamedTuple):
    """A plush ellipse at (x, y) with half-axes a, b, turned by `angle`.

    `cream` 1 is the pale fur of the muzzle; `base` is the brightness; `shadow` > 0 makes the part a soft shadow instead.
    """

    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0
    cream: float = 0.0
    base: float = 0.70
    shadow: float = 0.0


def mirrored_pair(part: Part) -> list[Part]:
    """A part and its mirror image."""
    return [part, part._replace(x=-part.x, angle=-part.angle)]


@lru_cache(maxsize=8)
def _waves(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Wave vectors (radians per unit) and weights of the grain, [WAVES] each: golden-angle directions, 4 to 45 periods a unit."""
    k = torch.arange(WAVES, device=device, dtype=torch.float32)
    rate = 2 * math.pi * 4.0 * (45.0 / 4.0) ** ((k * 0.618034) % 1.0)
    turn = k * (math.pi * (3 - math.sqrt(5)))
    return rate * turn.cos() * 1.5, rate * turn.sin() * 0.75, torch.full_like(k, math.sqrt(2 / WAVES))


def grain_noise(patch: Patch, frame: Frame, seed: Tensor) -> Tensor:
    """Noise [H, W, N] of about unit variance, fixed to the frame: a sum of plane waves whose phases come from the seed.

    cos(k·p + phase) splits into a row and a column term, so that the sum over waves is one matrix product; each wave is
    averaged over the pixel (a sinc), so that waves too fine for the pixels are not drawn.
    """
    wx, wy, weight = _waves(patch.device)
    number = torch.arange(WAVES, device=patch.device)
    mixed = (seed[:, None] * 7919 + number * 104729 + 12345) * 2654435761 % 4294967296 >> 8
    phase = mixed.to(torch.float32) * (2 * math.pi / 2**24)  # [N, WAVES]
    x, y, ax, ay, inverse = (t.view(-1, 1) for t in frame[:5])
    square = inverse * inverse
    kx = (frame.flip * wx * ax - wy * ay) * square  # the waves in image units
    ky = (frame.flip * wx * ay + wy * ax) * square
    fade = torch.sinc(kx * (patch.pixel / (2 * math.pi))) * torch.sinc(ky * (patch.pixel / (2 * math.pi)))
    column = kx[:, :, None] * (patch.xs.mT - x[:, :, None])  # [N, WAVES, W]
    row = (ky[:, :, None] * (patch.ys.view(1, -1) - y[:, :, None]) + phase[:, :, None]).mT  # [N, H, WAVES]
    strength = (fade * weight)[:, None, :]
    left = torch.cat([row.cos() * strength, row.sin() * -strength], dim=2)
    return (left @ torch.cat([column.cos(), column.sin()], dim=1)).permute(1, 2, 0).contiguous()


def draw_plush(patch: Patch, frame: Frame, parts: list[tuple[Patch, Frame, Part]], palette: Palette) -> None:
    """Draw fur: the parts one over another, each lit like a ball from the lamp's side, its edge roughened by grain.

    Each part comes with the patch that it can reach, and is computed only there.
    """
    h, w, n = patch.rgb.shape[1:]
    noise = patch.rgb.new_zeros(h, w, n) if palette.grain is None else grain_noise(patch, frame, palette.grain)
    alpha, shade, cream = (torch.zeros_like(noise) for _ in range(3))
    one = alpha.new_ones(())
    per_blur = 1 / patch.blur(frame)
    fuzz = torch.addcmul(one * 0.5, noise, per_blur, value=FUZZ)
    lamps = {}
    for piece, part_frame, part in parts:
        u, v = piece.uv(part_frame.at(part.x, part.y, part.angle), part.a, part.b)
        shade_here = piece.view_of(shade, patch)
        if part.shadow:
            shade_here.mul_((u * u).addcmul_(v, v).sqrt_().sub_(1).clamp_(-1, 0).mul_(part.shadow).add_(1))
            continue
        distance = ellipse_distance(u, v, part.a, part.b, part.a / part.b)
        cover = torch.addcmul(piece.view_of(fuzz, patch), distance, per_blur, value=-1).clamp_(0, 1)
        if id(part_frame) not in lamps:
            lamps[id(part_frame)] = _lamp(part_frame, palette)
        shade_here.lerp_(_shading(lamps[id(part_frame)], part, u, v), cover)
        piece.view_of(alpha, patch).lerp_(one, cover)
        piece.view_of(cream, patch).lerp_(one * part.cream, cover)
    shade.add_(noise, alpha=0.055).clamp_(0, 1.12)
    body = torch.addcmul(palette.dark, palette.light - palette.dark, shade)
    pale = torch.addcmul(palette.light, palette.cream - palette.light, (shade * 0.65).add_(0.45))
    patch.paint(alpha, body.lerp_(pale, cream))


def _lamp(frame: Frame, palette: Palette) -> tuple[Tensor, Tensor]:
    """The direction to the lamp in a frame."""
    across = frame.flip * (palette.lamp_x * frame.ax + 0.8 * frame.ay) * frame.inverse
    return across, (0.8 * frame.ax - palette.lamp_x * frame.ay) * frame.inverse


def _shading(lamp: tuple[Tensor, Tensor], part: Part, u: Tensor, v: Tensor) -> Tensor:
    """Brightness of a ball: lit from above and from the lamp, darker towards its edge, with a rim of light. Overwrites u, v."""
    across, up = lamp
    if part.angle:
        cos, sin = math.cos(part.angle), math.sin(part.angle)
        across, up = across * cos + up * sin, up * cos - across * sin
    square = (u * u).addcmul_(v, v)
    toward = u.mul_(across).addcmul_(v, up)
    lit = torch.addcmul(toward * 0.20, toward, square, value=0.16)
    return lit.addcmul_(square, square, value=-0.30).add_(part.base)


def fabric_pattern(u: Tensor, v: Tensor, period: float, blur: tuple[Tensor, Tensor], fabric: Tensor) -> Tensor:
    """Opacity of the pattern's second colour, [H, W, N]: plain, stripes, checks or dots by the factor `fabric` [N].

    `blur` is a pixel's width along u and along v. Overwrites u and v.
    """
    rate, (blur_u, blur_v) = 2 * math.pi / period, blur
    cos_u, cos_v = (u * rate).cos_(), (v * rate).cos_()
    fade = (period / blur_v - 1).clamp_(0, 1)
    dots = (cos_u + cos_v).sub_(0.75).div_(rate * blur_v).add_(0.5).clamp_(0, 1).sub_(DOTS).mul_(fade).add_(DOTS)
    along = stripes(v, period, blur_v)
    checks = stripes(u, period, blur_u).add_(along).mul_(0.5)
    return torch.where(fabric == 1, along, torch.where(fabric == 2, checks, dots)).mul_(fabric > 0)
