"""An adversarial loss for the copies of an autoencoder: a critic of patches, what it learns, and how loudly it may speak.

This is the third part of the loss with which the autoencoders of latent diffusion are trained (Esser et al. 2021, "VQGAN",
section 3.2; Rombach et al. 2022, appendix G).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchCritic(nn.Module):
    """Says of every patch of an image whether it looks real: images [B, C, H, W] → scores [B, 1, H/4, W/4], high for real.

    Each score sees 18×18 pixels and no more (the "PatchGAN" of Isola et al. 2017, section 3.2.2): it can judge texture and
    edges, not whether the picture as a whole makes sense. H and W are multiples of 4.
    """

    def __init__(self, in_channels: int = 3, width: int = 32) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(in_channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises: scores of real patches below 1 and of fake ones above -1 cost, linearly (hinge loss, Lim and Ye
    2017, eq. 3, halved). A scalar, 0 for a critic that is right with room to spare, 1 for one that says 0 to all."""
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def generator_loss(fake: Tensor) -> Tensor:
    """What the decoder minimises: minus the critic's mean score of its patches (Lim and Ye 2017, eq. 4)."""
    return -fake.mean()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last: Tensor, limit: float = 1e4) -> Tensor:
    """How much to multiply the adversarial loss by, so that both losses pull equally hard at the decoder's last weights.

    The ratio of the gradients' norms there (Esser et al. 2021, eq. 7), at most `limit`; a scalar without gradient.
    reconstruction, adversarial: scalar losses. last: weights that both depend on.
    """
    norms = [torch.autograd.grad(loss, last, retain_graph=True)[0].float().norm() for loss in (reconstruction, adversarial)]
    return (norms[0] / (norms[1] + 1e-6)).clamp(max=limit).detach()
