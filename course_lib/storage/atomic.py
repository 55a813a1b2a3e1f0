"""Atomic file writes, output files that are tried before long work, and SHA-256 checksums. The standard library only."""

import contextlib
import errno
import glob
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_STALE_SECONDS = 3600  # a temporary file this old belongs to a process that was killed


class OutputError(OSError, ValueError):
    """A file cannot be written where it was requested. The message is one sentence and says how to fix it."""


def sha256(file: str | Path) -> str:
    """Return the SHA-256 checksum of a file's bytes, in hexadecimal."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def replacing(file: str | Path) -> Iterator[IO[bytes]]:
    """Give a binary stream whose content replaces `file` when the block ends without an error.

    At any moment, also after a kill or a power cut, `file` holds its old content or all of the new. The bytes go to a
    temporary file in the same folder (a rename is atomic only within one file system), reach the disk, and then take the
    name. Missing folders are made. Raises OutputError where this fails, for example because the disk is full.
    """
    file = Path(file)
    draft = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with _named_errors(file):
            _require_a_file_name(file)
            file.parent.mkdir(parents=True, exist_ok=True)
            remove_drafts(file, older_than=_STALE_SECONDS)
            with open(draft, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(draft, file)
    finally:
        with contextlib.suppress(OSError):  # its folder may be the problem
            draft.unlink(missing_ok=True)


def check_writable(file: str | Path) -> None:
    """Try whether `file` could be written, before the long work whose result goes there; nothing is left behind.

    Its folder may be missing: then it must be possible to make it. Raises OutputError, which says why not and what to do.
    """
    file = Path(file).expanduser()
    with _named_errors(file):
        _require_a_file_name(file)
        folder = next(parent for parent in file.absolute().parents if os.path.lexists(parent))
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")
        with tempfile.TemporaryFile(dir=folder):  # rights alone do not tell: the file system may be read-only
            pass


def _require_a_file_name(file: Path) -> None:
    if file.is_dir():
        raise OutputError(f"{file} is a folder: give the name of a file in it.")
    if file.exists() and not file.is_file():
        raise OutputError(f"{file} is a device or a pipe, which would be replaced: give the name of an ordinary file.")


@contextmanager
def _named_errors(file: Path) -> Iterator[None]:
    """Turn an error of the system in this block into an OutputError that names the file and the fix."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        fix = "free some space, or write it elsewhere" if full else "give another place, or change the rights of this one"
        raise OutputError(f"{file} cannot be written ({error.strerror or error}): {fix}.") from error


def write_atomically(file: str | Path, payload: bytes) -> Path:
    """Write `payload` as `replacing` does: `file` never holds a part of it. Returns the file's path."""
    with replacing(file) as stream:
        stream.write(payload)
    return Path(file)


def remove_drafts(file: Path, older_than: float = 0.0) -> None:
    """Delete the temporary files that killed writes of `file` left behind. older_than: seconds since their last change."""
    for draft in file.parent.glob(f".{glob.escape(file.name)}.*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # another process may have renamed or removed it
            if time.time() - draft.stat().st_mtime >= older_than:
                draft.unlink()
