"""Stored figures, read again."""

from course_lib.storage.results import group_points


def test_points_are_grouped_in_their_order():
    points = [{"arm": "b", "seed": 0, "x": 3}, {"arm": "a", "seed": 0, "x": 1}, {"arm": "b", "seed": 1, "x": 2}]
    found = group_points(points, lambda p: p["arm"], lambda p: p["x"])
    assert list(found.items()) == [("b", [3, 2]), ("a", [1])]
