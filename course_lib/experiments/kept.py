"""Figures that took too long to measure in a chapter: how an experiment keeps them under data/results/, and reads them again."""

import json
from pathlib import Path

from course_lib import manifest


def keep(figures: dict, result: str, out: Path | None, command: str) -> Path:
    """Write figures as JSON, whole, as data/`result` (entered in the manifest) or to `out` where that is given."""
    payload = (json.dumps(figures, indent=1) + "\n").encode()
    return manifest.keep(payload, result, out, "measured by the workbook on Fashion-MNIST", command)


def read(result: str) -> dict:
    """What was kept as data/`result`; DataError where it is missing or altered."""
    return json.loads(manifest.path(result).read_text(encoding="utf-8"))
