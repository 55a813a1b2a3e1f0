"""The props of the activities: book, honey pot, ball, balloon, nightcap with its Zs, and the arcs of a waving paw."""

from __future__ import annotations

import math

from .bear import BALLOON, EATING, PLAYING, READING, SLEEPING, WAVING, Bear
from .canvas import arc, band, box, edge, stripes


def draw_behind(bear: Bear) -> None:
    """Draw the prop behind the bear: the balloon."""
    if bear.activity == BALLOON:
        _balloon(bear)


def draw_in_front(bear: Bear) -> None:
    """Draw the prop in front of the bear, under its paws."""
    draw = {READING: _book, EATING: _pot, PLAYING: _ball, SLEEPING: _nightcap, WAVING: _waving_arcs}.get(bear.activity)
    if draw:
        draw(bear)


def _book(bear: Bear) -> None:
    patch = bear.patch(-0.62, 0.62, -0.90, -0.08)
    book = bear.frame.at(0, -0.56)
    blur = patch.blur(book)
    u, v = patch.uv(book)
    side = u.clone()
    u.abs_()
    v.sub_(u * 0.30).add_(u * u * 0.20)
    patch.paint(box(u.clone(), v + 0.05, 0.53, 0.275, blur), bear.colour("#7a3fa0"))
    patch.paint(box(u.clone(), v + 0.02, 0.49, 0.26, blur), bear.colour("#d9c9a8"))
    patch.paint(box(u.clone(), v - 0.01, 0.485, 0.255, blur), bear.colour("#fffaf0"))
    patch.paint(edge(u - 0.10, blur + 0.16).mul_(box(u.clone(), v - 0.01, 0.485, 0.255, blur)) * 0.35, bear.colour("#8a7358"))
    lines = stripes(v + 0.02, 0.11, blur).mul_(box(u - 0.235, v - 0.01, 0.155, 0.19, blur))
    patch.paint(lines.mul_(edge(-side, blur)).mul_(0.55), bear.colour("#6b6b78"))
    heart = book.at(-0.215, 0.10, -0.10)
    x, y = patch.uv(heart, 0.115, 0.115)
    y.sub_(x.abs() * 0.75)
    ring = (x * x).addcmul_(y, y).sqrt_().sub_(1).mul_(0.115)
    patch.paint(edge(ring, blur), bear.colour("#e8486a"))
    patch.paint(band(side, 0.012, blur).mul_(band(v, 0.255, blur)), bear.colour("#8a7358"))


def _pot(bear: Bear) -> None:
    patch = bear.patch(-0.45, 0.45, -0.98, -0.05)
    pot = bear.frame.at(0, -0.56)
    blur = patch.blur(pot)
    u, v = patch.uv(pot)
    round_side = (v * v).mul_(-0.45).add_(0.33)
    body = edge(u.abs() - round_side, blur).mul_(band(v.clone(), 0.33, blur))
    shade = (u * u).mul_(3.2).clamp_(0, 0.45)
    patch.paint(body.clone(), bear.colour("#f4f7fb"))
    patch.paint(body.clone().mul_(band(v + 0.12, 0.085, blur)), bear.colour("#2f6fd0"))
    patch.paint(shade.mul_(body), bear.colour("#56608a"))
    drip = (u * 17).cos_().mul_(0.075).add_(0.12)
    honey = edge(drip - v, blur).mul_(edge(u.abs() - 0.33, blur)).mul_(edge(v - 0.36, blur))
    patch.paint(honey, bear.colour("#ffae0d"))
    patch.paint(patch.disc(pot.at(0, 0.36), 0.33, 0.085), bear.colour("#e88f00"))
    patch.paint(patch.disc(pot.at(0, 0.37), 0.27, 0.055), bear.colour("#ffd257"))
    patch.paint(patch.disc(pot.at(-0.17, -0.02), 0.03, 0.10, soft=0.03) * 0.8, bear.colour("#ffffff"))
    chin = bear.patch(-0.3, 0.3, 0.05, 0.4)
    chin.paint(chin.disc(bear.head.at(0.13, -0.28), 0.05, 0.06), bear.colour("#ffae0d"))


def _ball(bear: Bear) -> None:
    patch = bear.patch(-0.5, 0.5, -1.02, -0.05)
    ball = bear.frame.at(0, -0.54, 0.35)
    blur = patch.blur(ball)
    cover = patch.disc(ball, 0.38)
    u, v = patch.uv(ball, 0.38, 0.38)
    height = (1 - (v * v).clamp_(max=1)).sqrt_().add_(1e-3)
    lengthwise = (u / height).clamp_(-1, 1)
    patch.paint(cover, bear.colour("#fff8ec"))
    thin = blur / 0.38
    patch.paint(edge(lengthwise + 0.45, thin).mul_(cover), bear.colour("#ef3d43"))
    patch.paint(band(lengthwise - 0.20, 0.28, thin).mul_(cover), bear.colour("#2a7de1"))
    patch.paint(patch.disc(ball.at(0, 0.30), 0.11, 0.07).mul_(cover), bear.colour("#ffd21f"))
    shade = (u * u).addcmul_(v, v).square_().mul_(0.30).clamp_(0, 0.4)
    patch.paint(shade.mul_(cover), bear.colour("#2a1a4a"))
    patch.paint(patch.disc(bear.frame.at(-0.13, -0.38), 0.10, 0.06, soft=0.08) * 0.75, bear.colour("#ffffff"))


def _balloon(bear: Bear) -> None:
    patch = bear.patch(0.45, 1.35, 0.2, 1.75)
    top = bear.frame.at(0.92, 1.28, -0.08)
    blur = patch.blur(top)
    u, v = patch.uv(top.at(0, -0.62))
    u.sub_((v * 7).sin_().mul_(0.03))
    patch.paint(box(u, v, 0.013, 0.36, blur), bear.colour("#f5efe2"))
    cover = patch.disc(top, 0.30, 0.35)
    patch.paint(cover, bear.colour("#f0304e"))
    u, v = patch.uv(top, 0.30, 0.35)
    shade = (u * u).addcmul_(v, v).square_().mul_(0.35).clamp_(0, 0.4)
    patch.paint(shade.mul_(cover), bear.colour("#7a0030"))
    u, v = patch.uv(top.at(0, -0.37))
    patch.paint(
        edge(u.abs_().addcmul_(v, v.new_ones(()), value=0.8).sub_(0.03), blur).mul_(band(v, 0.045, blur)),
        bear.colour("#c01438"),
    )
    patch.paint(patch.disc(top.at(-0.11, 0.14, -0.5), 0.05, 0.09, soft=0.05) * 0.9, bear.colour("#ffffff"))


def _nightcap(bear: Bear) -> None:
    patch = bear.patch(-0.75, 0.95, 0.55, 1.45)
    cap = bear.head.at(-0.02, 0.40, 0.0)
    blur = patch.blur(cap)
    u, v = patch.uv(cap)
    lean = (v + 0.05).clamp_(min=0).square_().mul_(0.55)
    u.add_(lean)
    half = (v * -0.72).add_(0.44)
    cone = edge(u.abs() - half, blur).mul_(edge(v - 0.60, blur)).mul_(edge(-v - 0.02, blur))
    patch.paint(cone.clone(), bear.colour("#8a55cf"))
    patch.paint(cone.mul_(stripes(v.clone(), 0.26, blur)), bear.colour("#f7f4ff"))
    u, v = patch.uv(cap)
    v.addcmul_(u, u, value=0.30)
    patch.paint(box(u, v, 0.47, 0.075, blur), bear.colour("#fffdf8"))
    patch.paint(patch.disc(cap.at(-0.24, 0.62), 0.125), bear.colour("#fffdf8"))
    patch.paint(patch.disc(cap.at(-0.20, 0.56), 0.09, soft=0.10) * 0.25, bear.colour("#7a5ab0"))
    for x, y, size in ((0.74, 0.98, 0.085), (0.93, 1.22, 0.115)):
        _letter_z(bear, x, y, size)


def _letter_z(bear: Bear, x: float, y: float, size: float) -> None:
    patch = bear.patch(x - 0.2, x + 0.2, y - 0.2, y + 0.2)
    for dx, dy, code in ((0.025, -0.025, "#2c3570"), (0.0, 0.0, "#ffffff")):
        letter = bear.frame._replace(flip=1.0).at(bear.frame.flip * (x + dx), y + dy, 0.15)
        blur = patch.blur(letter)
        u, v = patch.uv(letter)
        bars = box(v.abs().sub_(size), u.clone(), 0.032, size + 0.03, blur)
        slash = band((u - v).mul_(1 / math.sqrt(2)), 0.032, blur).mul_(band(v, size, blur))
        patch.paint(bars.maximum(slash), bear.colour(code))


def _waving_arcs(bear: Bear) -> None:
    """Draw two small arcs next to the paw that waves."""
    patch = bear.patch(0.85, 1.35, 0.15, 0.85)
    for radius in (0.22, 0.32):
        paw = bear.frame.at(0.90, 0.36, math.pi * 0.72)
        u, v = patch.uv(paw)
        cover = arc(u.clone(), v, radius, 0.02, patch.blur(paw)).mul_(edge(u.abs_() - radius * 0.7, patch.blur(paw)))
        patch.paint(cover, bear.colour("#ffffff"))
