"""The parts of the grader, one by one: finding submissions, the messages between the processes, the files that it writes.

test_attacks tests all of them together against submissions that attack them.
"""

import csv
import dataclasses
import io
import json
import math
import os
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
        ("Lovelace_Ada_991_HW3-2.ipynb", "Lovelace_Ada_991"),
        ("Ada Lovelace_42_assignsubmission_file_/hw3.ipynb", "Ada Lovelace"),
        ("loumax_LATE_2231_88012_hw3-1.ipynb", "loumax"),
        ("loumax_2231_77001_hw3.IPYNB", "loumax"),
        ("hw3.ipynb", "hw3"),
    ],
)
def test_known_layouts(tmp_path, name, student):
    hand_in(tmp_path, name)
    (one,) = submission.find_submissions(tmp_path)
    assert (one.student, one.homework, one.path) == (student, "hw3", tmp_path / name)


def test_of_two_notebooks_the_newest_counts_and_is_remarked_on(tmp_path):
    hand_in(tmp_path, "ada/hw3 (1).ipynb", "ada/hw3.ipynb", "bob/hw3.ipynb", "ada/.ipynb_checkpoints/hw3-checkpoint.ipynb")
    for age, name in enumerate(("hw3 (1).ipynb", "hw3.ipynb")):
        os.utime(tmp_path / "ada" / name, (1000 - age, 1000 - age))
    ada, bob = submission.find_submissions(tmp_path)
    assert ada.path.name == "hw3 (1).ipynb"  # though "hw3.ipynb" is the last by name
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
    worker.define_names(
        space,
        "%matplotlib inline\nZ = 1\ntorch.exp = 5\nZ, W = 2, math.log(2)\ndouble = lambda x: Z * x\nnet = train()\nhelper = 3",
    )
    worker.define_names(space, "from nowhere import something\nLATER = 2")
    assert space["helper"](4) == 2
    assert space["double"](4) == 8
    assert "net" not in space
    assert callable(torch.exp)
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


KL = "def kl(mean, logvar):\n    return ((mean**2 + logvar.exp() - 1 - logvar) / 2).flatten(1).sum(1)"


@pytest.mark.parametrize(
    "cell",
    [
        f"%%time\n{KL}", f"%timeit 1 + 1\n{KL}", f"!ls\n{KL}", f"{KL}\ntorch.exp?", f"{KL}\ndisplay(kl(m_demo, l_demo))",
        f"{KL}\nprint(kl(m_demo, l_demo))", f"{KL}\nkl = kl(torch.ones(1, 2), torch.ones(1, 2))", f"%%time\n%%capture\n{KL}",
    ],
)  # fmt: skip
def test_what_jupyter_accepts_the_grader_accepts(cell):
    cases = hw3.kl.draws(0, [torch.device("cpu")])
    outcomes = worker.run_exercise("kl", cell, (), tuple(case.args for case in cases), True)
    assert hw3.kl.explain(cases, outcomes) is None


def test_a_broken_cell_and_a_cell_that_fails_before_its_function_say_why():
    for cell, words in {
        "def kl(:": "SyntaxError",
        f"assert False, 'x'\nif 1 / 0:\n    {KL.replace(chr(10), chr(10) + '    ')}": "AssertionError",
    }.items():
        (one,) = worker.run_exercise("kl", cell, (), ((torch.ones(1), torch.ones(1)),), True)
        assert words in one.error
        assert not one.blank


@pytest.mark.parametrize(
    ("error", "blank"),
    [
        (NotImplementedError(), True),
        (NotImplementedError("kl is not written yet"), True),
        (NotImplementedError("\"bitwise_and_cpu\" not implemented for 'Float'"), False),
        (ValueError(), False),
    ],
)
def test_only_a_stub_is_not_written_yet(error, blank):
    def stub(x):
        raise error

    assert observe_call(stub, (1,)).blank == blank


def test_a_function_counts_before_a_later_use_of_its_name():
    cells = submission.Cells((KL, "kl = kl(mean, logvar)", "kl == 3", "# kl = 4"), {})
    assert cells.program("kl") == (KL, "")
    assert submission.Cells(("kl: object = lambda m, s: 0",), {}).program("kl")[0] is not None


def test_no_special_file_stops_the_grader(tmp_path):
    (tmp_path / "ada" / "hw3.ipynb").mkdir(parents=True)
    (tmp_path / "bob").mkdir()
    os.mkfifo(tmp_path / "bob" / "hw3.ipynb")
    found = submission.find_submissions(tmp_path)
    assert [one.student for one in found] == ["ada", "bob"]
    for one in found:
        with pytest.raises(submission.Unreadable, match="special file"):
            submission.read_cells(one.path, tmp_path, [])


def test_two_students_of_one_name_keep_their_numbers(tmp_path):
    hand_in(tmp_path, *(f"Ada L_{n}_assignsubmission_file_/hw3.ipynb" for n in (1, 2)), "Bob_3_assignsubmission_file_/hw3.ipynb")
    assert [one.student for one in submission.find_submissions(tmp_path)] == [
        "Ada L_1_assignsubmission_file_", "Ada L_2_assignsubmission_file_", "Bob",
    ]  # fmt: skip


def test_an_error_of_the_grader_costs_one_submission_and_not_the_batch(tmp_path, monkeypatch):
    hand_in(tmp_path, "ada/hw3.ipynb", "bob/hw3.ipynb")
    real = submission.read_cells

    def read(path, *rest):
        if path.parent.name == "ada":
            raise RuntimeError("the disk is on fire")
        return real(path, *rest)

    monkeypatch.setattr(grade, "require_sandbox", lambda limits, safe: None)
    monkeypatch.setattr(submission, "read_cells", read)
    ada, bob = grade.grade(tmp_path, {"hw3": lambda: hw3.assignment(b"a" * 16)}, progress=False)
    assert "the disk is on fire" in ada.problem
    assert bob.problem == ""


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


# --- marks -------------------------------------------------------------------------------------------------------


def lines(out) -> dict[tuple[str, str], dict]:
    return {(r["student"], r["exercise"]): r for r in csv.DictReader((out / "grades.csv").open(encoding="utf-8"))}


def test_marks_survive_and_one_student_can_be_graded_again(tmp_path):
    pages.write_results([graded("Ada", 3), graded("Bob & Co", 0)], tmp_path)
    given = "\ufeffstudent;homework;exercise;points;comment\nAda;hw3;collapse;2,5;Good, but why?\nBob & Co;hw3;kl;1;half right\n"
    (tmp_path / "marks.csv").write_text(given, encoding="utf-8")
    pages.write_results([graded("Ada", 3)], tmp_path)
    found = lines(tmp_path)
    assert {key: row["points"] for key, row in found.items()} == {
        ("Ada", "kl"): "3", ("Ada", "collapse"): "2.5", ("Bob & Co", "kl"): "1", ("Bob & Co", "collapse"): "",
    }  # fmt: skip
    assert found["Ada", "collapse"]["why"] == "Good, but why?"
    page = (tmp_path / "students" / pages.page_name(graded("Ada", 3))).read_text()
    assert "5.5 of 6 points" in page
    assert "Good, but why?" in page
    assert "1 submission of earlier runs" in (tmp_path / "index.html").read_text()
    assert (tmp_path / "marks.csv").read_text(encoding="utf-8") == given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("student,exercise,points\n", "'homework'"),
        ("student,homework,exercise,points\nAda,hw3,kl,many\n", "line 2.*'many'"),
        ("student,homework,exercise,points\nAda,hw3,kl,-1\n", "line 2"),
        ("student,homework,exercise,points\nAda,hw3,kl,1\nAda,hw3,kl,2\n", "line 3.*line 2"),
        ("student,homework,exercise,points\nAda,hw3,kl,4\n", "line 2: 4 points, but kl has 3"),
    ],
)
def test_a_mistake_in_the_marks_is_reported_with_its_line(tmp_path, text, words):
    (tmp_path / "marks.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        pages.write_results([graded("Ada", 3)], tmp_path)
    assert not (tmp_path / "grades.csv").exists()


def test_text_that_is_no_unicode_loses_no_page(tmp_path):
    one = graded("M\udcfcller", 3)
    half = dataclasses.replace(one, results=(dataclasses.replace(one.results[1], answer="half an emoji \ud83d"),))
    pages.write_results([half], tmp_path)
    assert "half an emoji ?" in (tmp_path / "students" / pages.page_name(half)).read_text()
    assert "M?ller" in (tmp_path / "index.html").read_text()


def test_a_grades_csv_with_other_columns_is_not_overwritten(tmp_path):
    (tmp_path / "grades.csv").write_text("name,mark\nAda,1\n")
    with pytest.raises(ValueError, match="other columns"):
        pages.write_results([graded("Ada", 3)], tmp_path)
    assert (tmp_path / "grades.csv").read_text() == "name,mark\nAda,1\n"
