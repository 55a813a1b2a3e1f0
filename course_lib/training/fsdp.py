"""A network that no device holds whole: each process of a run keeps a share of every weight (torch's FSDP2).

Used by `course_lib.training` for ``strategy="fsdp"``. A share is a DTensor; gradients, optimizer state and averages of shares are
shares, too. A block's weights are put together when it computes, and dropped again (Zhao et al. 2023).
"""

from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def shard(module: nn.Module, mesh: "DeviceMesh") -> nn.Module:
    """The same module, its weights now shares on the mesh's device: block by block (what a ModuleList holds), then the rest.

    All processes must call it together; they get shares of the first one's numbers. Its parameters are new objects.
    """
    from torch.distributed.fsdp import fully_shard

    module.to(memory_format=torch.contiguous_format)  # what FSDP2 can cut
    with torch.no_grad():
        for tensor in _tensors(module):
            sent = tensor.to(mesh.device_type)
            torch.distributed.broadcast(sent, 0)
            tensor.copy_(sent)
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    blocks = dict.fromkeys(block for part in lists for block in part if not isinstance(block, nn.ModuleList | nn.ModuleDict))
    for block in reversed(blocks):  # inner ones first
        fully_shard(block, mesh=mesh)
    return fully_shard(module, mesh=mesh)


def whole(state: object, keep: bool = True) -> object:
    """A tensor, or a state dict of them, with all shares put together, on the CPU; what is no share stays as it is.

    All processes must call it together. keep: whether this one wants the result; where not, it gets None for each share.
    """
    from torch.distributed.tensor import DTensor

    if isinstance(state, dict):
        return {name: whole(value, keep) for name, value in state.items()}
    if not isinstance(state, DTensor):
        return state
    full = state.full_tensor()
    return full.cpu() if keep else None


def share(full: Tensor, like: Tensor) -> Tensor:
    """This process's share of a whole tensor, cut as `like` is; the whole tensor where `like` is whole, or of another shape."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or full.shape != like.shape:
        return full
    # All processes have the whole tensor: without a source rank, nothing is sent. The clone does not keep the whole alive.
    return distribute_tensor(full.to(like.device), like.device_mesh, like.placements, src_data_rank=None).clone()


def load_network(net: nn.Module, state: dict) -> None:
    """`load_state_dict` of a whole state into a network, sharded or not."""
    own = net.state_dict()
    net.load_state_dict({name: share(value, own[name]) for name, value in state.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """`load_state_dict` of a whole state into an optimizer of weights, sharded or not."""
    weights = list(chain.from_iterable(group["params"] for group in optimizer.param_groups))  # the state's numbers count these
    cut = {
        number: {name: share(value, weights[number]) if isinstance(value, Tensor) else value for name, value in entry.items()}
        for number, entry in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": cut})


@torch.no_grad()
def fill(net: nn.Module, sharded: nn.Module) -> nn.Module:
    """The whole network `net` with the numbers of its sharded copy. All processes must call it together."""
    for mine, shares in zip(_tensors(net), _tensors(sharded), strict=True):
        mine.copy_(whole(shares))
    return net


def _tensors(net: nn.Module) -> chain[Tensor]:
    return chain(net.parameters(), net.buffers())
