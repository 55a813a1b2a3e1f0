"""Small functions with a closed form that stand for a network where an exercise takes one as its argument.

They are data with a formula, so that a hidden input can hold one: it is sent to the sandbox as its fields.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Net:
    """A denoising network (x_t [B, C, H, W], t [B], y [B]) → [B, C, H, W]: one coefficient each for image, time and label.

    Where gradients are asked for, the coefficients are tensors.
    """

    image: float | Tensor
    time: float | Tensor
    label: float | Tensor

    def __call__(self, x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        t, y = (x.view(-1, 1, 1, 1).to(x_t.dtype) for x in (t, y))
        return self.image * x_t + self.time * t / 1000 + self.label * y


@dataclass(frozen=True)
class LogProb:
    """log p(y | x_t) of a classifier, x_t [B, C, H, W] → [B]: a parabola about ``centre`` [C, H, W]."""

    centre: Tensor
    width: float

    def __call__(self, x_t: Tensor) -> Tensor:
        return -((x_t - self.centre) / self.width).square().flatten(1).sum(1) / 2


STANDINS: dict[str, type[Net] | type[LogProb]] = {one.__name__: one for one in (Net, LogProb)}
