"""A check's words: values in one line, and what numbers and errors tell by themselves."""

import math

import torch
from torch import Tensor

from course_lib.homework.answers.call import Outcome, Unsupported
from course_lib.homework.checks.compare import numeric, same

GRADIENT_HINT = (
    "Training needs the gradient of every step: .item(), .detach(), float(…), torch.tensor(…), numpy or torch.no_grad() cut it "
    "off. Use torch functions on the tensors themselves."
)
IN_PLACE_HINT = (
    "An in-place edit: x += …, x *= …, x[...] = … or a method whose name ends in _ changes the caller's tensor. Make a new one."
)
SEEDED = "torch.manual_seed inside a function resets the global seed: everybody else's random numbers repeat. Take it out."
DREW = "It draws random numbers of its own (torch.randn, torch.rand or the like). Use those that are given as an argument."


def about_randomness(outcome: Outcome) -> str:
    """A hint where a call touched the global random numbers, or ""."""
    if outcome.seeded:
        return SEEDED
    return DREW if outcome.drew else ""


def about_error(error: str) -> str:
    """A hint for the errors that torch words for itself alone."""
    known = {
        "to be on the same device": "A tensor was made on the CPU: give torch.zeros, torch.arange, … an argument's device.",
        "must match the size of tensor": "Two shapes do not broadcast. Axes are compared from the right; keepdim=True or "
        "view(-1, 1, 1, 1) puts missing ones in. Or is it the wrong tensor, or a mean over the wrong axis?",
        "multiply sequence": "Something is a tuple or a list: take its entry [0]. (torch.autograd.grad returns a tuple.)",
        "converted to Python scalars": "math.exp, math.log and the like take one number; tensors need torch.exp, torch.log.",
        "must be Tensor, not": "torch.log, torch.sqrt and the like take tensors; plain numbers need math.log, math.sqrt.",
        "could not infer output dtype": "True and False have no mean. Make numbers of them first: .float().mean().",
        "only floating point": "Whole numbers and True or False have no mean or spread. Make fractions of them first: .float().",
        "NameError": "A name of another cell? What the function needs belongs in its own cell, or in an import.",
        "leaf Variable that requires grad": IN_PLACE_HINT,
        "takes": "Compare the names and the number of arguments with the statement above.",
    }
    return next((hint for part, hint in known.items() if part in error), "")


def first_sentence(error: str) -> str:
    """An error without the advice that torch adds to it, which is not always good advice here."""
    return error.split(". ")[0].rstrip(".") + "."


def relation(got: object, expected: object, tolerance: float) -> str:
    """ " = got × c" where one factor c leads from got to expected everywhere, else "". A single number's must be a whole one."""
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
        return ""  # any two numbers have a ratio; only a whole one tells something
    return f" = got × {_short(ratio)}" if abs(ratio) >= 1 else f" = got ÷ {_short(1 / ratio)}"


def largest_difference(got: object, expected: object) -> str:
    """Where two values of one shape differ most, for those that look alike in one line."""
    x, y = (torch.as_tensor(value, dtype=torch.float64, device="cpu").detach() for value in (got, expected))
    place = tuple(int(i) for i in torch.unravel_index((x - y).abs().argmax(), x.shape))
    if torch.as_tensor(expected).dtype == torch.bool:
        a, b = bool(x[place]), bool(y[place])
    else:
        a, b = (_short(v[place].item()) for v in (x, y))
        a, b = (a, b) if a != b else (f"{v[place].item():.12g}" for v in (x, y))
    return f"At [{', '.join(map(str, place))}] it is {a}, expected {b}." if place else f"It is {a}, expected {b}."


def about_numbers(got: object, expected: object, tolerance: float) -> str:
    """What the numbers alone tell, where no known mistake gives them."""
    if not (numeric(got) and numeric(expected)):
        return ""
    x, y = (torch.as_tensor(v).detach().to("cpu", torch.float64) for v in (got, expected))
    if not bool(x.isfinite().all()):
        return "There are NaN or infinite numbers: a logarithm or a root of something negative, or a division by zero?"
    if x.shape != y.shape:
        if sorted(x.shape) == sorted(y.shape):
            return "The same numbers of axes in another order: two axes are swapped."
        if x.ndim > y.ndim:
            return "There are axes too many: something was not summed or averaged, or was broadcast by mistake."
        return "There are axes too few: something was summed or averaged that should stay."
    if same(-x, y, tolerance):
        return "The sign is turned round."
    for a in range(x.ndim):
        for b in range(a):
            if x.shape[a] == x.shape[b] and same(x.transpose(a, b), y, tolerance):
                return f"Axes {b} and {a} are swapped."
    if x.numel() > 1 and same(x - x.mean(), y - y.mean(), tolerance):
        return f"Every number is off by the same amount, {_short((y - x).mean().item())}: a constant term is missing or too much."
    if x.numel() > 1 and not x.any():
        return "All zeros."
    return ""


def show(value: object) -> str:
    """A value in one line: all of a small one, the shape and the first four numbers of a large one."""
    if isinstance(value, Unsupported):
        return f"an object of type {value.kind}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(show, value)) + ")" if len(value) <= 6 else f"{len(value)} values"
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
