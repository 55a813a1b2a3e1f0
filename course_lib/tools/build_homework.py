"""Build homework from one source: ``notebooks/source/homework/hw3.py`` holds statements, solutions and rubrics, and the student's
file, the solved file and the kit for students are made from it.

In a source, the header of a cell says what it holds: ``exercise="kl"`` the student's function, ``check="kl"`` its check,
``written="collapse"`` a question answered in words, ``teacher="exam"`` what only the solved file gets. The lines between
``### BEGIN SOLUTION`` and ``### END SOLUTION`` are the solution (or the model answer with its rubric), which no student's file
contains. A line ``[[kl]]`` becomes the exercise's points, difficulty and minutes, ``[[contents]]`` a table of all exercises,
``[[grading]]`` the grader's rules.
"""

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.homework.checks import HOMEWORKS
from course_lib.homework.checks.exercise import Exercise, Homework, Written
from course_lib.homework.grading.reports.pages import Question
from course_lib.homework.grading.submissions.notebook import ANSWER_HERE
from course_lib.storage.paths import ROOT
from course_lib.tools import build_notebooks as book

SOURCES = ROOT / "notebooks" / "source" / "homework"
STUDENTS = ROOT / "notebooks" / "homework"
SOLVED = ROOT / "build" / "homework"  # a product like the other ones in build/: never committed
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION\n?", re.M | re.S)
# Left out of a kit for students: the solutions, and the tests, which hold right and wrong answers.
WITHHELD = ("notebooks/source/homework", "tests/homework", "tests/submissions")
ORIGINALS = "notebooks/homework/originals"  # in a kit only: copies, for a student who broke a notebook
MARKS = ("exercise", "check", "written")
GRADING = """## How you are graded

The grader runs each function alone, in a sandbox, on other inputs: 10 seconds of computing and 2 GiB of memory for each exercise.
From your other cells it takes imports, functions, classes, lambdas and constants (`LOG2PI = math.log(2 * math.pi)`), but nothing
that an experiment computed; `course_lib.homework.checks` is not there. Magics and test calls below a function do no harm. If a
name has several `def`s, the last one counts. An exercise with several parts earns points for the right ones. Answer questions in
words in the marked cell, or in a new cell right under it."""
# Sentences of the README that are not true in a kit, which is no repository, and what its README says instead.
README_OF_A_KIT = {
    "`git checkout -- notebooks` brings the notebooks back (your changes in them are lost)": (
        f"copy the notebook from the archive that you were given; of the homework, there are copies in `{ORIGINALS}/`"
    ),
    "course homework build 3      # a homework from its source: the student's file, and the solved one\n": "",
    "course homework build 3      # the same for a homework: notebooks/source/homework/hw3.py\n": "",
}


def sources(names: list[str] | None = None) -> list[Path]:
    """Return the sources in order. names: only these, as ``hw3`` or ``3``.

    Raises ValueError for an unknown name, and in a kit for students, which has no sources.
    """
    every = sorted(SOURCES.glob("hw*.py"))
    if not every:
        raise ValueError(
            "a kit for students has no sources of the homework, so none can be built. To fix it: work in the repository that the "
            f"kit was made from; to get a notebook back, copy it from {ORIGINALS}."
        )
    wanted = {f"hw{str(name).removeprefix('hw')}" for name in names or []}
    if unknown := wanted - {path.stem for path in every}:
        raise ValueError(f"there is no homework {sorted(unknown)[0]!r}; choose from {', '.join(p.stem for p in every)}")
    return [path for path in every if not wanted or path.stem in wanted]


def assemble(source: Path, solved: bool) -> NotebookNode:
    """Assemble the notebook of a homework without executing it: with solutions, model answers and rubrics, or with stubs.

    Cells carry nbgrader's metadata (schema 3), for its tools and for platforms that know them.
    """
    homework, is_shown = HOMEWORKS[source.stem], []

    def change(cell: NotebookNode) -> None:
        is_shown.append(solved or "teacher" not in cell.metadata)
        name = next((cell.metadata[mark] for mark in MARKS if mark in cell.metadata), "")
        cell.source = SOLUTION.sub(r"\2" if solved else lambda match: _stub(match, name, cell.cell_type), cell.source)
        cell.source = re.sub(r"\[\[(\w+)\]\]", lambda match: _effort(homework, match[1]), cell.source)
        if name:
            cell.metadata["nbgrader"] = _nbgrader(homework, cell)

    nb = book.assemble(source, change)
    nb.cells = [cell for cell, shown in zip(nb.cells, is_shown, strict=True) if shown]
    return nb


def _stub(match: re.Match, name: str, cell_type: str) -> str:
    """The text that replaces a solution in a student's file."""
    if cell_type == "markdown":
        return ANSWER_HERE + "\n"
    lines = ("# YOUR CODE HERE, in place of the next line", f'raise NotImplementedError("{name} is not written yet")')
    return "".join(f"{match[1]}{line}\n" for line in lines)


def _effort(homework: Homework, name: str) -> str:
    """The text that replaces a line ``[[name]]``."""
    if name == "grading":
        return GRADING
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
    """Compare the stored students' files with their sources without executing anything. Return a sentence for each difference.

    In a kit for students, which has no sources, there is nothing to compare.
    """
    problems: list[str] = []
    for source in sources() if SOURCES.exists() else []:
        path, expected = STUDENTS / f"{source.stem}.ipynb", assemble(source, solved=False)
        problems += book.differences(path, source, expected, f"course homework build {source.stem}", "homework/")
    return problems


def release(folder: Path) -> list[str]:
    """Write a kit for students into a new folder: the committed workbook without solutions. Return the names of its files.

    Its homework has no outputs, because the figures would answer the questions that precede them; copies of it lie in
    `ORIGINALS`. The kit is written next to ``folder`` and then moved there, so that it is always complete. Raises ValueError
    where ``folder`` is not empty, where files have uncommitted changes, or the README has lost a sentence of `README_OF_A_KIT`.
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
            (partial / ORIGINALS).mkdir(exist_ok=True)
            shutil.copy2(path, partial / ORIGINALS / path.name)
        _correct_readme(partial / "README.md")
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return files


def _correct_readme(path: Path) -> None:
    """Replace what the README says about a repository."""
    text = path.read_text(encoding="utf-8")
    for old, new in README_OF_A_KIT.items():
        if old not in text:
            raise ValueError(f"the README no longer says {old!r}. To fix it: adapt README_OF_A_KIT in build_homework.py.")
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


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


def questions() -> list[Question]:
    """The questions in words of every homework with their model answers, for the reading pages; without texts in a kit."""
    found = []
    for name, homework in HOMEWORKS.items():
        source = SOURCES / f"{name}.py"
        cells = assemble(source, solved=True).cells if source.exists() else []
        for one in homework.written:
            ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in cells]
            at = ids.index(one.name) if one.name in ids else None
            text, model = ("", "") if at is None else (cells[at - 1].source, cells[at].source)
            found.append(Question(name, one.name, one.points, text, model))
    return found
