"""The five backgrounds, and the blanket that the bears sit on. A background is one image, drawn once for a batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .canvas import Frame, Patch, box, colour, edge, image_frame, stripes
from .factors import VALUES
from .fur import fabric_pattern
from .palette import Palette


def draw_background(which: int, size: int, device: torch.device) -> Tensor:
    """Draw a background [3, size, size] in [0, 1]: small ones at a higher resolution, then averaged."""
    finer = max(1, 256 // size)
    patch = Patch.full(torch.zeros(3, size * finer, size * finer, 1, device=device))
    {"meadow": _meadow, "beach": _beach, "night": _night, "bedroom": _bedroom, "snow": _snow}[VALUES["background"][which]](
        Brush(patch)
    )
    return F.avg_pool2d(patch.rgb[..., 0], finer)


class Brush:
    """Shapes on a full image, by colour code."""

    def __init__(self, patch: Patch):
        self.patch, self.frame = patch, image_frame(1, patch.device)
        self.blur = patch.blur(self.frame)

    def paint(self, cover: Tensor, code: str, strength: float = 1.0) -> None:
        """Blend in a colour with the opacity `cover` · `strength`."""
        self.patch.paint(cover * strength, colour(code, self.patch.device))

    def sky(self, top: str, bottom: str, low: float, high: float = 1.0) -> None:
        """A smooth change of colour from height `low` up to `high`."""
        y = self.patch.ys.sub(low).div_(high - low).clamp_(0, 1)
        self.patch.rgb.copy_(colour(bottom, self.patch.device))
        self.paint(y.expand(-1, len(self.patch.xs), 1), top)

    def disc(
        self,
        x: float,
        y: float,
        a: float,
        b: float | None,
        code: str,
        soft: float = 0.0,
        strength: float = 1.0,
        angle: float = 0.0,
    ) -> None:
        """An ellipse at (x, y) with half-axes a and b (a circle where b is None)."""
        reach = max(a, b or a) + soft + 0.01
        patch = self.patch.crop(x - reach, x + reach, y - reach, y + reach)
        cover = patch.disc(self.frame.at(x, y, angle), a, b, soft) * strength
        patch.paint(cover, colour(code, patch.device))

    def box(self, x: float, y: float, a: float, b: float, code: str, strength: float = 1.0) -> None:
        """A rectangle at (x, y) with half-sides a and b."""
        patch = self.patch.crop(x - a, x + a, y - b, y + b)
        u, v = patch.uv(self.frame.at(x, y))
        patch.paint(box(u, v, a, b, self.blur) * strength, colour(code, patch.device))

    def moon(self, x: float, y: float, radius: float, code: str) -> None:
        """A crescent: one disc minus another."""
        dark = 1 - self.patch.disc(self.frame.at(x - 0.09, y + 0.05), radius * 0.83)
        self.paint(self.patch.disc(self.frame.at(x, y), radius) * dark, code)

    def land(self, height: Tensor | float, code: str, soft: float = 0.0, strength: float = 1.0) -> None:
        """Everything below a line, given as heights [W, 1] over `patch.xs`."""
        distance = self.patch.ys - height + torch.zeros_like(self.patch.xs)
        self.paint(edge(distance, self.blur + soft), code, strength)

    def cloud(self, x: float, y: float, s: float, code: str = "#ffffff", strength: float = 0.95) -> None:
        """Five soft discs, painted as one, so that they do not show through each other."""
        patch = self.patch.crop(x - 2.2 * s, x + 2.2 * s, y - s, y + 1.4 * s)
        cover = torch.zeros(1, device=patch.device)
        for dx, dy, r in (
            (-1.25, -0.1, 0.42),
            (-0.6, 0.12, 0.62),
            (0.15, 0.32, 0.78),
            (0.85, 0.05, 0.6),
            (1.4, -0.12, 0.38),
        ):
            puff = patch.disc(self.frame.at(x + dx * s, y + dy * s), r * s, r * s * 0.8, soft=0.02)
            cover = puff.maximum(cover.to(puff.device))
        shade = ((patch.ys - y) / (1.2 * s)).clamp(-0.35, 0.0) + 1
        patch.paint(cover * strength, colour(code, patch.device) * shade**0.4)


def _scatter(i: int, low: float, high: float) -> tuple[float, float]:
    """The i-th of evenly scattered points (Roberts' R2 sequence), x in [-1, 1], y in [low, high]."""
    return (i * 0.7549 + 0.4) % 1 * 2 - 1, low + (high - low) * ((i * 0.5698 + 0.2) % 1)


def _meadow(b: Brush) -> None:
    x = b.patch.xs
    b.sky("#4fb3f2", "#d9f3ff", -0.2)
    b.disc(-0.68, 0.66, 0.19, None, "#fff3a8", soft=0.45, strength=0.7)
    b.disc(-0.68, 0.66, 0.16, None, "#ffd84a")
    b.cloud(0.58, 0.60, 0.15)
    b.cloud(-0.06, 0.84, 0.09, strength=0.75)
    b.land((x * 2.2 + 0.7).sin() * 0.16 - 0.08, "#8fd07a")
    b.land((x * 1.9 - 1.2).sin() * 0.12 - 0.20, "#68bd58")
    b.land(-0.34 + 0.03 * (x * 3).cos(), "#4caf45")
    b.land(-1.0, "#2f8a37", soft=0.9, strength=0.55)
    for i in range(16):
        fx, fy = _scatter(i, -0.97, -0.40)
        code = ("#ffffff", "#ffe25a", "#ff9ac2")[i % 3]
        for dx, dy in ((0.028, 0), (-0.028, 0), (0, 0.028), (0, -0.028)):
            b.disc(fx + dx, fy + dy, 0.022, None, code)
        b.disc(fx, fy, 0.017, None, "#f59b1c" if i % 3 != 1 else "#ffffff")


def _beach(b: Brush) -> None:
    x = b.patch.xs
    b.sky("#38bdf0", "#fff0d0", 0.0)
    b.cloud(0.45, 0.75, 0.13, strength=0.8)
    b.disc(-0.62, 0.62, 0.20, None, "#ffe9a0", soft=0.5, strength=0.8)
    b.disc(-0.62, 0.62, 0.17, None, "#fff7d6")
    b.land(0.10, "#1c8ec4")
    b.land(-0.02, "#2aa9cf", soft=0.25)
    for i in range(7):
        b.box(((i * 0.618) % 1) * 2 - 1, 0.05 - 0.045 * i, 0.13, 0.010, "#e8fbff", 0.7)
    u = x + 0.0
    b.land(-0.30 + 0.03 * (u * 5).sin(), "#f4fdff")
    b.land(-0.34 + 0.03 * (u * 5).sin(), "#e3c48d")
    b.land(-0.40 + 0.03 * (u * 5).sin(), "#f3d9a2", soft=0.1)
    # a sail
    b.box(0.62, 0.14, 0.15, 0.025, "#8a4b2a")
    for side, code in ((1, "#ffffff"), (-1, "#ff6b57")):
        cut = b.patch.crop(0.4, 0.85, 0.15, 0.55)
        px, py = cut.xs - 0.62, cut.ys - 0.18
        cover = (
            edge((px * side * 2.2 + py - 0.30) / 2.4, b.blur)
            .mul_(edge(-px * side + 0.012, b.blur))
            .mul_(edge(-py + px * 0, b.blur))
        )
        cut.paint(cover, colour(code, cut.device))
    for sx, sy in ((-0.78, -0.62), (0.84, -0.72), (0.62, -0.92), (-0.5, -0.93)):
        b.disc(sx, sy, 0.05, 0.035, "#ff9d76", angle=0.4)
        b.disc(sx - 0.01, sy + 0.01, 0.025, 0.016, "#ffd6bd", angle=0.4)


def _night(b: Brush) -> None:
    x = b.patch.xs
    b.sky("#0d1440", "#4a3f8f", -0.3)
    for i in range(34):
        sx, sy = _scatter(i, -0.1, 1.0)
        if math.hypot(sx - 0.6, sy - 0.64) < 0.25:
            continue
        b.disc(sx, sy, 0.012 + 0.012 * (i % 3 == 0), None, "#fffbe0", strength=0.95 - 0.3 * (i % 2))
    b.disc(0.62, 0.62, 0.26, None, "#8f8fe0", soft=0.5, strength=0.45)
    b.moon(0.64, 0.62, 0.20, "#fff2bf")
    b.land((x * 2.2 + 0.4).sin() * 0.14 - 0.10, "#2c3a74")
    b.land((x * 1.7 - 1.0).sin() * 0.10 - 0.24, "#22456a")
    b.land(-0.36 + 0.03 * (x * 3).cos(), "#20554f")
    b.land(-1.0, "#123c42", soft=0.9, strength=0.7)
    for i in range(9):
        fx, fy = _scatter(i, -0.95, -0.45)
        b.disc(fx, fy, 0.05, None, "#d8ff7a", soft=0.06, strength=0.35)
        b.disc(fx, fy, 0.016, None, "#f4ffb0")


def _bedroom(b: Brush) -> None:
    b.sky("#f3d2c1", "#f7e0cf", -0.3)
    wallpaper = stripes(b.patch.xs + 0 * b.patch.ys, 0.25, b.blur)
    b.paint(wallpaper, "#eec3b2", 0.6)
    b.box(-0.52, 0.44, 0.35, 0.40, "#ffffff")
    b.box(-0.52, 0.44, 0.29, 0.34, "#86cdf5")
    b.cloud(-0.60, 0.30, 0.07)
    b.cloud(-0.42, 0.60, 0.05)
    b.box(-0.52, 0.44, 0.022, 0.36, "#ffffff")
    b.box(-0.52, 0.44, 0.31, 0.022, "#ffffff")
    b.box(-0.52, 0.045, 0.40, 0.03, "#fff7ee")
    for side in (-1, 1):
        b.disc(-0.52 + 0.42 * side, 0.48, 0.10, 0.46, "#5bb5a6")
    b.box(-0.52, 0.90, 0.56, 0.035, "#8d5a3a")
    b.box(0.60, 0.50, 0.22, 0.27, "#8d5a3a")
    b.box(0.60, 0.50, 0.18, 0.23, "#fff6df")
    b.disc(0.55, 0.47, 0.065, None, "#f2718c")
    b.disc(0.65, 0.47, 0.065, None, "#f2718c")
    b.disc(0.60, 0.41, 0.07, 0.08, "#f2718c")
    b.land(-0.30, "#ffffff")
    b.land(-0.36, "#b9794c")
    for i in range(4):
        b.box(0, -0.47 - 0.15 * i, 1.1, 0.008, "#8e5632", 0.7)
    b.land(-1.0, "#6b3a20", soft=0.9, strength=0.4)


def _snow(b: Brush) -> None:
    x = b.patch.xs
    b.sky("#7db4e6", "#e6f1fb", -0.3)
    b.land((x * 1.8 + 2.2).sin() * 0.18 - 0.02, "#bcd4ec")
    for px, s in ((-0.80, 0.9), (-0.48, 0.65), (0.56, 0.7), (0.86, 1.0)):
        _pine(b, px, -0.34, s)
    b.land(-0.28 + 0.06 * (x * 2.4 + 0.5).sin(), "#eef5fc")
    b.land(-1.0, "#a9c3e6", soft=0.9, strength=0.75)
    for i in range(30):
        sx, sy = _scatter(i, -0.5, 1.0)
        b.disc(sx, sy, 0.016 + 0.008 * (i % 3), None, "#ffffff", soft=0.01, strength=0.95)


def _pine(b: Brush, x: float, y: float, s: float) -> None:
    b.box(x, y + 0.08, 0.03 * s, 0.12, "#6b4a35")
    for step in range(3):
        low, wide = y + (0.14 + 0.24 * step) * s, (0.26 - 0.06 * step) * s
        cut = b.patch.crop(x - wide, x + wide, low, low + 0.36 * s)
        px, py = cut.xs - x, cut.ys - low
        slope = wide / (0.36 * s)
        for drop, code in ((0.0, "#2f7358"), (0.22 * s, "#ffffff")):
            cover = edge((px.abs() + py * slope - wide) / 1.2, b.blur).mul_(edge(-py + px * 0 + drop, b.blur))
            cut.paint(cover, colour(code, cut.device))


def draw_blanket(patch: Patch, upright: Frame, palette: Palette, count: int) -> None:
    """Draw the blanket that the bears sit on, with the fabric's texture and a hem, and their soft shadow."""
    wide = 1.12 if count == 1 else 1.66
    low = patch.crop(-1, 1, -1, -0.40)
    spot = upright.at(0, 0.10)
    blur = low.blur(spot)
    low.paint(low.disc(spot.at(0, -0.04), wide, 0.30), palette.blanket * 0.55)
    u, v = low.uv(spot)
    marks = fabric_pattern(u, v.mul_(2.2), 0.42, (blur, blur * 2.2), palette.fabric)
    marks.lerp_(marks.new_ones(()), 1 - low.disc(spot, wide - 0.07, 0.27))  # the hem
    low.paint(low.disc(spot, wide, 0.30), torch.lerp(palette.blanket, palette.blanket_mark, marks))
    shade = low.disc(spot.at(-palette.lamp_x * 0.25, 0.0), wide * 0.62, 0.17, soft=0.22)
    low.paint(shade.mul_(0.5), palette.blanket * 0.25)
