"""The drawing tools: frames to draw in, patches to draw on, and shapes as anti-aliased coverage.

Nothing here depends on the teddies. An image spans [-1, 1] × [-1, 1] with y upwards, at any number of pixels. A shape is a
signed distance, and its coverage of a pixel is the distance through a ramp one pixel wide (the box filter of a
straight edge). An image is therefore the same at every size, up to sampling.

The number of images N is the last dimension of every tensor: a part is a few pixels wide, but drawn in many images at
once, and operations are fast along the last dimension.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


@lru_cache(maxsize=512)
def colours(codes: tuple[str, ...], device: torch.device) -> Tensor:
    """Colours "#rrggbb" as a float table [K, 3] in [0, 1]; cached, so that drawing copies nothing to the device."""
    return torch.tensor([[int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)] for code in codes], device=device)


def colour(code: str, device: torch.device) -> Tensor:
    """One colour "#rrggbb" as [3, 1, 1, 1]."""
    return colours((code,), device)[0, :, None, None, None]


class Frame(NamedTuple):
    """A coordinate frame in each of N images: origin, x axis and scale (tensors [N]), and handedness."""

    x: Tensor
    y: Tensor
    ax: Tensor  # the x axis (ax, ay); its length is the scale
    ay: Tensor
    inverse: Tensor  # 1 / scale
    least: float = 1.0  # the smallest possible scale
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
    """start + by · axis in one operation: there are thousands of these, and calling one costs more than computing it."""
    return torch.addcmul(start, axis, by) if isinstance(by, Tensor) else torch.add(start, axis, alpha=by)


def image_frame(n: int, device: torch.device) -> Frame:
    """The frame of the full image, for n images."""
    zero = torch.zeros(n, device=device)
    return Frame(zero, zero, zero + 1, zero, zero + 1)


class Patch:
    """A rectangle of a batch of images, painted in place.

    `rgb` [3, H, W, N] is a view into the images, `xs` [W, 1] and `ys` [H, 1, 1] are the pixels' centres, and
    `pixel` is a pixel's width, all in image units. `corner` is the (row, column) of its first pixel in the full image.
    """

    def __init__(self, rgb: Tensor, xs: Tensor, ys: Tensor, size: int, corner: tuple[int, int] = (0, 0)):
        self.rgb, self.xs, self.ys, self.size, self.corner = rgb, xs, ys, size, corner
        self.pixel = 2 / size
        self.device = rgb.device

    @classmethod
    def full(cls, images: Tensor) -> Patch:
        """The patch that covers all of the images [3, size, size, N]."""
        size = images.shape[1]
        centres = (torch.arange(size, device=images.device, dtype=torch.float32) + 0.5) * (2 / size) - 1
        return cls(images, centres[:, None], -centres[:, None, None], size)

    def crop(self, left: float, right: float, bottom: float, top: float) -> Patch:
        """The part of this patch that covers a box in image units, one pixel wider on every side."""
        x0, x1 = _pixels(left, right, self.size, self.corner[1], len(self.xs))
        y0, y1 = _pixels(-top, -bottom, self.size, self.corner[0], len(self.ys))
        corner = (self.corner[0] + y0, self.corner[1] + x0)
        return Patch(self.rgb[:, y0:y1, x0:x1], self.xs[x0:x1], self.ys[y0:y1], self.size, corner)

    def view_of(self, field: Tensor, larger: Patch) -> Tensor:
        """The part of a field [H, W, N] over a larger patch that lies over this one: a view."""
        y, x = self.corner[0] - larger.corner[0], self.corner[1] - larger.corner[1]
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
        """Blend a colour ([3, 1, 1, 1 or N] or a full image) into the patch, with the opacity `cover` [H, W, N] in [0, 1]."""
        self.rgb.lerp_(paint, cover)

    def disc(self, frame: Frame, a: float, b: float | None = None, soft: float = 0.0) -> Tensor:
        """Coverage of an ellipse of half-axes a, b. `soft` widens its edge into a glow or a shadow.

        An ellipse thinner than a pixel is drawn a pixel wide, and paler in proportion.
        """
        b = a if b is None else b
        blur = self.blur(frame)
        may_vanish = min(a, b) < 0.5 * self.pixel / frame.least
        wide, high = ((blur * 0.5).clamp(min=a), (blur * 0.5).clamp(min=b)) if may_vanish else (a, b)
        u, v = self.uv(frame, wide, high)
        cover = edge(ellipse_distance(u, v, wide, high, a / b), blur + soft if soft else blur)
        return cover.mul_(a * b / (wide * high)) if may_vanish else cover


def ellipse_distance(u: Tensor, v: Tensor, a: float | Tensor, b: float | Tensor, ratio: float) -> Tensor:
    """Signed distance to an ellipse, to first order, from coordinates in units of its half-axes a, b = a / ratio.

    A nearly round ellipse is treated as a circle, at half the cost.
    """
    radius = (u * u).addcmul_(v, v).sqrt_()
    if 0.7 < ratio < 1.4:
        return radius.sub_(1).mul_((a * b) ** 0.5)
    slope = (u / a).square_().addcmul_(v / b, v / b).add_(1e-8).sqrt_()
    return radius.mul_(radius - 1).div_(slope)


def _pixels(low: float, high: float, size: int, start: int, length: int) -> tuple[int, int]:
    """The range of pixels in [start, start + length) that [low, high] touches, counted from start; at least one pixel."""
    first = math.floor((low + 1) * size / 2) - 1 - start
    last = math.ceil((high + 1) * size / 2) + 1 - start
    first = min(max(first, 0), length - 1)
    return first, max(min(last, length), first + 1)


def edge(distance: Tensor, blur: Tensor | float) -> Tensor:
    """Coverage from a signed distance (negative inside). Overwrites `distance`."""
    return distance.div_(blur).neg_().add_(0.5).clamp_(0, 1)


def band(t: Tensor, half: float, blur: Tensor) -> Tensor:
    """Coverage of |t| < half, exact for a straight band of any width, even thinner than a pixel. Overwrites `t`."""
    cover = t.abs_().sub_(half).div_(blur).neg_().add_(0.5).clamp_(min=0)
    return torch.minimum(cover, (2 * half / blur).clamp_(max=1), out=cover)


def box(u: Tensor, v: Tensor, a: float, b: float, blur: Tensor) -> Tensor:
    """Coverage of a box |u| < a, |v| < b. Overwrites both."""
    return band(u, a, blur).mul_(band(v, b, blur))


def arc(u: Tensor, v: Tensor, radius: float, half: float, blur: Tensor) -> Tensor:
    """Coverage of the lower half of a ring. Overwrites both."""
    below = edge(v.clone(), blur)
    return band(u.mul_(u).addcmul_(v, v).sqrt_().sub_(radius), half, blur).mul_(below)


def stripes(t: Tensor, period: float, blur: Tensor) -> Tensor:
    """Coverage of stripes: half of each period, fading to a uniform half where a period is less than two pixels."""
    rate = 2 * math.pi / period
    contrast = (period / blur - 1).clamp_(0, 1)
    return t.mul_(rate).sin_().div_(rate * blur).clamp_(-0.5, 0.5).mul_(contrast).add_(0.5)
