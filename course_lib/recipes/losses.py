"""What the recipes minimise, as `course_lib.training.train` calls it: (network, batch, generator) → loss."""

import torch
from torch import Tensor, nn

from course_lib import teddies, text
from course_lib.arguments import check_list
from course_lib.autoencoder import reconstruction_loss
from course_lib.diffusion import DrawSteps, drop_labels, loss, stratified_steps
from course_lib.images import as_float, to_float
from course_lib.recipes.configs import PREDICTION_TYPE, make_schedule
from course_lib.schedule import Schedule
from course_lib.training import LossFn
from course_lib.vae import VAE, elbo_loss


def autoencoder_loss(net: nn.Module, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
    """Loss of the autoencoder recipes in nats per image: the negative ELBO for a VAE, the squared error for any other network."""
    check_list("batch", batch, None, "tensors, images first")
    images = to_float(batch[0])
    return elbo_loss(net, images, generator=generator) if isinstance(net, VAE) else reconstruction_loss(net, images)


def beta_loss(beta: float) -> LossFn[VAE]:
    """Return the loss of a beta-VAE in nats per image, on a batch of images (uint8 or [-1, 1])."""

    def objective(net: VAE, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        check_list("batch", batch, None, "tensors, images first")
        return elbo_loss(net, as_float(batch[0]), beta, generator)

    return objective


def denoising_loss(
    null_label: int | tuple[int, ...],
    prediction_type: str = PREDICTION_TYPE,
    schedule: Schedule | None = None,
    draw_steps: DrawSteps = stratified_steps,
    measured_in: str | None = None,
) -> LossFn[nn.Module]:
    """Return the loss of the denoiser recipes, on a batch of latents and labels.

    schedule: the recipes' where None. draw_steps, measured_in: as in `loss`.
    """
    noise = schedule or make_schedule()

    def objective(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        check_list("batch", batch, 2, "tensors: latents and labels")
        latents, labels = batch
        return loss(
            net,
            latents,
            labels,
            noise,
            prediction_type,
            generator=generator,
            null_label=null_label,
            draw_steps=draw_steps,
            measured_in=measured_in,
        )

    return objective


def text_denoising_loss() -> LossFn[nn.Module]:
    """Return `denoising_loss` for a network conditioned on captions: the labels that are not dropped are given in words."""
    schedule = make_schedule()

    def objective(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        check_list("batch", batch, 2, "tensors: latents and labels")
        latents, labels = batch
        tokens = text.tokenise_labels(drop_labels(labels, teddies.NUM_VALUES, 0.1, generator))
        return loss(net, latents, tokens, schedule, PREDICTION_TYPE, generator=generator)

    return objective
