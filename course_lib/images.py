"""Images as numbers: uint8 and [-1, 1] floats, and patches cut from them."""

import torch
import torch.nn.functional as F
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 images 0..255 -> float32 in [-1, 1], same shape and device. Raises ValueError on any other dtype."""
    if images.dtype != torch.uint8:
        raise ValueError(f"to_float takes uint8 images, not {images.dtype}: they may be in [-1, 1] already.")
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def as_float(images: Tensor) -> Tensor:
    """Images in [-1, 1], whatever they come as: uint8 through `to_float`, floats as they are."""
    return to_float(images) if images.dtype == torch.uint8 else images


def to_uint8(images: Tensor) -> Tensor:
    """Float images in [-1, 1] -> uint8 0..255, rounded; values outside are clamped. Undoes `to_float` exactly."""
    if not images.is_floating_point():
        raise ValueError(f"to_uint8 takes float images in [-1, 1], not {images.dtype}.")
    # in float32 first: bfloat16 has only 8 bits, too few to hold 256 levels around 1
    return images.detach().to(torch.float32).add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def patches(images: Tensor, side: int) -> Tensor:
    """Images [B, C, H, W] cut into squares without overlap: [N, C · side²], one square a row."""
    return F.pixel_unshuffle(images, side).permute(0, 2, 3, 1).flatten(0, 2)


def of_length(noise: Tensor, length: Tensor) -> Tensor:
    """Noise [B, ...] scaled so that image b's has the Euclidean length `length` [B]."""
    return noise * (length / noise.flatten(1).norm(dim=1)).view(-1, *[1] * (noise.ndim - 1))
