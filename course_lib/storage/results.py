"""Figures that take too long to measure in a chapter: measured once, stored under data/results/, and read again.

A sweep that takes hours appends its points to a file as soon as it has them, and continues from there: `append_point`.
"""

import json
import os
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from course_lib.storage import shipped

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True)
class StoredResult:
    """One measurement's figures as a shipped JSON file.

    name: as in ``course measure NAME``. file: relative to `paths.data_dir`, for example "results/bottlenecks.json".
    """

    name: str
    file: str

    @property
    def command(self) -> str:
        """The shell command that measures the figures again."""
        return f"course measure {self.name}"

    def save(self, figures: dict[str, Any], out: Path | None = None) -> Path:
        """Write figures as JSON, atomically, to `out`, or by default as the shipped file, which is recorded in the manifest."""
        payload = (json.dumps(figures, indent=1) + "\n").encode()
        return shipped.write_shipped(payload, self.file, out, "measured by the workbook", self.command)

    def read(self) -> dict[str, Any]:
        """Return the stored figures. Raises DataError where the file is missing or altered."""
        return json.loads(shipped.path(self.file).read_text(encoding="utf-8"))


def group_points(
    points: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], Key], value: Callable[[dict[str, Any]], Value]
) -> dict[Key, list[Value]]:
    """Collect a value of stored points, for example of all seeds, by a key of theirs, in the order of the points."""
    found: dict[Key, list[Value]] = {}
    for point in points:
        found.setdefault(key(point), []).append(value(point))
    return found


def read_points(file: Path) -> list[dict[str, Any]]:
    """Return the points that an interrupted sweep left in its file, a JSON object a line; a line that was cut off is ignored."""
    points = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            points.append(json.loads(line))
        except ValueError:
            continue
    return points


def append_point(file: Path, point: dict[str, Any]) -> None:
    """Add a point to the file as a line of its own, on the disk before this returns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":  # the last write was cut off
                stream.write(b"\n")
        stream.write(json.dumps(point).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
