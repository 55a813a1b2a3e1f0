"""A fully connected autoencoder and VAE with 16 latent dimensions: the latent space in which the prior keeps its promise."""

from typing import Any

import torch
from torch import Tensor, nn

from course_lib.arguments import check_integer, check_tensor
from course_lib.autoencoder import DenseAutoencoder
from course_lib.device import Machine
from course_lib.experiments.limits import MAX_SAMPLES, MAX_STEPS, seeded_generator
from course_lib.recipes.losses import autoencoder_loss
from course_lib.recipes.store import build
from course_lib.training import LossFn, TrainConfig, train
from course_lib.vae import DenseVAE

LATENTS, STEPS = 16, 1000


def train_dense(
    network: type[DenseAutoencoder] | type[DenseVAE],
    images: Tensor,
    machine: Machine,
    steps: int = STEPS,
    seed: int = 0,
    progress: bool = True,
    *,
    loss: LossFn = autoencoder_loss,
    noise_std: float = 0.5,
) -> Any:
    """Train a `DenseAutoencoder` or a `DenseVAE` with 16 latent dimensions on uint8 images [N, 1, 32, 32]: some ten seconds.

    loss: of the network, a batch (its first tensor are uint8 images) and a generator. noise_std: the VAE's decoder noise.
    Returns the averaged weights, in eval mode.
    """
    check_tensor("images", images, "[N, 1, 32, 32]")
    steps = check_integer("steps", steps, 1, MAX_STEPS)
    shape: dict[str, float] = {"hidden": 256, "latent_channels": LATENTS}
    if issubclass(network, DenseVAE):
        shape["noise_std"] = noise_std
    net: nn.Module = build(network, shape, seed)
    config = TrainConfig(
        steps=steps, batch_size=128, lr=2e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.99, seed=seed, progress=progress
    )
    return train(net, loss, (images,), config, machine=machine).ema.to(machine.device).eval()


def standard_normal(net: DenseAutoencoder | DenseVAE, n: int, seed: int = 0) -> Tensor:
    """Sample n latents of the network from N(0, I): [n, latent_channels, 1, 1]."""
    n = check_integer("n", n, 1, MAX_SAMPLES)
    return torch.randn(n, net.latent_channels, 1, 1, generator=seeded_generator(seed)).to(next(net.parameters()).device)
