"""Homework from one source: ``notebooks/source/homework/hw3.py`` holds statements, solutions and rubrics; the student's file, the
solved one and the kit for students are made from it.

In a source, a cell is marked in its header: ``exercise="kl"`` holds the student's function, ``check="kl"`` its check,
``written="collapse"`` a question answered in words. What stands between the lines ``### BEGIN SOLUTION`` and ``### END
SOLUTION`` is the solution (or the model answer with its rubric), and is in no student's file. A line ``[[kl]]`` becomes
the exercise's points, difficulty and minutes, ``[[contents]]`` a table of all of them.
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
SOLVED = ROOT / "build" / "homework"  # beside the repository's other products: never committed
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION\n?", re.M | re.S)
# What a kit for students leaves out: the solutions themselves, and the tests, which hold solutions and wrong ones.
WITHHELD = ("notebooks/source/homework", "tests/homework", "tests/submissions")
MARKS = ("exercise", "check", "written")


def sources(names: list[str] | None = None) -> list[Path]:
    """The homeworks' sources in order; names picks some of them, as ``hw3`` or simply ``3``. Raises ValueError for another."""
    every = sorted(SOURCES.glob("hw*.py"))
    wanted = {f"hw{str(name).removeprefix('hw')}" for name in names or []}
    if unknown := wanted - {path.stem for path in every}:
        raise ValueError(f"there is no homework {sorted(unknown)[0]!r}; choose from {', '.join(p.stem for p in every)}")
    return [path for path in every if not wanted or path.stem in wanted]


def assemble(source: Path, solved: bool) -> NotebookNode:
    """The notebook of a homework, not executed: with solutions, model answers and rubrics, or with stubs in their places.

    Cells carry nbgrader's metadata (schema 3), so that its tools, and every platform that knows them, find the parts.
    """
    homework = HOMEWORKS[source.stem]

    def change(cell: NotebookNode) -> None:
        name = next((cell.metadata[mark] for mark in MARKS if mark in cell.metadata), "")
        cell.source = SOLUTION.sub(r"\2" if solved else lambda match: _stub(match, name, cell.cell_type), cell.source)
        cell.source = re.sub(r"\[\[(\w+)\]\]", lambda match: _facts(homework, match[1]), cell.source)
        if name:
            cell.metadata["nbgrader"] = _nbgrader(homework, cell)

    return book.assemble(source, change)


def _stub(match: re.Match, name: str, cell_type: str) -> str:
    """What a student finds in place of a solution."""
    if cell_type == "markdown":
        return ANSWER_HERE + "\n"
    lines = ("# YOUR CODE HERE, in place of the next line", f'raise NotImplementedError("{name} is not written yet")')
    return "".join(f"{match[1]}{line}\n" for line in lines)


def _facts(homework: Homework, name: str) -> str:
    if name != "contents":
        one = _exercise(homework, name)
        level = "●" * one.difficulty + "○" * (5 - one.difficulty)
        return f"**{_count(one.points, 'point')} · difficulty {level} · about {one.minutes} minutes**"
    lines = ["| | exercise | points | difficulty | minutes |", "|---|---|---|---|---|"]
    for number, one in enumerate(homework.order, 1):
        shown = f"`{one.name}`" if isinstance(one, Exercise) else f"{one.name}, in words"
        lines.append(f"| {number} | {shown} | {one.points} | {'●' * one.difficulty} | {one.minutes} |")
    return "\n".join([*lines, f"| | | **{homework.points}** | | **{sum(one.minutes for one in homework.order)}** |"])


def _count(n: int, unit: str) -> str:
    return f"{n} {unit}" if n == 1 else f"{n} {unit}s"


def _exercise(homework: Homework, name: str) -> Exercise | Written:
    found = [one for one in homework.order if one.name == name]
    if not found:
        raise ValueError(f"{homework.name} has no exercise {name!r}; it has {', '.join(one.name for one in homework.order)}")
    return found[0]


def _nbgrader(homework: Homework, cell: NotebookNode) -> dict:
    """nbgrader's description of a marked cell."""
    mark = next(mark for mark in MARKS if mark in cell.metadata)
    name = cell.metadata[mark]
    points = _exercise(homework, name).points
    grade = {"grade": mark != "exercise", "solution": mark != "check", "locked": mark == "check", "task": False}
    facts = {"schema_version": 3, "grade_id": f"check-{name}" if mark == "check" else name, "cell_type": cell.cell_type}
    return {**grade, **facts, **({"points": points} if grade["grade"] else {})}


def build(source: Path, solved: bool) -> book.Built:
    """Execute one homework: the student's into ``notebooks/homework``, or the solved one into ``build/homework``.

    Both run to the end: where an exercise is blank, the cells after it use the workbook's own block. Raises NotebookError as the
    chapters' build does.
    """
    folder = SOLVED if solved else STUDENTS
    folder.mkdir(parents=True, exist_ok=True)
    return book.execute_to(assemble(source, solved), folder / f"{source.stem}{'_solved' if solved else ''}.ipynb")


def check() -> list[str]:
    """Hold the stored students' files against their sources without executing anything. One sentence for each difference."""
    problems = []
    for source in sources():
        path, expected = STUDENTS / f"{source.stem}.ipynb", assemble(source, solved=False)
        problems += book.differences(path, source, expected, f"course homework build {source.stem}", "homework/")
    return problems


def release(folder: Path) -> list[str]:
    """Write a kit for students into a new folder: the workbook as it is committed, without solutions. Returns its files.

    Its homework comes without outputs, so that the figures are still to be seen.

    It is written beside ``folder`` and then moved there, so that no half of a kit is ever found. Raises ValueError where
    ``folder`` already holds something, or where files that belong to the kit have changes that are not committed.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: name a new folder for the kit.")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    if changed:
        raise ValueError(f"{len(changed)} files differ from the last commit ({changed[0][3:]} …): commit them, then release.")
    kept = [name for name in _git("ls-files") if not name.startswith(WITHHELD)]
    partial = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in kept:
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, partial / name)
        for path in sorted((partial / "notebooks" / "homework").glob("*.ipynb")):
            _without_outputs(path)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return kept


def _without_outputs(path: Path) -> None:
    """A question before a figure can only be answered where the figure is not there yet."""
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(nb, path)


def _git(*arguments: str) -> list[str]:
    """The lines that a git command prints here. Raises ValueError where this is no clone, or git is missing."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"a kit is made from a git clone of the workbook, and git says no in {ROOT}: {error}") from error
    return done.stdout.splitlines()
