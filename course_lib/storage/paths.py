"""Where the workbook's files are: the repository, its data, and what training saves. The standard library only."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class DataError(ValueError):
    """A data file is missing, truncated, altered or unreadable. The message is one sentence and says how to fix it."""


def data_dir() -> Path:
    """Return the folder of shipped data: environment variable COURSE_DATA, or `data/` next to the package.

    Raises DataError if there is no such folder.
    """
    override = os.environ.get("COURSE_DATA")
    folder = Path(override).expanduser() if override else ROOT / "data"
    if not folder.is_dir():
        hint = "correct or unset COURSE_DATA" if override else "set COURSE_DATA to the workbook's data folder"
        raise DataError(f"The data folder {folder} does not exist: {hint}.")
    return folder


def runs_dir() -> Path:
    """Return the folder in which recipes save: environment variable COURSE_RUNS, or `runs/` next to `data/`."""
    return Path(os.environ.get("COURSE_RUNS") or data_dir().parent / "runs")
