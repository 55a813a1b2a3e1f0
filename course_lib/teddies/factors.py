"""The factors of an image of teddies, by name.

*Semantic* factors are what a caption would mention. *Perceptual* factors change the appearance and not the meaning.
*Nuisance* factors move, scale and tilt the bears. Discrete factors are indices into `VALUES`; continuous ones lie in [-1, 1].
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import SupportsIndex, TypeAlias

import numpy as np
import torch
from torch import Tensor

from course_lib.arguments import can_look_at, check_choice, check_integer, check_same_length, check_tensor

Device: TypeAlias = torch.device | str
Value: TypeAlias = str | float | Tensor | Sequence[str] | Sequence[float]
"""A fixed value of a factor: a name or a number for all images, or one for each image."""

#: The names of the values of every discrete factor that has them; the factor is the index into its tuple.
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
#: Every continuous factor; their number is the intrinsic dimension of the images when all discrete factors are fixed.
#: They are sampled in this order: a new factor goes last, so that a seed still gives the same values for the others.
CONTINUOUS = ("light", "warmth", *NUISANCE, "brightness", "saturation")
DISCRETE = (*SEMANTIC, "grain", "fabric")
#: `grain` is the seed of the fur's pattern: 0 … NUM_GRAINS - 1. It is discrete, and adds no dimension.
NUM_GRAINS = 65536
#: How many values each semantic factor has, in the order of SEMANTIC.
NUM_VALUES = tuple(len(VALUES[name]) for name in SEMANTIC)
NUM_COMBINATIONS = math.prod(NUM_VALUES)
MAX_IMAGES = 10_000_000


def num_values(name: str) -> int:
    """Return the number of values of a discrete factor. Raises ValueError for another name."""
    check_choice("name", name, DISCRETE)
    return NUM_GRAINS if name == "grain" else len(VALUES[name])


def value_index(name: str, value: str) -> int:
    """Return the index of a named value: `value_index("fur", "pink")` is 2. Raises ValueError that lists the known names."""
    if name not in VALUES:
        raise ValueError(f"{name!r} has no named values; the factors that have them are: {', '.join(VALUES)}.")
    if value not in VALUES[name]:
        raise ValueError(f"{name} = {value!r} is unknown; choose one of: {', '.join(VALUES[name])}.")
    return VALUES[name].index(value)


@dataclass(frozen=True)
class Factors:
    """The factors of N images: int64 [N] for discrete factors, float32 [N] in [-1, 1] for continuous ones."""

    count: Tensor
    fur: Tensor
    activity: Tensor
    scarf: Tensor
    background: Tensor
    grain: Tensor
    fabric: Tensor
    light: Tensor  # -1 lit from the left, 1 from the right
    warmth: Tensor  # -1 cool, 1 warm
    x: Tensor  # position, left to right
    y: Tensor  # position, down to up
    size: Tensor
    tilt: Tensor  # -1 leans left, 1 leans right
    brightness: Tensor  # -1 darker, 1 brighter
    saturation: Tensor  # -1 towards grey, 1 away from it

    def __post_init__(self) -> None:
        for name, value in self.items():
            check_tensor(name, value, "[N]", "integer" if name in DISCRETE else "number", least=0)
            check_same_length(name, value, "count", self.count)

    def __len__(self) -> int:
        return len(self.count)

    def __getitem__(self, rows: int | slice | list[int] | Tensor) -> Factors:
        """Rows by index (a batch of one), slice, list, mask or index tensor. Raises IndexError for a row that is not there."""
        if isinstance(rows, SupportsIndex) and not isinstance(rows, Tensor | np.ndarray):
            row = range(len(self))[operator.index(rows)]
            rows = slice(row, row + 1)
        elif not isinstance(rows, slice):
            rows = self._row_indices(rows)
        return Factors(**{name: value[rows] for name, value in self.items()})

    def _row_indices(self, rows: list[int] | Tensor) -> Tensor:
        """A list, mask or index tensor as a checked tensor on the factors' device; on a GPU its values are not looked at."""
        try:
            index = torch.as_tensor(rows, device=self.device)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"rows is a {type(rows).__name__}, but must be an index, a slice, a list, or a tensor.") from None
        check_tensor("rows", index, "[M]", "any", least=0)
        if index.dtype == torch.bool:
            check_same_length("rows", index, "factors", self.count)
            return index
        index = index.long() if not index.numel() else index
        check_tensor("rows", index, "[M]", "integer", least=0)
        n = len(self)
        if can_look_at(index) and index.numel() and not -n <= int(index.min()) <= int(index.max()) < n:
            raise IndexError(f"rows runs from {int(index.min())} to {int(index.max())}, but there are {n} images.")
        return index

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """Pairs of name and tensor, in the order of the fields."""
        return ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))

    @property
    def device(self) -> torch.device:
        return self.count.device

    def to(self, device: Device | None) -> Factors:
        """The same factors on another device (None: where they are)."""
        return Factors(**{name: value.to(device) for name, value in self.items()})

    def replace(self, **changes: Value) -> Factors:
        """The same factors with some changed, to names, numbers or tensors, as in `sample_factors`."""
        _check_names(changes)
        return dataclasses.replace(self, **{name: _fill(name, value, len(self), self.device) for name, value in changes.items()})

    def labels(self) -> Tensor:
        """The semantic factors as int64 [N, 5], columns in the order of SEMANTIC: the labels of a conditional denoiser."""
        return torch.stack([getattr(self, name) for name in SEMANTIC], dim=1)

    def describe(self, row: int = 0) -> dict[str, str | int | float]:
        """The factors of one image, in words and numbers."""
        row = range(len(self))[check_integer("row", row)]
        values = {name: value[row].item() for name, value in self.items()}
        return {name: VALUES[name][int(value)] if name in VALUES else value for name, value in values.items()}


def _check_names(names: Iterable[str]) -> None:
    fields = [field.name for field in dataclasses.fields(Factors)]
    unknown = [name for name in names if name not in fields]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a factor of the teddies; the factors are: {', '.join(fields)}.")


def _fill(name: str, value: Value, n: int, device: Device) -> Tensor:
    """A fixed value (name, number, tensor or list of n) as a checked tensor [n] on the device."""
    if isinstance(value, str):
        value = value_index(name, value)
    elif isinstance(value, Sequence):
        value = [value_index(name, v) if isinstance(v, str) else v for v in value]
    try:
        tensor = torch.as_tensor(value, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} is {value!r:.60}; expected a name, a number or a list of them.") from None
    if tensor.is_complex() or tensor.dtype == torch.bool or (name in DISCRETE and tensor.is_floating_point()):
        takes = "is discrete and takes integers or names" if name in DISCRETE else "takes numbers"
        raise ValueError(f"{name} {takes}; got {tensor.dtype} values.")
    tensor = tensor.to(torch.int64 if name in DISCRETE else torch.float32)
    if tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) not in (1, n)):
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected one value, or {n} of them.")
    if tensor.numel():
        low, high = torch.aminmax(tensor)
        _check_range(name, low.item(), high.item())
    return tensor.expand(n).contiguous()


def _check_range(name: str, low: float, high: float) -> None:
    if name in DISCRETE:
        top = num_values(name) - 1
        if not (low >= 0 and high <= top):
            names = f" ({', '.join(VALUES[name])})" if name in VALUES else ""
            raise ValueError(f"{name} has index {int(low if low < 0 else high)}; its indices run from 0 to {top}{names}.")
    elif not (low >= -1 and high <= 1):  # also true for NaN
        raise ValueError(f"{name} runs from {low:g} to {high:g}; it must lie in [-1, 1].")


def check_is_factors(factors: Factors) -> None:
    """Raise TypeError for what is no `Factors`."""
    if not isinstance(factors, Factors):
        raise TypeError(f"factors is a {type(factors).__name__}, but must be Factors, as sample_factors makes them.")


def check_factors(factors: Factors) -> Factors:
    """Check the factors and return them on the CPU.

    One copy from the device for integers and one for floats, for any number of images. Raises ValueError for a wrong length,
    an index out of range, or a value beyond [-1, 1].
    """
    check_is_factors(factors)
    discrete = torch.stack([getattr(factors, name).to(torch.int64) for name in DISCRETE]).cpu()
    continuous = torch.stack([getattr(factors, name).to(torch.float32) for name in CONTINUOUS]).cpu()
    if len(factors):
        for names, table in ((DISCRETE, discrete), (CONTINUOUS, continuous)):
            for name, low, high in zip(names, table.amin(1).tolist(), table.amax(1).tolist(), strict=True):
                _check_range(name, low, high)
    return Factors(**dict(zip(DISCRETE, discrete, strict=True)), **dict(zip(CONTINUOUS, continuous, strict=True)))


def sample_factors(
    n: int, generator: torch.Generator | int | None = None, device: Device | None = None, **fixed: Value
) -> Factors:
    """Sample the factors of n images: discrete ones uniform over their values, continuous ones uniform in [-1, 1].

    `generator` is a torch.Generator or a seed (None: torch's global generator). `device` is where the factors go (default:
    the generator's). Any factor may be fixed: `fur="pink"`, `light=0.0`, `x=tensor_of_n`; that does not change the samples
    of the others. With all discrete factors fixed, exactly the eight of CONTINUOUS are free, the intrinsic dimension.
    Raises ValueError for an unknown factor, name, or a value out of range.
    """
    _check_names(fixed)
    check_integer("n", n, 0, MAX_IMAGES)
    if isinstance(generator, int):
        check_integer("generator", generator, 0, 2**63 - 1)
        generator = torch.Generator().manual_seed(generator)
    if not isinstance(generator, torch.Generator | None):
        raise TypeError(f"generator is {generator!r:.60}, but must be a torch.Generator, a seed or None.")
    source = generator.device if generator is not None else torch.device("cpu")
    values = {name: torch.randint(num_values(name), (n,), generator=generator, device=source) for name in DISCRETE}
    values |= {name: torch.rand(n, generator=generator, device=source) * 2 - 1 for name in CONTINUOUS}
    values |= {name: _fill(name, value, n, source) for name, value in fixed.items()}
    return Factors(**values).to(device or source)


def check_labels(labels: Tensor) -> None:
    """Raise ValueError for what are no labels int64 [N, 5] of a conditional denoiser, null labels included. Reads the values."""
    check_tensor("labels", labels, f"[N, {len(SEMANTIC)}]", "integer", least=0)
    for name, column, null in zip(SEMANTIC, labels.unbind(1), NUM_VALUES, strict=True):
        if len(column) and not 0 <= int(column.min()) <= int(column.max()) <= null:
            raise ValueError(
                f"the labels of {name} run from {int(column.min())} to {int(column.max())}, but must be in 0 to {null}, the last "
                "of which leaves it out."
            )


def combination_id(factors: Factors) -> Tensor:
    """Number the semantic combination of each image, 0 … NUM_COMBINATIONS - 1: int64 [N]. Used to hold some out."""
    check_is_factors(factors)
    ids = torch.zeros_like(factors.count)
    for name, n in zip(SEMANTIC, NUM_VALUES, strict=True):
        ids = ids * n + getattr(factors, name)
    return ids


def combination(ids: Tensor | int) -> dict[str, Tensor]:
    """The semantic factors of combination ids, the inverse of `combination_id`.

    `sample_factors(len(ids), seed, **combination(ids))` samples factors with exactly these combinations. Raises ValueError for
    an id out of range.
    """
    rest = ids if isinstance(ids, Tensor) else torch.tensor(check_integer("ids", ids))
    check_tensor("ids", rest, "", "integer", least=0)
    rest = rest.to(torch.int64)
    if rest.numel() and not (int(rest.min()) >= 0 and int(rest.max()) < NUM_COMBINATIONS):
        raise ValueError(f"combination ids run from 0 to {NUM_COMBINATIONS - 1}; got {int(rest.min())} to {int(rest.max())}.")
    parts = {}
    for name, n in zip(reversed(SEMANTIC), reversed(NUM_VALUES), strict=True):
        parts[name] = rest % n
        rest = rest // n
    return {name: parts[name] for name in SEMANTIC}


@lru_cache(maxsize=1)
def _held_out_ids() -> Tensor:
    return torch.randperm(NUM_COMBINATIONS, generator=torch.Generator().manual_seed(0))[: NUM_COMBINATIONS // 10]


def is_held_out(factors: Factors) -> Tensor:
    """Whether each image shows a held-out combination, one of the tenth of all that no model is trained on: bool [N]."""
    return torch.isin(combination_id(factors), _held_out_ids().to(factors.device))
