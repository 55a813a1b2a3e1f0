"""Shared by the tests of the homework's files: where they are, how to read their cells, and how to grade them."""

import functools
from pathlib import Path

import pytest

from course_lib.homework.checks import HOMEWORKS
from course_lib.homework.grading import grade, sandbox
from course_lib.homework.grading.reports import pages, results, store
from course_lib.storage.paths import ROOT

SOURCES = sorted((ROOT / "notebooks" / "source" / "homework").glob("*.py"))
BY_SOURCE = pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)


def student_file(source: Path) -> Path:
    return ROOT / "notebooks" / "homework" / f"{source.stem}.ipynb"


def grade_folder(folder: Path, out: Path, secret: Path, homework: str | None = None, **options) -> list[results.Graded]:
    """Grade a folder of submissions and write the results, as `course grade` does. options: of `grade.Options`."""
    chosen = grade.Options(homework=homework, progress=False, **options)
    stored = store.Store(out / "results")
    graded = grade.grade(folder, HOMEWORKS, lambda: grade.read_secret(secret), stored, chosen)
    pages.write_results(stored.read(graded), out, chosen.roster)
    return graded


@functools.cache
def why_no_sandbox() -> str:
    """Why no sandbox can be made here, or ""; one is started once for all test files of a process."""
    try:
        sandbox.require_sandbox(sandbox.Limits())
    except sandbox.NoSandbox as error:
        return str(error)
    return ""


def joined(text) -> str:
    return text if isinstance(text, str) else "".join(text)


def outputs(cell: dict) -> str:
    return "".join(joined(out.get("text", "")) for out in cell["outputs"])


def grade_id(cell) -> str:
    return cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", "")
