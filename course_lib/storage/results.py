"""Figures that take too long to measure in a chapter: measured once, stored under data/results/, and read again."""

import json
from dataclasses import dataclass
from pathlib import Path

from course_lib.storage import shipped


@dataclass(frozen=True)
class StoredResult:
    """One measurement's figures as a shipped JSON file.

    name: as in ``course measure NAME``. file: relative to `paths.data_dir`, for example "results/bottlenecks.json".
    """

    name: str
    file: str

    @property
    def command(self) -> str:
        """What a reader types to measure it again."""
        return f"course measure {self.name}"

    def save(self, figures: dict, out: Path | None = None) -> Path:
        """Write figures as JSON, whole, to `out`, or else as the shipped file, which enters the list of shipped files."""
        payload = (json.dumps(figures, indent=1) + "\n").encode()
        return shipped.keep(payload, self.file, out, "measured by the workbook on Fashion-MNIST", self.command)

    def read(self) -> dict:
        """The stored figures. Raises DataError where the file is missing or altered."""
        return json.loads(shipped.path(self.file).read_text(encoding="utf-8"))
