"""Network weights in one file: safetensors (no code in it, unlike a pickle) that also holds JSON metadata and a checksum.

The metadata say what the weights are and how they were made; by custom they have the keys recipe, command, seed, data_checksum,
metrics and config. Everything that `load` needs is in the one `.safetensors` file, so that a process killed at any
moment leaves either the old weights or the new ones. The `.json` next to it is a copy of the metadata for human readers,
written afterwards and never read back: if a kill leaves it out of date, the next `save` or `write_metadata` fixes it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.arguments import check_float_dtype
from course_lib.storage.atomic import sha256, write_atomically

# One entry in the header only: safetensors writes several in an order that changes from process to process. It is a JSON
# object of two texts: the metadata (themselves JSON), and the checksum of the metadata and all tensors. The shipped files
# have these keys, so they stay.
_ENTRY, _METADATA, _CHECKSUM = "course_lib", "card", "sha256"
_STEP_SIZE = "/step_size"  # after the name of a tensor that is stored as int8; no module's name holds a slash
# What safetensors says of a file that is shorter or longer than its header announces.
_WRONG_LENGTH = ("header too small", "invalid header length", "incomplete metadata")
_FIX = "restore it with `git checkout` if it was shipped, or train it again"


class WeightsError(ValueError):
    """A weights file is missing, truncated, altered or does not fit the network. One sentence that says how to fix it."""


def save(
    path: str | Path,
    net: nn.Module | Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    dtype: torch.dtype | None = None,
) -> Path:
    """Write the weights of `net` (a module or a state dict) and their metadata atomically; returns the file.

    Args:
        path: the file; ".safetensors" is appended if it is not there. Missing folders are made.
        net: may be on any device and may be compiled; tensors are stored contiguous under their plain names.
        metadata: JSON values, and paths, tensors or numpy scalars that turn into such. "torch" (the version), "dtype" and
            "parameters" (their number) are added.
        dtype: stores floating-point tensors in this dtype, for example torch.bfloat16 to halve the file. torch.int8: matrices
            and kernels as whole numbers, -127 to 127, with a step size for each output channel (a quarter of float32; all else is
            stored in fp16). None: as is.

    The same tensors and metadata give the same bytes. Raises WeightsError if a value does not fit `dtype` or the metadata
    hold something that JSON cannot; OutputError where the file cannot be written.
    """
    from safetensors.torch import save as to_bytes

    file = file_name(path)
    if dtype is not torch.int8:
        check_float_dtype("dtype", dtype)
    if not isinstance(net, nn.Module | Mapping):
        raise TypeError(f"net is a {type(net).__name__}, but must be a network or a dictionary of tensors.")
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata is a {type(metadata).__name__}, but must be a dictionary.")
    state = net.state_dict() if isinstance(net, nn.Module) else net
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if dtype is torch.int8 and isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.ndim > 1:
            tensors[_plain(name)], tensors[_plain(name) + _STEP_SIZE] = _quantised(name, tensor)
        else:
            tensors[_plain(name)] = _stored(name, tensor, torch.float16 if dtype is torch.int8 else dtype)
    facts = {
        "torch": torch.__version__,
        "dtype": sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}),
        "parameters": sum(tensor.numel() for name, tensor in tensors.items() if not name.endswith(_STEP_SIZE)),
    }
    text = _to_json({**metadata, **facts})
    entry = json.dumps({_METADATA: text, _CHECKSUM: tensor_checksum(tensors, text)})
    payload = to_bytes(tensors, {_ENTRY: entry})
    write_atomically(file, payload)
    _write_copy(file, json.loads(text), hashlib.sha256(payload).hexdigest())
    return file


def load(path: str | Path, device: torch.device | str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a weights file: (state dict in the stored dtype on `device`, metadata). `device` None is the CPU.

    What was stored as int8 is returned in float32. The SHA-256 of all tensors and the metadata is verified. Raises WeightsError
    if the file is missing, truncated, altered, or was not written by `save`.
    """
    from safetensors import SafetensorError, safe_open

    file = file_name(path)
    if file.exists() and not file.is_file():
        raise WeightsError(f"{file} is not a file: give the name of a weights file.")
    try:
        with safe_open(file, "pt") as content:
            header = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - it is not a dictionary
    except FileNotFoundError:
        raise WeightsError(f"There is no weights file {file}: train it, or correct the path.") from None
    except SafetensorError as error:
        truncated = any(words in str(error) for words in _WRONG_LENGTH)
        problem = "truncated, or longer than its header says" if truncated else "altered, or not a safetensors file"
        raise WeightsError(f"The weights file {file} is {problem} ({error}): {_FIX}.") from None
    except OSError as error:
        raise WeightsError(f"The weights file {file} cannot be read ({error.strerror or error}): {_FIX}.") from None
    except Exception as error:  # safetensors builds tensors of whatever an altered header says
        raise WeightsError(f"The weights file {file} is altered ({type(error).__name__}): {_FIX}.") from error
    try:
        entry = json.loads(header[_ENTRY])
        text, expected = str(entry[_METADATA]), entry[_CHECKSUM]
        metadata = json.loads(text)
    except (ValueError, KeyError, TypeError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise WeightsError(f"{file} was not written by this library, or its header was altered: {_FIX}.")
    if tensor_checksum(tensors, text) != expected:
        raise WeightsError(f"The weights file {file} was altered, its SHA-256 is not the stored one: {_FIX}.")
    tensors = {
        name: tensor.float() * tensors[name + _STEP_SIZE] if name + _STEP_SIZE in tensors else tensor
        for name, tensor in tensors.items()
        if not name.endswith(_STEP_SIZE)
    }
    # Copies, because safetensors maps the file into memory: a later change of the file must not reach the network.
    return {name: tensor.to(device, copy=True) for name, tensor in tensors.items()}, metadata


def restore(net: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load a weights file into `net`, strictly, keeping the net's device and dtype; returns the metadata.

    Raises WeightsError as `load` does, and if a name or a shape differs or a weight is NaN; then the net stays as it was.
    """
    tensors, metadata = load(path)
    own = {_plain(name): tensor for name, tensor in net.state_dict().items()}
    missing = sorted(own.keys() - tensors.keys())
    extra = sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} {tuple(tensors[name].shape)} where the network has {tuple(own[name].shape)}"
        for name in sorted(own.keys() & tensors.keys())
        if own[name].shape != tensors[name].shape
    ]
    problems = [
        f"{len(found)} {words} (first: {found[0]})"
        for words, found in (("missing", missing), ("unknown to the network", extra), ("of another shape", shapes))
        if found
    ]
    if problems:
        raise WeightsError(
            f"The weights file {file_name(path)} does not fit this {type(net).__name__}: of its tensors, "
            f"{', '.join(problems)}; build the network with the config in its metadata, {metadata.get('config', {})}."
        )
    if broken := [name for name, tensor in tensors.items() if tensor.is_floating_point() and bool(tensor.isnan().any())]:
        raise WeightsError(f"{file_name(path)} holds NaN in {broken[0]}, as after a training that diverged: train it again.")
    net.load_state_dict({name: tensors[_plain(name)] for name in net.state_dict()})
    return metadata


def write_metadata(path: str | Path) -> Path:
    """Write the readable copy of a weights file's metadata again, with the SHA-256 of the file; returns the .json file."""
    file = file_name(path)
    return _write_copy(file, load(file)[1], sha256(file))


def tensor_checksum(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """Return the SHA-256, in hexadecimal, over the names, dtypes, shapes and bytes of tensors, and over `text`.

    It does not depend on the order of the names, on the device or on strides: a data set's checksum is
    `tensor_checksum({"images": images, "labels": labels})`.
    """
    if not isinstance(tensors, Mapping) or not isinstance(text, str):
        raise TypeError("tensors must be a dictionary of names and tensors, and text a string.")
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        if not isinstance(tensors[name], Tensor):
            raise TypeError(f"tensors[{name!r}] is a {type(tensors[name]).__name__}, but must be a tensor.")
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _write_copy(file: Path, metadata: dict[str, Any], checksum: str) -> Path:
    text = json.dumps({"file": file.name, "sha256": checksum, **metadata}, indent=1, ensure_ascii=False)
    return write_atomically(file.with_suffix(".json"), text.encode() + b"\n")


def file_name(path: str | Path) -> Path:
    """Return the file that `save` writes for this path: ".safetensors" is appended where it is missing."""
    path = Path(path).expanduser()
    return path if path.suffix == ".safetensors" else path.with_name(f"{path.name}.safetensors")


def _plain(name: str) -> str:
    return name.replace("_orig_mod.", "")  # torch.compile puts this before the names of what it wraps


def _stored(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A contiguous copy on the CPU; a copy, because safetensors refuses tensors that share memory (tied weights)."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"net[{name!r}] is a {type(tensor).__name__}, but a weights file holds tensors.")
    if dtype is None or not tensor.is_floating_point():
        return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    small = tensor.detach().cpu().to(dtype, copy=True, memory_format=torch.contiguous_format)
    if small.isfinite().ne(tensor.detach().cpu().isfinite()).any():
        raise WeightsError(f"{name} holds values too large for {dtype}: store it as torch.bfloat16 or float32.")
    return small


def _quantised(name: str, tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers, int8 [C, ...], and the step size of each output channel, float32 [C, 1, ...]: their product is the tensor.

    Rounded to nearest; the largest value of a channel is 127 steps (Jacob et al. 2018, section 2.1, without the zero-point).
    """
    values = _stored(name, tensor, None).float()
    steps = values.abs().amax(tuple(range(1, values.ndim)), keepdim=True) / 127
    return torch.where(steps > 0, values / steps, 0.0).round().to(torch.int8), steps


def _to_json(metadata: Mapping[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        if isinstance(value, Path):
            return str(value)
        raise TypeError(f"a {type(value).__name__}")

    try:
        return json.dumps(metadata, default=plain, allow_nan=False, sort_keys=True, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"The metadata cannot be stored as JSON ({error}): use text, finite numbers, lists and dictionaries."
        ) from None
