"""Files that are written whole or not at all, and their SHA-256. The standard library only."""

import hashlib
import os
import time
from pathlib import Path

_STALE_SECONDS = 3600  # a temporary file this old belongs to a process that was killed


def sha256(file: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_whole(file: str | Path, payload: bytes) -> Path:
    """Write `payload` so that `file` holds either its old content or all of the new, even if the process is killed.

    The bytes go to a temporary file in the same folder (a rename is atomic only within one file system), reach the
    disk, and then take the name. Missing folders are made.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    for leftover in file.parent.glob(f".{file.name}.*.tmp"):
        if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
            leftover.unlink(missing_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return file
