"""The resume file: the state of an unfinished training run, from which a killed or interrupted run continues.

It is written atomically, and removed when the run is complete. Finished weights are stored by `course_lib.storage.weights`;
this file also contains the state of the training.
"""

from pathlib import Path
from typing import Any

import torch

from course_lib.storage import atomic


class ResumeFile:
    """The file at `path`. Raises ValueError where its folder does not exist."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise ValueError(f"resume file {self.path}: there is no folder {self.path.parent}; make it first")

    def write(self, state: dict[str, Any]) -> None:
        """Replace the content by `state` (tensors, numbers, strings, and lists or dicts of them). At any moment, also
        after a kill or a power cut, `path` contains either the complete old state or the complete new one."""
        with atomic.replacing(self.path) as stream:
            torch.save(state, stream)

    def read(self) -> dict[str, Any] | None:
        """Return the state, its tensors on the CPU; None where there is no file.

        Raises ValueError where the file is not such a state, or is damaged.
        """
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)  # never runs code from the file
        except Exception as error:
            raise self.refuse("is damaged, or not the state of a training run") from error
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
