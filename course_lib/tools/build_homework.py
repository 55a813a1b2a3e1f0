"""Build homework from one source: ``notebooks/source/homework/hw3.py`` holds statements, solutions and rubrics, and the student's
file, the solved file and the kit for students are made from it.

In a source, the header of a cell says what it holds: ``exercise="kl"`` the student's function, ``check="kl"`` its check,
``written="collapse"`` a question answered in words. The lines between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` are the
solution (or the model answer with its rubric), which no student's file contains. A line ``[[kl]]`` becomes the exercise's
points, difficulty and minutes, ``[[contents]]`` a table of all exercises.
"""

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.homework.checks import HOMEWORKS
from course_lib.homework.checks.exercise import Exercise, Homework, Written
from course_lib.homework.grading.submission import ANSWER_HERE
from course_lib.storage.paths import ROOT
from course_lib.tools import build_notebooks as book

SOURCES = ROOT / "notebooks" / "source" / "homework"
STUDENTS = ROOT / "notebooks" / "homework"
SOLVED = ROOT / "build" / "homework"  # a product like the other ones in build/: never committed
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION\n?", re.M | re.S)
# Left out of a kit for students: the solutions, and the tests, which hold right and wrong answers.
WITHHELD = ("notebooks/source/homework", "tests/homework", "tests/submissions")
MARKS = ("exercise", "check", "written")


def sources(names: list[str] | None = None) -> list[Path]:
    """Return the sources in order. names: only these, as ``hw3`` or ``3``. Raises ValueError for an unknown name."""
    every = sorted(SOURCES.glob("hw*.py"))
    wanted = {f"hw{str(name).removeprefix('hw')}" for name in names or []}
    if unknown := wanted - {path.stem for path in every}:
        raise ValueError(f"there is no homework {sorted(unknown)[0]!r}; choose from {', '.join(p.stem for p in every)}")
    return [path for path in every if not wanted or path.stem in wanted]


def assemble(source: Path, solved: bool) -> NotebookNode:
    """Assemble the notebook of a homework without executing it: with solutions, model answers and rubrics, or with stubs.

    Cells carry nbgrader's metadata (schema 3), for its tools and for platforms that know them.
    """
    homework = HOMEWORKS[source.stem]

    def change(cell: NotebookNode) -> None:
        name = next((cell.metadata[mark] for mark in MARKS if mark in cell.metadata), "")
        cell.source = SOLUTION.sub(r"\2" if solved else lambda match: _stub(match, name, cell.cell_type), cell.source)
        cell.source = re.sub(r"\[\[(\w+)\]\]", lambda match: _effort(homework, match[1]), cell.source)
        if name:
            cell.metadata["nbgrader"] = _nbgrader(homework, cell)

    return book.assemble(source, change)


def _stub(match: re.Match, name: str, cell_type: str) -> str:
    """The text that replaces a solution in a student's file."""
    if cell_type == "markdown":
        return ANSWER_HERE + "\n"
    lines = ("# YOUR CODE HERE, in place of the next line", f'raise NotImplementedError("{name} is not written yet")')
    return "".join(f"{match[1]}{line}\n" for line in lines)


def _effort(homework: Homework, name: str) -> str:
    if name != "contents":
        one = _exercise(homework, name)
        difficulty = "●" * one.difficulty + "○" * (5 - one.difficulty)
        return f"**{_count(one.points, 'point')} · difficulty {difficulty} · about {one.minutes} minutes**"
    lines = ["| | exercise | points | difficulty | minutes |", "|---|---|---|---|---|"]
    for number, one in enumerate(homework.order, 1):
        title = f"`{one.name}`" if isinstance(one, Exercise) else f"{one.name}, in words"
        lines.append(f"| {number} | {title} | {one.points} | {'●' * one.difficulty} | {one.minutes} |")
    return "\n".join([*lines, f"| | | **{homework.points}** | | **{sum(one.minutes for one in homework.order)}** |"])


def _count(n: int, unit: str) -> str:
    return f"{n} {unit}" if n == 1 else f"{n} {unit}s"


def _exercise(homework: Homework, name: str) -> Exercise | Written:
    found = [one for one in homework.order if one.name == name]
    if not found:
        raise ValueError(f"{homework.name} has no exercise {name!r}; it has {', '.join(one.name for one in homework.order)}")
    return found[0]


def _nbgrader(homework: Homework, cell: NotebookNode) -> dict:
    """nbgrader's metadata of a cell with a mark in its header."""
    mark = next(mark for mark in MARKS if mark in cell.metadata)
    name = cell.metadata[mark]
    points = _exercise(homework, name).points
    grade = {"grade": mark != "exercise", "solution": mark != "check", "locked": mark == "check", "task": False}
    facts = {"schema_version": 3, "grade_id": f"check-{name}" if mark == "check" else name, "cell_type": cell.cell_type}
    return {**grade, **facts, **({"points": points} if grade["grade"] else {})}


def build(source: Path, solved: bool) -> book.Built:
    """Execute one homework: the student's file into ``notebooks/homework``, or the solved one into ``build/homework``.

    Both run to the end: where an exercise is blank, the cells after it use the workbook's own block. Raises NotebookError, as the
    build of the chapters does.
    """
    folder = SOLVED if solved else STUDENTS
    folder.mkdir(parents=True, exist_ok=True)
    return book.execute_to(assemble(source, solved), folder / f"{source.stem}{'_solved' if solved else ''}.ipynb")


def check() -> list[str]:
    """Compare the stored students' files with their sources without executing anything. Return a sentence for each difference."""
    problems = []
    for source in sources():
        path, expected = STUDENTS / f"{source.stem}.ipynb", assemble(source, solved=False)
        problems += book.differences(path, source, expected, f"course homework build {source.stem}", "homework/")
    return problems


def release(folder: Path) -> list[str]:
    """Write a kit for students into a new folder: the committed workbook without solutions. Return the names of its files.

    Its homework has no outputs, because the figures would answer the questions that precede them. The kit is written next to
    ``folder`` and then moved there, so that it is always complete. Raises ValueError where ``folder`` is not empty, or where
    files have uncommitted changes.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty. To fix it: name a new folder for the kit.")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    if changed:
        raise ValueError(
            f"{len(changed)} files differ from the last commit ({changed[0][3:]} …). To fix it: commit them, then release."
        )
    files = [name for name in _git("ls-files") if not name.startswith(WITHHELD)]
    partial = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in files:
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, partial / name)
        for path in sorted((partial / "notebooks" / "homework").glob("*.ipynb")):
            _clear_outputs(path)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return files


def _clear_outputs(path: Path) -> None:
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(nb, path)


def _git(*arguments: str) -> list[str]:
    """Return the lines that a git command prints here. Raises ValueError where this is not a clone, or git is missing."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"a kit is made from a git clone of the workbook, but git failed in {ROOT}: {error}") from error
    return done.stdout.splitlines()
