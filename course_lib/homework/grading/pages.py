"""The files that grading writes: a CSV, a page for each student, and a summary for the teacher.

Names, answers and messages come from strangers: the pages escape all of them and run no script, and no spreadsheet takes a cell
of the CSV for a formula.
"""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader

from course_lib.homework.grading import marks
from course_lib.homework.grading.results import Graded
from course_lib.storage.atomic import write_atomically

COLUMNS = ("student", "homework", "exercise", "points", "of", "seconds", "why")
_PAGES = Environment(
    loader=PackageLoader("course_lib.homework.grading", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def write_results(graded: Sequence[Graded], out: Path) -> None:
    """Write grades.csv, students/*.html and index.html into ``out``, each of them atomically.

    The points of ``out / "marks.csv"`` count before the grader's (`marks`); that file is never written. Lines of an earlier
    grades.csv about other submissions remain, so that one student can be graded again.
    """
    given = marks.read_marks(out / "marks.csv")
    graded = [marks.apply_marks(one, given, without_formula(one.found.student)) for one in graded]
    earlier = read_earlier(out / "grades.csv", graded, given)
    files = {one: f"students/{page_name(one)}" for one in graded}
    write_atomically(out / "grades.csv", _bytes(grades_csv(graded, earlier)))
    for one, name in files.items():
        write_atomically(out / name, _bytes(_PAGES.get_template("student.html").render(one=one)))
    homeworks: dict[str, list[Graded]] = {}
    for one in graded:
        homeworks.setdefault(one.found.homework or "unknown", []).append(one)
    summary = [(name, some, summarise(some)) for name, some in homeworks.items()]
    others = len({tuple(row[:2]) for row in earlier})
    index = _PAGES.get_template("index.html").render(homeworks=summary, files=files, earlier=others)
    write_atomically(out / "index.html", _bytes(index))


def _bytes(text: str) -> bytes:
    """Text as UTF-8, with "?" for what is no text: half an emoji, a byte of a file name in another encoding."""
    return text.encode("utf-8", "replace")


def page_name(one: Graded) -> str:
    """A name for a student's page that is safe on every system and unique to the student."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", one.found.student).strip("_")[:40]
    tail = hashlib.sha256(one.found.student.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{plain or 'student'}_{tail}_{one.found.homework or 'unknown'}.html"


def read_earlier(path: Path, graded: Sequence[Graded], given: Mapping[marks.Key, marks.Mark]) -> list[list[str]]:
    """The lines of an earlier grades.csv about submissions that are not graded now, with today's marks.

    Raises ValueError for a file with other columns.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if header != list(COLUMNS):
        raise ValueError(f"{path} has other columns than this grader writes: move it away, or choose another --out.")
    now = {(without_formula(one.found.student), one.found.homework) for one in graded}
    others = [row for row in rows if len(row) == len(COLUMNS) and tuple(row[:2]) not in now]
    for row in others:
        if mark := given.get((row[0], row[1], row[2])):
            row[3], row[6] = str(mark.points), without_formula(mark.comment)
    return others


def grades_csv(graded: Sequence[Graded], earlier: Sequence[Sequence[str]] = ()) -> str:
    """The CSV: a line for each exercise of each student. Points are empty where a person must mark the answer.

    earlier: lines of earlier runs, which follow.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in graded:
        start = [without_formula(one.found.student), one.found.homework]
        for r in one.results:
            points = "" if r.points is None else r.points
            writer.writerow([*start, r.exercise, points, r.max_points, f"{r.seconds:.2f}", without_formula(r.why)])
        if not one.results:
            writer.writerow([*start, "", 0, "", "", without_formula(one.problem)])
    writer.writerows(earlier)
    return text.getvalue()


def without_formula(text: str) -> str:
    """Text on one line that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return f"'{line}" if line[:1] in ("=", "+", "-", "@") else line


def summarise(graded: Sequence[Graded]) -> list[dict]:
    """For each exercise of a homework: how many passed, failed, are blank or must be marked, and the commonest complaints."""
    exercises: dict[str, dict] = {}
    for one in graded:
        for r in one.results:
            row = exercises.setdefault(r.exercise, {"name": r.exercise, "complaints": Counter(), "counts": Counter()})
            row["counts"][r.state] += 1
            if r.complaint and not r.complaint.blank and not one.problem:
                reason = r.complaint.likely or r.complaint.problem or "Wrong values that no known mistake explains."
                row["complaints"][reason] += 1
    return [
        row | {"complaints": row["complaints"].most_common(5), "n": sum(row["counts"].values())} for row in exercises.values()
    ]
