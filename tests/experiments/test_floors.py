"""The floor of a distance: mean and range of several draws."""

import pytest

from course_lib.experiments.floors import floor_of


def test_a_floor_is_mean_and_range():
    assert floor_of([1.0, 4.0, 1.0]) == (2.0, 1.0, 4.0)


def test_a_floor_needs_a_draw():
    with pytest.raises(ValueError, match="values has 0 values"):
        floor_of([])
