"""A student's file as the grader sees it: the text of its cells. Nothing in it is run or trusted here."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: What a student finds in place of an answer in words, and the grader takes for no answer.
ANSWER_HERE = "*Write your answer here, in place of this line.*"
MAX_BYTES = 20 * 2**20
_HOMEWORK = re.compile(r"(?<![a-z0-9])hw([1-5])(?![0-9])", re.I)


class Unreadable(ValueError):
    """A file that is not a notebook; the message is for the student and says why."""


@dataclass(frozen=True)
class Found:
    """A submission's file, the student's name according to the folder or the file, and which homework it is ("": unknown)."""

    student: str
    homework: str
    path: Path
    remark: str = ""


@dataclass(frozen=True)
class Cells:
    """The texts of the code cells in order, and the answers in words: {name: text}."""

    code: tuple[str, ...]
    written: dict[str, str]

    def program(self, name: str) -> tuple[str | None, str]:
        """(the cell that defines the function of this name, a remark for the student); None where no cell does.

        As in a notebook that is run from top to bottom, the last definition counts.
        """
        defining = [cell for cell in self.code if defines(cell, name)]
        if not defining:
            return None, f"No cell defines {name}: was the cell removed, or the function renamed?"
        remark = f"{len(defining)} cells define {name}; the last one counts." if len(defining) > 1 else ""
        return defining[-1], remark


def defines(cell: str, name: str) -> bool:
    """Whether a cell's text defines ``name`` at its top level, by def or by assignment."""
    try:
        body = ast.parse(cell).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # broken, but counted, so that the student reads why
        return re.search(rf"^def {name}\b", cell, re.M) is not None
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return True
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return True
    return False


def find_submissions(folder: Path, homework: str | None = None) -> list[Found]:
    """Find every notebook below ``folder``, sorted by student; links are listed, but never followed.

    Three layouts are known: ``ada/hw3.ipynb`` (and Moodle's folders), nbgrader's ``ada/hw3/hw3.ipynb``, and files side by side
    as learning platforms export them, ``ada_12345_hw3.ipynb``. Of several notebooks of one homework the last by name counts.
    homework: find this one alone, including notebooks that do not say which homework they are. Raises ValueError where there is
    none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the folder that holds the submissions.")
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


def read_cells(path: Path, folder: Path, written: Sequence[str]) -> Cells:
    """Read a student's file. written: the names of the questions in words. Raises Unreadable, in words for the student."""
    inside = path.relative_to(folder)
    if any((folder / part).is_symlink() for part in [inside, *inside.parents][:-1]):
        raise Unreadable("The file is a link to another file, not a notebook.")
    if path.stat().st_size > MAX_BYTES:
        raise Unreadable(
            f"The file has {path.stat().st_size / 2**20:.0f} MiB, but at most {MAX_BYTES // 2**20} are read: clear its outputs."
        )
    try:
        notebook = json.loads(path.read_bytes())
        cells = [(c["cell_type"], _text(c["source"]), _grade_id(c)) for c in notebook["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(
            f"The file cannot be read as a notebook ({type(error).__name__}). Save it in JupyterLab again."
        ) from error
    answers = dict.fromkeys(written, "")
    answers |= {name: text for cell_type, text, name in cells if cell_type == "markdown" and name in answers}
    return Cells(tuple(text for cell_type, text, _ in cells if cell_type == "code"), answers)


def _text(source: str | list[str]) -> str:
    text = source if isinstance(source, str) else "".join(source)
    return text.replace("\0", "")


def _grade_id(cell: dict) -> str:
    """A cell's name for nbgrader, or ""."""
    return str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", ""))
