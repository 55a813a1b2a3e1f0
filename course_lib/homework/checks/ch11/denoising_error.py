"""Exercise `denoising_error`: a network's error in v on latents whose noise is known."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.homework.answers.standins import Net
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((5, 4, 2, 3), (3, 1, 4, 5))
ANGLES = ((0.95, 1.25), (0.25, 0.55))  # of noise against signal; never equal rates


def _denoising_error(
    net: Callable[..., Tensor], x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor
) -> Tensor:
    """Image by image."""
    total = torch.zeros((), dtype=x0.dtype, device=x0.device)
    for i in range(len(x0)):
        x_t = alpha * x0[i : i + 1] + sigma * eps[i : i + 1]
        v = alpha * eps[i : i + 1] - sigma * x0[i : i + 1]
        total = total + (v - net(x_t, t[i : i + 1], y[i : i + 1])).pow(2).sum()
    return total / x0.numel()


def _block(net: Callable[..., Tensor], x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.mse_loss(net(alpha * x0 + sigma * eps, t, y), alpha * eps - sigma * x0)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, angles in zip(SHAPES, ANGLES, strict=True):
        net = Net(draw.number(0.3, 0.6), draw.number(0.6, 0.9), draw.number(0.1, 0.2))
        angle = draw.number(*angles)
        x0, eps = draw.normal(*shape, std=1.1, mean=0.3), draw.normal(*shape)
        y, t = draw.integers(1, 6, shape[0]), draw.integers(200, 900, shape[0])
        given = (net, x0, y, eps, math.cos(angle), math.sin(angle), t)
        what = f"a net, x0, eps {list(shape)} {draw.dtype_name}, y, t [{shape[0]}]"
        cases.append(Case(f"{what}, alpha {math.cos(angle):.3f}, sigma {math.sin(angle):.3f}", given))
    return cases


DENOISING_ERROR = Exercise(
    "denoising_error", points=0, difficulty=2, minutes=4, oracle=_denoising_error, cases=_cases, block=_block
)


@DENOISING_ERROR.mistake("The target is the noise. This network predicts v = alpha · eps - sigma · x0.")
def target_eps(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.mse_loss(net(alpha * x0 + sigma * eps, t, y), eps)


@DENOISING_ERROR.mistake("The target is the clean latent. This network predicts v = alpha · eps - sigma · x0.")
def target_x0(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.mse_loss(net(alpha * x0 + sigma * eps, t, y), x0)


@DENOISING_ERROR.mistake(
    "The target is eps - x0, the velocity of flow matching. This network predicts v = alpha · eps - sigma · x0."
)
def target_velocity(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.mse_loss(net(alpha * x0 + sigma * eps, t, y), eps - x0)


@DENOISING_ERROR.mistake("In the target v the rates are swapped: alpha goes with eps, sigma with x0.")
def target_swapped(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.mse_loss(net(alpha * x0 + sigma * eps, t, y), sigma * eps - alpha * x0)


@DENOISING_ERROR.mistake("In the target v the two terms are added. sigma · x0 is subtracted.")
def target_added(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.mse_loss(net(alpha * x0 + sigma * eps, t, y), alpha * eps + sigma * x0)


@DENOISING_ERROR.mistake("The target is -v. It should be v = alpha · eps - sigma · x0.")
def target_negated(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.mse_loss(net(alpha * x0 + sigma * eps, t, y), sigma * x0 - alpha * eps)


@DENOISING_ERROR.mistake("The network is given the clean x0. Give it the noisy x_t = alpha · x0 + sigma · eps.")
def given_x0(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.mse_loss(net(x0, t, y), alpha * eps - sigma * x0)


@DENOISING_ERROR.mistake("In x_t the rates are swapped: alpha goes with x0, sigma with eps.")
def noisy_swapped(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.mse_loss(net(sigma * x0 + alpha * eps, t, y), alpha * eps - sigma * x0)


@DENOISING_ERROR.mistake("The error is summed over everything. Take the mean, so that it does not depend on the batch.")
def summed(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return _block(net, x0, y, eps, alpha, sigma, t) * x0.numel()


@DENOISING_ERROR.mistake("A root is taken. Return the mean squared error itself.")
def root_taken(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return _block(net, x0, y, eps, alpha, sigma, t).sqrt()


@DENOISING_ERROR.mistake("The absolute error is used instead of its square.")
def absolute(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    return F.l1_loss(net(alpha * x0 + sigma * eps, t, y), alpha * eps - sigma * x0)


@DENOISING_ERROR.mistake("This is one error for each image. Take the mean over the batch as well.")
def per_image(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    difference = net(alpha * x0 + sigma * eps, t, y) - (alpha * eps - sigma * x0)
    return difference.square().flatten(1).mean(1)


@DENOISING_ERROR.mistake(
    "This is the error of x0_hat: sigma² times that of v, so it falls with the noise whatever the network has learned."
)
def error_of_x0(net: Callable, x0: Tensor, y: Tensor, eps: Tensor, alpha: float, sigma: float, t: Tensor) -> Tensor:
    x_t = alpha * x0 + sigma * eps
    return F.mse_loss(alpha * x_t - sigma * net(x_t, t, y), x0)
