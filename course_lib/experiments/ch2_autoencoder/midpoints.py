"""Between two latents: on the straight line, and on the sphere about a centre (Shoemake 1985)."""

import torch
from torch import Tensor

from course_lib.arguments import MAX_SIZE, check_integer, check_same_dtype, check_same_shape, check_tensor


def spherical_interpolate(a: Tensor, b: Tensor, points: int, centre: Tensor | None = None) -> Tensor:
    """Interpolate between a and b, both [N, …], along great circles about a centre [1, …] (default 0): [N, points, …].

    Direction by slerp, radius linearly from that of a to that of b; ends included. Where a and b lie in one direction from the
    centre the path is straight.
    """
    for name, x in (("a", a), ("b", b)):
        check_tensor(name, x, "[N, D, ...]", "float")
    check_same_shape("a", a, "b", b)
    check_same_dtype("a", a, "b", b)
    check_integer("points", points, 2, MAX_SIZE)
    if centre is None:
        centre = torch.zeros_like(a[:1])
    check_tensor("centre", centre, f"[1, {', '.join(map(str, a.shape[1:]))}]", "float")
    check_same_dtype("a", a, "centre", centre)
    flat_a, flat_b = ((x - centre).flatten(1) for x in (a, b))
    radius_a, radius_b = (x.norm(dim=1).clamp_min(1e-12) for x in (flat_a, flat_b))
    cosine = (flat_a * flat_b).sum(1) / (radius_a * radius_b)
    angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))[:, None]  # away from 0 and π, where the weights are 0/0
    u = torch.linspace(0, 1, points, device=a.device, dtype=a.dtype)
    weight_a, weight_b = (torch.sin(w * angle) / torch.sin(angle) for w in (1 - u, u))
    radius = torch.lerp(radius_a[:, None], radius_b[:, None], u)
    path = (
        weight_a[..., None] * (flat_a / radius_a[:, None])[:, None] + weight_b[..., None] * (flat_b / radius_b[:, None])[:, None]
    )
    return (radius[..., None] * path).unflatten(2, a.shape[1:]) + centre[:, None]
