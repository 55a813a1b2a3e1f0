"""What every kind of slider shares: the list of its positions, how each reads, and what is drawn at one of them."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from torch import Tensor

from course_lib.notebook.pictures import Picture

AnyShown = TypeVar("AnyShown", bound=Tensor | Picture | bytes)


def label(value: object) -> str:
    """The text of one position."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def checked_positions(sliders: dict[str, Sequence]) -> dict[str, list]:
    """Return the positions of each slider as a list. Raises ValueError for none, and for two with the same label."""
    for name, values in sliders.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"Slider {name!r} is {values!r:.60}, but must be a list of its positions.")
    positions = {name: values.tolist() if isinstance(values, Tensor) else list(values) for name, values in sliders.items()}
    for name, values in positions.items():
        if not values:
            raise ValueError(f"Slider {name!r} has no positions: give it a list of at least one value.")
        if any(
            value is None or isinstance(value, Tensor) or (isinstance(value, float) and math.isnan(value)) for value in values
        ):
            raise ValueError(f"Slider {name!r} has a position that is None, NaN or a tensor: give numbers or texts.")
        if len({label(value) for value in values}) < len(values):
            raise ValueError(f"Slider {name!r} has positions that read the same: {', '.join(map(label, values))}.")
    return positions


def picture_and_caption(drawn: AnyShown | tuple[AnyShown, str]) -> tuple[AnyShown, str]:
    """What a slider's function drew, and its caption ("" for none)."""
    return (drawn[0], str(drawn[1])) if isinstance(drawn, tuple) else (drawn, "")
