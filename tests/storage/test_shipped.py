"""The list of shipped files: every kind of damage is named with its fix, and files are written atomically."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_lib.storage import atomic, paths, shipped
from course_lib.storage.paths import DataError

NAME = "weights/net.bin"
CONTENT = bytes(range(256)) * 4


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """A data folder of its own with one recorded file."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / NAME).write_bytes(CONTENT)
    shipped.record(NAME, "MIT", "made for this test", "course train net")
    return tmp_path


def status(name=NAME):
    return {file.path: file.status for file in shipped.verify()}[name]


def test_the_shipped_files_are_intact_and_all_are_listed(monkeypatch):
    monkeypatch.delenv("COURSE_DATA", raising=False)
    found = shipped.verify()
    damaged = [f"{file.path} {file.status} {file.detail}" for file in found if file.status != "ok"]
    assert damaged == []
    assert sum(file.path.startswith("fashion_mnist/") for file in found) == 4
    for name, entry in shipped.entries().items():  # hashlib over the full content, not the module's own function
        content = (paths.data_dir() / name).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert all(entry[key] for key in ("licence", "source", "command")), name


def test_an_entry_holds_bytes_checksum_licence_source_and_command(data_folder):
    assert json.loads((data_folder / "manifest.json").read_text())["files"] == {
        NAME: {
            "bytes": 1024,
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "licence": "MIT",
            "source": "made for this test",
            "command": "course train net",
        }
    }
    assert shipped.path(NAME) == data_folder / NAME


@pytest.mark.parametrize(
    ("damage", "expected", "words"),
    [
        (lambda file: file.unlink(), "missing", "there is no file"),
        (lambda file: file.write_bytes(CONTENT[:1000]), "truncated", "1,000 of 1,024 bytes"),
        (lambda file: file.write_bytes(CONTENT + b"x"), "altered", "1,025 bytes where 1,024"),
        (lambda file: file.write_bytes(b"\xff" + CONTENT[1:]), "altered", "SHA-256"),
    ],
)
def test_damage_is_named_with_its_fix(data_folder, damage, expected, words):
    assert status() == "ok"
    damage(data_folder / NAME)
    assert status() == expected
    with pytest.raises(DataError, match=words) as caught:
        shipped.path(NAME)
    message = str(caught.value)
    assert f"data/{NAME} is {expected}" in message
    assert f"git checkout -- data/{NAME}" in message
    assert "course train net" in message
    assert "\n" not in message


def test_a_byte_altered_after_the_first_check_is_seen(data_folder):
    shipped.path(NAME)
    time.sleep(0.01)
    (data_folder / NAME).write_bytes(CONTENT[::-1])
    with pytest.raises(DataError, match="altered"):
        shipped.path(NAME)


def test_an_unchanged_file_is_hashed_once(data_folder, monkeypatch):
    shipped.path(NAME)
    monkeypatch.setattr(shipped, "sha256", lambda file: pytest.fail("hashed again"))
    assert shipped.path(NAME) == data_folder / NAME


def test_unlisted_files_are_shown_and_texts_are_not(data_folder):
    for name in ("stray.bin", "README.md", "weights/LICENSE", ".hidden", "weights/net2.safetensors"):
        (data_folder / name).write_bytes(b"x")
    (data_folder / "weights/net2.json").write_text("{}")  # the readable metadata next to weights
    (data_folder / "weights/curve.json").write_text("{}")
    unlisted = {file.path for file in shipped.verify() if file.status == "unlisted"}
    assert unlisted == {"stray.bin", "weights/net2.safetensors", "weights/curve.json"}


def test_recording_again_replaces_the_entry_and_keeps_the_others(data_folder):
    (data_folder / "other.bin").write_bytes(b"1")
    shipped.record(data_folder / "other.bin", "CC0-1.0", "here", "true")  # a full path does as well
    (data_folder / NAME).write_bytes(b"new")
    assert status() == "truncated"
    shipped.record(NAME, "MIT", "made again", "course train net")
    assert [file.status for file in shipped.verify()] == ["ok", "ok"]
    assert shipped.entries()[NAME]["source"] == "made again"


def test_bad_calls_are_explained(data_folder, monkeypatch):
    with pytest.raises(DataError, match="not among the shipped files"):
        shipped.path("weights/other.bin")
    with pytest.raises(DataError, match="is not a file under"):
        shipped.record("weights/other.bin", "MIT", "", "")
    with pytest.raises(DataError, match="is not a file under"):
        shipped.record(__file__, "MIT", "", "")
    (data_folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        shipped.verify()
    (data_folder / "manifest.json").unlink()
    with pytest.raises(DataError, match="is missing"):
        shipped.verify()
    monkeypatch.setenv("COURSE_DATA", str(data_folder / "nowhere"))
    with pytest.raises(DataError, match="COURSE_DATA"):
        paths.data_dir()


# A process that kills itself at one moment of write_atomically: really killed, so that Python cleans nothing up.
KILL = """
import os, signal, sys
from course_lib.storage import atomic
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
moment, file, content = sys.argv[1], sys.argv[2], b"new" * 1000
if moment == "half written":
    import builtins
    real = open
    def opened(name, mode):
        stream = real(name, mode)
        stream.write(content[:1500]); stream.flush()
        die()
    builtins.open = opened
elif moment == "before it is on the disk":
    os.fsync = die
elif moment == "before the name is taken":
    os.replace = die
else:
    replace = os.replace
    os.replace = lambda a, b: (replace(a, b), die())
atomic.write_atomically(file, content)
"""


@pytest.mark.posix
@pytest.mark.parametrize(
    ("moment", "content"),
    [
        ("half written", b"old"),
        ("before it is on the disk", b"old"),
        ("before the name is taken", b"old"),
        ("after the name was taken", b"new" * 1000),
    ],
)
def test_a_killed_write_leaves_the_old_file_or_the_new_one(tmp_path, moment, content):
    file = tmp_path / "file.bin"
    file.write_bytes(b"old")
    command = [sys.executable, "-c", KILL, moment, str(file)]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[2], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert file.read_bytes() == content


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    file = tmp_path / "file.bin"
    file.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        atomic.write_atomically(file, b"new")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("file.bin", b"old")]


def test_drafts_of_killed_writes_are_deleted_once_they_are_old(tmp_path):
    old, young = tmp_path / ".file.bin.1.tmp", tmp_path / ".file.bin.2.tmp"
    for draft in (old, young):
        draft.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * 3600,) * 2)
    atomic.write_atomically(tmp_path / "file.bin", b"new")
    assert sorted(f.name for f in tmp_path.iterdir()) == [young.name, "file.bin"]


def test_written_files_are_listed_inside_the_data_folder_and_nowhere_else(data_folder, tmp_path_factory):
    written = shipped.write_shipped(CONTENT, "results/figures.bin", None, "measured here", "course train figures")
    assert written.read_bytes() == CONTENT
    assert shipped.entries()["results/figures.bin"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    elsewhere = tmp_path_factory.mktemp("own") / "mine.bin"
    assert shipped.write_shipped(CONTENT, "results/figures.bin", elsewhere, "measured here", "course train figures") == elsewhere
    assert elsewhere.read_bytes() == CONTENT
    assert set(shipped.entries()) == {NAME, "results/figures.bin"}
