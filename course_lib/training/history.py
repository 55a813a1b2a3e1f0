"""How far a training run is: its steps, seconds and losses."""

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from course_lib.training.config import DivergenceError, TrainConfig
from course_lib.training.progress import format_duration

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class History:
    """Steps taken, seconds spent in the loop, and the loss of every step that was fetched from the device.

    New losses stay on the device until `fetch`, the one place that waits for it.
    """

    def __init__(self, config: TrainConfig, device: torch.device, precision: str) -> None:
        self.config, self.precision = config, precision
        self.step, self.elapsed, self.losses = 0, 0.0, torch.empty(0)
        self._recent, self._pending = torch.zeros(config.log_every, device=device), 0

    @property
    def fraction(self) -> float:
        """How much of the run is over, 0 to 1."""
        if self.config.max_seconds is None:
            return self.step / self.config.steps
        return min(1.0, self.elapsed / self.config.max_seconds)

    def add(self, loss: Tensor) -> None:
        """Count a step, whose loss [] stays on the device for now."""
        self._recent[self._pending] = loss
        self._pending += 1
        self.step += 1

    @torch.no_grad()
    def fetch(self, fabric: "Fabric") -> None:
        """Bring the new losses to the CPU, averaged over all processes. Raises DivergenceError where one is not finite."""
        recent, self._pending = self._recent[: self._pending], 0
        if fabric.world_size > 1 and len(recent):
            recent = cast(Tensor, fabric.all_reduce(recent.clone(), reduce_op="mean"))
        self.losses = torch.cat([self.losses, recent.cpu()])
        bad = (~torch.isfinite(self.losses)).nonzero()
        if len(bad):
            raise DivergenceError(int(bad[0]) + 1, self.losses, self.precision)

    @torch.no_grad()
    def require_finite(self, net: nn.Module, fabric: "Fabric") -> None:
        """Raise DivergenceError, in all processes, where a weight is not finite. It waits for the device."""
        own = [p.to_local() if isinstance(p, DTensor) else p for p in net.parameters()]
        finite = torch.stack([p.isfinite().all() for p in own]).all().float()
        if fabric.world_size > 1:
            finite = cast(Tensor, fabric.all_reduce(finite, reduce_op="mean"))
        if finite < 1:
            raise DivergenceError(self.step, self.losses, self.precision)

    def line(self) -> str:
        """The text of the progress line."""
        left = self.elapsed * (1 / self.fraction - 1)
        clock = f"{format_duration(left)} left" if self.fraction < 1 else f"in {format_duration(self.elapsed)}"
        total = f"/{self.config.steps:,}" if self.config.max_seconds is None else ""
        loss = float(self.losses[-self.config.log_every :].mean())
        return f"step {self.step:,}{total} · loss {loss:.4g} · {self.images_per_second:,.0f} images/s · {clock}"

    @property
    def images_per_second(self) -> float:
        """Rows per second so far."""
        return self.step * self.config.batch_size / self.elapsed
