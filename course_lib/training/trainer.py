"""What computes a training step: the network, its loss, the optimizer and the average, as Fabric wraps them."""

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from course_lib.device import Machine
from course_lib.training import fsdp
from course_lib.training.config import Batch, LossFn, Net, TrainConfig
from course_lib.training.determinism import BatchSampler
from course_lib.training.ema import Ema
from course_lib.training.fabric import LossModule, make_optimizer

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer


@dataclass(frozen=True)
class Trainer:
    """What computes a step.

    net: the network that trains: the given one, or with "fsdp" a sharded copy. objective: its loss, wrapped by Fabric.
    optimizer: torch's in Fabric's wrapper. generator: what `loss_fn` draws from.
    """

    fabric: "Fabric"
    net: nn.Module
    objective: "_FabricModule"
    optimizer: "_FabricOptimizer"
    average: Ema | None
    sampler: BatchSampler
    generator: torch.Generator

    @property
    def ema(self) -> nn.Module:
        """The network of averaged weights, or the one that trains where there is no average."""
        return self.average.net if self.average else self.net


def make_trainer(fabric: "Fabric", net: Net, loss_fn: LossFn[Net], data: Batch, config: TrainConfig, machine: Machine) -> Trainer:
    """Move network and data to the device, and let Fabric wrap them."""
    layout = torch.channels_last if config.channels_last else torch.preserve_format
    sharded = config.strategy == "fsdp"
    training_net = deepcopy(net) if sharded else fabric.to_device(net)
    if not sharded:  # sharded weights cannot be channels_last: then only the images are
        training_net.to(memory_format=layout)  # type: ignore[call-overload]  # torch's stubs lack this argument
    data = tuple(d.to(fabric.device, memory_format=layout if d.ndim == 4 else torch.preserve_format) for d in data)
    compiled: Any = torch.compile(training_net) if config.compile else training_net
    objective = fabric.setup_module(LossModule(compiled, loss_fn, data))
    optimizer = cast("_FabricOptimizer", fabric.setup_optimizers(make_optimizer(training_net, config, machine)))
    sampler = BatchSampler(len(data[0]), config.batch_size, config.seed, fabric.device)
    average = _average(fabric, net, training_net, config)
    generator = torch.Generator(fabric.device)
    return Trainer(fabric, training_net, objective, optimizer, average, sampler, generator)


def _average(fabric: "Fabric", net: nn.Module, training_net: nn.Module, config: TrainConfig) -> Ema | None:
    """The moving average of the weights that train, which begin as those of `net`."""
    if config.ema_decay is None:
        return None
    if config.strategy != "fsdp":
        return Ema(training_net, config.ema_decay)
    strategy: Any = fabric.strategy
    return Ema(training_net, config.ema_decay, fsdp.shard(deepcopy(net), strategy.device_mesh["data_parallel"]))
