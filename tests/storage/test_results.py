"""Stored figures, read again."""

from course_lib.storage.results import append_point, group_points, read_points


def test_points_are_grouped_in_their_order():
    points = [{"arm": "b", "seed": 0, "x": 3}, {"arm": "a", "seed": 0, "x": 1}, {"arm": "b", "seed": 1, "x": 2}]
    found = group_points(points, lambda p: p["arm"], lambda p: p["x"])
    assert list(found.items()) == [("b", [3, 2]), ("a", [1])]


def test_a_line_that_was_cut_off_is_ignored_and_does_not_reach_the_next(tmp_path):
    file = tmp_path / "runs" / "points.jsonl"
    assert read_points(file) == []
    append_point(file, {"way": "a"})
    file.write_bytes(file.read_bytes() + b'{"way": "b", "se')
    append_point(file, {"way": "c"})
    assert read_points(file) == [{"way": "a"}, {"way": "c"}]
