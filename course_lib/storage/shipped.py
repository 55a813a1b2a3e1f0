"""The shipped files under `data/`: what each one is, whether it is intact, and how to fix it.

`data/manifest.json` holds one entry for each data or weight file: bytes, SHA-256, licence, source, and the command that
remakes it. `path` is how the library opens a shipped file: it returns only what matches its entry. Texts (README,
LICENSE), scripts and the readable metadata next to weights are not listed: they may be edited freely.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from course_lib.storage.atomic import sha256, write_atomically
from course_lib.storage.paths import ROOT, DataError, data_dir

MANIFEST = "manifest.json"
_TEXTS = ("README", "LICENSE", "NOTICE", MANIFEST)


class FileStatus(NamedTuple):
    """One line of `verify`: the file (relative to `data_dir()`), what is wrong with it, and how to fix it.

    `status` is "ok", "missing", "truncated", "altered" or "unlisted"; `detail` and `fix` are empty for "ok". `fix`
    gives the very same bytes back; `command` makes the file again, which for trained weights may give other bytes.
    """

    path: str
    status: str
    detail: str
    fix: str
    bytes: int
    licence: str
    command: str


def entries() -> dict[str, dict[str, Any]]:
    """Return the manifest: relative path (with forward slashes) -> {bytes, sha256, licence, source, command}."""
    file = data_dir() / MANIFEST
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))["files"]
        if all(_is_entry(entry) for entry in listed.values()):
            return listed
        problem = "has an entry without its bytes, sha256, licence, source or command"
    except FileNotFoundError:
        problem = "is missing"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        problem = "is not valid JSON with a 'files' table"
    ours = data_dir().resolve() == (ROOT / "data").resolve()
    fix = f"restore it with `git checkout -- data/{MANIFEST}`" if ours else "correct or unset COURSE_DATA"
    raise DataError(f"The list of shipped files {file} {problem}: {fix}.")


def _is_entry(entry: Any) -> bool:
    texts = ("sha256", "licence", "source", "command")
    return isinstance(entry["bytes"], int) and all(isinstance(entry[key], str) for key in texts)


def path(name: str) -> Path:
    """Return the full path of the shipped file `name` (relative to `data_dir()`), its SHA-256 verified.

    The checksum of an unchanged file is computed once per process. Raises DataError, which says how to fix it, if the file
    is not listed, missing, truncated or altered.
    """
    entry = entries().get(name)
    if entry is None:
        raise DataError(f"{name!r} is not among the shipped files: `course data` lists them.")
    found = _check(name, entry)
    if found.status != "ok":
        fix = f"restore it with `{found.fix}` or make it again with `{found.command}`"
        raise DataError(f"data/{name} is {found.status} ({found.detail}): {fix}.")
    return data_dir() / name


def verify() -> list[FileStatus]:
    """Check every listed file against its size and SHA-256; files under data/ that are not listed follow at the end."""
    listed = entries()
    found = [_check(name, listed[name]) for name in sorted(listed)]
    root = data_dir()
    for file in sorted(root.rglob("*")):
        name = file.relative_to(root)
        if file.is_file() and name.as_posix() not in listed and not _is_text(file, name):
            fix = "add it with course_lib.storage.shipped.record, or remove it"
            size = file.stat().st_size
            found.append(FileStatus(name.as_posix(), "unlisted", f"not in {MANIFEST}", fix, size, "unknown", ""))
    return found


def record(name: str | Path, licence: str, source: str, command: str) -> dict[str, Any]:
    """Add or update the manifest's entry of a file under `data_dir()`, and return the entry.

    Args:
        name: path relative to `data_dir()`, or a full path inside it.
        licence: SPDX name, for example "MIT".
        source: where the content comes from, in words.
        command: the shell command that makes the file again, for example "course train fashion-vae".
    """
    root = data_dir().resolve()
    file = (root / name).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        raise DataError(f"{name} is not a file under {root}: write the file there before you record it.")
    entry = {
        "bytes": file.stat().st_size,
        "sha256": sha256(file),
        "licence": licence,
        "source": source,
        "command": command,
    }
    listed = entries() if (root / MANIFEST).exists() else {}
    listed[file.relative_to(root).as_posix()] = entry
    text = json.dumps({"files": dict(sorted(listed.items()))}, indent=1, ensure_ascii=False)
    write_atomically(root / MANIFEST, text.encode() + b"\n")
    return entry


def record_if_shipped(file: Path, source: str, command: str) -> None:
    """`record` a file that the workbook itself made (MIT) if it is under `data_dir()`; elsewhere it is the user's own."""
    if file.resolve().is_relative_to(data_dir().resolve()):
        record(file.resolve(), "MIT", source, command)


def write_shipped(payload: bytes, name: str, out: str | Path | None, source: str, command: str) -> Path:
    """Write what the workbook made, atomically, as data/`name` (and record it), or to `out` where that is given."""
    file = write_atomically(out or data_dir() / name, payload)
    record_if_shipped(file, source, command)
    return file


def _check(name: str, entry: dict[str, Any]) -> FileStatus:
    file = data_dir() / name
    status, detail, size = "ok", "", entry["bytes"]
    if not file.is_file():
        status, detail = "missing", f"there is no file {file}"
    else:
        stat = file.stat()
        size = stat.st_size
        if size < entry["bytes"]:
            status, detail = "truncated", f"it has {size:,} of {entry['bytes']:,} bytes"
        elif size > entry["bytes"]:
            status, detail = "altered", f"it has {size:,} bytes where {entry['bytes']:,} are expected"
        else:
            found = _cached_sha256(str(file), size, stat.st_mtime_ns)
            if found != entry["sha256"]:
                status = "altered"
                detail = f"its SHA-256 starts {found[:12]} where {entry['sha256'][:12]} is expected"
    fix = f"git checkout -- data/{name}" if status != "ok" else ""
    if status == "altered" and _only_line_endings_differ(file, entry["sha256"]):
        # git sees no change in it, and so restores nothing while it is there
        detail, fix = "its line endings were changed", f"rm data/{name} && git -c core.autocrlf=false checkout -- data/{name}"
    return FileStatus(name, status, detail, fix, size, entry["licence"], entry["command"])


def _only_line_endings_differ(file: Path, expected: str) -> bool:
    content = file.read_bytes()
    return b"\r\n" in content and hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest() == expected


@lru_cache(maxsize=256)
def _cached_sha256(file: str, size: int, mtime_ns: int) -> str:
    return sha256(file)


def _is_text(file: Path, name: Path) -> bool:
    hidden = any(part.startswith((".", "__")) for part in name.parts)
    metadata = file.suffix == ".json" and file.with_suffix(".safetensors").exists()
    return hidden or metadata or file.suffix == ".py" or file.name.startswith(_TEXTS)
