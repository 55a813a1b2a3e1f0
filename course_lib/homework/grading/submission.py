"""A student's file as the grader sees it: the text of its cells. Nothing in it is run or trusted here."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

#: What a student finds in place of an answer in words, and the grader takes for no answer.
ANSWER_HERE = "*Write your answer here, in place of this line.*"
MAX_BYTES = 20 * 2**20
_HOMEWORK = re.compile(r"(?<![a-z0-9])hw([1-5])(?![0-9])", re.I)
_COPY = re.compile(r"(?: \(\d+\)|-\d+|-Copy\d+)$")  # what browsers, platforms and Jupyter add to a second file
_PLATFORMS = (
    re.compile(r"(?P<name>.+)_\d+_assignsubmission_(?:file|onlinetext)_?"),  # Moodle's folder
    re.compile(r"(?P<name>[^_]+)(?:_LATE)?_\d+_\d+"),  # Canvas' file: name, user, file
)


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

        As in a notebook that is run from top to bottom, the last definition counts; a ``def`` counts before an assignment. Cells
        are searched and not parsed: parsing a stranger's text can take any time and memory.
        """
        name_ = re.escape(name)
        by_def = [cell for cell in self.code if re.search(rf"^(?:async +)?def +{name_}\b", cell, re.M)]
        by_assignment = [cell for cell in self.code if re.search(rf"^{name_} *(?::[^=\n]*)?=(?!=)", cell, re.M)]
        defining = by_def or by_assignment  # "kl = kl(mean, logvar)" further down uses the function, and does not replace it
        if not defining:
            return None, f"No cell defines {name}: was the cell removed, or the function renamed?"
        remark = f"{len(defining)} cells define {name}; the last one counts." if len(defining) > 1 else ""
        return defining[-1], remark


def find_submissions(folder: Path, homework: str | None = None) -> list[Found]:
    """Find every notebook below ``folder``, sorted by student; links are listed, but never followed.

    Three layouts are known: ``ada/hw3.ipynb`` (and Moodle's folders), nbgrader's ``ada/hw3/hw3.ipynb``, and files side by side
    as learning platforms export them, ``ada_12345_hw3.ipynb``. Of several notebooks of one homework the newest counts (by the
    files' times, then by name). Students are named as Moodle and Canvas name them, without the platform's numbers.
    homework: find this one alone, including notebooks that do not say which homework they are. Raises ValueError where there is
    none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the folder that holds the submissions.")
    found: dict[tuple[str, str], Found] = {}
    for path in sorted(_notebooks(folder), key=lambda path: (_modified(path), path)):
        parts = path.relative_to(folder).parts
        named = [match[1] for part in reversed(parts) if (match := _HOMEWORK.search(part))]
        which = f"hw{named[0]}" if named else homework or ""
        if which and homework not in (None, which):
            continue
        folders = [part for part in parts[:-1] if not _HOMEWORK.fullmatch(part)]
        student = folders[0] if folders else _COPY.sub("", _HOMEWORK.sub("", path.stem)).strip("_- ") or path.stem
        earlier = found.get((student, which))
        remark = f"More than one notebook was handed in; the newest counts, {path.name}." if earlier else ""
        found[student, which] = Found(student, which, path, remark)
    if not found:
        raise ValueError(f"there is no notebook of {homework or 'any homework'} below {folder}.")
    return sorted(_with_short_names(found.values()), key=lambda one: (one.homework, one.student))


def _notebooks(folder: Path) -> list[Path]:
    """Every file below the folder whose name ends like a notebook's, in any case, outside hidden folders."""
    inside = ((path, path.relative_to(folder).parts) for path in folder.rglob("*"))
    return [path for path, parts in inside if path.suffix.lower() == ".ipynb" and not any(p.startswith(".") for p in parts)]


def _modified(path: Path) -> float:
    """When a file was changed last; 0 where it cannot be asked."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _with_short_names(found: Iterable[Found]) -> list[Found]:
    """The same with the students' names as Moodle and Canvas know them, without the numbers that differ in each homework.

    Where two students of one homework have the same name, both keep the numbers.
    """
    found = list(found)
    short = {one.student: next((m["name"] for p in _PLATFORMS if (m := p.fullmatch(one.student))), one.student) for one in found}
    taken = Counter((short[one.student], one.homework) for one in found)
    doubled = {name for (name, _), times in taken.items() if times > 1}
    return [one if short[one.student] in doubled else replace(one, student=short[one.student]) for one in found]


def read_cells(path: Path, folder: Path, written: Sequence[str]) -> Cells:
    """Read a student's file. written: the names of the questions in words. Raises Unreadable, in words for the student."""
    inside = path.relative_to(folder)
    if any((folder / part).is_symlink() for part in [inside, *inside.parents][:-1]):
        raise Unreadable("The file is a link to another file, not a notebook.")
    content = _read_bytes(path)
    try:
        notebook = json.loads(content)
        cells = [(c["cell_type"], _text(c["source"]), _grade_id(c)) for c in notebook["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(
            f"The file cannot be read as a notebook ({type(error).__name__}). Save it in JupyterLab again."
        ) from error
    answers = dict.fromkeys(written, "")
    answers |= {name: text for cell_type, text, name in cells if cell_type == "markdown" and name in answers}
    return Cells(tuple(text for cell_type, text, _ in cells if cell_type == "code"), answers)


def _read_bytes(path: Path) -> bytes:
    """The bytes of a regular file. Raises Unreadable for anything else, and for a file that is too large or not readable."""
    try:
        if not path.is_file():  # a folder, or a pipe or a device that would never end
            raise Unreadable("What was handed in is a folder or a special file, not a notebook.")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise Unreadable(
                f"The file has {size / 2**20:.0f} MiB, but at most {MAX_BYTES // 2**20} are read: clear its outputs."
            )
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"The file cannot be opened ({type(error).__name__}): check its permissions.") from error


def _text(source: str | list[str]) -> str:
    text = source if isinstance(source, str) else "".join(source)
    return text.replace("\0", "")


def _grade_id(cell: dict) -> str:
    """A cell's name for nbgrader, or ""."""
    return str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", ""))
