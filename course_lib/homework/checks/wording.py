"""The wording of a check: values in one line, and hints that follow from values and errors alone."""

import math

import torch
from torch import Tensor

from course_lib.homework.answers.call import Outcome, Unsupported
from course_lib.homework.checks.compare import answers_match, is_numeric

GRADIENT_HINT = (
    "Training needs the gradient of every step, but .item(), .detach(), float(…), torch.tensor(…), numpy and torch.no_grad() cut "
    "it off. Use torch functions on the tensors themselves."
)
IN_PLACE_HINT = (
    "An in-place edit: x += …, x *= …, x[...] = … or a method whose name ends in _ changes the caller's tensor. Make a new one."
)
SEEDED = "torch.manual_seed inside a function resets the global seed, so all other random numbers repeat. Remove it."
DREW = "It draws its own random numbers (torch.randn, torch.rand or similar). Use those that are given as an argument."


def randomness_hint(outcome: Outcome) -> str:
    """Return a hint where a call changed the global random state, or ""."""
    if outcome.seeded:
        return SEEDED
    return DREW if outcome.drew else ""


def error_hint(error: str) -> str:
    """Return a hint for an error whose message does not help a student, or ""."""
    known = {
        "to be on the same device": "A tensor was made on the CPU: pass torch.zeros, torch.arange, … the device of an argument.",
        "must match the size of tensor": "Two shapes do not broadcast. Axes are compared from the right; keepdim=True or "
        "view(-1, 1, 1, 1) adds missing ones. Or is it the wrong tensor, or a mean over the wrong axis?",
        "multiply sequence": "Something is a tuple or a list: take its entry [0]. (torch.autograd.grad returns a tuple.)",
        "converted to Python scalars": "math.exp, math.log and the like take one number; tensors need torch.exp, torch.log.",
        "must be Tensor, not": "torch.log, torch.sqrt and the like take tensors; plain numbers need math.log, math.sqrt.",
        "could not infer output dtype": "True and False have no mean. Convert them to numbers first: .float().mean().",
        "only floating point": "Integers and booleans have no mean or standard deviation. Convert them first: .float().",
        "NameError": "Is the name defined in another cell? Define what the function needs in its own cell, or import it.",
        "leaf Variable that requires grad": IN_PLACE_HINT,
        "bitwise_": "& and | bind more tightly than <= and ==: put brackets around each comparison, (a <= b) & (c < d).",
        "is ambiguous": "`if`, `and`, `or` and `not` need one truth value, but this tensor has many: use torch.where, &, | or ~.",
        "math domain error": "The root or logarithm of a negative number: are two arguments, or the levels of a ratio, swapped?",
        "has no attribute 'sqrt'": "A plain number has no .sqrt(): use math.sqrt, or torch.sqrt on a tensor.",
        "has no attribute 'exp'": "A plain number has no .exp(): use math.exp, or torch.exp on a tensor.",
        "'Tensor' object is not callable": "A name holds a tensor, not a function: has an argument the function's name?",
        "Dimension out of range": "The axis does not exist in this tensor: print its shape, and count axes from 0.",
        "scalar type Float but found Double": "torch.tensor(…) without dtype is float32: give it the dtype of an argument.",
        "takes": "Compare the names and the number of arguments with the statement above.",
    }
    return next((hint for part, hint in known.items() if part in error), "")


def first_sentence(error: str) -> str:
    """An error message without the advice that torch adds, which is not always good advice here."""
    return error.split(". ")[0].rstrip(".") + "."


def common_factor(got: object, expected: object, tolerance: float) -> str:
    """Return " = got × c" where one factor c leads from got to expected everywhere, or "". A single number needs an integer c."""
    if type(got) is int and type(expected) is int:
        return f" = got {'+' if expected > got else '-'} {abs(expected - got)}"
    x, y = (torch.as_tensor(v).detach().to("cpu", torch.float64).flatten() for v in (got, expected))
    keep = (x != 0) & (y != 0)
    if not x.numel() or not keep.any() or not torch.equal(x == 0, y == 0) or not bool((x.isfinite() & y.isfinite()).all()):
        return ""
    ratios = y[keep] / x[keep]
    ratio = ratios.median().item()
    if (ratios - ratio).abs().max() > 10 * tolerance * abs(ratio) or abs(ratio - 1) < 100 * tolerance:
        return ""
    larger = max(abs(ratio), 1 / abs(ratio))
    if x.numel() == 1 and (larger > 1000 or abs(larger - round(larger)) > 10 * tolerance * larger):
        return ""  # any two numbers have a ratio; only an integer one is informative
    return f" = got × {_short(ratio)}" if abs(ratio) >= 1 else f" = got ÷ {_short(1 / ratio)}"


def largest_difference(got: object, expected: object) -> str:
    """Say where two values of one shape differ most, for values that look the same in one line."""
    x, y = (torch.as_tensor(value, dtype=torch.float64, device="cpu").detach() for value in (got, expected))
    position = tuple(int(i) for i in torch.unravel_index((x - y).abs().argmax(), x.shape))
    if torch.as_tensor(expected).dtype == torch.bool:
        a, b = str(bool(x[position])), str(bool(y[position]))
    else:
        a, b = (_short(v[position].item()) for v in (x, y))
        a, b = (a, b) if a != b else (f"{v[position].item():.12g}" for v in (x, y))
    return f"At [{', '.join(map(str, position))}] it is {a}, expected {b}." if position else f"It is {a}, expected {b}."


def value_hint(got: object, expected: object, tolerance: float) -> str:
    """Return a hint from the values alone, for answers that no known mistake explains, or ""."""
    if not (is_numeric(got) and is_numeric(expected)):
        return ""
    x, y = (torch.as_tensor(v).detach().to("cpu", torch.float64) for v in (got, expected))
    if not bool(x.isfinite().all()):
        return "There are NaN or infinite values: a logarithm or a root of a negative number, or a division by zero?"
    if x.shape != y.shape:
        if sorted(x.shape) == sorted(y.shape):
            return "The axes have the right sizes in another order: two axes are swapped."
        if x.ndim > y.ndim:
            return "There are too many axes: something was not summed or averaged, or was broadcast by mistake."
        return "There are too few axes: an axis was summed or averaged that should stay."
    if answers_match(-x, y, tolerance):
        return "The sign is reversed."
    for a in range(x.ndim):
        for b in range(a):
            if x.shape[a] == x.shape[b] and answers_match(x.transpose(a, b), y, tolerance):
                return f"Axes {b} and {a} are swapped."
    if x.numel() > 1 and answers_match(x - x.mean(), y - y.mean(), tolerance):
        offset = _short((y - x).mean().item())
        return f"Every value is off by the same amount, {offset}: a constant term is missing or should not be there."
    if x.numel() > 1 and not x.any():
        return "All zeros."
    return ""


def format_value(value: object) -> str:
    """Format a value in one line: all of a small one, the shape and the first four values of a large one."""
    if isinstance(value, Unsupported):
        return f"an object of type {value.type_name}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(format_value, value)) + ")" if len(value) <= 6 else f"{len(value)} values"
    if not isinstance(value, Tensor):
        return _short(value) if isinstance(value, float) else repr(value)[:80]
    flat = value.detach().flatten()
    if value.dtype == torch.bool:
        text = f"{int(flat.sum())} of {flat.numel()} True" if value.ndim else str(bool(value))
        return f"{list(value.shape)} {text}" if value.ndim else text
    if value.ndim == 0:
        return _short(flat[0].item())
    first = ", ".join(_short(v) for v in flat[:4].tolist())
    return f"{list(value.shape)} {first}{', …' if flat.numel() > 4 else ''}"


def _short(number: float) -> str:
    if isinstance(number, int) or not math.isfinite(number):
        return str(number)
    return f"{number:.4g}"
