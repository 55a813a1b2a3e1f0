"""Fur: soft, lit ellipses with grain, and fabric with its texture."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .canvas import Frame, Patch, wave
from .palette import Look

WAVES = 40  # plane waves in the grain


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
    """Wave vectors (radians per unit) and weights of the grain, [WAVES] each: golden-angle directions, 4 to 45 waves."""
    k = torch.arange(WAVES, device=device, dtype=torch.float32)
    rate = 2 * math.pi * 4.0 * (45.0 / 4.0) ** ((k * 0.618034) % 1.0)
    turn = k * (math.pi * (3 - math.sqrt(5)))
    return rate * turn.cos() * 1.5, rate * turn.sin() * 0.75, torch.full_like(k, math.sqrt(2 / WAVES))


def grain(patch: Patch, frame: Frame, seed: Tensor) -> Tensor:
    """Noise [N, H, W] of about unit variance, fixed to the frame: a sum of plane waves whose phases come from the seed.

    cos(k·p + phase) splits into a row and a column term, so that the sum over waves is one matrix product; each wave is
    averaged over the pixel (a sinc), so that what is too fine to be seen is not drawn.
    """
    wx, wy, weight = _waves(patch.device)
    number = torch.arange(WAVES, device=patch.device)
    mixed = (seed[:, None] * 7919 + number * 104729 + 12345) * 2654435761 % 4294967296 >> 8
    phase = mixed.to(torch.float32) * (2 * math.pi / 2**24)  # [N, WAVES]
    x, y, ax, ay = (t.view(-1, 1) for t in frame[:4])
    square = ax * ax + ay * ay
    kx = (frame.flip * wx * ax - wy * ay) / square  # the waves in picture units
    ky = (frame.flip * wx * ay + wy * ax) / square
    fade = torch.sinc(kx * (patch.pixel / (2 * math.pi))) * torch.sinc(ky * (patch.pixel / (2 * math.pi)))
    column = kx[:, :, None] * (patch.xs - x[:, :, None])  # [N, WAVES, W]
    row = (ky[:, :, None] * (patch.ys.mT - y[:, :, None]) + phase[:, :, None]).mT  # [N, H, WAVES]
    strength = (fade * weight)[:, None, :]
    left = torch.cat([row.cos() * strength, row.sin() * -strength], dim=2)
    return left @ torch.cat([column.cos(), column.sin()], dim=1)


def plush(patch: Patch, frame: Frame, parts: list[tuple[Frame, Part]], look: Look, noise: Tensor) -> None:
    """Paint fur: the parts one over another, each lit like a ball from the lamp's side, its edge roughened by grain."""
    alpha = torch.zeros_like(noise)
    shade, cream = torch.zeros_like(noise), torch.zeros_like(noise)
    one = alpha.new_ones(())
    for home, part in parts:
        spot = home.at(part.x, part.y, part.angle)
        u, v = patch.uv(spot, part.a, part.b)
        square = (u * u).addcmul_(v, v)
        blur = patch.blur(spot)
        radius = math.sqrt(part.a * part.b)
        if part.shadow:
            shade.mul_(square.sqrt_().sub_(1).clamp_(-1, 0).mul_(part.shadow).add_(1))
            continue
        cover = square.sqrt().sub_(1).mul_(-radius / blur).addcmul_(noise, 0.012 / blur).add_(0.5).clamp_(0, 1)
        lit = _lit(spot, look, u, v, square, part.base)
        shade.lerp_(lit, cover)
        alpha.lerp_(one, cover)
        cream.lerp_(one * part.cream, cover)
    shade.add_(noise, alpha=0.055).clamp_(0, 1.12)
    body = torch.addcmul(look.dark, look.light - look.dark, shade.unsqueeze(1))
    pale = look.cream * 0.62 + look.cream * 0.38 * shade.unsqueeze(1)
    patch.paint(alpha, body.lerp_(pale, cream.unsqueeze(1)))


def _lit(spot: Frame, look: Look, u: Tensor, v: Tensor, square: Tensor, base: float) -> Tensor:
    """Brightness of a ball: lit from above and from the lamp, dark to its edge, a rim of light. Overwrites u, v."""
    scale = spot.scale
    across = spot.flip * (look.lamp_x * spot.ax + 0.8 * spot.ay) / scale
    upward = (0.8 * spot.ax - look.lamp_x * spot.ay) / scale
    toward = u.mul_(across).addcmul_(v, upward)
    lit = torch.addcmul(toward * 0.20, toward, square, value=0.16)
    return lit.add_(square.mul_(square), alpha=-0.30).add_(base)


def fabric(u: Tensor, v: Tensor, period: float, blur: Tensor, kind: Tensor) -> Tensor:
    """How much of the pattern's second colour shows, [N, H, W]: plain, stripes, checks or dots by `kind` [N, 1, 1]."""
    across, along = wave(u.clone(), period, blur), wave(v.clone(), period, blur)
    rate = 2 * math.pi / period
    fade = (period / blur - 1).clamp_(0, 1)
    dots = u.mul_(rate).cos_().add_(v.mul_(rate).cos_()).sub_(0.75).div_(rate * blur).add_(0.5).clamp_(0, 1)
    dots = dots.sub_(0.2).mul_(fade).add_(0.2)
    checks = (across + along).mul_(0.5)
    shown = torch.where(kind == 1, along, torch.where(kind == 2, checks, dots))
    return shown.mul_(kind > 0)
