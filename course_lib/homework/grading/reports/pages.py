"""The files that grading writes: tables, a page for each student, a page for each question in words, and a summary.

Names, answers and messages come from strangers: the pages escape all of them and run no script but the reading page's own, and no
spreadsheet takes a cell of a table for a formula.
"""

import base64
import hashlib
import html
import platform
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mistune
import torch
from jinja2 import Environment, PackageLoader

from course_lib.homework.grading.reports import tables
from course_lib.homework.grading.reports.marks import Mark, answer_code, apply_marks, read_marks
from course_lib.homework.grading.reports.results import Graded
from course_lib.homework.grading.reports.similarity import SAME_WORDS, Alike, find_alike
from course_lib.homework.grading.reports.store import page_name
from course_lib.homework.grading.submissions.roster import Roster
from course_lib.storage.atomic import write_atomically

_PAGES = Environment(
    loader=PackageLoader("course_lib.homework.grading.reports", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_MARKDOWN = mistune.create_markdown(escape=True, plugins=["table"])
GRADED_WITH = f"Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}"
_BOM = "\ufeff".encode()  # without it Excel reads a table in another encoding
BINS = 10  # of the distribution of points


@dataclass(frozen=True)
class Question:
    """A question that is answered in words. text, model: the question, and the model answer with its rubric, in Markdown."""

    homework: str
    name: str
    points: int
    text: str = ""
    model: str = ""


def write_results(
    graded: Sequence[Graded], out: Path, roster: Roster | None = None, questions: Sequence[Question] = ()
) -> list[Mark]:
    """Write grades.csv, gradebook.csv, students/*.html, read/*.html and index.html into ``out``, each of them atomically.

    The points of ``out / "marks*.csv"`` count before the grader's (`marks`); these files are never written. Returns the marks
    that fit no submission. Raises ValueError for a mistake in them, and for a grades.csv of another program.
    """
    check_place(out)
    graded, unused = apply_marks(graded, read_marks(out))
    files = {one: f"students/{page_name(one)}.html" for one in graded if not one.found.extra}
    for one, name in files.items():
        _write(out / name, "student.html", one=one, markdown=_markdown, graded_with=GRADED_WITH)
    for question in questions:
        answers = [one for one in graded if one.found.homework == question.homework and one.results]
        if answers:
            _write_reading(out / f"read/{question.homework}_{question.name}.html", question, answers)
    write_atomically(out / "grades.csv", _BOM + _bytes(tables.grades_csv(graded, roster)))
    write_atomically(out / "gradebook.csv", _BOM + _bytes(tables.gradebook_csv(graded, roster)))
    homeworks: dict[str, list[Graded]] = defaultdict(list)
    for one in graded:
        if not one.found.extra:
            homeworks[one.found.homework].append(one)
    absent = defaultdict(list)
    for person, which in tables.missing(graded, roster):
        absent[which].append(person.name)
    alike: dict[str, list[Alike]] = defaultdict(list)
    for pair in find_alike(graded):
        alike[pair.homework].append(pair)
    listed = {person.name for person in roster.people} if roster else set()
    strangers = {one.found.student: one for one in files if listed and one.found.student not in listed}.values()
    summaries = [summarise(which, some, absent[which], alike[which]) for which, some in sorted(homeworks.items())]
    extra = [one for one in graded if one.found.extra]
    asked = {which: [q for q in questions if q.homework == which] for which in homeworks}
    _write(
        out / "index.html", "index.html", homeworks=summaries, files=files, extra=extra, unused=unused, strangers=strangers,
        questions=asked, same_words=SAME_WORDS, graded_with=GRADED_WITH,
    )  # fmt: skip
    return unused


def check_place(out: Path) -> None:
    """Raise ValueError where ``out`` holds a grades.csv that this program did not write: it would be overwritten."""
    path = out / "grades.csv"
    if path.exists():
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            header = file.readline().strip()
        if not header.startswith(",".join(tables.COLUMNS[:7])):
            raise ValueError(f"{path} has other columns than this grader writes: move it away, or choose another --out.")


def _write(path: Path, template: str, **values: object) -> None:
    write_atomically(path, _bytes(_PAGES.get_template(template).render(**values)))


def _bytes(text: str) -> bytes:
    """Text as UTF-8, with "?" for what is no text: half an emoji, a byte of a file name in another encoding."""
    return text.encode("utf-8", "replace")


def _write_reading(path: Path, question: Question, graded: Sequence[Graded]) -> None:
    """All answers to one question, without names and in the order of their numbers, with a place for points and a comment."""
    answers = []
    for one in graded:
        result = next((r for r in one.results if r.exercise == question.name), None)
        if result is None:  # graded when the homework had other questions
            continue
        code = answer_code(one.found.student, one.found.homework)
        answers.append((code, _markdown(result.answer), result))
    answers.sort(key=lambda answer: answer[0])
    script = Path(__file__).with_name("read.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    _write(
        path, "read.html", question=question, text=_markdown(question.text), model=_markdown(question.model),
        answers=[a for a in answers if a[2].answer], blank=[a for a in answers if not a[2].answer],
        script=script, digest=digest,
    )  # fmt: skip


def _markdown(text: str) -> str:
    """Markdown as HTML, in which everything that is HTML itself is escaped, and formulas stay as they are written."""
    formulas: list[str] = []

    def keep(match: re.Match) -> str:
        formulas.append(f"<code>{html.escape(match[0])}</code>")
        return f"FORMULA{len(formulas) - 1}X"

    rendered = str(_MARKDOWN(re.sub(r"\$\$[^$]+\$\$|\$[^$\n]+\$", keep, text)))
    return re.sub(
        r"FORMULA(\d+)X", lambda match: formulas[int(match[1])] if int(match[1]) < len(formulas) else match[0], rendered
    )


def summarise(which: str, graded: Sequence[Graded], absent: Sequence[str], alike: Sequence[Alike]) -> dict:
    """What the summary says of one homework: points, exercises, who made which mistake, and what needs a person's eye."""
    with_points = [one for one in graded if one.results]
    points = [one.points for one in with_points]
    of = max((one.of for one in with_points), default=0)
    bins = [0] * BINS
    for earned in points:
        bins[min(BINS - 1, int(BINS * earned / of))] += 1
    exercises: dict[str, dict] = {}
    for one in with_points:
        for r in one.results:
            row = exercises.setdefault(
                r.exercise, {"name": r.exercise, "mistakes": defaultdict(list), "counts": defaultdict(int)}
            )
            row["counts"][r.state] += 1
            if r.complaint and not r.complaint.blank and not one.problem:
                reason = r.complaint.likely or r.complaint.problem or "Wrong values that no known mistake explains."
                row["mistakes"][reason].append(one)
    for row in exercises.values():
        row["mistakes"] = sorted(row["mistakes"].items(), key=lambda item: -len(item[1]))
        row["n"] = sum(row["counts"].values())
    no_answer = [one for one in with_points if any(r.points is None and not r.answer for r in one.results) and not one.problem]
    lists = {
        "No answer in words": no_answer,
        "More than one notebook": [one for one in graded if one.found.attempts > 1],
        "Could not be graded": [one for one in graded if one.problem],
        "Late": [one for one in graded if one.found.late],
        "Programs that use the course's library": [one for one in graded if one.library],
    }
    return {
        "name": which or "unknown",
        "graded": graded,
        "of": of,
        "mean": statistics.fmean(points) if points else 0,
        "median": statistics.median(points) if points else 0,
        "bins": bins,
        "most": max(bins) or 1,
        "exercises": list(exercises.values()),
        "lists": {name: some for name, some in lists.items() if some},
        "to_mark": sum(r.state == "to mark" for one in with_points for r in one.results),
        "absent": absent,
        "alike": alike,
    }
