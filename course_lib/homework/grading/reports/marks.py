"""The marks that a person gives, in files that the grader reads and never writes."""

import csv
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from course_lib.homework.grading.reports.results import Graded, Result
from course_lib.homework.grading.reports.tables import without_formula

COLUMNS = ("student", "homework", "exercise", "points", "comment")
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Mark:
    """Points for one exercise of one student, in place of the grader's, and a comment for the student. where: file and line."""

    points: float
    comment: str
    where: str


def read_marks(folder: Path) -> dict[Key, Mark]:
    """Read ``marks.csv`` and every ``marks*.csv`` in a folder: {(student, homework, exercise): mark}.

    Students are named as in grades.csv, or by the number that their answer has on a reading page (`answer_code`). Separators are
    commas or semicolons, as spreadsheets write them. Raises ValueError, with the line, for a file without the columns, points
    that are no number, and an exercise that is marked twice.
    """
    marks: dict[Key, Mark] = {}
    for path in sorted(folder.glob("marks*.csv")):
        text = path.read_bytes().decode("utf-8-sig", "replace")
        header = text.partition("\n")[0]
        rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in header else ",")
        if missing := [name for name in COLUMNS[:4] if name not in (rows.fieldnames or ())]:
            raise ValueError(f"{path} has no column {missing[0]!r}: its first line must be {','.join(COLUMNS)}.")
        for row in rows:
            where, given = f"{path}, line {rows.line_num}", (row["points"] or "").strip().replace(",", ".")
            if not given:  # a line that is prepared and not filled in
                continue
            key = ((row["student"] or "").strip(), (row["homework"] or "").strip(), (row["exercise"] or "").strip())
            try:
                points = float(given)
            except ValueError:
                points = math.nan
            if not (math.isfinite(points) and points >= 0):
                raise ValueError(f"{where}: points must be a number from 0, got {given!r}.")
            if key in marks:
                raise ValueError(f"{where}: {' '.join(key)} is marked in {marks[key].where} already; keep one of the two.")
            comment = (row.get("comment") or "").strip() or "marked by hand"
            marks[key] = Mark(int(points) if points == int(points) else points, comment, where)
    return marks


def answer_code(student: str, homework: str) -> str:
    """The number of a student's answers on the reading pages of a homework, which show no names: "#" and eight digits."""
    return "#" + hashlib.sha256(f"{student}/{homework}".encode("utf-8", "surrogateescape")).hexdigest()[:8]


def apply_marks(graded: Sequence[Graded], marks: Mapping[Key, Mark]) -> tuple[list[Graded], list[Mark]]:
    """(the submissions with the marks that their students got in place of the grader's points, marks that fit none of them).

    Raises ValueError for more points than the exercise has, and for two marks of one exercise, by name and by number.
    """
    used: set[Key] = set()

    def marked(one: Graded, result: Result) -> Result:
        found = one.found
        names = without_formula(found.student), answer_code(found.student, found.homework)
        keys = [key for name in names if (key := (name, found.homework, result.exercise)) in marks]
        if not keys:
            return result
        mark = marks[keys[0]]
        if len(keys) > 1:
            raise ValueError(
                f"{mark.where}: the same answer is marked in {marks[keys[1]].where}, by its number; keep one of the two."
            )
        if mark.points > result.max_points:
            raise ValueError(f"{mark.where}: {mark.points} points, but {result.exercise} has {result.max_points}.")
        used.update(keys)
        return replace(result, points=mark.points, mark=mark.comment)

    done = [replace(one, results=tuple(marked(one, result) for result in one.results)) for one in graded]
    return done, [mark for key, mark in marks.items() if key not in used]
