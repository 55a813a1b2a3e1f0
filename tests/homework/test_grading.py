"""The parts of the grader, one by one: finding submissions, the messages between the processes, the files that it writes.

test_attacks tests all of them together against submissions that attack them.
"""

import csv
import dataclasses
import io
import json
import math
import struct

import pytest
import torch
from files import grade_folder
from hypothesis import given
from hypothesis import strategies as st

from course_lib.homework.answers.call import Outcome, Unsupported, observe_call
from course_lib.homework.answers.standins import LogProb, Net
from course_lib.homework.checks import hw3
from course_lib.homework.checks.case import Complaint
from course_lib.homework.grading import grade, pages, protocol, results, sandbox, submission, worker


def notebook(*cells: str, written: str = "") -> str:
    code = [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": []} for cell in cells]
    words = (
        [{"cell_type": "markdown", "source": [written], "metadata": {"nbgrader": {"grade_id": "collapse"}}}] if written else []
    )
    return json.dumps({"cells": code + words, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def hand_in(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(notebook("x = 1"))


# --- finding submissions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("ada/hw3.ipynb", "ada"),
        ("ada/hw3/hw3.ipynb", "ada"),
        ("hw3/ada.ipynb", "ada"),
        ("ada_12345_hw3.ipynb", "ada_12345"),
        ("Lovelace_Ada_991_HW3-2.ipynb", "Lovelace_Ada_991_-2"),
        ("Ada Lovelace_42_assignsubmission_file_/hw3.ipynb", "Ada Lovelace_42_assignsubmission_file_"),
        ("hw3.ipynb", "hw3"),
    ],
)
def test_known_layouts(tmp_path, name, student):
    hand_in(tmp_path, name)
    (one,) = submission.find_submissions(tmp_path)
    assert (one.student, one.homework, one.path) == (student, "hw3", tmp_path / name)


def test_of_two_notebooks_the_last_counts_and_is_remarked_on(tmp_path):
    hand_in(tmp_path, "ada/hw3.ipynb", "ada/hw3_late.ipynb", "bob/hw3.ipynb", "ada/.ipynb_checkpoints/hw3-checkpoint.ipynb")
    ada, bob = submission.find_submissions(tmp_path)
    assert ada.path.name == "hw3_late.ipynb"
    assert "More than one notebook" in ada.remark
    assert bob.remark == ""


def test_homework_picks_one_and_includes_files_that_name_none(tmp_path):
    hand_in(tmp_path, "ada/hw3.ipynb", "ada/hw2.ipynb", "bob/mine.ipynb", "carol/hw13.ipynb")
    assert [(one.student, one.homework) for one in submission.find_submissions(tmp_path, "hw3")] == [
        ("ada", "hw3"),
        ("bob", "hw3"),
        ("carol", "hw3"),
    ]
    assert ("bob", "") in [(one.student, one.homework) for one in submission.find_submissions(tmp_path)]


def test_no_folder_and_no_notebook(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        submission.find_submissions(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no notebook of hw3"):
        submission.find_submissions(tmp_path, "hw3")


def test_cells_are_found_by_what_they_define(tmp_path):
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "hw3.ipynb"
    path.write_text(
        notebook(
            "def kl(m, s): return 1",
            "elbo = lambda *a: 2",
            "if True:\n    def free_bits(k, f): pass",
            "def kl(m, s): return 3",
            written="  words ",
        )
    )
    cells = submission.read_cells(path, tmp_path, ["collapse"])
    assert cells.program("kl") == ("def kl(m, s): return 3", "2 cells define kl; the last one counts.")
    assert cells.program("elbo")[0] == "elbo = lambda *a: 2"
    assert cells.program("free_bits")[0] is None
    assert cells.written == {"collapse": "  words "}


# --- messages ---------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=8,
)


@given(VALUES)
def test_plain_values_arrive_as_they_were(value):
    assert protocol.unpack(protocol.pack(value)) == value


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64, torch.bool])
def test_tensors_arrive_as_they_were(dtype):
    given = torch.arange(12).view(3, 4).to(dtype)
    got, again, empty, none = protocol.unpack(protocol.pack((given.T, given, given[:0], torch.tensor(5.0))))
    assert torch.equal(got, given.T)
    assert torch.equal(again, given)
    assert empty.shape == (0, 4)
    assert none.ndim == 0
    assert got.dtype == dtype


def test_stand_ins_and_unsupported_objects_arrive():
    net, log_prob, unsupported = protocol.unpack(
        protocol.pack((Net(1.0, 2.0, 3.0), LogProb(torch.ones(1, 2, 3), 0.5), Unsupported("set")))
    )
    assert net == Net(1.0, 2.0, 3.0)
    assert torch.equal(log_prob.centre, torch.ones(1, 2, 3))
    assert unsupported == Unsupported("set")
    x = torch.randn(2, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(log_prob(x), torch.tensor([-((row - 1) ** 2).sum() / (2 * 0.25) for row in x]))


GOOD = protocol.pack((1, torch.ones(3)))


@pytest.mark.parametrize(
    "message",
    [
        b"", b"abc", GOOD[:-1], GOOD + b"x", struct.pack("<II", 2**20 + 1, 0), struct.pack("<II", 5, 2**24),
        struct.pack("<II", 4, 0) + b"{{{{", struct.pack("<II", 14, 0) + b'{"tensor":"7"}',
        struct.pack("<II", 16, 0) + b'{"standin":"os"}',
        struct.pack("<II", 20, 0) + b"[" * 10 + b"]" * 10, struct.pack("<II", 1, 8) + b"1" + b"\xff" * 8,
        struct.pack("<II", 200_000, 0) + b"[" * 200_000,
        protocol.pack({"tensor": "x"}) , struct.pack("<II", 5000, 0) + b"9" * 5000,
    ],
)  # fmt: skip
def test_bytes_that_are_no_message_are_malformed(message):
    with pytest.raises(protocol.Malformed):
        protocol.unpack(message)


def test_outcomes_of_other_types_are_malformed():
    good = [Outcome(torch.ones(2), after=(torch.ones(2),), gradients=(None, torch.ones(2)))]
    (back,) = protocol.unpack_outcomes(protocol.pack_outcomes(good))
    assert torch.equal(back.value, good[0].value)
    assert back.gradients[0] is None
    for wrong in (
        "x",
        [1],
        [[1, 2]],
        [[None, 5, 0, False, [], [], "", False, False]],
        [[None, "", 0, False, [], [3], "", False, False]],
    ):
        with pytest.raises(protocol.Malformed):
            protocol.unpack_outcomes(protocol.pack(wrong))


# --- what the worker runs -------------------------------------------------------------------------------------------


def test_other_cells_give_definitions_and_run_no_experiments(tmp_path):
    space = worker.namespace()
    worker.define_names(
        space,
        f"import json\nHALF = 0.5\ndef helper(x): return x * HALF\nopen({str(tmp_path / 'touched')!r}, 'w')\nbroken = 1 / 0",
    )
    worker.define_names(space, "%matplotlib inline\nZ = 1")
    worker.define_names(space, "from nowhere import something\nLATER = 2")
    assert space["helper"](4) == 2
    assert space["LATER"] == 2
    assert "broken" not in space
    assert not (tmp_path / "touched").exists()


def test_a_helper_of_another_cell_counts():
    program, others = (
        "def kl(m, s):\n    return half((m**2 + s.exp() - 1 - s)).flatten(1).sum(1)",
        ("def half(x):\n    return x / 2",),
    )
    cases = hw3.kl.draws(0, [torch.device("cpu")])
    outcomes = worker.run_exercise("kl", program, others, tuple(case.args for case in cases), True)
    assert hw3.kl.explain(cases, outcomes) is None
    alone = worker.run_exercise("kl", program, (), tuple(case.args for case in cases), True)
    assert "NameError" in alone[0].error


# --- results -----------------------------------------------------------------------------------------------


@given(st.text())
def test_no_cell_of_the_csv_is_a_formula(text):
    row = next(csv.reader(io.StringIO(f'"{pages.without_formula(text)}"'.replace('"', "") + "\n")), [""])
    assert not row or row[0][:1] not in ("=", "+", "-", "@", "\t", "\r")
    assert "\n" not in pages.without_formula(text)


def graded(student: str, points: int) -> results.Graded:
    complaint = None if points else Complaint(likely="The sign is reversed.")
    found = submission.Found(student, "hw3", None)
    return results.Graded(
        found, (results.Result("kl", 3, points, 0.1, complaint), results.Result("collapse", 3, None, answer="words"))
    )


def test_csv_and_pages(tmp_path):
    pages.write_results([graded("Ada", 3), graded("Bob & Co", 0)], tmp_path)
    rows = list(csv.DictReader((tmp_path / "grades.csv").open()))
    assert [(r["student"], r["exercise"], r["points"], r["of"]) for r in rows] == [
        ("Ada", "kl", "3", "3"), ("Ada", "collapse", "", "3"), ("Bob & Co", "kl", "0", "3"), ("Bob & Co", "collapse", "", "3"),
    ]  # fmt: skip
    assert "The sign is reversed." in rows[2]["why"]
    index = (tmp_path / "index.html").read_text()
    assert "Bob &amp; Co" in index
    assert "1 of 2 passed" in index
    assert index.count("The sign is reversed.") == 1
    page = (tmp_path / "students" / pages.page_name(graded("Bob & Co", 0))).read_text()
    assert "0 of 3 points" in page
    assert "words" in page


def test_similar_names_get_different_pages():
    names = ["Ada B", "Ada_B", "Ada/B", "Ädä B", "..", "", "x" * 300]
    files = {pages.page_name(graded(name, 1)) for name in names}
    assert len(files) == len(names)
    assert all(len(name) < 80 and "/" not in name for name in files)


def test_the_secret_is_created_once_and_readable_by_its_owner_alone(tmp_path):
    file = tmp_path / "secret"
    first = grade.read_secret(file)
    assert grade.read_secret(file) == first
    assert len(first) >= 32
    assert file.stat().st_mode & 0o077 == 0
    file.write_text("short")
    with pytest.raises(ValueError, match=r"5 bytes.* 16"):
        grade.read_secret(file)


def test_hidden_inputs_depend_on_the_secret_and_the_exercise():
    a, again, b = (hw3.kl.task(secret).hidden_inputs[0].args[0] for secret in (b"a" * 16, b"a" * 16, b"b" * 16))
    assert torch.equal(a, again)
    assert not torch.equal(a, b)
    assert hw3.kl.seed(b"a" * 16) != hw3.elbo.seed(b"a" * 16)


def test_parallel_sandboxes_fit_into_memory(monkeypatch):
    class Memory:
        available = 10 * 2**30

    monkeypatch.setattr(grade.psutil, "virtual_memory", lambda: Memory)
    monkeypatch.setattr(grade.os, "sched_getaffinity", lambda _: range(64), raising=False)
    width = grade.max_parallel(sandbox.Limits(memory=2 * 2**30))
    assert width == math.floor(8 * 2**30 / (2 * 2**30 + grade.IDLE_MEMORY)) == 2
    Memory.available = 0
    assert grade.max_parallel(sandbox.Limits()) == 1


def test_an_unknown_homework_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'hw9'.* hw3"):
        grade.grade(tmp_path, {"hw3": lambda: hw3.assignment(b"a" * 16)}, "hw9")


def test_a_folder_without_submissions_makes_no_secret(tmp_path, monkeypatch):
    monkeypatch.setattr(grade, "require_sandbox", lambda limits, safe: None)
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="no notebook"):
        grade_folder(tmp_path / "in", tmp_path / "out", tmp_path / "secret")
    assert not (tmp_path / "secret").exists()


def test_a_forged_reply_costs_its_own_points_and_does_not_stop_the_grader():
    """Right values, but arguments "after the call" that are no tensors: nothing of the reply can be compared."""
    task = hw3.kl.task(b"a" * 16)
    outcomes = [observe_call(hw3.kl.oracle, case.args, True) for case in task.hidden_inputs]
    assert grade._judge(task, protocol.pack_outcomes(outcomes)) is None
    forged = [dataclasses.replace(one, after=(5, "x")) for one in outcomes]
    assert grade._judge(task, protocol.pack_outcomes(forged)) is not None
    for wrong in (outcomes[:-1], [*outcomes, outcomes[0]], []):
        with pytest.raises(protocol.Malformed):
            grade._judge(task, protocol.pack_outcomes(wrong))
