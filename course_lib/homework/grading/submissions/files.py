"""Every file that was handed in, in folders and in zip archives: nothing is left out, and nothing is run or unpacked to disk."""

import contextlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

MAX_BYTES = 20 * 2**20  # of one file
MAX_MEMBERS = 20_000  # of one archive
#: What programs leave behind; listed, but never taken for what a student hands in.
LEFTOVERS = {".ipynb_checkpoints": "Jupyter", "__MACOSX": "macOS", ".DS_Store": "macOS", "Thumbs.db": "Windows"}
LEFTOVERS |= {".git": "git", "__pycache__": "Python", "desktop.ini": "Windows"}


class Unreadable(ValueError):
    """A file that cannot be read as a notebook; the message is for the student and says why."""


@dataclass(frozen=True)
class HandedIn:
    """One file. parts: its path below the folder, where an archive counts as a folder. path, member: where its bytes are.

    modified: seconds since the epoch, 0 where unknown. problem: why it cannot be read, in words, or "".
    """

    parts: tuple[str, ...]
    path: Path
    member: str = ""
    modified: float = 0.0
    problem: str = ""

    def read(self) -> bytes:
        """Its bytes. Raises Unreadable for more than `MAX_BYTES`, a damaged archive, and what the system refuses."""
        try:
            if not self.member:
                with self.path.open("rb") as file:
                    content = file.read(MAX_BYTES + 1)
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                    content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise Unreadable(f"The file cannot be opened ({type(error).__name__}): check its permissions.") from error
        except _DAMAGED as error:
            raise Unreadable(f"The archive cannot be unpacked ({type(error).__name__}): hand in the notebook itself.") from error
        if len(content) > MAX_BYTES:
            raise Unreadable(f"The file has more than {MAX_BYTES // 2**20} MiB: clear its outputs, and save it again.")
        return content


_DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, RuntimeError, KeyError, ValueError)


def list_files(place: Path) -> list[HandedIn]:
    """Every file below a folder, or in a zip archive, in the order of their names. Links are listed and never followed.

    Raises ValueError where ``place`` is neither.
    """
    if place.is_dir():
        return list(_in_folder(place, ()))
    if place.is_file() and zipfile.is_zipfile(place):
        return list(_in_archive(place, ()))
    raise ValueError(f"{place} is neither a folder nor a zip archive; give the folder that holds the submissions.")


def _in_folder(folder: Path, parts: tuple[str, ...]) -> Iterator[HandedIn]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield HandedIn(parts, folder, problem=f"The folder cannot be opened ({type(error).__name__}): check its permissions.")
        return
    if not entries and parts:
        yield HandedIn(parts, folder, problem="The folder is empty.")
    for entry in entries:
        inside, path = (*parts, entry.name), Path(entry.path)
        if program := _left_by(entry.name):
            yield HandedIn(inside, path, problem=f"{program} left this behind: it is not a submission.")
        elif entry.is_symlink():
            yield HandedIn(inside, path, problem="It is a link to another place, not a notebook.")
        elif entry.is_dir(follow_symlinks=False):
            yield from _in_folder(path, inside)
        elif not entry.is_file(follow_symlinks=False):
            yield HandedIn(inside, path, problem="It is a special file, not a notebook.")
        elif path.suffix.lower() == ".zip":
            yield from _in_archive(path, inside)
        else:
            yield HandedIn(inside, path, modified=_modified(path))


def _in_archive(path: Path, parts: tuple[str, ...]) -> Iterator[HandedIn]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
    except (OSError, *_DAMAGED) as error:
        yield HandedIn(
            parts, path, problem=f"The archive cannot be opened ({type(error).__name__}): hand in the notebook itself."
        )
        return
    if not 0 < len(members) <= MAX_MEMBERS:
        yield HandedIn(parts, path, problem=f"The archive holds {len(members):,} files.")
        return
    left: set[tuple[str, ...]] = set()
    for member in sorted(members, key=lambda one: one.filename):
        inside = tuple(part for part in PurePosixPath(member.filename.replace("\\", "/")).parts if part not in ("..", "/"))
        program, depth = next(((p, n) for n, part in enumerate(inside) if (p := _left_by(part))), ("", 0))
        if program and inside[: depth + 1] not in left:
            left.add(inside[: depth + 1])
            problem = f"{program} left this behind: it is not a submission."
            yield HandedIn((*parts, *inside[: depth + 1]), path, member.filename, problem=problem)
        elif not program:
            nested = "It is an archive within an archive: unpack it." if inside[-1].lower().endswith(".zip") else ""
            yield HandedIn((*parts, *inside), path, member.filename, _time(member), nested)


def _left_by(name: str) -> str:
    return LEFTOVERS.get(name, "macOS" if name.startswith("._") else "")


def _modified(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _time(member: zipfile.ZipInfo) -> float:
    with contextlib.suppress(ValueError, OverflowError):
        return datetime(*member.date_time).timestamp()
    return 0.0
