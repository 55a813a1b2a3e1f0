"""What the tests of the homework's files share: where they lie, and how to read their cells."""

from pathlib import Path

import pytest

from course_lib.storage.paths import ROOT

SOURCES = sorted((ROOT / "notebooks" / "source" / "homework").glob("*.py"))
BY_SOURCE = pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)


def student_file(source: Path) -> Path:
    return ROOT / "notebooks" / "homework" / f"{source.stem}.ipynb"


def joined(text) -> str:
    return text if isinstance(text, str) else "".join(text)


def outputs(cell: dict) -> str:
    return "".join(joined(out.get("text", "")) for out in cell["outputs"])


def grade_id(cell) -> str:
    return cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", "")
