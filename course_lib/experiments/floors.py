"""The floor of a distance: what two sets of real data score, over several draws. No generator can be distinguished below it."""

from collections.abc import Sequence
from typing import NamedTuple

from course_lib.arguments import check_numbers

DRAWS = 10


class Floor(NamedTuple):
    """Mean and range of a distance between real and real, over several draws: one draw alone may be an unlucky one."""

    mean: float
    low: float
    high: float


def floor_of(values: Sequence[float]) -> Floor:
    """Return the floor of these distances, one or more. Raises ValueError where there is none."""
    values = check_numbers("values", values)
    return Floor(sum(values) / len(values), min(values), max(values))
