"""Training a network that no device holds in full: each process has a part of every weight (torch's FSDP2).

Used by `course_lib.training` for ``strategy="fsdp"``. A sharded weight is a DTensor; its gradient, optimizer state and average
are sharded in the same way. A block's weights are gathered when it computes, and freed again (Zhao et al. 2023).

`full_state` and `load_full_state` read and write the state of any network, sharded or not: always complete, under plain names
and on the CPU, so that a run can continue with another strategy or on another number of devices.
"""

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from course_lib.training.config import Net

if TYPE_CHECKING:
    from lightning_fabric.strategies import ModelParallelStrategy
    from torch.distributed.device_mesh import DeviceMesh


def fsdp_strategy(devices: int, precision: str) -> "ModelParallelStrategy":
    """Return Fabric's strategy that shards over this many devices. Raises ValueError for fp16."""
    from lightning_fabric.strategies import ModelParallelStrategy  # Fabric's FSDPStrategy needs a GPU

    if precision == "16-mixed":
        raise ValueError("strategy 'fsdp' computes in bf16 or fp32, not in fp16: set COURSE_PRECISION=fp32, or take 'ddp'")
    return ModelParallelStrategy(
        lambda module, mesh: shard(module, mesh["data_parallel"]),
        data_parallel_size=devices,
        tensor_parallel_size=1,
    )


def shard(module: Net, mesh: "DeviceMesh") -> Net:
    """Shard a module's weights over the mesh, in place: block by block (what a ModuleList holds), then the rest.

    All processes must call it together; they get parts of the first process's weights. Its parameters are new objects.
    """
    from torch.distributed.fsdp import fully_shard

    # FSDP2 needs contiguous weights; torch's stubs lack this argument.
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with torch.no_grad():
        for tensor in _tensors(module):
            sent = tensor.to(mesh.device_type)
            torch.distributed.broadcast(sent, 0)
            tensor.copy_(sent)
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    blocks = dict.fromkeys(block for part in lists for block in part if not isinstance(block, nn.ModuleList | nn.ModuleDict))
    for block in reversed(blocks):  # inner ones first
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def full_state(net: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> dict[str, Any]:
    """Return the full state dict of a network, or of its optimizer, on the CPU; in all processes but the first it is empty.

    All processes must call it together.
    """
    from torch.distributed.checkpoint import state_dict as distributed

    options = distributed.StateDictOptions(full_state_dict=True, cpu_offload=True)
    if optimizer is None:
        return distributed.get_model_state_dict(net, options=options)
    return distributed.get_optimizer_state_dict(net, optimizer, options=options)


def load_full_state(net: nn.Module, state: dict[str, Any], optimizer: torch.optim.Optimizer | None = None) -> None:
    """Load what `full_state` returned into a network, or into its optimizer. All processes must call it, with the state."""
    from torch.distributed.checkpoint import state_dict as distributed

    if optimizer is None:
        distributed.set_model_state_dict(net, state, options=distributed.StateDictOptions(full_state_dict=True))
        return
    options = distributed.StateDictOptions(full_state_dict=True, strict=False)
    distributed.set_optimizer_state_dict(net, optimizer, state, options=options)
    for name, weight in net.named_parameters():  # torch made up a state for weights that never had a gradient
        if name not in state["state"]:
            optimizer.state.pop(weight, None)


@torch.no_grad()
def copy_weights(net: Net, sharded: nn.Module) -> Net:
    """Copy the weights and buffers of a sharded network into its unsharded twin, and return that.

    All processes must call it together; they gather one tensor at a time.
    """
    from torch.distributed.tensor import DTensor

    for mine, part in zip(_tensors(net), _tensors(sharded), strict=True):
        mine.copy_(part.full_tensor() if isinstance(part, DTensor) else part)
    return net


def _tensors(net: nn.Module) -> Iterator[Tensor]:
    return chain(net.parameters(), net.buffers())
