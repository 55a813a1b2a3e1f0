"""Submissions that attack the grader: each one loses its own points, and nothing else happens.

They are stored in tests/submissions with an extension that no tool executes, and become notebooks only in a temporary folder.
All of them are graded in one batch, with an honest one among them. Needs bubblewrap.
"""

import contextlib
import csv
import hashlib
import importlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest
import torch
from answers import function
from files import grade_folder, joined, why_no_sandbox

from course_lib.homework.checks import hw3
from course_lib.homework.grading import protocol, sandbox
from course_lib.homework.grading.reports import results
from course_lib.storage.paths import ROOT

SUBMISSIONS = ROOT / "tests" / "submissions"
LIMITS = sandbox.Limits(seconds=5, memory=2**29)  # filling 512 MiB takes some seconds on a slow machine
PORT = "@PORT@"  # the stored submission's placeholder for the port at which the test listens
EVIL = '=HYPERLINK("http:x","y")<script>alert(1)<img src=x onerror=alert(2)>'
UNREADABLE = ("link", "nested_json", "not_a_notebook", "not_json")
ATTACKS = sorted(path.name for path in SUBMISSIONS.iterdir() if path.name not in ("honest", *UNREADABLE))
FULL = sum(one.points for one in hw3.exercises)


WHY = why_no_sandbox()
pytestmark = [pytest.mark.processes, pytest.mark.skipif(bool(WHY), reason=f"no sandbox: {WHY}")]


def fingerprint(files: Iterable[Path]) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file()}


def hand_in(folder: Path, names: Iterable[str], port: int = 0) -> None:
    """Copy stored submissions into a folder, as students' notebooks. port: the one that `opens_a_socket` tries."""
    for name in names:
        (folder / name).mkdir(parents=True)
        program = (SUBMISSIONS / name / "hw3.submission").read_bytes()
        (folder / name / "hw3.ipynb").write_bytes(program.replace(PORT.encode(), str(port).encode()))


def repository() -> dict[str, str]:
    """The checksums of all files but those that git ignores, where other tests store their caches meanwhile."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")
    return fingerprint(ROOT / name for name in names)


@contextlib.contextmanager
def listening() -> Iterator[tuple[int, list[object]]]:
    """Listen at a free port of this machine: (the port, connections that have arrived)."""
    arrived: list[object] = []
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)

        def listen() -> None:
            while not over.is_set():
                try:
                    arrived.append(server.accept()[1])
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield server.getsockname()[1], arrived
        finally:
            over.set()
            listener.join()


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """All submissions graded at once: (results by student, pages' folder, connections, files before, files after)."""
    folder = tmp_path_factory.mktemp("batch")
    handed_in, out = folder / "handed_in", folder / "graded"
    with listening() as (port, arrived):
        hand_in(handed_in, ("honest", *UNREADABLE, *ATTACKS), port)
        link = handed_in / "link" / "hw3.ipynb"
        link.unlink()
        link.symlink_to(ROOT / "notebooks" / "homework" / "hw3.ipynb")
        shutil.copytree(handed_in / "markup_in_a_message", handed_in / EVIL)
        before = repository(), fingerprint(handed_in.rglob("*"))
        graded = grade_folder(handed_in, out, folder / "secret", "hw3", limits=LIMITS)
        after = repository(), fingerprint(handed_in.rglob("*"))
    return {one.found.student: one for one in graded if not one.found.extra}, out, arrived, before, after


def points(one: results.Graded) -> dict[str, int]:
    return {r.exercise: r.points for r in one.results if r.points is not None}


def test_the_batch_finishes_with_every_submission_in_it(batch):
    assert set(batch[0]) == {"honest", *UNREADABLE, *ATTACKS, EVIL}


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


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_file_earns_nothing_and_says_why(batch, name):
    one = batch[0][name]
    assert one.points == 0
    assert len(one.problem) > 20
    assert "Traceback" not in one.problem


def test_the_messages_say_what_happened(batch):
    messages = {name: next((r.why for r in one.results if r.exercise == "kl"), one.problem) for name, one in batch[0].items()}
    assert "does a loop never end?" in messages["endless_loop"]
    assert "does it wait for something" in messages["sleeps"]
    assert "everything is closed" in messages["hides_memory"]
    assert "MemoryError" in messages["eats_20_gib"] or "memory" in messages["eats_20_gib"]
    assert "memory" in messages["eats_slowly"]
    assert "memory" in messages["shares_memory"]
    assert "it exited" in messages["exits"]
    assert "100,000,000 values" in messages["giant_tensor"]
    assert "removed, or the function renamed" in messages["cells_removed"]
    assert "removed, or the function renamed" in messages["function_renamed"]
    assert "2 cells define kl" in messages["cells_duplicated"]
    assert "SyntaxError" in messages["broken_cell"]
    assert "a link" in messages["link"]
    assert "an object of type" in messages["always_equal"] or "expected" in messages["always_equal"]


def test_nothing_outside_was_changed(batch):
    _, _, arrived, before, after = batch
    changed = [name for a, b in zip(before, after, strict=True) for name in a.keys() | b.keys() if a.get(name) != b.get(name)]
    assert changed == []
    assert arrived == [], "a submission reached the network"
    assert not Path("/tmp/pickle_was_opened").exists()
    assert not any(Path(place, "was_here").exists() for place in ("/", "/etc", "/usr", sandbox.PACKAGE))


def test_no_process_of_a_sandbox_knows_the_environment_of_the_grader(monkeypatch):
    """Run by an ordinary user, bubblewrap's own process can be read from inside, at /proc/1/environ."""
    monkeypatch.setenv("CANARY", "a secret of the teacher")
    one = sandbox.Sandbox(LIMITS)
    try:
        known = dict(psutil.Process(one.process.pid).environ())
        for process in one._tree():
            with contextlib.suppress(psutil.AccessDenied):  # the worker, which no process of the same user can open
                known |= process.environ()
        assert "PATH" in known
        assert "CANARY" not in known
    finally:
        one.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's sandboxes share one count of processes")
def test_programs_of_another_grader_take_no_process_from_this_one():
    """The kernel counts the processes of a user id over all sandboxes."""
    first = sandbox.Sandbox(LIMITS)
    crowd = [
        subprocess.Popen(["sleep", "60"], user=first.user, group=first.user, extra_groups=[]) for _ in range(LIMITS.processes)
    ]
    second = sandbox.Sandbox(LIMITS)
    try:
        request = protocol.pack(("f", "def f():\n    return 1.0", (), ((),), False))
        with pytest.raises(sandbox.NoAnswer):
            first.ask(request)
        assert [outcome.value for outcome in protocol.unpack_outcomes(second.ask(request))] == [1.0]
    finally:
        first.close()
        second.close()
        for process in crowd:
            process.kill()
            process.wait()


AS_A_USER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from files import grade_folder
from course_lib.homework.grading import sandbox
place = Path(sys.argv[2])
try:
    graded = grade_folder(place / "in", place / "out", place / "secret", "hw3", limits=sandbox.Limits(seconds=5, memory=2**29))
except sandbox.NoSandbox as error:
    print(json.dumps(str(error)))
else:
    print(json.dumps({one.found.student: {r.exercise: [r.points, r.why] for r in one.results} for one in graded}))
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become another user")
def test_the_grader_of_an_ordinary_user_is_as_safe():
    """Root's processes are closed to a sandbox by the kernel; those of an ordinary user, which a teacher is, are not."""
    names = ("honest", "forges_from_the_parent", "hides_memory", "reads_the_environment", "reads_through_proc", "shares_memory")
    if not sandbox._readable_by_others(Path(sys.base_prefix)):
        pytest.skip("an ordinary user cannot read this copy of the workbook")
    place = Path(tempfile.mkdtemp())  # not in pytest's own folder, which is root's alone
    try:
        hand_in(place / "in", names)
        for path in (place, *place.rglob("*")):
            os.chown(path, 4321, 4321)
        command = ["setpriv", "--reuid", "4321", "--regid", "4321", "--clear-groups", sys.executable, "-c", AS_A_USER]
        given = {"PATH": os.environ["PATH"], "HOME": str(place), "CANARY": "a secret of the teacher", "OMP_NUM_THREADS": "1"}
        command += [str(Path(__file__).parent), str(place)]
        done = subprocess.run(command, capture_output=True, text=True, env=given, check=False, cwd=ROOT)
    finally:
        shutil.rmtree(place)
    assert done.returncode == 0, done.stderr[-2000:]
    graded = json.loads(done.stdout.splitlines()[-1])
    if isinstance(graded, str):
        pytest.skip(f"no sandbox for an ordinary user: {graded}")
    full = {one.name: one.points for one in hw3.exercises}
    for name in names:
        earned = {exercise: points for exercise, (points, _) in graded[name].items() if points is not None}
        assert earned == {**full, "kl": full["kl"] if name == "honest" else 0}, name
    whys = {name: rows["kl"][1] for name, rows in graded.items()}
    assert "CANARY" not in whys["reads_the_environment"]
    assert "everything is closed" in whys["hides_memory"]
    assert "memory" in whys["shares_memory"]


def test_no_process_is_left(batch):
    """Neither a child of this process nor an orphan; another test process may be grading at the same time."""

    def is_worker(process):
        with contextlib.suppress(psutil.Error):
            return "course_lib.homework.grading.worker" in " ".join(process.cmdline())
        return False

    def is_another_graders(process):
        with contextlib.suppress(psutil.Error):
            above = process.parents()
            return os.getpid() not in {p.pid for p in above} and any("python" in p.name() for p in above if not is_worker(p))
        return False

    assert not [process for process in psutil.process_iter() if is_worker(process) and not is_another_graders(process)]


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
    with (out / "grades.csv").open(newline="", encoding="utf-8-sig") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert any(cell.startswith("'=HYPERLINK") for cell in cells)


def test_pages_show_no_hidden_input(batch):
    text = "".join(page.read_text() for page in (batch[1] / "students").iterdir())
    task = hw3.reparameterise.task((batch[1].parent / "secret").read_bytes().strip())
    values = [f"{x:.4g}" for case in task.hidden_inputs for x in case.args[0].flatten()[:3].tolist()]
    assert not [value for value in values if f" {value}," in text]


def test_two_runs_give_the_same_scores(batch, tmp_path):
    students = ["honest", "cells_duplicated", "always_equal", "markup_in_a_message"]
    hand_in(tmp_path / "in", students)
    secret = batch[1].parent / "secret"
    again = grade_folder(tmp_path / "in", tmp_path / "out", secret, "hw3", limits=LIMITS)
    scores = {one.found.student: [(r.exercise, r.points, r.why) for r in one.results] for one in again}
    assert scores == {name: [(r.exercise, r.points, r.why) for r in batch[0][name].results] for name in students}


def attack(name: str, port: int = 0) -> str:
    """The text of a stored submission's cell that defines kl."""
    text = (SUBMISSIONS / name / "hw3.submission").read_text().replace(PORT, str(port))
    cells = [joined(cell["source"]) for cell in json.loads(text)["cells"]]
    return next(cell for cell in cells if "def kl" in cell)


def test_without_a_sandbox_the_network_attack_succeeds():
    """It fails because of the sandbox, not because of a fault of its own."""
    mean, logvar = torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    with listening() as (port, arrived):
        value = function("kl", attack("opens_a_socket", port))(mean, logvar)
        time.sleep(1)
    assert torch.equal(value, hw3.kl.oracle(mean, logvar))
    assert len(arrived) == 1


def test_what_the_attack_on_the_solution_looks_for_exists_where_a_program_without_a_sandbox_sees_it():
    program = attack("reads_the_solution")
    solution, oracle = '# %% exercise="kl"', "KL = Exercise("
    assert solution.replace('"', '\\"') in program
    assert oracle in program
    assert solution in (ROOT / "notebooks" / "source" / "homework" / "hw3.py").read_text(encoding="utf-8")
    hidden = list((sandbox.PACKAGE / "homework" / "checks").rglob("*.py"))
    assert [path for path in hidden if oracle in path.read_text(encoding="utf-8")]
    visible = set(sandbox.PACKAGE.rglob("*.py")) - set(hidden)
    assert not [path for path in visible if any(mark in path.read_text(encoding="utf-8") for mark in (solution, oracle))]
    assert "from course_lib.homework.checks.hw3 import KL" in program
    assert importlib.import_module("course_lib.homework.checks.hw3").KL is hw3.kl


def test_without_bubblewrap_it_refuses_with_the_line_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    with pytest.raises(sandbox.NoSandbox, match="apt install bubblewrap"):
        grade_folder(SUBMISSIONS, tmp_path / "out", tmp_path / "secret", "hw3")
    assert not (tmp_path / "out").exists()


def test_only_the_option_lets_it_run_without(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    hand_in(tmp_path / "in", ["honest"])
    (one,) = grade_folder(tmp_path / "in", tmp_path / "out", tmp_path / "secret", "hw3", limits=LIMITS, safe=False)
    assert one.points == FULL
    assert os.environ.get("COURSE_SANDBOX") is None
