"""The results of every submission that was ever graded into a folder, a JSON file each, written as soon as there is one.

A run that is interrupted has lost nothing: the next one grades what is missing, and what has changed.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from course_lib.homework.checks.case import Complaint
from course_lib.homework.grading.reports.results import Graded, Result
from course_lib.homework.grading.submissions.find import Found
from course_lib.storage.atomic import write_atomically

Made = TypeVar("Made")
_TRANSIENT = ("notebook", "content", "older")  # of a `Found`: read again from the files in every run


class Store:
    """The folder of results. A file is named by student and homework, so that a newer submission replaces an older one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, one: Graded) -> None:
        """Write one submission's results, atomically. Raises OSError where there is no room."""
        found = {k: v for k, v in _plain(one.found).items() if k not in _TRANSIENT}
        results = [_plain(result) for result in one.results]
        text = json.dumps({"found": found, "results": results, "problem": one.problem, "key": one.key}, indent=1)
        write_atomically(self.folder / f"{page_name(one)}.json", text.encode())

    def read(self, graded: Iterable[Graded] = ()) -> list[Graded]:
        """Every stored submission, and those of ``graded`` that have none stored; in the order of homework and student.

        Where the grading of a newer file failed, its earlier results remain and say so. Raises ValueError for a damaged file.
        """
        stored = {page_name(one): one for one in map(_read, sorted(self.folder.glob("*.json")))}
        every = [one for one in graded if page_name(one) not in stored]
        failed = {page_name(one): one.problem for one in graded if not one.key}
        for name, one in stored.items():
            remark = f"These results are those of an earlier run. {failed[name]}" if name in failed else one.found.remark
            every.append(dataclasses.replace(one, found=dataclasses.replace(one.found, remark=remark)))
        return sorted(every, key=lambda one: one.found.order)

    def forget(self, graded: Iterable[Graded]) -> None:
        """Remove results of these files under another student's name: a roster, for example, has given them a better one."""
        now = {(one.found.file, one.key.partition(":")[0]): page_name(one) for one in graded}
        for one in self.read():
            if now.get((one.found.file, one.key.partition(":")[0]), page_name(one)) != page_name(one):
                (self.folder / f"{page_name(one)}.json").unlink(missing_ok=True)


def page_name(one: Graded) -> str:
    """A name for a submission's files that is safe on every system and unique to student and homework."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", one.found.student).strip("_-")[:40]
    identity = one.found.student + ("" if one.found.homework and not one.found.extra else f"/{one.found.file}")
    tail = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{plain or 'student'}_{tail}_{one.found.homework or 'unknown'}"


def _plain(value: object) -> dict:
    fields = dataclasses.fields(value)  # type: ignore[arg-type]  # a dataclass of this package
    rows = {f.name: getattr(value, f.name) for f in fields if f.name not in _TRANSIENT}
    return {name: _plain(v) if isinstance(v, Complaint) else v for name, v in rows.items()}


def _read(path: Path) -> Graded:
    try:
        data = json.loads(path.read_bytes())
        results = []
        for row in data["results"]:
            complaint = row["complaint"] and _made(Complaint, row["complaint"])
            results.append(_made(Result, {**row, "complaint": complaint}))
        return Graded(_made(Found, data["found"]), tuple(results), data["problem"], data["key"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold a submission's results. To fix it: delete it, and grade again.") from error


def _made(kind: type[Made], row: dict) -> Made:
    """A dataclass from its fields as JSON has them, where tuples are lists."""
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in row.items()})
