"""Network weights in one file: safetensors (no code in it, unlike a pickle) with a JSON card and a sum inside.

The card says what the weights are and how they came about; by custom it has the keys recipe, command, seed, data_sum,
metrics and config. Everything that `load` needs is in the one `.safetensors` file, so that a process killed at any
moment leaves either the old checkpoint or the new one. The `.json` beside it is a copy of the card for human readers,
written afterwards and never read back: if a kill leaves it out of date, the next `save` or `write_card` mends it.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.storage.atomic import sha256, write_whole

# One metadata key only: safetensors writes several in an order that changes from process to process.
_KEY = "course_lib"


class CheckpointError(ValueError):
    """A checkpoint is missing, truncated, altered or does not fit the network. One sentence, with the mend."""


def save(
    path: str | Path,
    net: nn.Module | Mapping[str, Tensor],
    card: Mapping[str, Any],
    dtype: torch.dtype | None = None,
) -> Path:
    """Write the weights of `net` (a module or a state dict) and their card, whole or not at all; returns the file.

    Args:
        path: the file; ".safetensors" is appended if it is not there. Missing folders are made.
        net: may live on any device and may be compiled; tensors are stored contiguous under their plain names.
        card: JSON values, and paths, tensors or numpy scalars that turn into such. "torch" (the version), "dtype" and
            "parameters" (how many numbers) are added.
        dtype: stores floating-point tensors in this dtype, for example torch.bfloat16 to halve the file. None: as is.

    The same tensors and card give the same bytes. Raises CheckpointError if a number does not fit `dtype` or the card
    holds something that JSON cannot.
    """
    file = _file(path)
    state = net.state_dict() if isinstance(net, nn.Module) else net
    tensors = {_plain(name): _stored(name, tensor, dtype) for name, tensor in state.items()}
    facts = {
        "torch": torch.__version__,
        "dtype": sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
    }
    card_text = _to_json({**card, **facts})
    from safetensors.torch import save as to_bytes

    note = json.dumps({"card": card_text, "sha256": tensor_checksum(tensors, card_text)})
    write_whole(file, to_bytes(tensors, {_KEY: note}))
    write_metadata(file)
    return file


def load(path: str | Path, device: torch.device | str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint: (state dict in the stored dtype on `device`, card). `device` None is the CPU.

    The SHA-256 of all tensors and the card is checked. Raises CheckpointError if the file is missing, truncated,
    altered, or not a checkpoint of this library.
    """
    file = _file(path)
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {file}: train it, or correct the path.") from None
    card_text, expected = _read_note(file, raw)
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    try:
        tensors = from_bytes(raw)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"The checkpoint {file} cannot be read ({error}): {_MEND}.") from None
    if tensor_checksum(tensors, card_text) != expected:
        raise CheckpointError(f"The checkpoint {file} was altered, its SHA-256 is not the stored one: {_MEND}.")
    return {name: tensor.to(device) for name, tensor in tensors.items()}, json.loads(card_text)


def restore(net: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load a checkpoint into `net`, strictly, keeping the net's device and dtype; returns the card.

    Raises CheckpointError as `load` does, and if a name or a shape differs; then the net is left as it was.
    """
    tensors, card = load(path)
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
        raise CheckpointError(
            f"The checkpoint {_file(path)} does not fit this {type(net).__name__}: of its tensors, "
            f"{', '.join(problems)}; build the network with the card's config {card.get('config', {})}."
        )
    net.load_state_dict({name: tensors[_plain(name)] for name in net.state_dict()})
    return card


def write_metadata(path: str | Path) -> Path:
    """(Re)write the readable copy of a checkpoint's card, with the SHA-256 of the whole file; ending .json."""
    file = _file(path)
    _, card = load(file)
    text = json.dumps({"file": file.name, "sha256": sha256(file), **card}, indent=1, ensure_ascii=False)
    return write_whole(file.with_suffix(".json"), text.encode() + b"\n")


def tensor_checksum(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """SHA-256, in hexadecimal, over the names, dtypes, shapes and bytes of tensors, and over `text`.

    It does not depend on the order of the names, on the device or on strides: a data set's sum for a card is
    `tensor_sum({"images": images, "labels": labels})`.
    """
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


_MEND = "restore it with `git checkout` if it was shipped, or train it again"


def _file(path: str | Path) -> Path:
    path = Path(path).expanduser()
    return path if path.suffix == ".safetensors" else path.with_name(f"{path.name}.safetensors")


def _plain(name: str) -> str:
    return name.replace("_orig_mod.", "")  # torch.compile puts this before the names of what it wraps


def _stored(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A contiguous copy on the CPU; a copy, because safetensors refuses tensors that share memory (tied weights)."""
    if dtype is None or not tensor.is_floating_point():
        return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    small = tensor.detach().cpu().to(dtype, copy=True, memory_format=torch.contiguous_format)
    if small.isfinite().ne(tensor.detach().cpu().isfinite()).any():
        raise CheckpointError(f"{name} holds numbers too large for {dtype}: store it as torch.bfloat16 or float32.")
    return small


def _to_json(card: Mapping[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        if isinstance(value, Path):
            return str(value)
        raise TypeError(f"a {type(value).__name__}")

    try:
        return json.dumps(card, default=plain, allow_nan=False, sort_keys=True, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"The card cannot be stored as JSON ({error}): use text, finite numbers, lists and dictionaries."
        ) from None


def _read_note(file: Path, raw: bytes) -> tuple[str, str]:
    """The card's text and the expected sum, after checking that the file is as long as its header says.

    Layout of safetensors: length of the header as a little-endian uint64, the header in JSON, the tensors' bytes.
    """
    foreign = CheckpointError(f"{file} is not a checkpoint of this library, or its header was altered: {_MEND}.")
    if len(raw) < 9:
        raise CheckpointError(f"The checkpoint {file} is truncated to {len(raw)} bytes: {_MEND}.")
    end = 8 + struct.unpack("<Q", raw[:8])[0]
    if raw[8:9] != b"{":
        raise foreign
    if end <= len(raw):
        try:
            header = json.loads(raw[8:end])
            end += max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
            note = json.loads(header["__metadata__"][_KEY])
            card_text, expected = note["card"], note["sha256"]
        except (ValueError, KeyError, TypeError):
            raise foreign from None
    if end > len(raw):
        raise CheckpointError(f"The checkpoint {file} is truncated, {len(raw):,} of {end:,} bytes: {_MEND}.")
    return card_text, expected
