"""Exercise `train_step`: one step of gradient descent. The check runs two steps of a small linear autoencoder."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from course_lib.homework.checks.case import AnswerKey, Case, Complaint, Mistake
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


def _oracle(net: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[Tensor, Tensor], Tensor], images: Tensor) -> Tensor:
    """Without backward() and zero_grad(): the gradients are asked for by name, and handed to the optimizer."""
    error = loss(images, net(images))
    parameters = list(net.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(error, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()
    return error.detach()


def _cases(draw: Draw) -> list[Case]:
    what = f"a linear network, two steps of SGD, {draw.dtype_name}: the two losses and the weights after them"
    return [Case(what, (draw.normal(3, 3, std=0.5), draw.normal(5, 3)))]


class _TrainStep(Exercise):
    """The exercise; what is compared is what two steps do to a network."""

    def judge(
        self, function: Callable, seed: int = 0, devices: Sequence[torch.device] | None = None
    ) -> tuple[Complaint | None, str]:
        return super().judge(functools.partial(_steps, function), seed, devices)

    @property
    def key(self) -> AnswerKey:
        mistakes = tuple(Mistake(one.message, functools.partial(_steps, one.function)) for one in self.mistakes)
        oracle = functools.partial(_steps, self.oracle)
        return AnswerKey(self.name, oracle, mistakes, self.differentiable, self.tolerance)


def _block(net: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[Tensor, Tensor], Tensor], images: Tensor) -> Tensor:
    error = loss(images, net(images))
    optimizer.zero_grad()
    error.backward()
    optimizer.step()
    return error.detach()


TRAIN_STEP = _TrainStep("train_step", points=0, difficulty=2, minutes=4, oracle=_oracle, cases=_cases, block=_block)


@TRAIN_STEP.mistake("The gradients of the last step are still there and add up: call optimizer.zero_grad() before backward().")
def gradients_not_cleared(net, optimizer, loss, images):  # type: ignore[no-untyped-def]
    error = loss(images, net(images))
    error.backward()
    optimizer.step()
    return error.detach()


@TRAIN_STEP.mistake(
    "The weights have not changed: optimizer.step() is missing, or has no gradients because zero_grad() comes after backward()."
)
def no_step(net, optimizer, loss, images):  # type: ignore[no-untyped-def]
    error = loss(images, net(images))
    optimizer.zero_grad()
    error.backward()
    return error.detach()


@TRAIN_STEP.mistake("The loss is computed once more after the step. Return the one from which the gradients came.")
def loss_after_the_step(net, optimizer, loss, images):  # type: ignore[no-untyped-def]
    error = loss(images, net(images))
    optimizer.zero_grad()
    error.backward()
    optimizer.step()
    return loss(images, net(images)).detach()
