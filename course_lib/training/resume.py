"""The state of a training run in one file, so that a killed run can go on: written whole or not at all.

For weights that are finished and shared see `course_lib.storage.weights`; this file also holds what only the training needs.
"""

import os
from pathlib import Path

import torch


class Snapshot:
    """The file at `path`.

    Raises:
        ValueError: where the folder of `path` does not exist.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._draft = self.path.with_name(self.path.name + ".tmp")  # same folder: a rename cannot cross file systems
        if not self.path.parent.is_dir():
            raise ValueError(f"checkpoint {self.path}: there is no folder {self.path.parent}; make it first")

    def write(self, state: dict) -> None:
        """Replace the file by `state` (tensors, numbers, strings, and lists or dicts of them). At any moment, also
        after a kill or a power cut, `path` holds the old state or the new one, complete."""
        with open(self._draft, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self._draft, self.path)

    def read(self) -> dict | None:
        """The state, its tensors on the CPU; None where there is no file.

        Raises:
            ValueError: the file is not such a state, or is damaged.
        """
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)  # never runs code from the file
        except Exception as error:
            raise self.refuse("is no readable checkpoint of a training run") from error
        if not isinstance(state, dict) or not {"run", "step", "net", "optimizer"} <= state.keys():
            raise self.refuse("is not a checkpoint of a training run")
        return state

    def check(self, saved: dict, wanted: dict) -> None:
        """Raise a ValueError that says where the run that was `saved` differs from the one that is `wanted`."""
        names = [name for name in {**saved, **wanted} if saved.get(name) != wanted.get(name)]
        if names:
            changes = "; ".join(f"{name} was {saved.get(name)!r} and is now {wanted.get(name)!r}" for name in names)
            raise self.refuse(f"belongs to another run: {changes}")

    def refuse(self, why: str) -> ValueError:
        """A ValueError with the mend."""
        return ValueError(f"checkpoint {self.path} {why}. Delete it to begin again, or give another file name.")

    def remove(self) -> None:
        """Delete the file and its draft, where they exist."""
        self.path.unlink(missing_ok=True)
        self._draft.unlink(missing_ok=True)
