"""Figures that take too long to measure in a chapter: measured once, stored under data/results/, and read again."""

import json
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
