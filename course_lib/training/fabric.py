"""What a run needs of Lightning Fabric and torch: the processes, the wrapped loss, the optimizer, and the data on the device."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib.device import Machine
from course_lib.storage.console import logs_errors_alone
from course_lib.training.config import Batch, LossFn, TrainConfig
from course_lib.training.fsdp import fsdp_strategy
from course_lib.training.muon import Muon

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@contextlib.contextmanager
def fabric_logs_nothing() -> Iterator[None]:
    """Silence Fabric in this block: it logs to stderr, which notebooks show in red; on a GPU, advice on Tensor Cores."""
    import lightning_fabric  # noqa: F401  # it sets its own level when it is imported

    with logs_errors_alone("lightning_fabric"):
        yield


def launch(machine: Machine, config: TrainConfig) -> "Fabric":
    """Start the run's processes, and return Fabric's handle of this one."""
    from lightning_fabric import Fabric  # it takes seconds to import, which only training should pay

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = [machine.device.index] if machine.device.type == "cuda" else 1
        fsdp, precision = config.strategy == "fsdp", cast(Any, machine.precision)
        fabric = Fabric(
            accelerator=machine.device.type,
            devices=one if config.world_size == 1 else config.devices,
            num_nodes=config.nodes,
            strategy=fsdp_strategy(config.world_size, machine.precision) if fsdp else config.strategy,
            precision=precision,
        )
    fabric.launch()
    if fabric.device.type == "cpu":
        devices.share_threads(config.devices)
    return fabric


class LossModule(nn.Module):
    """The loss as a module. Fabric (and DDP) then wrap one forward pass per step, whichever methods of the network it calls,
    and the batch itself does not pass through Fabric's conversion of float inputs to bf16."""

    def __init__(self, net: nn.Module, loss_fn: LossFn[Any], data: Batch) -> None:
        super().__init__()
        self.net, self.loss_fn, self.data = net, loss_fn, data

    def forward(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        loss: Any = self.loss_fn(self.net, tuple(d[rows] for d in self.data), generator)
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"loss_fn must return one number as a tensor of shape (), not {got}: end it with .mean()")
        if not loss.requires_grad:
            raise ValueError("loss_fn returned a loss that does not depend on the network's weights: call net in it")
        return loss


def make_optimizer(net: nn.Module, config: TrainConfig, machine: Machine) -> torch.optim.Optimizer:
    """Return the optimizer of the trainable parameters. Raises ValueError where there are none."""
    weights = [p for p in net.parameters() if p.requires_grad]
    if not weights:
        raise ValueError("the network has no trainable parameter: nothing would change")
    if config.optimizer == "muon":
        return Muon(weights, config.lr, config.betas)
    # Fused is 4 times faster on a CPU, and on a GPU. Fabric cannot clip fp16 gradients for an optimizer that unscales.
    fused = machine.device.type in ("cpu", "cuda") and not (machine.precision == "16-mixed" and config.grad_clip)
    implementation = {"fused": True} if fused else {"foreach": True}
    return torch.optim.AdamW(weights, config.lr, config.betas, weight_decay=config.weight_decay, **implementation)


def checked_data(data: Tensor | Batch, batch_size: int) -> Batch:
    """Return the data as a tuple of tensors. Raises ValueError where they are empty, ragged or smaller than a batch."""
    data = (data,) if isinstance(data, Tensor) else tuple(data)
    if not data or not all(isinstance(d, Tensor) and d.ndim for d in data):
        raise ValueError("data must be a tensor, or a tuple of tensors, whose first dimension counts the rows")
    lengths = [len(d) for d in data]
    if len(set(lengths)) > 1:
        raise ValueError(f"the tensors of data have {lengths} rows: all must have the same number")
    if lengths[0] < batch_size:
        raise ValueError(f"data has {lengths[0]} rows, fewer than batch_size {batch_size}: lower it, or give more data")
    return data


def require_gradients() -> None:
    """Raise ValueError where gradients are switched off around the training."""
    if torch.is_inference_mode_enabled():
        raise ValueError("training runs under torch.inference_mode(), which forbids gradients: leave that block first")
    if not torch.is_grad_enabled():
        raise ValueError(
            "training needs gradients, which are switched off here: leave the torch.no_grad() block, or call "
            "torch.set_grad_enabled(True)"
        )


def is_lost_process(error: RuntimeError) -> bool:
    """Whether an error means that another process no longer answers: gloo says so in its message, NCCL by the type."""
    messages = ("Connection closed by peer", "Connection reset by peer", "gloo")
    return isinstance(error, torch.distributed.DistError) or any(message in str(error) for message in messages)
