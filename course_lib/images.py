"""Images as tensors: uint8 0..255 ↔ floats in [-1, 1], patches cut from them, and noise scaled to a given length."""

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.arguments import can_look_at, check_integer, check_tensor


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 images 0..255 to float32 in [-1, 1], same shape and device. Raises ValueError for any other dtype."""
    check_tensor("images", images, "", "any", least=0)
    if images.dtype != torch.uint8:
        raise ValueError(f"to_float takes uint8 images, not {images.dtype}: they may be in [-1, 1] already.")
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def as_float(images: Tensor) -> Tensor:
    """Return images in [-1, 1] for either input type: uint8 goes through `to_float`, floats are returned as they are.

    Raises ValueError for any other dtype.
    """
    check_tensor("images", images, "", "any", least=0)
    if images.is_floating_point():
        return images
    return to_float(images)


def to_uint8(images: Tensor) -> Tensor:
    """Convert float images in [-1, 1] to uint8 0..255, rounded and clamped; the exact inverse of `to_float`.

    Raises ValueError for an integer dtype, and for NaN on the CPU.
    """
    check_tensor("images", images, "", "any", least=0)
    if not images.is_floating_point():
        raise ValueError(f"to_uint8 takes float images in [-1, 1], not {images.dtype}.")
    if can_look_at(images) and bool(images.isnan().any()):
        raise ValueError("images contains NaN, which is no shade: look for the first layer that produces it.")
    # in float32 first: bfloat16 has only 8 bits, too few to hold 256 values around 1
    return images.detach().to(torch.float32).add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def patches(images: Tensor, side: int) -> Tensor:
    """Cut images [B, C, H, W] into squares without overlap: [N, C · side²], one square per row.

    Raises ValueError where squares of this side do not tile the images.
    """
    check_tensor("images", images, "[B, C, H, W]", "any")
    check_integer("side", side, at_least=1)
    if images.shape[-2] % side or images.shape[-1] % side:
        raise ValueError(f"The images are {images.shape[-2]}×{images.shape[-1]}, but must be tiled by squares of side {side}.")
    return F.pixel_unshuffle(images, side).permute(0, 2, 3, 1).flatten(0, 2)


def scale_to_norm(noise: Tensor, norm: Tensor) -> Tensor:
    """Scale noise [B, ...] so that row b has the Euclidean norm norm[b]; norm: [B].

    Raises ValueError for a row of zeros, which has no direction.
    """
    check_tensor("noise", noise, "[B, ...]", "float")
    check_tensor("norm", norm, f"[{len(noise)}]")
    lengths = noise.flatten(1).norm(dim=1) if noise.ndim > 1 else noise.abs()
    if can_look_at(lengths) and not bool((lengths > 0).all()):
        raise ValueError("A row of the noise is zero or NaN: it has no direction to scale.")
    return noise * (norm / lengths).view(-1, *[1] * (noise.ndim - 1))
