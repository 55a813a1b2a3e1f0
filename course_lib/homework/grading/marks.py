"""The marks that a person gives, in a file that the grader reads and never writes."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from course_lib.homework.grading.results import Graded, Result

COLUMNS = ("student", "homework", "exercise", "points", "comment")
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Mark:
    """Points for one exercise of one student, in place of the grader's, and a comment for the student. line: in the file."""

    points: float
    comment: str
    line: int


def read_marks(path: Path) -> dict[Key, Mark]:
    """Read ``marks.csv``: {(student, homework, exercise): mark}, empty where there is no such file.

    Students are named as in grades.csv. Separators are commas or semicolons, as spreadsheets write them. Raises ValueError, with
    the line, for a file without the columns, points that are no number, and an exercise that is marked twice.
    """
    if not path.exists():
        return {}
    text = path.read_bytes().decode("utf-8-sig", "replace")
    header = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in header else ",")
    if missing := [name for name in COLUMNS[:4] if name not in (rows.fieldnames or ())]:
        raise ValueError(f"{path} has no column {missing[0]!r}: its first line must be {','.join(COLUMNS)}.")
    marks: dict[Key, Mark] = {}
    for row in rows:
        where, given = f"{path}, line {rows.line_num}", (row["points"] or "").strip().replace(",", ".")
        if not given:  # a line that is prepared and not filled in
            continue
        key = (row["student"].strip(), (row["homework"] or "").strip(), (row["exercise"] or "").strip())
        try:
            points = float(given)
        except ValueError:
            points = math.nan
        if not (math.isfinite(points) and points >= 0):
            raise ValueError(f"{where}: points must be a number from 0, got {given!r}.")
        if key in marks:
            raise ValueError(f"{where}: {' '.join(key)} is marked in line {marks[key].line} already; keep one of the two.")
        comment = (row.get("comment") or "").strip() or "marked by hand"
        marks[key] = Mark(int(points) if points == int(points) else points, comment, rows.line_num)
    return marks


def apply_marks(graded: Graded, marks: Mapping[Key, Mark], name: str) -> Graded:
    """Return a submission with the marks that its student got in place of the grader's points.

    name: the student's, as grades.csv spells it. Raises ValueError for more points than the exercise has.
    """

    def marked(one: Result) -> Result:
        mark = marks.get((name, graded.found.homework, one.exercise))
        if mark is None:
            return one
        if mark.points > one.max_points:
            raise ValueError(f"marks.csv, line {mark.line}: {mark.points} points, but {one.exercise} has {one.max_points}.")
        return replace(one, points=mark.points, mark=mark.comment)

    return replace(graded, results=tuple(map(marked, graded.results)))
