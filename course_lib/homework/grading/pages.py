"""What grading leaves: a CSV, a page for each student, and a summary for the teacher.

Names, answers and messages come from strangers: the pages escape all of it and run no script, and no cell of the CSV is a
formula to a spreadsheet.
"""

import csv
import hashlib
import io
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader

from course_lib.storage.atomic import write_whole

if TYPE_CHECKING:
    from course_lib.homework.grading.results import Graded

COLUMNS = ("student", "homework", "exercise", "points", "of", "seconds", "why")
_PAGES = Environment(
    loader=PackageLoader("course_lib.homework.grading", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def write(graded: list["Graded"], out: Path) -> None:
    """Write grades.csv, students/*.html and index.html into ``out``, each whole or not at all."""
    files = {one: f"students/{file_name(one)}" for one in graded}
    write_whole(out / "grades.csv", table(graded).encode())
    for one, name in files.items():
        write_whole(out / name, _PAGES.get_template("student.html").render(one=one).encode())
    homeworks = {}
    for one in graded:
        homeworks.setdefault(one.found.homework or "unknown", []).append(one)
    summary = [(name, some, distribution(some)) for name, some in homeworks.items()]
    write_whole(out / "index.html", _PAGES.get_template("index.html").render(homeworks=summary, files=files).encode())


def file_name(one: "Graded") -> str:
    """A name for a student's page that is safe on every system, and no two students share."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", one.found.student).strip("_")[:40]
    tail = hashlib.sha256(one.found.student.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{plain or 'student'}_{tail}_{one.found.homework or 'unknown'}.html"


def table(graded: list["Graded"]) -> str:
    """The CSV: a line for each exercise of each student. Points are empty where a person must read the answer."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in graded:
        start = [harmless(one.found.student), one.found.homework]
        for r in one.results:
            points = "" if r.points is None else r.points
            writer.writerow([*start, r.exercise, points, r.of, f"{r.seconds:.2f}", harmless(r.why)])
        if not one.results:
            writer.writerow([*start, "", 0, "", "", harmless(one.problem)])
    return text.getvalue()


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula, on one line (OWASP, CSV injection)."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return f"'{line}" if line[:1] in ("=", "+", "-", "@") else line


def distribution(graded: list["Graded"]) -> list[dict]:
    """For each exercise of a homework: how many passed, failed, are blank or wait for a reader, and the commonest complaints."""
    exercises: dict[str, dict] = {}
    for one in graded:
        for r in one.results:
            row = exercises.setdefault(r.exercise, {"name": r.exercise, "of": r.of, "complaints": Counter(), "counts": Counter()})
            row["counts"][state(r)] += 1
            if r.complaint and not r.complaint.blank and not one.problem:
                row["complaints"][
                    r.complaint.likely or r.complaint.problem or "Wrong numbers, and no known mistake gives them."
                ] += 1
    return [
        row | {"complaints": row["complaints"].most_common(5), "n": sum(row["counts"].values())} for row in exercises.values()
    ]


def state(result) -> str:
    """In one word: "passed", "failed", "blank" or "to read"."""
    if result.points is None:
        return "to read" if result.answer else "blank"
    if result.complaint is None:
        return "passed"
    return "blank" if result.complaint.blank else "failed"


_PAGES.globals["state"] = state
