"""The resume file: the state of an unfinished training run, from which a killed or interrupted run continues.

It is written atomically and ends with the SHA-256 of its content. `train` leaves the state of the last step in it, so that the
result is not lost before it is saved: who has saved it removes the file. Finished weights are stored by
`course_lib.storage.weights`; this file also contains the state of the training.
"""

import contextlib
import hashlib
import io
from pathlib import Path
from typing import IO, Any, cast

import torch
from filelock import FileLock, Timeout

from course_lib.storage import atomic

_DIGEST = hashlib.sha256().digest_size


class ResumeFile:
    """The file at `path`. Raises ValueError where its folder does not exist or cannot be written in."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise ValueError(f"resume file {self.path}: there is no folder {self.path.parent}; make it first")
        atomic.check_writable(self.path)
        self._lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=0)

    def acquire(self) -> None:
        """Reserve the file until `release`, or the end of the process. Raises ValueError where another run has it."""
        try:
            self._lock.acquire()
        except Timeout:
            raise ValueError(
                f"resume file {self.path} is in use by another run: wait for its end, or give this run another file name."
            ) from None
        except NotImplementedError:  # a file system without locks: two runs are then not noticed
            return
        atomic.remove_drafts(self.path)  # no other run is writing: they are what killed writes left behind

    def release(self) -> None:
        """Let other runs have the file. Without `acquire`, and a second time, it does nothing."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):  # Windows deletes no open file
                Path(self._lock.lock_file).unlink()
            self._lock.release()

    def write(self, state: dict[str, Any]) -> None:
        """Replace the content by `state` (tensors, numbers, strings, and lists or dicts of them). At any moment, also
        after a kill or a power cut, `path` contains either the complete old state or the complete new one.

        Raises OutputError where it cannot be written, for example on a full disk; the old content remains.
        """
        with atomic.replacing(self.path) as stream:
            hashing = _HashingStream(stream)
            try:
                torch.save(state, cast(IO[bytes], hashing))  # it calls write and flush alone
            except RuntimeError as error:
                raise hashing.error or error from error
            stream.write(hashing.sha256.digest())

    def read(self) -> dict[str, Any] | None:
        """Return the state, its tensors on the CPU; None where there is no file.

        Raises ValueError where the file is not such a state, or is damaged.
        """
        if not self.path.exists():
            return None
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise self.refuse(f"cannot be read ({error.strerror})") from error
        content, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            raise self.refuse("is damaged, or not the state of a training run")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # never runs code from the file
        if not isinstance(state, dict) or not {"run", "step", "net", "optimizer"} <= state.keys():
            raise self.refuse("is not the state of a training run")
        return state

    def require_same_run(self, saved: dict[str, Any], expected: dict[str, Any]) -> None:
        """Raise ValueError with the differences where the fingerprint `saved` is not that of the run to be continued."""
        names = [name for name in {**saved, **expected} if saved.get(name) != expected.get(name)]
        if names:
            changes = "; ".join(f"{name} was {saved.get(name)!r} and is now {expected.get(name)!r}" for name in names)
            raise self.refuse(f"belongs to another run: {changes}")

    def refuse(self, why: str) -> ValueError:
        """Return a ValueError with the reason and the fix."""
        return ValueError(f"resume file {self.path} {why}. Delete it to start again, or give another file name.")

    def remove(self) -> None:
        """Delete the file and what killed writes of it left behind, where they exist."""
        self.path.unlink(missing_ok=True)
        atomic.remove_drafts(self.path)


class _HashingStream:
    """Passes bytes on to a stream and hashes them. torch hides an error of the stream behind one of its own: it is held here."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.sha256 = stream, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            self.stream.write(data)
        except OSError as error:
            self.error = error
            raise
        self.sha256.update(data)
        return len(data)

    def flush(self) -> None:
        self.stream.flush()
