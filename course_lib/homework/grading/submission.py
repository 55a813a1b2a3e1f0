"""A student's file as the grader sees it: text of cells. Nothing in it is run or believed here."""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path

from course_lib.homework.checks.exercise import Exercise, Homework

ANSWER_HERE = "*Write your answer here, in place of this line.*"
MAX_BYTES = 20 * 2**20
_HOMEWORK = re.compile(r"(?<![a-z0-9])hw([1-5])(?![0-9])", re.I)


class Unreadable(ValueError):
    """A file that is no notebook; the message says why, for the student."""


@dataclass(frozen=True)
class Found:
    """Where a submission lies: the student's name as the folder or the file tells it, and which homework it is ("": unknown)."""

    student: str
    homework: str
    path: Path
    remark: str = ""


@dataclass(frozen=True)
class Cells:
    """The code cells' texts in order, and the answers in words: {name: text}."""

    code: tuple[str, ...]
    written: dict[str, str]

    def program(self, exercise: Exercise) -> tuple[str | None, str]:
        """(the cell that defines the exercise's function, a remark for the student); None where no cell does.

        As in a notebook that is run from top to bottom, the last definition counts.
        """
        defining = [cell for cell in self.code if defines(cell, exercise.name)]
        if not defining:
            return None, f"No cell defines {exercise.name}: was the cell removed, or the function renamed?"
        remark = f"{len(defining)} cells define {exercise.name}; the last one counts." if len(defining) > 1 else ""
        return defining[-1], remark


def defines(cell: str, name: str) -> bool:
    """Whether a cell's text gives ``name`` a function, by def or by assignment, not within another one."""
    try:
        body = ast.parse(cell).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # broken: named all the same, to tell the student why
        return re.search(rf"^def {name}\b", cell, re.M) is not None
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return True
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return True
    return False


def find(folder: Path, homework: str | None = None) -> list[Found]:
    """Every notebook below ``folder``, sorted by student; links are listed, and never followed.

    Three layouts are known: ``ada/hw3.ipynb`` (and Moodle's folders), nbgrader's ``ada/hw3/hw3.ipynb``, and files side by side
    as learning platforms export them, ``ada_12345_hw3.ipynb``. homework: grade this one alone, and take for it what does not say
    which it is. Of several notebooks of one homework the last by name counts. Raises ValueError where there is none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the one in which the submissions lie.")
    files = sorted(path for path in folder.rglob("*.ipynb") if not any(p.startswith(".") for p in path.relative_to(folder).parts))
    found: dict[tuple[str, str], Found] = {}
    for path in files:
        parts = path.relative_to(folder).parts
        named = [match[1] for part in reversed(parts) if (match := _HOMEWORK.search(part))]
        which = f"hw{named[0]}" if named else homework or ""
        folders = [part for part in parts[:-1] if not _HOMEWORK.fullmatch(part)]
        student = folders[0] if folders else _HOMEWORK.sub("", path.stem).strip("_- ") or path.stem
        if which and homework not in (None, which):
            continue
        earlier = found.get((student, which))
        remark = f"More than one notebook was handed in; {path.name} counts." if earlier else ""
        found[student, which] = Found(student, which, path, remark)
    if not found:
        raise ValueError(f"there is no notebook of {homework or 'any homework'} below {folder}.")
    return sorted(found.values(), key=lambda one: (one.homework, one.student))


def read(path: Path, folder: Path, homework: Homework) -> Cells:
    """The cells of a student's file. Raises Unreadable, in words for the student."""
    inside = path.relative_to(folder)
    if any((folder / part).is_symlink() for part in [inside, *inside.parents][:-1]):
        raise Unreadable("The file is a link to another place, not a notebook.")
    if path.stat().st_size > MAX_BYTES:
        raise Unreadable(
            f"The file has {path.stat().st_size / 2**20:.0f} MiB, at most {MAX_BYTES // 2**20} are read: clear its outputs."
        )
    try:
        notebook = json.loads(path.read_bytes())
        cells = [(c["cell_type"], _text(c["source"]), _mark(c)) for c in notebook["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(
            f"The file is not a notebook that can be read ({type(error).__name__}). Save it in JupyterLab again."
        ) from error
    written = {one.name: "" for one in homework.written}
    written |= {mark: text for kind, text, mark in cells if kind == "markdown" and mark in written}
    return Cells(tuple(text for kind, text, _ in cells if kind == "code"), written)


def _text(source: object) -> str:
    text = source if isinstance(source, str) else "".join(source)
    return text.replace("\0", "")


def _mark(cell: dict) -> str:
    """The nbgrader name of a cell, or ""."""
    return str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", ""))
