"""What the recipes minimise, as `course_lib.training.train` calls it: (network, batch, generator) → loss."""

import torch
from torch import Tensor, nn

from course_lib import teddies, text
from course_lib.autoencoder import Autoencoder, reconstruction_loss
from course_lib.diffusion import drop_labels, loss
from course_lib.images import to_float
from course_lib.recipes.configs import PREDICTION_TYPE, make_schedule
from course_lib.training import LossFn
from course_lib.vae import VAE, elbo_loss


def autoencoder_loss(net: Autoencoder | VAE, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
    """What the autoencoder recipes minimise, in nats per image: the negative ELBO for a VAE, its squared error for the other."""
    images = to_float(batch[0])
    return elbo_loss(net, images, generator=generator) if isinstance(net, VAE) else reconstruction_loss(net, images)


def denoising_loss(null_label: int | tuple[int, ...], prediction_type: str = PREDICTION_TYPE) -> LossFn:
    """What the denoiser recipes minimise, on a batch of latents and labels."""
    schedule = make_schedule()

    def objective(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        return loss(net, *batch, schedule, prediction_type, generator=generator, null_label=null_label)

    return objective


def text_denoising_loss() -> LossFn:
    """`denoising` for a network that reads: labels are dropped as there, and what is left of them is told in words."""
    schedule = make_schedule()

    def objective(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        latents, labels = batch
        tokens = text.tokenise_labels(drop_labels(labels, teddies.NUM_VALUES, 0.1, generator))
        return loss(net, latents, tokens, schedule, PREDICTION_TYPE, generator=generator)

    return objective
