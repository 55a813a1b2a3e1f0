"""Exercise `train_step`: one step of gradient descent. The check runs two steps of a small linear autoencoder."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from course_lib.homework.checks.case import Case, Complaint
from course_lib.homework.checks.exercise import Draw, Exercise

TrainStep = Callable[[nn.Module, torch.optim.Optimizer, Callable[[Tensor, Tensor], Tensor], Tensor], Tensor]
STEPS, LR = 2, 0.05


class _Line(nn.Module):
    """x → x W: the smallest network there is."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())

    def forward(self, images: Tensor) -> Tensor:
        return images @ self.weight


def _squared_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    return (images - reconstructions).square().sum(1).mean()


def _steps(train_step: TrainStep, weight: Tensor, images: Tensor) -> tuple[Tensor, ...]:
    """The loss that each of two steps returns, and the weights after them."""
    with torch.enable_grad():
        net = _Line(weight)
        optimizer = torch.optim.SGD(net.parameters(), lr=LR)
        losses = [train_step(net, optimizer, _squared_error, images) for _ in range(STEPS)]
    return (*losses, net.weight.detach())


def _oracle(weight: Tensor, images: Tensor) -> tuple[Tensor, ...]:
    """Gradient descent with the gradient of ‖X − XW‖²/N worked out by hand: −2 Xᵀ(X − XW)/N."""
    losses = []
    for _ in range(STEPS):
        error = images - images @ weight
        losses.append(error.square().sum(1).mean())
        weight = weight + LR * 2 * images.T @ error / len(images)
    return (*losses, weight)


def _cases(draw: Draw) -> list[Case]:
    what = f"a linear network, two steps of SGD, {draw.dtype_name}: the two losses and the weights after them"
    return [Case(what, (draw.normal(3, 3, std=0.5), draw.normal(5, 3)))]


class _TrainStep(Exercise):
    """The exercise; what is checked is what two of the student's steps do to a network."""

    def complaint(self, function: Callable, seed: int = 0, devices: Sequence[torch.device] | None = None) -> Complaint | None:
        return super().complaint(functools.partial(_steps, function), seed, devices)


def _block(net: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[Tensor, Tensor], Tensor], images: Tensor) -> Tensor:
    error = loss(images, net(images))
    optimizer.zero_grad()
    error.backward()
    optimizer.step()
    return error.detach()


TRAIN_STEP = _TrainStep("train_step", points=0, difficulty=2, minutes=4, oracle=_oracle, cases=_cases, block=_block)


def _mistake(message: str) -> Callable[[TrainStep], TrainStep]:
    """Register a wrong `train_step`, as it acts on the network of the check."""

    def register(function: TrainStep) -> TrainStep:
        @functools.wraps(function)
        def steps(weight: Tensor, images: Tensor) -> tuple[Tensor, ...]:
            return _steps(function, weight, images)

        del steps.__wrapped__
        TRAIN_STEP.mistake(message)(steps)
        return function

    return register


@_mistake("The gradients of the last step are still there and add up: call optimizer.zero_grad() before backward().")
def gradients_not_cleared(net, optimizer, loss, images):  # type: ignore[no-untyped-def]
    error = loss(images, net(images))
    error.backward()
    optimizer.step()
    return error.detach()


@_mistake(
    "The weights have not changed: optimizer.step() is missing, or has no gradients because zero_grad() comes after backward()."
)
def no_step(net, optimizer, loss, images):  # type: ignore[no-untyped-def]
    error = loss(images, net(images))
    optimizer.zero_grad()
    error.backward()
    return error.detach()


@_mistake("The loss is computed once more after the step. Return the one from which the gradients came.")
def loss_after_the_step(net, optimizer, loss, images):  # type: ignore[no-untyped-def]
    error = loss(images, net(images))
    optimizer.zero_grad()
    error.backward()
    optimizer.step()
    return loss(images, net(images)).detach()
