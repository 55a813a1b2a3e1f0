"""The teddy bear: its position, poses, face and scarf. Lengths are in units of about half a bear."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from .canvas import Frame, Patch, arc, band, box, colour, edge, ellipse_distance
from .factors import VALUES, Factors
from .fur import FUZZ, Part, draw_plush, fabric_pattern, mirrored_pair
from .palette import Palette

READING, WAVING, SLEEPING, EATING, PLAYING, BALLOON = range(len(VALUES["activity"]))
HEAD_AT = (0.0, 0.50)
SIZE_RANGE = 0.13  # how far the factor `size` scales a bear

BODY = [
    Part(0, -0.42, 0.50, 0.56),
    Part(0, -0.46, 0.33, 0.39, cream=1.0, base=0.80),
    *mirrored_pair(Part(0.33, -0.74, 0.27, 0.21, 0.3)),
    *mirrored_pair(Part(0.45, -0.79, 0.22, 0.23, -0.1, base=0.74)),
    *mirrored_pair(Part(0.455, -0.80, 0.135, 0.145, -0.1, cream=0.85, base=0.72)),
    Part(0, 0.06, 0.50, 0.36, shadow=0.55),
]
EARS = [*mirrored_pair(Part(0.44, 0.44, 0.22, 0.21)), *mirrored_pair(Part(0.44, 0.43, 0.125, 0.12, cream=0.8, base=0.55))]
HEAD = [
    Part(0, 0, 0.63, 0.54, base=0.74),
    Part(0, -0.19, 0.27, 0.215, cream=1.0, base=0.86),
]
ARM_DOWN = Part(0.50, -0.30, 0.155, 0.33, 0.38)
ARM_UP = Part(0.72, 0.14, 0.15, 0.37, -0.75, base=0.74)
ARM_HOLD = Part(0.46, -0.30, 0.16, 0.30, -0.15)
PAWS = {
    READING: Part(0.47, -0.52, 0.14, 0.14, base=0.82),
    EATING: Part(0.33, -0.47, 0.15, 0.15, base=0.82),
    PLAYING: Part(0.38, -0.50, 0.15, 0.16, base=0.82),
    WAVING: Part(0.93, 0.38, 0.085, 0.09, cream=1.0, base=0.82),
    BALLOON: Part(0.90, 0.34, 0.14, 0.14, base=0.82),
}


def bear_frames(factors: Factors, count: int) -> tuple[Frame, list[Frame]]:
    """The group's upright frame on the ground, and the frame of each bear (its soles at y = -1)."""
    x, y, size, tilt = (getattr(factors, name) for name in ("x", "y", "size", "tilt"))
    middle = 0.64 if count == 1 else 0.51
    scale, least = (1 + SIZE_RANGE * size) * middle, (1 - SIZE_RANGE) * middle
    turn = -0.17 * tilt
    left, ground = 0.15 * x, -0.78 + 0.09 * y
    upright = Frame(left, ground, scale, torch.zeros_like(scale), 1 / scale, least)
    group = Frame(left, ground, scale * turn.cos(), scale * turn.sin(), 1 / scale, least)
    if count == 1:
        return upright, [group.at(0, 1)]
    return upright, [group.at(-0.70, 1.0, -0.08, flip=-1.0), group.at(0.70, 1.0, 0.08)]


@lru_cache(maxsize=256)
def reachable_box(
    count: int, bear: int, left: float, right: float, bottom: float, top: float
) -> tuple[float, float, float, float]:
    """The box in the image that a box in a bear's frame can reach, wherever the nuisance factors put the bear."""
    extremes = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4)
    nuisance = dict(zip(("x", "y", "size", "tilt"), extremes.T, strict=True))
    others = {
        name: torch.zeros(len(extremes), dtype=torch.int64) for name in Factors.__dataclass_fields__ if name not in nuisance
    }
    frame = bear_frames(Factors(**nuisance, **others), count)[1][bear]
    corners = [frame.at(x, y) for x in (left, right) for y in (bottom, top)]
    xs, ys = torch.cat([corner.x for corner in corners]), torch.cat([corner.y for corner in corners])
    return float(xs.min()), float(xs.max()), float(ys.min()), float(ys.max())


class Bear:
    """One bear in each of N images, all with the same activity."""

    def __init__(self, sheet: Patch, frame: Frame, count: int, which: int, activity: int, palette: Palette):
        self.sheet, self.frame, self.count, self.which = sheet, frame, count, which
        self.activity, self.palette, self.device = activity, palette, sheet.device
        self.nod = {SLEEPING: 0.20, READING: -0.06}.get(activity, -0.05)
        self.head = frame.at(*HEAD_AT, self.nod)

    def patch(self, left: float, right: float, bottom: float, top: float, of: Patch | None = None) -> Patch:
        """The patch of the image that this box of the bear's frame can reach."""
        return (of or self.sheet).crop(*reachable_box(self.count, self.which, left, right, bottom, top))

    def patch_around(self, frame: Frame, x: float, y: float, wide: float, high: float, of: Patch | None = None) -> Patch:
        """The patch that a box around (x, y), in the frame of the body or of the head, can reach."""
        if frame is self.head:
            cos, sin = math.cos(self.nod), math.sin(self.nod)
            x, y = HEAD_AT[0] + x * cos - y * sin, HEAD_AT[1] + x * sin + y * cos
            wide, high = wide * cos + high * abs(sin), high * cos + wide * abs(sin)
        return self.patch(x - wide, x + wide, y - high, y + high, of)

    def colour(self, code: str) -> Tensor:
        """A colour "#rrggbb" on the device of the image."""
        return colour(code, self.device)

    def _plush(self, patch: Patch, *layers: tuple[Frame, list[Part]]) -> None:
        """Draw fur: layers of parts, each part in the patch that it can reach."""
        parts = []
        for frame, layer in layers:
            for part in layer:
                cos, sin = math.cos(part.angle), math.sin(part.angle)
                wide = math.hypot(part.a * cos, part.b * sin) + 5 * FUZZ
                high = math.hypot(part.b * cos, part.a * sin) + 5 * FUZZ
                parts.append((self.patch_around(frame, part.x, part.y, wide, high, of=patch), frame, part))
        draw_plush(patch, self.frame, parts, self.palette)

    def draw_fur(self) -> None:
        """Draw ears, body, arms and head; the paws that hold something come later."""
        raised = self.activity in (WAVING, BALLOON)
        patch = self.patch(-0.85, 1.10 if raised else 0.85, -1.08, 1.28)
        arms = [ARM_UP, ARM_DOWN._replace(x=-0.50, angle=-0.38)] if raised else mirrored_pair(ARM_DOWN)
        if self.activity in (READING, EATING, PLAYING):
            arms = mirrored_pair(ARM_HOLD)
        self._plush(patch, (self.head, EARS), (self.frame, BODY + arms), (self.head, HEAD))

    def draw_paws(self) -> None:
        """Draw the paws, in front of what they hold."""
        if self.activity not in PAWS:
            return
        paw = PAWS[self.activity]
        if self.activity in (WAVING, BALLOON):
            self._plush(self.patch(0.70, 1.12, 0.10, 0.60), (self.frame, [paw]))
        else:
            self._plush(self.patch(-0.67, 0.67, -0.75, -0.20), (self.frame, mirrored_pair(paw)))

    def draw_face(self) -> None:
        """Draw cheeks, glasses, eyes, mouth and nose."""
        for side in (-1, 1):
            cheek = self.patch_around(self.head, 0.43 * side, -0.16, 0.16, 0.13)
            blush = cheek.disc(self.head.at(0.43 * side, -0.16), 0.10, 0.07, soft=0.08)
            cheek.paint(blush.mul_(0.5), self.colour("#ff6f7d"))
        if self.activity == READING:
            self._glasses(self.patch_around(self.head, 0, 0.01, 0.44, 0.20))
        for side in (-1, 1):
            self._eye(self.patch_around(self.head, 0.245 * side, 0.02, 0.13, 0.14), self.head.at(0.245 * side, 0.05, flip=side))
        self._mouth(self.patch_around(self.head, 0, -0.26, 0.19, 0.15))
        nose = self.head.at(0, -0.10)
        patch = self.patch_around(self.head, 0, -0.10, 0.11, 0.08)
        patch.paint(patch.disc(nose, 0.105, 0.075), self.colour("#33201c"))
        patch.paint(patch.disc(nose.at(-0.03, 0.03), 0.035, 0.018, soft=0.02).mul_(0.8), self.colour("#ffffff"))

    def _glasses(self, patch: Patch) -> None:
        """Draw round glasses, low on the nose."""
        blur, metal = patch.blur(self.head), self.colour("#6b3410")
        u, v = patch.uv(self.head.at(0, 0.01))
        bridge = box(u.clone(), v - 0.03, 0.09, 0.017, blur)
        u.abs_().sub_(0.245)
        rings = band((u * u).addcmul_(v, v).sqrt_().sub_(0.165), 0.019, blur)
        glint = edge((u * u).addcmul_(v, v).sqrt_().sub_(0.155), blur).mul_(0.35)
        patch.paint(glint, self.colour("#ffffff"))
        patch.paint(rings.maximum(bridge), metal)

    def _eye(self, patch: Patch, eye: Frame) -> None:
        dark, blur = self.colour("#241613"), patch.blur(eye)
        if self.activity == SLEEPING:
            u, v = patch.uv(eye.at(0, 0.03))
            patch.paint(arc(u, v, 0.095, 0.024, blur), dark)
            return
        if self.activity == READING:  # lowered to the book
            eye = eye.at(0, -0.055)
        patch.paint(patch.disc(eye, 0.085, 0.10), dark)
        shine = eye._replace(flip=abs(eye.flip))
        patch.paint(patch.disc(shine.at(-0.025, 0.035), 0.032), self.colour("#ffffff"))
        patch.paint(patch.disc(shine.at(0.03, -0.045), 0.016), self.colour("#c9b6b0"))

    def _mouth(self, patch: Patch) -> None:
        dark, blur = self.colour("#4a2a24"), patch.blur(self.head)
        if self.activity in (WAVING, PLAYING, EATING):  # an open smile
            mouth = self.head.at(0, -0.235)
            lower = edge(patch.uv(mouth)[1], blur)
            patch.paint(patch.disc(mouth, 0.11, 0.115).mul_(lower), self.colour("#7d2b2b"))
            patch.paint(patch.disc(mouth.at(0, -0.08), 0.06, 0.042), self.colour("#ff8a8a"))
            return
        u, v = patch.uv(self.head.at(0, -0.215))
        patch.paint(box(u.clone(), v - 0.02, 0.014, 0.05, blur), dark)
        patch.paint(arc(u.abs_().sub_(0.075), v, 0.075, 0.017, blur), dark)

    def draw_scarf(self) -> None:
        """Draw a band around the neck and an end that hangs down, both with the fabric's texture."""
        blur = self.sheet.blur(self.frame)
        patch = self.patch(0.03, 0.40, -0.78, -0.05)
        u, v = patch.uv(self.frame.at(0.20, -0.36, 0.12))
        fringe = band(((u * 26).sin_()).mul_(1 / 26), 0.03, blur)
        ends = box(u.clone(), v + 0.30, 0.105, 0.05, blur).mul_(fringe)
        tail = box(u.clone(), v.clone(), 0.105, 0.26, blur).maximum(ends)
        self._cloth(patch, tail, u, v, 0.78)
        patch = self.patch(-0.48, 0.48, -0.23, 0.14)
        u, v = patch.uv(self.frame.at(0, -0.085))
        bent = v.addcmul_(u, u, value=-0.40)
        cover = edge(ellipse_distance(u / 0.47, bent / 0.125, 0.47, 0.125, 3.8), blur)
        self._cloth(patch, cover, bent, u, 1.0)
        knot = self.frame.at(0.20, -0.11, 0.2)
        patch = self.patch(0.06, 0.34, -0.25, 0.03)
        self._cloth(patch, patch.disc(knot, 0.12, 0.115), *patch.uv(knot), 0.9)

    def _cloth(self, patch: Patch, cover: Tensor, u: Tensor, v: Tensor, bright: float) -> None:
        palette, blur = self.palette, patch.blur(self.frame)
        fold = (1 - (u * 6).square_().mul_(0.25).clamp_(0, 0.35)).mul_(bright)
        marks = fabric_pattern(u, v, 0.13, (blur, blur), palette.fabric)
        cloth = torch.lerp(palette.scarf, palette.scarf_mark, marks).mul_(fold)
        patch.paint(cover.mul_(palette.scarved), cloth)
