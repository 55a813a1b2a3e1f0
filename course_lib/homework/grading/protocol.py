"""What passes between the grader and a sandbox, as bytes: tensors by safetensors, everything else as JSON. Never a pickle.

Whoever reads trusts nothing: sizes are bounded before anything is made of the bytes, and whatever is not as expected is a
`Malformed`.
"""

import dataclasses
import json
import struct

import safetensors.torch
import torch
from torch import Tensor

from course_lib.homework.answers.call import NUMBERS, Outcome, Unsupported
from course_lib.homework.answers.standins import STANDINS

HEAD = struct.Struct("<II")  # bytes of the JSON, bytes of the tensors
LIMIT = 16 * 2**20  # bytes of one message
JSON_LIMIT = 2**20
DEPTH = 6  # collections within collections
TEXT = 2000  # characters kept of a string
# How one exercise's process ended, in the second number before a reply.
FINE, TOO_LONG, TOO_MUCH, DIED = range(4)


class Malformed(ValueError):
    """Bytes that are no message of ours."""


def pack(value: object) -> bytes:
    """A message: None, bool, int, float, str, Tensor, `Foreign`, a stand-in, or lists and tuples of them."""
    tensors: dict[str, Tensor] = {}
    head = json.dumps(_tree(value, tensors)).encode()
    body = safetensors.torch.save(tensors) if tensors else b""
    return HEAD.pack(len(head), len(body)) + head + body


def _tree(value: object, tensors: dict[str, Tensor]) -> object:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu").clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, Unsupported):
        return {"foreign": value.kind}
    if type(value).__name__ in STANDINS:
        return {
            "standin": type(value).__name__,
            "fields": _tree([getattr(value, f.name) for f in dataclasses.fields(value)], tensors),
        }
    if isinstance(value, (tuple, list)):
        return [_tree(item, tensors) for item in value]
    return value


def sizes(head: bytes) -> tuple[int, int]:
    """How many bytes of JSON and of tensors follow these first ones. Raises Malformed above the limits."""
    try:
        text, body = HEAD.unpack(head)
    except struct.error as error:
        raise Malformed("it ends within its first bytes") from error
    if text > JSON_LIMIT or text + body > LIMIT:
        raise Malformed(f"it is too large: {(text + body) / 2**20:.0f} MiB, at most {LIMIT // 2**20} are allowed")
    return text, body


def unpack(message: bytes) -> object:
    """The value of a message; collections come back as tuples, integers beyond 64 bits as Foreign. Raises Malformed."""
    text, body = sizes(message[: HEAD.size])
    if len(message) != HEAD.size + text + body:
        raise Malformed("it was cut short")
    try:
        tree = json.loads(message[HEAD.size : HEAD.size + text])
        tensors = safetensors.torch.load(message[HEAD.size + text :]) if body else {}
        if any(one.dtype not in NUMBERS for one in tensors.values()):
            raise Malformed("it holds tensors that are no plain numbers")
        return _value(tree, tensors, DEPTH)
    except Malformed:
        raise
    except (ValueError, KeyError, TypeError, RecursionError, RuntimeError, safetensors.SafetensorError) as error:
        raise Malformed(f"it cannot be read: {type(error).__name__}") from error


def _value(tree: object, tensors: dict[str, Tensor], depth: int) -> object:
    if depth == 0:
        raise Malformed("it is nested too deep")
    if isinstance(tree, list):
        return tuple(_value(item, tensors, depth - 1) for item in tree)
    if isinstance(tree, dict):
        if "tensor" in tree:
            return tensors[tree["tensor"]]
        if "foreign" in tree:
            return Unsupported(str(tree["foreign"])[:60])
        return STANDINS[tree["standin"]](*_value(tree["fields"], tensors, depth - 1))
    if isinstance(tree, str):
        return tree[:TEXT]
    if isinstance(tree, int) and not isinstance(tree, bool) and abs(tree) >= 2**63:
        return Unsupported("int beyond 64 bits")
    return tree


def pack_outcomes(outcomes: list[Outcome]) -> bytes:
    return pack([[getattr(outcome, f.name) for f in dataclasses.fields(Outcome)] for outcome in outcomes])


def unpack_outcomes(message: bytes) -> list[Outcome]:
    """What `pack_outcomes` wrote, each part of the kind that it must be. Raises Malformed."""
    rows, outcomes = unpack(message), []
    kinds = {f.name: f.type for f in dataclasses.fields(Outcome) if f.name != "value"}
    if not isinstance(rows, tuple):
        raise Malformed("it holds no outcomes")
    for row in rows:
        if not isinstance(row, tuple) or len(row) != len(kinds) + 1:
            raise Malformed("an outcome has parts missing")
        outcome = Outcome(*row)
        for name, kind in kinds.items():
            if type(getattr(outcome, name)) is not kind:
                raise Malformed(f"the outcome's {name} is of another kind")
        if any(x is not None and not isinstance(x, Tensor) for x in outcome.gradients):
            raise Malformed("a gradient is no tensor")
        outcomes.append(outcome)
    return outcomes
