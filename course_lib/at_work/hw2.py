"""Homework 2: a student's shapes, bottleneck, PCA and PSNR in real autoencoders."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib import data, device
from course_lib.autoencoder import Autoencoder
from course_lib.experiments import codes
from course_lib.objectives import autoencoder_loss
from course_lib.train import TrainConfig, TrainResult, train

NUMBERS = 64  # of a code of `Small`: one for each of 8×8 places


class Small(nn.Module):
    """An autoencoder of garments, 32×32 pixels to 8×8 numbers, whose encoder is the given function of five tensors."""

    def __init__(self, bottleneck: Callable[..., Tensor], width: int = 24) -> None:
        super().__init__()
        self.bottleneck = bottleneck
        self.first, self.second = nn.Conv2d(1, width, 4), nn.Conv2d(width, 1, 4)  # they hold the weights; the function uses them
        self.decoder = nn.Sequential(
            nn.Conv2d(1, width, 5, padding=2), nn.SiLU(), nn.ConvTranspose2d(width, width, 4, 2, 1), nn.SiLU(),
            nn.ConvTranspose2d(width, 1, 4, 2, 1),
        )  # fmt: skip

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, 1, 32, 32] → codes [B, 1, 8, 8]."""
        return self.bottleneck(images, self.first.weight, self.first.bias, self.second.weight, self.second.bias)

    def decode(self, latents: Tensor) -> Tensor:
        """Codes → images, roughly in [-1, 1]."""
        return self.decoder(latents)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


def train_small(bottleneck: Callable[..., Tensor], steps: int = 500) -> TrainResult:
    """An autoencoder around this bottleneck, trained on garments for some seconds. See the result's ``ema`` and ``losses``."""
    return _trained(lambda: Small(bottleneck), steps, lr=4e-3)


def _trained(make: Callable[[], nn.Module], steps: int, lr: float) -> TrainResult:
    machine = device.find()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = make()
    config = TrainConfig(steps=steps, batch_size=128, lr=lr, betas=(0.9, 0.99), clip=None, ema=0.98, channels_last=True)
    return train(net, autoencoder_loss, (data.fashion_mnist("train", machine.device)[0],), config, machine=machine)
