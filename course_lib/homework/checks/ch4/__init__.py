"""The functions that a reader of chapter 4 writes: three of homework 4's, without points."""

import math

from torch import Tensor

from course_lib.homework.checks.exercise import Practice
from course_lib.homework.checks.hw4 import ADD_NOISE, DDIM_STEP, TRAINING_LOSS


def _add_noise(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    squared = alphas_cumprod[t - 1].view(-1, 1, 1, 1)
    return squared.sqrt() * x0 + (1 - squared).sqrt() * eps


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
    TRAINING_LOSS.for_practice(4),
    DDIM_STEP.for_practice(4, _ddim_step),
)
