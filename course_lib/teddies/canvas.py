"""The drawing tools: frames to draw in, patches to draw on, and shapes as anti-aliased coverage.

Nothing here knows of teddies. A picture spans [-1, 1] × [-1, 1] with y upwards, at any number of pixels. A shape is a
signed distance, and its coverage of a pixel is the distance through a ramp one pixel wide (the box filter of a
straight edge). A picture is therefore the same at every size, up to sampling.

The number of pictures N is the last dimension of every tensor: a part is a few pixels wide, but drawn in many pictures at
once, and operations are fast along the last.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


@lru_cache(maxsize=512)
def colours(codes: tuple[str, ...], device: torch.device) -> Tensor:
    """Colours "#rrggbb" as a float table [K, 3] in [0, 1]; kept, so that drawing copies nothing to the device."""
    return torch.tensor([[int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)] for code in codes], device=device)


def colour(code: str, device: torch.device) -> Tensor:
    """One colour "#rrggbb" as [3, 1, 1, 1]."""
    return colours((code,), device)[0, :, None, None, None]


class Frame(NamedTuple):
    """Where a thing stands: origin, x axis and scale (tensors [N]), and handedness."""

    x: Tensor
    y: Tensor
    ax: Tensor  # the x axis; its length is the scale
    ay: Tensor
    inverse: Tensor  # 1 / scale
    least: float = 1.0  # the smallest scale there can be
    flip: float = 1.0  # -1: a mirror image

    def at(self, x: float | Tensor, y: float | Tensor, angle: float = 0.0, flip: float = 1.0) -> Frame:
        """The frame at (x, y) of this one, turned by `angle` radians anticlockwise, mirrored by flip = -1."""
        u, ax, ay = self.flip * x, self.ax, self.ay
        left, up = _add(_add(self.x, ax, u), ay, -y), _add(_add(self.y, ay, u), ax, y)
        if angle:
            cos, sin = math.cos(self.flip * angle), math.sin(self.flip * angle)
            ax, ay = torch.add(ax * cos, ay, alpha=-sin), torch.add(ay * cos, ax, alpha=sin)
        return self._replace(x=left, y=up, ax=ax, ay=ay, flip=self.flip * flip)


def _add(start: Tensor, axis: Tensor, by: float | Tensor) -> Tensor:
    """start + by · axis in one operation: there are thousands of these, and each costs more to call than to do."""
    return torch.addcmul(start, axis, by) if isinstance(by, Tensor) else torch.add(start, axis, alpha=by)


def page(n: int, device: torch.device) -> Frame:
    """The whole picture's own frame."""
    zero = torch.zeros(n, device=device)
    return Frame(zero, zero, zero + 1, zero, zero + 1)


class Patch:
    """A rectangle of a batch of pictures, painted in place.

    `rgb` [3, H, W, N] is a view into the pictures, `xs` [W, 1] and `ys` [H, 1, 1] are the pixels' centres, and
    `pixel` is a pixel's width, all in picture units.
    """

    def __init__(self, rgb: Tensor, xs: Tensor, ys: Tensor, size: int, place: tuple[int, int] = (0, 0)):
        self.rgb, self.xs, self.ys, self.size, self.place = rgb, xs, ys, size, place
        self.pixel = 2 / size
        self.device = rgb.device

    @classmethod
    def whole(cls, pictures: Tensor) -> Patch:
        size = pictures.shape[1]
        line = (torch.arange(size, device=pictures.device, dtype=torch.float32) + 0.5) * (2 / size) - 1
        return cls(pictures, line[:, None], -line[:, None, None], size)

    def cut(self, left: float, right: float, bottom: float, top: float) -> Patch:
        """The part of this patch that covers a box in picture units, one pixel wider on every side."""
        x0, x1 = _pixels(left, right, self.size, self.place[1], len(self.xs))
        y0, y1 = _pixels(-top, -bottom, self.size, self.place[0], len(self.ys))
        place = (self.place[0] + y0, self.place[1] + x0)
        return Patch(self.rgb[:, y0:y1, x0:x1], self.xs[x0:x1], self.ys[y0:y1], self.size, place)

    def same(self, field: Tensor, whole: Patch) -> Tensor:
        """The part of a field [H, W, N] over a larger patch that lies over this one: a view."""
        y, x = self.place[0] - whole.place[0], self.place[1] - whole.place[1]
        return field[y : y + len(self.ys), x : x + len(self.xs)]

    def uv(self, frame: Frame, a: float | Tensor = 1.0, b: float | Tensor = 1.0) -> tuple[Tensor, Tensor]:
        """The pixels' coordinates in a frame, in units of a and b: two tensors [H, W, N]."""
        square = frame.inverse * frame.inverse
        cos, sin = frame.ax * square, frame.ay * square
        dx, dy = self.xs - frame.x, self.ys - frame.y
        side = frame.flip / a
        u = torch.addcmul(dx * (cos * side), dy, sin * side)
        v = torch.addcmul(dx * (sin * (-1 / b)), dy, cos * (1 / b))
        return u, v

    def blur(self, frame: Frame) -> Tensor:
        """A pixel's width in a frame's units, [N]."""
        return frame.inverse * self.pixel

    def paint(self, cover: Tensor, paint: Tensor) -> None:
        """Lay a colour ([3, 1, 1, 1 or N] or a full picture) over the patch where `cover` [H, W, N] says."""
        self.rgb.lerp_(paint, cover)

    def disc(self, frame: Frame, a: float, b: float | None = None, soft: float = 0.0) -> Tensor:
        """Coverage of an ellipse of half-axes a, b. `soft` widens its edge into a glow or a shadow.

        An ellipse thinner than a pixel is drawn a pixel wide and so much the paler.
        """
        b = a if b is None else b
        blur = self.blur(frame)
        may_vanish = min(a, b) < 0.5 * self.pixel / frame.least
        wide, high = ((blur * 0.5).clamp(min=a), (blur * 0.5).clamp(min=b)) if may_vanish else (a, b)
        u, v = self.uv(frame, wide, high)
        cover = edge(rim(u, v, wide, high, a / b), blur + soft if soft else blur)
        return cover.mul_(a * b / (wide * high)) if may_vanish else cover


def rim(u: Tensor, v: Tensor, a: float | Tensor, b: float | Tensor, ratio: float) -> Tensor:
    """Signed distance to an ellipse's rim to first order, from coordinates in units of its half-axes a, b = a / ratio.

    A nearly round one is taken for a circle, at half the cost.
    """
    radius = (u * u).addcmul_(v, v).sqrt_()
    if 0.7 < ratio < 1.4:
        return radius.sub_(1).mul_((a * b) ** 0.5)
    slope = (u / a).square_().addcmul_(v / b, v / b).add_(1e-8).sqrt_()
    return radius.mul_(radius - 1).div_(slope)


def _pixels(low: float, high: float, size: int, start: int, length: int) -> tuple[int, int]:
    """The pixels of [start, start + length) that [low, high] touches, counted from start; at least one."""
    first = math.floor((low + 1) * size / 2) - 1 - start
    last = math.ceil((high + 1) * size / 2) + 1 - start
    first = min(max(first, 0), length - 1)
    return first, max(min(last, length), first + 1)


def edge(distance: Tensor, blur: Tensor | float) -> Tensor:
    """Coverage from a signed distance (negative inside). Overwrites `distance`."""
    return distance.div_(blur).neg_().add_(0.5).clamp_(0, 1)


def band(t: Tensor, half: float, blur: Tensor) -> Tensor:
    """Coverage of |t| < half, exact for a straight band of any width, thinner than a pixel too. Overwrites `t`."""
    cover = t.abs_().sub_(half).div_(blur).neg_().add_(0.5).clamp_(min=0)
    return torch.minimum(cover, (2 * half / blur).clamp_(max=1), out=cover)


def box(u: Tensor, v: Tensor, a: float, b: float, blur: Tensor) -> Tensor:
    """Coverage of a box |u| < a, |v| < b. Overwrites both."""
    return band(u, a, blur).mul_(band(v, b, blur))


def arc(u: Tensor, v: Tensor, radius: float, half: float, blur: Tensor) -> Tensor:
    """Coverage of the lower half of a ring. Overwrites both."""
    below = edge(v.clone(), blur)
    return band(u.mul_(u).addcmul_(v, v).sqrt_().sub_(radius), half, blur).mul_(below)


def wave(t: Tensor, period: float, blur: Tensor) -> Tensor:
    """Coverage of stripes: half of each period, fading to an even half where a period is less than two pixels."""
    rate = 2 * math.pi / period
    contrast = (period / blur - 1).clamp_(0, 1)
    return t.mul_(rate).sin_().div_(rate * blur).clamp_(-0.5, 0.5).mul_(contrast).add_(0.5)
