"""The adversarial loss for an autoencoder: a patch discriminator, its loss, and the weight of the adversarial term.

This is the third part of the loss with which the autoencoders of latent diffusion are trained (Esser et al. 2021, "VQGAN",
section 3.2; Rombach et al. 2022, appendix G).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.arguments import check_number, check_sizes, check_tensor
from course_lib.layers import check_features


class PatchDiscriminator(nn.Module):
    """Scores every patch of an image as real or fake: images [B, C, H, W] → scores [B, 1, H/4, W/4], high for real.

    The receptive field of each score is 18×18 pixels ("PatchGAN", Isola et al. 2017, section 3.2.2): it can judge texture and
    edges, not whether the entire image makes sense. H and W must be multiples of 4.
    """

    def __init__(self, in_channels: int = 3, width: int = 32) -> None:
        super().__init__()
        check_sizes(in_channels=in_channels, width=width)
        self.in_channels = in_channels
        self.net = nn.Sequential(
            nn.Conv2d(in_channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        check_features("images", images, f"[B, {self.in_channels}, H, W]", next(self.parameters()))
        if images.shape[-2] % 4 or images.shape[-1] % 4:
            raise ValueError(f"The images are {images.shape[-2]}×{images.shape[-1]}, but the sides must be multiples of 4.")
        return self.net(images)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's hinge loss of its scores, a scalar (Lim & Ye 2017, eq. 3, halved).

    Scores of real patches below 1 and of fake ones above -1 are penalised linearly: 0 where all are right by that margin, 1 for a
    discriminator that scores everything 0.
    """
    check_tensor("real", real, "", "float")
    check_tensor("fake", fake, "", "float")
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def generator_loss(fake: Tensor) -> Tensor:
    """The decoder's adversarial loss: minus the discriminator's mean score of its patches, a scalar (Lim & Ye 2017, eq. 4)."""
    check_tensor("fake", fake, "", "float")
    return -fake.mean()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last: Tensor, limit: float = 1e4) -> Tensor:
    """The weight of the adversarial loss that makes both losses' gradients equally large at the decoder's last layer.

    It is the ratio of their norms there (Esser et al. 2021, eq. 7), at most ``limit``; a scalar without gradient. reconstruction,
    adversarial: scalar losses. last: the weights of the last layer, on which both depend.
    """
    check_number("limit", limit, above=0)
    check_tensor("last", last, "", "float")
    norms = [_gradient(loss, last).float().norm() for loss in (reconstruction, adversarial)]
    return (norms[0] / (norms[1] + 1e-6)).clamp(max=limit).detach()


def _gradient(loss: Tensor, last: Tensor) -> Tensor:
    check_tensor("the loss", loss, "[]", "float")
    connected = loss.requires_grad and last.requires_grad
    (gradient,) = torch.autograd.grad(loss, last, retain_graph=True, allow_unused=True) if connected else (None,)
    if gradient is None:
        raise ValueError("A loss does not depend on the weights of the last layer, so it cannot be weighed there.")
    return gradient
