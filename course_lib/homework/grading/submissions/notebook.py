"""A student's file as the grader sees it: the text of its cells. Nothing in it is run or trusted here."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from course_lib.homework.grading.submissions.files import Unreadable

#: What a student finds in place of an answer in words, and the grader takes for no answer.
ANSWER_HERE = "*Write your answer here, in place of this line.*"
#: The heading that follows the last answer in every homework.
AFTER_ANSWERS = "## What you have so far"
MAX_ANSWER = 20_000


@dataclass(frozen=True)
class Cell:
    """One cell. kind: "code", "markdown" or "raw". grade_id: its name for nbgrader, or ""."""

    kind: str
    text: str
    grade_id: str = ""


@dataclass(frozen=True)
class Notebook:
    """The cells of a file, in order."""

    cells: tuple[Cell, ...]

    @property
    def code(self) -> tuple[str, ...]:
        """The texts of the code cells."""
        return tuple(cell.text for cell in self.cells if cell.kind == "code")

    def homework(self, names: Mapping[str, Collection[str]]) -> str:
        """Which homework it is, by the names of its cells and, where it has none, of its functions; "" where that is not clear.

        names: by homework, the names of its exercises and questions.
        """
        ids = [cell.grade_id.removeprefix("check-") for cell in self.cells]
        for found in (ids, [match for text in self.code for match in re.findall(r"^def +(\w+)", text, re.M)]):
            count = {one: len(set(found) & set(names[one])) for one in names}
            best = sorted(count, key=lambda one: count[one])[-2:]
            if best and count[best[-1]] and (len(best) == 1 or count[best[0]] < count[best[-1]]):
                return best[-1]
        return ""

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

    def answer(self, name: str) -> str:
        """The answer in words to the question of this name: its cell, and cells that the student put right below it.

        Some editors drop the names of cells; then it is all text above the heading that follows the answers. Of a longer answer
        than `MAX_ANSWER` characters only the start is read: pages are made of it, and compared.
        """
        text = self._answer(name)
        return text if len(text) <= MAX_ANSWER else f"{text[:MAX_ANSWER]}\n\n(Cut off here: it has {len(text):,} characters.)"

    def _answer(self, name: str) -> str:
        at = [n for n, cell in enumerate(self.cells) if cell.grade_id == name and cell.kind != "code"]
        if not any(cell.grade_id for cell in self.cells):
            end = next((n for n, cell in enumerate(self.cells) if cell.text.startswith(AFTER_ANSWERS)), len(self.cells))
            code = [n for n, cell in enumerate(self.cells[:end]) if cell.kind == "code"]
            text = "\n\n".join(cell.text.strip() for cell in self.cells[code[-1] + 1 if code else 0 : end])
            return f"(The cells have lost their names; this is all text before the end.)\n\n{text}" if text else ""
        parts = []
        for n in at[-1:]:
            parts.append(self.cells[n].text.replace(ANSWER_HERE, ""))
            for cell in self.cells[n + 1 :]:
                if cell.grade_id or cell.kind == "code" or cell.text.startswith(AFTER_ANSWERS):
                    break
                parts.append(cell.text)
        return "\n\n".join(part.strip() for part in parts if part.strip())

    def uses_library(self, program: str) -> list[str]:
        """The names of the course's library that a program uses, of those that any cell imports, without checks and demos."""
        names: set[str] = set()
        for text in self.code:
            for module, imported in re.findall(r"^ *from +(course_lib[\w.]*) +import +\(?([^()\n#]+)", text, re.M):
                names |= {one.split()[-1] for one in imported.split(",") if one.strip() and ".homework" not in module}
            names |= set(re.findall(r"^ *import +course_lib[\w.]* +as +(\w+)", text, re.M))
        names |= {"course_lib"}
        return sorted(one for one in names if re.search(rf"(?<![\w.]){re.escape(one)}\s*[.(]", program))


def read_notebook(content: bytes) -> Notebook:
    """Read the bytes of a student's file. Raises Unreadable, in words for the student."""
    try:
        cells = json.loads(content)["cells"]
        return Notebook(tuple(Cell(str(c["cell_type"]), _text(c["source"]), _grade_id(c)) for c in cells))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(
            f"The file cannot be read as a notebook ({type(error).__name__}). Save it in JupyterLab again."
        ) from error


def _text(source: str | Sequence[str]) -> str:
    text = source if isinstance(source, str) else "".join(source)
    return text.replace("\0", "")


def _grade_id(cell: dict) -> str:
    return str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", ""))
