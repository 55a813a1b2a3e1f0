"""Perceptual distance: how far apart two images are in what a trained network sees in them, layer by layer.

distance = perceptual_distance(reader, copies, images)      # [B], 0 for equal images
"""

import torch
from torch import Tensor

from course_lib.judges.factor_reader import FactorReader

#: Where the reader's body is tapped: after each of its four halvings, with the residual block that follows it.
TAPS = (1, 3, 5, 7)


def feature_maps(reader: FactorReader, images: Tensor) -> list[Tensor]:
    """What the reader holds after each halving of images [B, 3, 64, 64] in [-1, 1]: [B, C, 32, 32] … [B, 4C, 4, 4].

    The channels of every place are scaled to length 1, so that a bright place counts no more than a dark one (Zhang et al. 2018,
    section 3, "LPIPS", there with learned weights of the channels; here all count alike).
    """
    maps, x = [], images
    for i, layer in enumerate(reader.body[: TAPS[-1] + 1]):
        x = layer(x)
        if i in TAPS:
            maps.append(x.float() / (x.float().square().sum(1, keepdim=True) + 1e-8).sqrt())
    return maps


def perceptual_distance(reader: FactorReader, a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of the feature maps of each pair of images [B, 3, 64, 64], averaged over places, summed over layers: [B].

    0 for equal images, at most 4 for each of the four layers (Zhang et al. 2018, eq. 1). Gradients reach both images.
    """
    parts = zip(feature_maps(reader, a), feature_maps(reader, b), strict=True)
    return torch.stack([(x - y).square().sum(1).mean((1, 2)) for x, y in parts]).sum(0)
