"""The wording of a check: values in one line, and hints that follow from values and errors alone."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from course_lib.homework.answers.call import Outcome, Unsupported
from course_lib.homework.checks.compare import answers_match, is_numeric

POWER = "`^` is the exclusive or of bits. A power is written **: x**2, 2**n."
GRADIENT_HINT = (
    "Training needs the gradient of every step, but .item(), .detach(), float(…), torch.tensor(…), numpy and torch.no_grad() cut "
    "it off. Use torch functions on the tensors themselves."
)
IN_PLACE_HINT = (
    "An in-place edit: x += …, x *= …, x[...] = … or a method whose name ends in _ changes the caller's tensor. Make a new one."
)
SEEDED = "torch.manual_seed inside a function resets the global seed, so all other random numbers repeat. Remove it."
DREW = "It draws its own random numbers (torch.randn, torch.rand or similar). Use those that are given as an argument."


FROM_NUMPY = "This is a numpy array. Return a tensor: torch.from_numpy(…), or use torch's own functions throughout."
LIST = "It is a list or a tuple. Return one tensor: torch.stack of tensors, torch.tensor of numbers."


def listed(names: Iterable[str]) -> str:
    """Join names as in a sentence: "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def object_hint(value: object) -> str:
    """Return a hint for an answer of the wrong type, or ""."""
    if type(value) is tuple:
        return LIST
    if not isinstance(value, Unsupported):
        return ""
    if "complex" in value.type_name:
        return "Complex numbers come from a negative number to the power 0.5, or from eigvals and fft: use a real function."
    if value.type_name == "ndarray":
        return FROM_NUMPY
    called = "It is a function or a method that was not called: add its brackets, ()."
    return called if "function" in value.type_name or "method" in value.type_name else ""


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
        "for ^": POWER,
        "bitwise_xor": POWER,
        "bitwise_": "& and | bind more tightly than <= and ==: put brackets around each comparison, (a <= b) & (c < d).",
        "is ambiguous": "`if`, `and`, `or` and `not` need one truth value, but this tensor has many: use torch.where, &, | or ~.",
        "math domain error": "The root or logarithm of a negative number: are two arguments, or the levels of a ratio, swapped?",
        "has no attribute 'sqrt'": "A plain number has no .sqrt(): use math.sqrt, or torch.sqrt on a tensor.",
        "has no attribute 'exp'": "A plain number has no .exp(): use math.exp, or torch.exp on a tensor.",
        "'Tensor' object is not callable": "A name holds a tensor, not a function: has an argument the function's name?",
        "Dimension out of range": "The axis does not exist in this tensor: print its shape, and count axes from 0.",
        "scalar type Float but found Double": "torch.tensor(…) without dtype is float32: give it the dtype of an argument.",
        "Given groups=": "The images and the weight do not fit: each convolution has its own weight, weight1 and then weight2.",
        "expected bias to be": "The bias does not fit the weight: each convolution has its own, bias1 and then bias2.",
        "'int' object has no attribute": "A plain number stands where a tensor is needed, such as labels for every image.",
        "KeyError": "A dictionary has no entry of this name. Every name that can occur needs one, spelt as in the statement.",
        "NoneType": "Something is None: a function without `return`, or .grad of a tensor that autograd did not track.",
        "used as indices must be": "An index must be an integer: / gives a float, // an integer.",
        "out of bounds": "An index lies beyond the end: Python counts from 0.",
        "out of range": "An index lies beyond the end: Python counts from 0.",
        "is invalid for input of size": "A reshape must have as many values as before: print the shape of what is reshaped.",
        "cannot be multiplied": "In a matrix product the last axis of the first must equal the first axis of the second: is one "
        "of them to be transposed, .T?",
        "do not require grad": "Autograd tracks only what is computed from a tensor that requires gradients.",
        "does not require grad": "Autograd tracks only what is computed from a tensor that requires gradients.",
        "division by zero": "A denominator is 0 for this input: is it the right one?",
        "takes": "Compare the names and the number of arguments with the statement above.",
    }
    return next((hint for part, hint in known.items() if part in error), "")


def first_sentence(error: str) -> str:
    """An error message without the advice that torch adds, which is not always good advice here."""
    return error.split(". ")[0].rstrip(".") + "."


def factor_of_all(pairs: Sequence[tuple[object, object]], tolerance: float) -> str:
    """Return " = got × c" for the first pair of values got and expected, or "".

    Any two numbers have a ratio, so that of single numbers is said only if other pairs, of other numbers, have the same.
    """
    first, *others = pairs
    factor = common_factor(*first, tolerance) if all(map(is_numeric, first)) else ""
    if not any(sign in factor for sign in "×÷") or torch.as_tensor(first[0]).numel() > 1:
        return factor
    same = [all(map(is_numeric, pair)) and common_factor(*pair, tolerance) == factor for pair in others]
    different = any(not answers_match(a, first[0], tolerance) for a, _ in others)
    return factor if different and all(same) else ""


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
    return f" = got × {short(ratio)}" if abs(ratio) >= 1 else f" = got ÷ {short(1 / ratio)}"


def largest_difference(got: object, expected: object) -> str:
    """Say where two values of one shape differ most, for values that look the same in one line."""
    x, y = (torch.as_tensor(value, dtype=torch.float64, device="cpu").detach() for value in (got, expected))
    position = tuple(int(i) for i in torch.unravel_index((x - y).abs().argmax(), x.shape))
    if torch.as_tensor(expected).dtype == torch.bool:
        a, b = str(bool(x[position])), str(bool(y[position]))
    else:
        a, b = (short(v[position].item()) for v in (x, y))
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
        if x.numel() == y.numel() and answers_match(x.flatten(), y.flatten(), tolerance):
            return "The values are right, but their shape is not: an axis was dropped, added or flattened."
        if sorted(x.shape) == sorted(y.shape):
            return "The axes have the right sizes in another order: two axes are swapped."
        if x.ndim == y.ndim:
            return _other_sizes(tuple(x.shape), tuple(y.shape))
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
        offset = short((y - x).mean().item())
        return f"Every value is off by the same amount, {offset}: a constant term is missing or should not be there."
    if x.numel() > 1 and not x.any():
        return "All zeros."
    return ""


def _other_sizes(got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Say which axes have another size than expected."""
    wrong = [f"axis {i} has size {a}, expected {b}" for i, (a, b) in enumerate(zip(got, expected, strict=True)) if a != b]
    cause = (
        "it was averaged, summed or sliced where it should stay" if 1 in got else "is a stride, padding, slice or argument wrong?"
    )
    return f"{listed(wrong).capitalize()}: {cause}" + ("." if 1 in got else "")


def format_value(value: object) -> str:
    """Format a value in one line: all of a small one, the shape and the first four values of a large one."""
    if isinstance(value, Unsupported):
        return f"an object of type {value.type_name}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(format_value, value)) + ")" if len(value) <= 6 else f"{len(value)} values"
    if not isinstance(value, Tensor):
        return short(value) if isinstance(value, float) else repr(value)[:80]
    flat = value.detach().flatten()
    if value.dtype == torch.bool:
        text = f"{int(flat.sum())} of {flat.numel()} True" if value.ndim else str(bool(value))
        return f"{list(value.shape)} {text}" if value.ndim else text
    if value.ndim == 0:
        return short(flat[0].item())
    first = ", ".join(short(v) for v in flat[:4].tolist())
    return f"{list(value.shape)} {first}{', …' if flat.numel() > 4 else ''}"


def short(number: float) -> str:
    """A number with four digits."""
    if isinstance(number, int) or not math.isfinite(number):
        return str(number)
    return f"{number:.4g}"
