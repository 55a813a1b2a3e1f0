"""A cache of finished training runs, for tests that run a notebook twice. Off unless COURSE_TRAINING_CACHE names a folder.

A run is found again only if nothing that could change its result differs: torch, the source of the library, machine and threads,
settings, first weights, data, and the loss function with everything it refers to. What cannot be compared is not cached.
"""

import dataclasses
import functools
import hashlib
import io
import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.device import Machine
from course_lib.storage.atomic import sha256, write_atomically
from course_lib.training.config import Batch, LossFn, Net, TrainConfig, TrainResult
from course_lib.training.determinism import run_fingerprint

VARIABLE = "COURSE_TRAINING_CACHE"
_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size, type, ModuleType)
_PACKAGE = Path(__file__).resolve().parents[1]


class Incomparable(TypeError):
    """A loss function refers to something that cannot be compared between processes."""


def cache_key(net: Net, loss_fn: LossFn[Net], data: Batch, config: TrainConfig, machine: Machine) -> str | None:
    """Return the name under which a run's result is cached, or None if the cache is off or the run cannot be compared."""
    if not os.environ.get(VARIABLE) or config.world_size > 1:
        return None
    digest = hashlib.sha256(f"{torch.__version__} {machine} {torch.get_num_threads()} {_library_checksum()}".encode())
    digest.update(repr(run_fingerprint(net, data, config)).encode() + repr(config).encode())
    try:
        for part in _parts(net, set()):
            digest.update(part)
        for part in _parts(loss_fn, set()):
            digest.update(part)
    except Incomparable:
        return None
    return digest.hexdigest()


def load_cached(key: str, net: Net, config: TrainConfig, machine: Machine) -> TrainResult[Net] | None:
    """Load a cached run into `net`, on the machine's device and in eval mode; None if there is none of this key."""
    file = _file(key)
    if not file.exists():
        return None
    state = torch.load(file, map_location=machine.device, weights_only=True)
    net.to(machine.device)
    if config.channels_last:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this argument
    net.load_state_dict(state["net"])
    net.eval()
    ema = net
    if state["ema"] is not None:
        ema = deepcopy(net).requires_grad_(False)
        ema.load_state_dict(state["ema"])
    return TrainResult(net, ema, state["losses"].cpu(), state["seconds"], state["images_per_second"], state["steps"])


def save_cached(key: str, result: TrainResult[Any]) -> None:
    """Store a finished run under its key."""
    state = {
        "net": result.net.state_dict(),
        "ema": None if result.ema is result.net else result.ema.state_dict(),
        "losses": result.losses,
        "seconds": result.seconds,
        "images_per_second": result.images_per_second,
        "steps": result.steps,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(_file(key), buffer.getvalue())


def _file(key: str) -> Path:
    return Path(os.environ[VARIABLE]) / f"{key}.pt"


@functools.cache
def _library_checksum() -> str:
    files = sorted(_PACKAGE.rglob("*.py"))
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()


def _parts(value: object, seen: set[int]) -> Iterator[bytes]:
    """The bytes that describe a value and all it refers to. Raises Incomparable for what may change, such as a list."""
    if id(value) in seen:
        return
    yield type(value).__qualname__.encode()
    if isinstance(value, _PLAIN):
        yield repr(value).encode()
    elif isinstance(value, Tensor):
        yield repr((value.dtype, tuple(value.shape))).encode()
        yield value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item, seen)
    elif isinstance(value, nn.Module):
        yield repr(value).encode()
        for name, tensor in value.state_dict().items():
            yield name.encode()
            yield from _parts(tensor, seen)
    elif isinstance(value, functools.partial):
        yield from _parts((value.func, value.args, tuple(sorted(value.keywords.items()))), seen)
    elif isinstance(value, FunctionType):
        seen.add(id(value))
        yield from _function_parts(value, seen)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if field.compare:
                yield from _parts(getattr(value, field.name), seen)
    elif type(value).__module__ == "builtins" and callable(value):
        yield repr(getattr(value, "__qualname__", value)).encode()
    else:
        raise Incomparable(f"a {type(value).__name__}")


def _function_parts(function: FunctionType, seen: set[int]) -> Iterator[bytes]:
    """Code, defaults, closure, and the globals that the code names; for the library's own the checksum of its source suffices."""
    yield from _code_parts(function.__code__)
    yield from _parts(function.__defaults__, seen)
    yield from _parts(tuple(sorted((function.__kwdefaults__ or {}).items())), seen)
    for cell in function.__closure__ or ():
        yield from _parts(cell.cell_contents, seen)
    if function.__module__.partition(".")[0] not in ("course_lib", "torch"):
        for name in function.__code__.co_names:
            if name in function.__globals__:
                yield name.encode()
                yield from _parts(function.__globals__[name], seen)


def _code_parts(code: CodeType) -> Iterator[bytes]:
    yield code.co_code + repr(code.co_names).encode()
    for constant in code.co_consts:
        yield from _code_parts(constant) if isinstance(constant, CodeType) else [repr(constant).encode()]
