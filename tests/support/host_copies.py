"""A detector of copies between host and device, and of values read back, that needs no GPU: torch's "meta" device stands for one.

Tensors of "meta" have shapes but no values, so that whatever asks for a value raises there. Two modes see what it lets pass: a
tensor made of Python numbers on the device, a copy between CPU and meta, and an operation on tensors of both.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = "meta"


class HostCopyError(AssertionError):
    """Something was copied between host and device."""


class _NoTensorsOfNumbers(TorchFunctionMode):
    """Refuse tensors made of Python numbers on the device: each is made on the host and copied."""

    MAKERS = (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if (
            func in self.MAKERS
            and out.device.type == META
            and not (args and isinstance(args[0], Tensor) and func is torch.as_tensor)
        ):
            raise HostCopyError(f"{func.__name__} makes a tensor on the host and copies it to the device")
        return out


class _NoCopies(TorchDispatchMode):
    """Refuse operations on tensors of both devices, apart from arithmetic with a number in a tensor [] of the CPU."""

    COPIES = tuple(getattr(torch.ops.aten, name) for name in ("_to_copy", "copy_", "copy", "to"))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        copies = func.overloadpacket in self.COPIES
        tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor)]
        if len({x.device.type for x in tensors if x.ndim or copies or x.device.type == META}) > 1:
            raise HostCopyError(f"{func} mixes tensors of the host and of the device")
        return out


@contextlib.contextmanager
def no_host_copies() -> Iterator[None]:
    """Raise HostCopyError where something is copied between the CPU and "meta"; reading a value of meta raises by itself."""
    with _NoTensorsOfNumbers(), _NoCopies():
        yield
