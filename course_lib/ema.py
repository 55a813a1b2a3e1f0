"""Exponential moving average of a network's weights: samples from it are better than from the last weights."""

import copy
from functools import cached_property

import torch
from torch import Tensor, nn


def ema_decay(decay: float, step: int) -> float:
    """Decay in step `step` = 0, 1, ...: min(decay, (1 + step) / (10 + step)), so that the average forgets the untrained
    weights quickly (the warm-up of TensorFlow's ExponentialMovingAverage)."""
    return min(decay, (1 + step) / (10 + step))


class Ema:
    """Holds `net`, a copy of the given network in eval mode whose weights follow the given network's.

    Args:
        net: the network that trains. Its parameters must be changed in place, as optimizers do.
        decay: from 0 (no averaging) to below 1.
    """

    def __init__(self, net: nn.Module, decay: float):
        self.decay = decay
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self._source = net

    @cached_property
    def _tensors(self) -> list[list[Tensor]]:
        # Collected once: walking through a deep network takes longer than averaging it. And not before the first update:
        # sharding, which comes between, exchanges the parameters.
        return [list(kind) for net in (self.net, self._source) for kind in (net.parameters(), net.buffers())]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """mean <- decay * mean + (1 - decay) * weights, after step `step` = 0, 1, ...; buffers (tables) are copied."""
        mean, buffers, weights, sources = self._tensors
        torch._foreach_lerp_(mean, weights, 1 - ema_decay(self.decay, step))
        if buffers:
            torch._foreach_copy_(buffers, sources)
