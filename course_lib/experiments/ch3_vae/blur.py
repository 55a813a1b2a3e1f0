"""Why reconstructions blur: the best answer by squared error to an edge at an unknown position, and the sharpness of images."""

import torch
from torch import Tensor

from course_lib.arguments import check_finite, check_integer, check_number, check_sizes, check_tensor
from course_lib.experiments.limits import seeded_generator


def edge_signals(n: int, spread: float, points: int = 64, seed: int = 0) -> Tensor:
    """Sample n one-dimensional images of an edge, dark (-1) then bright (1): [n, points].

    The position of the edge is uniform around the middle, within ± spread of the width.
    """
    check_sizes(n=n, points=points)
    spread = check_number("spread", spread, at_least=0, at_most=0.5)
    positions = 0.5 + spread * (2 * torch.rand(n, 1, generator=seeded_generator(seed)) - 1)
    return torch.where(torch.linspace(0, 1, points) < positions, -1.0, 1.0)


def least_squares_answer(signals: Tensor, steps: int = 200, lr: float = 0.1) -> Tensor:
    """Find the one answer [points] with the least squared error to all signals [n, points], by gradient descent from zero."""
    check_tensor("signals", signals, "[n, points]", "float")
    check_integer("steps", steps, 0, 100_000)
    lr = check_number("lr", lr, above=0, below=1)  # from 1 on each step goes too far
    answer = torch.zeros(signals.shape[1], requires_grad=True)
    optimiser = torch.optim.SGD([answer], lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        (signals - answer).square().sum(1).mean().backward()
        optimiser.step()
    return answer.detach()


def sharpness(images: Tensor) -> float:
    """Return the root-mean-square difference of neighbouring pixels, along both axes, of images [N, C, H, W]."""
    check_tensor("images", images, "[N, C, H, W]", "float")
    check_finite("images", images)
    if min(images.shape[-2:]) < 2:
        raise ValueError(f"images has shape {tuple(images.shape)}, but a difference of pixels needs sides of at least 2.")
    across, down = images.diff(dim=-1).square().mean(), images.diff(dim=-2).square().mean()
    return ((across + down) / 2).sqrt().item()
