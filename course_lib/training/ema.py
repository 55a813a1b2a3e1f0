"""Exponential moving average (EMA) of a network's weights: samples from it are better than from the last weights."""

import copy

import torch
from torch import Tensor, nn

from course_lib.arguments import check_integer, check_number


def decay_at(decay: float, step: int) -> float:
    """Return the decay of step `step` = 0, 1, ...: min(decay, (1 + step) / (10 + step)), so that the average forgets the
    untrained weights quickly (the warm-up of TensorFlow's ExponentialMovingAverage)."""
    check_number("decay", decay, at_least=0, below=1)
    step = check_integer("step", step, at_least=0)
    return min(decay, (1 + step) / (10 + step))


class Ema:
    """Holds `net`, a copy of the given network in eval mode whose weights are the moving average of the given network's.

    Args:
        net: the network that trains. Its parameters must be changed in place, as optimizers do.
        decay: from 0 (no averaging) to below 1.
        mean: the copy, for a network that cannot be copied; default: made here.
    """

    def __init__(self, net: nn.Module, decay: float, mean: nn.Module | None = None) -> None:
        self.decay = check_number("decay", decay, at_least=0, below=1)
        self.net = (copy.deepcopy(net) if mean is None else mean).eval().requires_grad_(False)
        # Collected once: walking through a deep network takes longer than averaging it.
        self._mean: list[Tensor] = list(self.net.parameters())
        self._weights: list[Tensor] = list(net.parameters())
        self._buffers, self._sources = list(self.net.buffers()), list(net.buffers())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """mean <- decay * mean + (1 - decay) * weights, after step `step` = 0, 1, ...; buffers (tables) are copied."""
        torch._foreach_lerp_(self._mean, self._weights, 1 - decay_at(self.decay, step))
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._sources)
