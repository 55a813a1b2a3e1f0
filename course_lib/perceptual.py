"""Perceptual distance: how different two images are in the features of a trained network, layer by layer.

distance = perceptual_distance(reader, reconstructions, images)      # [B], 0 for equal images
"""

import torch
from torch import Tensor

from course_lib.arguments import check_same_shape, check_tensor
from course_lib.judges.factor_reader import FactorReader
from course_lib.layers import check_features

#: Layers of the reader's body after which features are taken: one after each of its four halvings.
TAPS = (1, 3, 5, 7)


def feature_maps(reader: FactorReader, images: Tensor) -> list[Tensor]:
    """The reader's features after each halving of images [B, 3, 64, 64] in [-1, 1]: [B, C, 32, 32] … [B, 4C, 4, 4].

    The channels at every position are scaled to length 1, so that bright positions count no more than dark ones (LPIPS, Zhang et
    al. 2018, section 3; there with a learned weight for each channel, here all are equal).
    """
    check_features("images", images, "[B, 3, 64, 64]", next(reader.parameters()))
    maps, x = [], images
    for i, layer in enumerate(reader.body):
        x = layer(x)
        if i in TAPS:
            maps.append(x.float() / (x.float().square().sum(1, keepdim=True) + 1e-8).sqrt())
        if i == TAPS[-1]:
            break
    return maps


def perceptual_distance(reader: FactorReader, a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of the feature maps of pairs of images [B, 3, 64, 64], averaged over positions, summed over layers: [B].

    0 for equal images, at most 4 for each of the four layers (Zhang et al. 2018, eq. 1). Gradients reach both images.
    """
    check_tensor("a", a, "", "float")
    check_tensor("b", b, "", "float")
    check_same_shape("a", a, "b", b)
    pairs = zip(feature_maps(reader, a), feature_maps(reader, b), strict=True)
    return torch.stack([(x - y).square().sum(1).mean((1, 2)) for x, y in pairs]).sum(0)
