"""What a picture of teddies is made of: every factor, by name, known and counted.

*Semantic* factors say what a caption would say. *Perceptual* factors change the look and leave the meaning alone.
*Nuisance* factors move the picture about. Discrete factors are indices into `VALUES`; continuous ones lie in [-1, 1].
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

#: The values of every discrete factor that has names; a factor's index is the place in its tuple.
VALUES: dict[str, tuple[str, ...]] = {
    "count": ("one", "two"),
    "fur": ("brown", "golden", "pink", "grey", "white", "blue"),
    "activity": ("reading", "waving", "sleeping", "eating honey", "playing ball", "holding a balloon"),
    "scarf": ("none", "red", "green", "blue", "yellow"),
    "background": ("meadow", "beach", "night", "bedroom", "snow"),
    "fabric": ("plain", "stripes", "checks", "dots"),
}
SEMANTIC = ("count", "fur", "activity", "scarf", "background")
PERCEPTUAL = ("grain", "fabric", "light", "warmth", "brightness", "saturation")
NUISANCE = ("x", "y", "size", "tilt")
#: Every continuous factor: the intrinsic dimension of the pictures when all discrete factors are held fixed.
#: The order in which they are drawn: a new one goes last, so that a seed keeps giving the others as before.
CONTINUOUS = ("light", "warmth", *NUISANCE, "brightness", "saturation")
DISCRETE = (*SEMANTIC, "grain", "fabric")
#: `grain` is the seed of the fur's pattern: 0 .. GRAINS - 1. It is discrete, and adds no dimension.
GRAINS = 65536
#: How many values each semantic factor has, in the order of SEMANTIC.
LEVELS = tuple(len(VALUES[name]) for name in SEMANTIC)
NUM_COMBINATIONS = math.prod(LEVELS)


def how_many(name: str) -> int:
    """Number of values of a discrete factor."""
    return GRAINS if name == "grain" else len(VALUES[name])


def index(name: str, value: str) -> int:
    """The index of a value by its name: `index("fur", "pink")` is 2. Raises ValueError that lists the known names."""
    if name not in VALUES:
        raise ValueError(f"{name!r} has no named values; factors that do: {', '.join(VALUES)}.")
    if value not in VALUES[name]:
        raise ValueError(f"{name} = {value!r} is unknown; choose one of: {', '.join(VALUES[name])}.")
    return VALUES[name].index(value)


@dataclass(frozen=True)
class Factors:
    """The factors of N pictures: int64 [N] for discrete factors, float32 [N] in [-1, 1] for continuous ones."""

    count: Tensor
    fur: Tensor
    activity: Tensor
    scarf: Tensor
    background: Tensor
    grain: Tensor
    fabric: Tensor
    light: Tensor  # -1 lit from the left, 1 from the right
    warmth: Tensor  # -1 cool, 1 warm
    x: Tensor  # place to the left and right
    y: Tensor  # place, down and up
    size: Tensor
    tilt: Tensor  # -1 leans left, 1 leans right
    brightness: Tensor  # -1 darker, 1 brighter
    saturation: Tensor  # -1 towards grey, 1 away from it

    def __len__(self) -> int:
        return len(self.count)

    def __getitem__(self, rows) -> Factors:
        """Rows by index (kept as a batch of one), slice, list, mask or index tensor."""
        if isinstance(rows, int):
            rows = range(len(self))[rows]
            rows = slice(rows, rows + 1)
        return Factors(**{name: value[rows] for name, value in self.items()})

    def items(self):
        """Pairs of name and tensor, in the order of the fields."""
        return ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))

    @property
    def device(self) -> torch.device:
        return self.count.device

    def to(self, device) -> Factors:
        return Factors(**{name: value.to(device) for name, value in self.items()})

    def replace(self, **changes) -> Factors:
        """The same pictures with some factors changed: names, numbers or tensors, as in `sample_factors`."""
        _known(changes)
        return dataclasses.replace(self, **{name: _fill(name, value, len(self), self.device) for name, value in changes.items()})

    def labels(self) -> Tensor:
        """The semantic factors as int64 [N, 5], columns in the order of SEMANTIC: what a denoiser is told."""
        return torch.stack([getattr(self, name) for name in SEMANTIC], dim=1)

    def describe(self, row: int = 0) -> dict[str, str | int | float]:
        """One picture's factors in words and numbers."""
        return {name: _word(name, value[row].item()) for name, value in self.items()}


def _word(name: str, value) -> str | int | float:
    return VALUES[name][value] if name in VALUES else value


def _known(names) -> None:
    fields = [field.name for field in dataclasses.fields(Factors)]
    unknown = [name for name in names if name not in fields]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a factor of the teddies; the factors are: {', '.join(fields)}.")


def _fill(name: str, value, n: int, device) -> Tensor:
    """A fixed value (name, number, tensor or list of n) as a checked tensor [n] on the device."""
    if isinstance(value, str):
        value = index(name, value)
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
        value = [index(name, v) for v in value]
    tensor = torch.as_tensor(value, device=device)
    if name in DISCRETE and tensor.is_floating_point():
        raise ValueError(f"{name} is discrete and takes whole numbers or names; got {tensor.dtype} values.")
    tensor = tensor.to(torch.int64 if name in DISCRETE else torch.float32)
    if tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) not in (1, n)):
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected one value, or {n} of them.")
    if tensor.numel():
        _in_range(name, *torch.aminmax(tensor))
    return tensor.expand(n).contiguous()


def _in_range(name: str, low, high) -> None:
    if name in DISCRETE:
        top = how_many(name) - 1
        if not (low >= 0 and high <= top):
            names = f" ({', '.join(VALUES[name])})" if name in VALUES else ""
            raise ValueError(f"{name} holds index {int(low if low < 0 else high)}; its indices run from 0 to {top}{names}.")
    elif not (low >= -1 and high <= 1):  # also true for NaN
        raise ValueError(f"{name} runs from {float(low):g} to {float(high):g}; it must lie in [-1, 1].")


def check(factors: Factors) -> Factors:
    """The factors on the CPU, checked: ValueError for a wrong length, an index out of range, a value beyond [-1, 1].

    One copy from the device for integers and one for floats, however many pictures there are.
    """
    wrong = [name for name, value in factors.items() if value.shape != factors.count.shape or value.ndim != 1]
    if wrong:
        shapes = f"{tuple(getattr(factors, wrong[0]).shape)}, count has shape {tuple(factors.count.shape)}"
        raise ValueError(f"{wrong[0]} has shape {shapes}; every factor must be a tensor [N] of the same length.")
    whole = torch.stack([getattr(factors, name).to(torch.int64) for name in DISCRETE]).cpu()
    real = torch.stack([getattr(factors, name).to(torch.float32) for name in CONTINUOUS]).cpu()
    if len(factors):
        for names, table in ((DISCRETE, whole), (CONTINUOUS, real)):
            for name, low, high in zip(names, table.amin(1).tolist(), table.amax(1).tolist(), strict=True):
                _in_range(name, low, high)
    return Factors(**dict(zip(DISCRETE, whole, strict=True)), **dict(zip(CONTINUOUS, real, strict=True)))


def sample_factors(n: int, generator: torch.Generator | int | None = None, device=None, **fixed) -> Factors:
    """Factors of n random pictures: discrete ones uniform over their values, continuous ones uniform in [-1, 1].

    `generator` is a torch.Generator or a seed (None: torch's own). `device` is where the factors go (default: the
    generator's). Any factor may be held: `fur="pink"`, `light=0.0`, `x=tensor_of_n`. Held factors do not change what
    the others draw. With all discrete factors held, exactly the eight of CONTINUOUS are free, the intrinsic dimension.
    Raises ValueError for an unknown factor, name, or a value out of range.
    """
    _known(fixed)
    if n < 0:
        raise ValueError(f"n is {n}; expected how many pictures to draw, 0 or more.")
    if isinstance(generator, int):
        generator = torch.Generator().manual_seed(generator)
    home = generator.device if generator is not None else torch.device("cpu")
    drawn = {name: torch.randint(how_many(name), (n,), generator=generator, device=home) for name in DISCRETE}
    drawn |= {name: torch.rand(n, generator=generator, device=home) * 2 - 1 for name in CONTINUOUS}
    drawn |= {name: _fill(name, value, n, home) for name, value in fixed.items()}
    return Factors(**drawn).to(device or home)


def combination_id(factors: Factors) -> Tensor:
    """Which of the NUM_COMBINATIONS semantic combinations each picture shows, int64 [N]: to hold some out."""
    number = torch.zeros_like(factors.count)
    for name, levels in zip(SEMANTIC, LEVELS, strict=True):
        number = number * levels + getattr(factors, name)
    return number


def combination(ids: Tensor | int) -> dict[str, Tensor]:
    """The semantic factors of combination numbers, the inverse of `combination_id`.

    `sample_factors(len(ids), seed, **combination(ids))` draws pictures of just these combinations.
    """
    rest = torch.as_tensor(ids).to(torch.int64)
    if rest.numel() and not (int(rest.min()) >= 0 and int(rest.max()) < NUM_COMBINATIONS):
        raise ValueError(f"combination numbers run from 0 to {NUM_COMBINATIONS - 1}; got {rest.tolist()}.")
    parts = {}
    for name, levels in zip(reversed(SEMANTIC), reversed(LEVELS), strict=True):
        parts[name] = rest % levels
        rest = rest // levels
    return {name: parts[name] for name in SEMANTIC}


@lru_cache(maxsize=1)
def _held_out_ids() -> Tensor:
    return torch.randperm(NUM_COMBINATIONS, generator=torch.Generator().manual_seed(0))[: NUM_COMBINATIONS // 10]


def held_out(factors: Factors) -> Tensor:
    """Which pictures show one of the tenth of all semantic combinations that no model is ever trained on, bool [N]."""
    return torch.isin(combination_id(factors), _held_out_ids().to(factors.device))
