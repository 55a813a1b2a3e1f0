"""The functions that a reader of chapter 4 writes: three of homework 4's, without points."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.homework.checks.exercise import Practice
from course_lib.homework.checks.hw4 import ADD_NOISE, DDIM_STEP, TRAINING_LOSS


def _add_noise(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    squared = alphas_cumprod[t - 1].view(-1, 1, 1, 1)
    return squared.sqrt() * x0 + (1 - squared).sqrt() * eps


def _training_loss(
    net: Callable[..., Tensor],
    x0: Tensor,
    y: Tensor,
    t: Tensor,
    eps: Tensor,
    alphas_cumprod: Tensor,
    drop: Tensor,
    null_label: int,
) -> Tensor:
    squared = alphas_cumprod[t - 1].view(-1, 1, 1, 1)
    v = squared.sqrt() * eps - (1 - squared).sqrt() * x0
    return F.mse_loss(net(_add_noise(x0, t, eps, alphas_cumprod), t, torch.where(drop, null_label, y)), v)


def _ddim_step(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, alpha_next: float, sigma_next: float, eta: float, noise: Tensor
) -> Tensor:
    s = eta * sigma_next / sigma * math.sqrt(1 - (alpha / alpha_next) ** 2)
    eps = (x_t - alpha * x0_hat) / sigma
    return alpha_next * x0_hat + math.sqrt(max(sigma_next**2 - s**2, 0.0)) * eps + s * noise


ch4 = Practice(
    "ch4",
    "Latent DDPM",
    ADD_NOISE.for_practice(3, _add_noise),
    TRAINING_LOSS.for_practice(4, _training_loss),
    DDIM_STEP.for_practice(4, _ddim_step),
)
