"""Submissions that attack the grader: every one loses its own points, and nothing else happens.

They are stored in tests/submissions under an ending that no tool executes, and become notebooks only in a temporary folder.
All of them are graded in one batch, with an honest one among them. Needs bubblewrap.
"""

import csv
import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest

from course_lib.homework.checks import hw3
from course_lib.homework.grading import grade, results, sandbox
from course_lib.storage.paths import ROOT

SUBMISSIONS = ROOT / "tests" / "submissions"
LIMITS = sandbox.Limits(seconds=5, memory=2**30)
EVIL = '=HYPERLINK("http:x","y")<script>alert(1)<img src=x onerror=alert(2)>'
WHOLE = ("link", "nested_json", "not_a_notebook", "not_json")  # of these nothing can be read
ATTACKS = sorted(path.name for path in SUBMISSIONS.iterdir() if path.name not in ("honest", *WHOLE))
FULL = sum(one.points for one in hw3.exercises)


def _blocked() -> str:
    try:
        sandbox.require_sandbox(LIMITS)
    except sandbox.NoSandbox as error:
        return str(error)
    return ""


WHY = _blocked()
pytestmark = pytest.mark.skipif(bool(WHY), reason=f"no sandbox: {WHY}")


def fingerprint(files: Iterable[Path]) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file()}


def hand_in(folder: Path, names: Iterable[str]) -> None:
    """Copy stored submissions into a folder, as the notebooks that students hand in."""
    for name in names:
        (folder / name).mkdir(parents=True)
        shutil.copy(SUBMISSIONS / name / "hw3.submission", folder / name / "hw3.ipynb")


def repository() -> dict[str, str]:
    """The sums of all files but those that git ignores, in which other tests keep their caches meanwhile."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")
    return fingerprint(ROOT / name for name in names)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Everything graded at once: (results by student, where the pages are, connections that arrived, files before and after)."""
    folder = tmp_path_factory.mktemp("batch")
    handed_in, out = folder / "handed_in", folder / "graded"
    hand_in(handed_in, ("honest", *WHOLE, *ATTACKS))
    link = handed_in / "link" / "hw3.ipynb"
    link.unlink()
    link.symlink_to(ROOT / "notebooks" / "homework" / "hw3.ipynb")
    shutil.copytree(handed_in / "markup_in_a_message", handed_in / EVIL)
    arrived: list[object] = []
    with socket.create_server(("127.0.0.1", 48617)) as server:
        server.settimeout(0.5)
        over = threading.Event()

        def listen():
            while not over.is_set():
                try:
                    arrived.append(server.accept()[1])
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen)
        listener.start()
        before = repository(), fingerprint(handed_in.rglob("*"))
        try:
            graded = grade.grade(handed_in, out, "hw3", folder / "secret", LIMITS, progress=False)
        finally:
            over.set()
            listener.join()
        after = repository(), fingerprint(handed_in.rglob("*"))
    return {one.found.student: one for one in graded}, out, arrived, before, after


def points(one: results.Graded) -> dict[str, int]:
    return {r.exercise: r.points for r in one.results if r.points is not None}


def test_the_batch_finishes_with_everybody_in_it(batch):
    assert set(batch[0]) == {"honest", *WHOLE, *ATTACKS, EVIL}


def test_the_honest_one_earns_every_point(batch):
    assert sum(points(batch[0]["honest"]).values()) == FULL


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_loses_its_own_exercise_and_no_other(batch, name):
    got = points(batch[0][name])
    wanted = {one.name: one.points for one in hw3.exercises} | {"kl": 0}
    assert got == wanted, [(r.exercise, r.why) for r in batch[0][name].results]
    complaint = next(r.complaint for r in batch[0][name].results if r.exercise == "kl")
    assert complaint is not None
    assert complaint.text("kl", 3).strip()


@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_be_read_earns_nothing_and_says_why(batch, name):
    one = batch[0][name]
    assert one.points == 0
    assert len(one.problem) > 20
    assert "Traceback" not in one.problem


def test_the_messages_tell_what_happened(batch):
    said = {name: next((r.why for r in one.results if r.exercise == "kl"), one.problem) for name, one in batch[0].items()}
    assert "does a loop never end?" in said["endless_loop"]
    assert "does a loop never end?" in said["sleeps"]
    assert "MemoryError" in said["eats_20_gib"] or "memory" in said["eats_20_gib"]
    assert "memory" in said["eats_slowly"]
    assert "left by itself" in said["exits"]
    assert "100,000,000 numbers" in said["giant_tensor"]
    assert "removed, or the function renamed" in said["cells_removed"]
    assert "removed, or the function renamed" in said["function_renamed"]
    assert "2 cells define kl" in said["cells_duplicated"]
    assert "SyntaxError" in said["broken_cell"]
    assert "a link" in said["link"]
    assert "an object of type" in said["always_equal"] or "expected" in said["always_equal"]


def test_nothing_outside_was_changed(batch):
    _, _, arrived, before, after = batch
    assert before == after
    assert arrived == [], "a submission reached the net"
    assert not Path("/tmp/pickle_was_opened").exists()
    assert not any(Path(place, "was_here").exists() for place in ("/", "/etc", "/usr", sandbox.PACKAGE))


def test_no_process_is_left(batch):
    lines = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if "course_lib.homework.grading.worker" in line]


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.handlers = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.handlers |= {name for name, _ in attrs if name.startswith("on")}


def test_names_and_messages_are_text_and_nothing_more(batch):
    _, out, *_ = batch
    pages = [out / "index.html", *(out / "students").iterdir()]
    assert len(pages) == 1 + len(batch[0])
    for page in pages:
        text = page.read_text()
        read = Reader(text)
        assert not read.tags & {"script", "img", "iframe", "object", "form"}, page
        assert not read.handlers
        assert "default-src 'none'" in text
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", page.name)
    with (out / "grades.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert any(cell.startswith("'=HYPERLINK") for cell in cells)


def test_pages_show_no_hidden_input(batch):
    text = "".join(page.read_text() for page in (batch[1] / "students").iterdir())
    key = grade.HiddenInputs(hw3, (batch[1].parent / "secret").read_bytes().strip())
    numbers = [f"{x:.4g}" for case in key.cases["reparameterise"] for x in case.args[0].flatten()[:3].tolist()]
    assert not [number for number in numbers if f" {number}," in text]


def test_two_runs_give_the_same_scores(batch, tmp_path):
    students = ["honest", "cells_duplicated", "always_equal", "markup_in_a_message"]
    hand_in(tmp_path / "in", students)
    again = grade.grade(tmp_path / "in", tmp_path / "out", "hw3", batch[1].parent / "secret", LIMITS, progress=False)
    told = {one.found.student: [(r.exercise, r.points, r.why) for r in one.results] for one in again}
    assert told == {name: [(r.exercise, r.points, r.why) for r in batch[0][name].results] for name in students}


def test_table_of_attacks(batch, capsys):
    """Prints what each attack lost, and what the student is told."""
    rows = []
    for name, one in sorted(batch[0].items()):
        why = next((r.why for r in one.results if r.exercise == "kl" and r.points == 0), one.problem)
        rows.append(f"{name[:24]:<24} {one.points:>3} of {FULL}  {why[:150]}")
    with capsys.disabled():
        print("\n\n" + "\n".join(rows))
    assert len(rows) == len(ATTACKS) + len(WHOLE) + 2


def test_without_bubblewrap_it_refuses_with_the_line_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    with pytest.raises(sandbox.NoSandbox, match="apt install bubblewrap"):
        grade.grade(SUBMISSIONS, tmp_path / "out", "hw3", tmp_path / "secret", progress=False)
    assert not (tmp_path / "out").exists()


def test_only_the_option_lets_it_run_without(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    hand_in(tmp_path / "in", ["honest"])
    (one,) = grade.grade(tmp_path / "in", tmp_path / "out", "hw3", tmp_path / "secret", LIMITS, safe=False, progress=False)
    assert one.points == FULL
    assert os.environ.get("COURSE_SANDBOX") is None
