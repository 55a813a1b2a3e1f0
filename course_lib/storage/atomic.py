"""Atomic file writes and SHA-256 checksums. The standard library only."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_STALE_SECONDS = 3600  # a temporary file this old belongs to a process that was killed


def sha256(file: str | Path) -> str:
    """Return the SHA-256 checksum of a file's bytes, in hexadecimal."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def replacing(file: str | Path) -> Iterator[IO[bytes]]:
    """Give a binary stream whose content replaces `file` when the block ends without an error.

    At any moment, also after a kill or a power cut, `file` holds its old content or all of the new. The bytes go to a
    temporary file in the same folder (a rename is atomic only within one file system), reach the disk, and then take the
    name. Missing folders are made.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    remove_drafts(file, older_than=_STALE_SECONDS)
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with open(draft, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def write_atomically(file: str | Path, payload: bytes) -> Path:
    """Write `payload` as `replacing` does: `file` never holds a part of it. Returns the file's path."""
    with replacing(file) as stream:
        stream.write(payload)
    return Path(file)


def remove_drafts(file: Path, older_than: float = 0.0) -> None:
    """Delete the temporary files that killed writes of `file` left behind. older_than: seconds since their last change."""
    for draft in file.parent.glob(f".{file.name}.*.tmp"):
        if time.time() - draft.stat().st_mtime >= older_than:
            draft.unlink(missing_ok=True)
