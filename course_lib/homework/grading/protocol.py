"""Messages between the grader and a sandbox: tensors as safetensors, everything else as JSON, never a pickle.

The reader trusts nothing: sizes are bounded before the bytes are parsed, and anything unexpected raises `Malformed`.
"""

import dataclasses
import json
import struct

import safetensors.torch
import torch
from torch import Tensor

from course_lib.homework.answers.call import DTYPES, SETTINGS, Outcome, Unsupported
from course_lib.homework.answers.standins import STANDINS

HEAD = struct.Struct("<II")  # of a message: bytes of the JSON, bytes of the tensors
REPLY_HEAD = struct.Struct("<II")  # before a reply: its bytes, and how the process ended
LIMIT = 16 * 2**20  # bytes of one message
JSON_LIMIT = 2**20
DEPTH = 6  # collections within collections
TEXT = 2000  # characters of a string; the rest is cut off
# How the process of one exercise ended: the second integer before a reply.
FINE, TOO_LONG, TOO_MUCH, DIED, STALLED = range(5)


class Malformed(ValueError):
    """Bytes that are not a message of this protocol."""


def pack(value: object) -> bytes:
    """Encode None, bool, int, float, str, Tensor, `Unsupported`, a stand-in, or lists and tuples of them."""
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
        return {"unsupported": value.type_name}
    if standin := STANDINS.get(type(value).__name__):
        fields = [getattr(value, f.name) for f in dataclasses.fields(standin)]
        return {"standin": standin.__name__, "fields": _tree(fields, tensors)}
    if isinstance(value, (tuple, list)):
        return [_tree(item, tensors) for item in value]
    return value


def message_sizes(head: bytes) -> tuple[int, int]:
    """Return how many bytes of JSON and of tensors follow this head. Raises Malformed above the limits."""
    try:
        text, body = HEAD.unpack(head)
    except struct.error as error:
        raise Malformed("it ends within its head") from error
    if text > JSON_LIMIT or text + body > LIMIT:
        raise Malformed(f"it is too large: {(text + body) / 2**20:.0f} MiB, at most {LIMIT // 2**20} are allowed")
    return text, body


def unpack(message: bytes) -> object:
    """Decode a message. Collections become tuples, integers beyond 64 bits `Unsupported`. Raises Malformed."""
    text, body = message_sizes(message[: HEAD.size])
    if len(message) != HEAD.size + text + body:
        raise Malformed("it was cut short")
    try:
        tree = json.loads(message[HEAD.size : HEAD.size + text])
        tensors = safetensors.torch.load(message[HEAD.size + text :]) if body else {}
        if any(one.dtype not in DTYPES for one in tensors.values()):
            raise Malformed("it holds tensors of an unsupported dtype")
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
        if "unsupported" in tree:
            return Unsupported(str(tree["unsupported"])[:60])
        standin, fields = STANDINS[tree["standin"]], _value(tree["fields"], tensors, depth - 1)
        if not isinstance(fields, tuple):
            raise Malformed("a stand-in's fields are no list")
        return standin(*fields)
    if isinstance(tree, str):
        return tree[:TEXT]
    if isinstance(tree, int) and not isinstance(tree, bool) and abs(tree) >= 2**63:
        return Unsupported("int beyond 64 bits")
    return tree


def pack_outcomes(outcomes: list[Outcome]) -> bytes:
    """Encode outcomes, each as the list of its fields."""
    return pack([[getattr(outcome, f.name) for f in dataclasses.fields(Outcome)] for outcome in outcomes])


def unpack_outcomes(message: bytes) -> list[Outcome]:
    """Decode what `pack_outcomes` encoded, and check the type of each field. Raises Malformed."""
    rows, outcomes = unpack(message), []
    types = {f.name: f.type for f in dataclasses.fields(Outcome) if f.name != "value"}
    if not isinstance(rows, tuple):
        raise Malformed("it holds no outcomes")
    for row in rows:
        if not isinstance(row, tuple) or len(row) != len(types) + 1:
            raise Malformed("an outcome has missing fields")
        outcome = Outcome(*row)
        for name, expected in types.items():
            if type(getattr(outcome, name)) is not expected:
                raise Malformed(f"the outcome's {name} has the wrong type")
        if any(x is not None and not isinstance(x, Tensor) for x in outcome.gradients):
            raise Malformed("a gradient is not a tensor")
        if any(one not in SETTINGS for one in outcome.settings) or any(type(one) is not int for one in outcome.tracked):
            raise Malformed("the outcome names a setting or an argument that does not exist")
        outcomes.append(outcome)
    return outcomes
