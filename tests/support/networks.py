"""What tests of networks share."""

import torch
from oracles import normal
from torch import Tensor, nn


def perturbed(net: nn.Module) -> nn.Module:
    """Add noise to all parameters of the network: a fresh one has layers at zero, behind which mistakes would not show."""
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p += 0.1 * normal(*p.shape, seed=i, dtype=p.dtype)
    return net


def random_images(*shape: int) -> Tensor:
    """Noise in (-1, 1), float32."""
    return normal(*shape, dtype=torch.float32).tanh()
