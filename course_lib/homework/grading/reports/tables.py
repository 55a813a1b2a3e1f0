"""The tables that grading writes: a line for each exercise, and a line for each student as learning platforms take it back."""

import csv
import io
from collections import defaultdict
from collections.abc import Sequence

from course_lib.homework.grading.reports.results import Graded
from course_lib.homework.grading.submissions.roster import Person, Roster

COLUMNS = ("student", "homework", "exercise", "points", "of", "seconds", "why", "late", "id", "file")


def grades_csv(graded: Sequence[Graded], roster: Roster | None = None) -> str:
    """A line for each exercise of each submission. Points are empty where a person must mark the answer.

    A file that is not graded has one line with the reason, and so has a student of the roster for each homework not handed in.
    """
    rows: list[Sequence[object]] = []
    for one in graded:
        found = one.found
        start, end = [without_formula(found.student), found.homework], [found.late, found.id, found.file]
        end = [without_formula(text) for text in end]
        for number, r in enumerate(one.results):
            points = "" if r.points is None else f"{r.points:g}"
            why = " ".join(filter(None, [r.why, "" if number else found.remark]))
            rows.append([*start, r.exercise, points, r.max_points, f"{r.seconds:.2f}", without_formula(why), *end])
        if not one.results:
            rows.append([*start, "", "" if found.extra else 0, "", "", without_formula(one.problem), *end])
    for person, which in missing(graded, roster):
        rows.append(
            [without_formula(person.name), which, "", 0, "", "", "nothing was handed in", "", without_formula(person.id), ""]
        )
    return _csv([COLUMNS, *rows])


def gradebook_csv(graded: Sequence[Graded], roster: Roster | None = None) -> str:
    """A line for each student, with the points of each homework and their sum; after the roster's own columns where there is one.

    Where these are Canvas' columns, the line "Points Possible" follows the header, as Canvas wants it. Cells are empty where
    nothing was handed in, and a sum that lacks marks of a person counts what there is.
    """
    homeworks = sorted({one.found.homework for one in graded if one.results})
    of = {which: max(one.of for one in graded if one.found.homework == which) for which in homeworks}
    points: dict[str, dict[str, float]] = defaultdict(dict)
    ids = {}
    for one in graded:
        if one.results:
            points[one.found.student][one.found.homework] = one.points
            ids[one.found.student] = one.found.id
    people = roster.people if roster else ()
    header = roster.header if roster and people else ("student", "id")
    listed = {person.name: [without_formula(cell) for cell in person.row] for person in people}
    others = {
        name: [without_formula(name), ids[name], *[""] * (len(header) - 2)][: len(header)]
        for name in points
        if name not in listed
    }
    rows: list[Sequence[object]] = [[*header, *homeworks, "total"]]
    if {"Student", "ID", "Section"} <= set(header):
        rows.append(["Points Possible", *[""] * (len(header) - 1), *(of[which] for which in homeworks), sum(of.values())])
    for name, cells in {**listed, **others}.items():
        earned = [points[name].get(which, "") if name in points else "" for which in homeworks]
        total = sum(x for x in earned if not isinstance(x, str))
        rows.append([*cells, *[""] * (len(header) - len(cells)), *map(_number, earned), _number(total)])
    return _csv(rows)


def missing(graded: Sequence[Graded], roster: Roster | None) -> list[tuple[Person, str]]:
    """The students of the roster who have handed in nothing, for each homework that others have."""
    there = {(one.found.student, one.found.homework) for one in graded if one.results}
    homeworks = sorted({which for _, which in there})
    return [
        (person, which)
        for which in homeworks
        for person in (roster.people if roster else ())
        if (person.name, which) not in there
    ]


def without_formula(text: str) -> str:
    """Text on one line that no spreadsheet takes for a formula (OWASP, CSV injection), without control characters."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
    line = line.encode("utf-8", "replace").decode()
    return f"'{line}" if line[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠") else line


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # A cell with a semicolon is quoted: some spreadsheets separate by it, and would take what follows for a cell of its own.
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoted if any(";" in str(cell) for cell in row) else writer).writerow(row)
    return text.getvalue()
