"""The parts of the grader, one by one: finding submissions, the messages between the processes, the files that it writes.

test_attacks tests all of them together against submissions that attack them.
"""

import base64
import csv
import dataclasses
import hashlib
import io
import json
import math
import os
import re
import struct
import zipfile

import pytest
import torch
from files import grade_folder
from hypothesis import given
from hypothesis import strategies as st

from course_lib.homework.answers.call import Outcome, Unsupported, observe_call
from course_lib.homework.answers.standins import LogProb, Net
from course_lib.homework.checks import HOMEWORKS, hw3
from course_lib.homework.checks.case import Complaint
from course_lib.homework.grading import grade, gradescope, protocol, sandbox, worker
from course_lib.homework.grading.reports import marks, pages, results, similarity, store, tables
from course_lib.homework.grading.submissions import find, roster
from course_lib.homework.grading.submissions import notebook as cells_of


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


# --- cells -------------------------------------------------------------------------------------------------------


def book(*cells: str) -> cells_of.Notebook:
    return cells_of.Notebook(tuple(cells_of.Cell("code", text) for text in cells))


def test_cells_are_found_by_what_they_define():
    read = cells_of.read_notebook(
        notebook(
            "def kl(m, s): return 1",
            "elbo = lambda *a: 2",
            "if True:\n    def free_bits(k, f): pass",
            "def kl(m, s): return 3",
            written="  words ",
        ).encode()
    )
    assert read.program("kl") == ("def kl(m, s): return 3", "2 cells define kl; the last one counts.")
    assert read.program("elbo")[0] == "elbo = lambda *a: 2"
    assert read.program("free_bits")[0] is None
    assert read.answer("collapse") == "words"


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
    cells = (
        f"import json\nHALF = 0.5\ndef helper(x): return x * HALF\nopen({str(tmp_path / 'touched')!r}, 'w')\nbroken = 1 / 0",
        "%matplotlib inline\nZ = 1\ntorch.exp = 5\nZ, W = 2, math.log(2)\ndouble = lambda x: Z * x\nnet = train()\nhelper = 3",
        "from nowhere import something\nLATER = 2\nimport colorsys\nUNUSED = 3",
    )
    program = "def kl(colorsys): return helper, double, net, broken, LATER, something, json"
    worker.define_names(space, cells, program)
    assert space["helper"](4) == 2
    assert space["double"](4) == 8
    assert "net" not in space
    assert callable(torch.exp)
    assert space["LATER"] == 2
    assert "broken" not in space
    assert "json" in space
    assert not {"UNUSED", "colorsys"} & space.keys(), "the program does not need these"
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
        "\ndef kl(:": "SyntaxError",
        f"assert False, 'x'\nif 1 / 0:\n    {KL.replace(chr(10), chr(10) + '    ')}": "AssertionError",
    }.items():
        (one,) = worker.run_exercise("kl", cell, (), ((torch.ones(1), torch.ones(1)),), True)
        assert words in one.error
        assert one.line == (2 if words == "SyntaxError" else 0)
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
    assert book(KL, "kl = kl(mean, logvar)", "kl == 3", "# kl = 4").program("kl") == (KL, "")
    assert book("kl: object = lambda m, s: 0").program("kl")[0] is not None


@pytest.fixture
def without_sandbox(monkeypatch):
    """Grade without running programs: every exercise passes but those of a student who handed in "x = 2"."""

    def run(notebook, assignment, options):
        right = "x = 2" not in notebook.code
        for task in assignment.programs:
            complaint = None if right else Complaint("wrong")
            yield results.Result(task.name, task.points, task.points if right else 0, complaint=complaint)

    monkeypatch.setattr(grade, "require_sandbox", lambda limits, safe: None)
    monkeypatch.setattr(grade, "_run_programs", run)
    return monkeypatch


def run(folder, out=None, **options):
    stored = out and store.Store(out / "results")
    return grade.grade(folder, HOMEWORKS, lambda: b"a" * 16, stored, grade.Options(progress=False, **options))


def test_an_error_of_the_grader_costs_one_submission_and_not_the_batch(tmp_path, without_sandbox):
    hand_in(tmp_path, "ada/hw3.ipynb", "bob/hw3.ipynb")
    real = grade._grade_one

    def grade_one(one, *rest):
        if one.student == "ada":
            raise RuntimeError("the disk is on fire")
        return real(one, *rest)

    without_sandbox.setattr(grade, "_grade_one", grade_one)
    ada, bob = run(tmp_path)
    assert "the disk is on fire" in ada.problem
    assert bob.problem == ""
    ada, bob = run(tmp_path, tmp_path / "out")
    pages.write_results(store.Store(tmp_path / "out" / "results").read([ada, bob]), tmp_path / "out")
    rows = csv.DictReader((tmp_path / "out" / "grades.csv").open(encoding="utf-8-sig"))
    assert {row["student"] for row in rows} == {"ada", "bob"}, "who could not be graded is in the table, too"


def test_results_are_written_as_they_come_and_a_rerun_goes_on(tmp_path, without_sandbox):
    folder, out = tmp_path / "in", tmp_path / "out"
    hand_in(folder, *(f"s{n}/hw3.ipynb" for n in range(9)))
    for n in range(9):
        (folder / f"s{n}" / "hw3.ipynb").write_text(notebook(f"x = {n + 10}"))
    real, calls = grade._grade_one, []

    def stopped(one, *rest):
        calls.append(one.student)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(one, *rest)

    without_sandbox.setattr(grade, "max_parallel", lambda limits: 1)
    without_sandbox.setattr(grade, "_grade_one", stopped)
    interrupted = run(folder, out)
    assert len(interrupted) == 9, "every submission is in the results"
    done = store.Store(out / "results").read()
    assert 4 <= len(done) < 9
    calls[:] = ["-"] * 10
    again = run(folder, out)
    assert len(calls) - 10 == 9 - len(done), "what is graded is not graded again"
    assert [one.points for one in again] == [done[0].points] * 9
    failed = dataclasses.replace(again[0], results=(), problem="Not graded: the disk is full.", key="")
    (first, *_) = store.Store(out / "results").read([failed])
    assert first.points == again[0].points
    assert "earlier run. Not graded: the disk is full." in first.found.remark
    calls[:] = ["-"] * 10
    run(folder, out, again=True)
    assert len(calls) == 19


def test_the_best_attempt_counts_where_it_should(tmp_path, without_sandbox):
    hand_in(tmp_path, "ada/hw3.ipynb")
    newer = tmp_path / "ada" / "hw3 (1).ipynb"
    newer.write_text(notebook("x = 2"))
    os.utime(tmp_path / "ada" / "hw3.ipynb", (1000, 1000))
    (newest,) = run(tmp_path)
    (best,) = run(tmp_path, best=True)
    assert (newest.points, newest.found.file) == (0, "ada/hw3 (1).ipynb")
    assert (best.points, best.found.file) == (sum(one.points for one in hw3.exercises), "ada/hw3.ipynb")
    assert "best one counts" in best.found.remark


def test_a_result_that_is_damaged_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match=r"x\.json .*delete it"):
        store.Store(tmp_path).read()


def test_stored_results_are_what_they_were(tmp_path):
    complaint = Complaint("It raised X.", "input", earned=0.5, right=("eps",), public="It raised X.")
    rows = (
        results.Result("kl", 3, 1.5, 0.1, complaint, "a remark", program="def kl", library=("vae",)),
        results.Result("collapse", 5, None),
    )
    one = results.Graded(find.Found("Zoë", "hw3", "zoë/hw3.ipynb", late="late"), rows, key="k")
    stored = store.Store(tmp_path)
    stored.write(one)
    assert stored.read() == [one]
    renamed = dataclasses.replace(one, found=dataclasses.replace(one.found, student="Zoë Li"))
    stored.write(renamed)
    stored.forget([renamed])
    assert stored.read() == [renamed]


# --- results -----------------------------------------------------------------------------------------------


@given(st.text())
def test_no_cell_of_the_csv_is_a_formula(text):
    cell = tables.without_formula(text)
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")
    assert cell.isprintable()


def graded(student: str, points: int) -> results.Graded:
    complaint = None if points else Complaint(likely="The sign is reversed.")
    found = find.Found(student, "hw3", f"{student}/hw3.ipynb")
    return results.Graded(
        found, (results.Result("kl", 3, points, 0.1, complaint), results.Result("collapse", 3, None, answer="words"))
    )


def page(one: results.Graded) -> str:
    return f"{store.page_name(one)}.html"


def test_csv_and_pages(tmp_path):
    pages.write_results([graded("Ada", 3), graded("Bob & Co", 0)], tmp_path)
    rows = list(csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8-sig")))
    assert [(r["student"], r["exercise"], r["points"], r["of"]) for r in rows] == [
        ("Ada", "kl", "3", "3"), ("Ada", "collapse", "", "3"), ("Bob & Co", "kl", "0", "3"), ("Bob & Co", "collapse", "", "3"),
    ]  # fmt: skip
    assert "The sign is reversed." in rows[2]["why"]
    index = (tmp_path / "index.html").read_text()
    assert "Bob &amp; Co" in index
    assert "1 of 2 passed" in index
    assert index.count("The sign is reversed.") == 1
    text = (tmp_path / "students" / page(graded("Bob & Co", 0))).read_text()
    assert "0 of 3 points" in text
    assert "words" in text


def answered(student: str, words: str, program: str = "", **fields) -> results.Graded:
    found = find.Found(student, "hw3", f"{student}/hw3.ipynb", **fields)
    rows = (results.Result("kl", 3, 3, program=program), results.Result("collapse", 5, None, answer=words))
    return results.Graded(found, rows)


def test_a_reading_page_shows_every_answer_and_no_name(tmp_path):
    question = pages.Question("hw3", "collapse", 5, "Why?", "**Because**, $z^2$. *1 point* for it.")
    both = [
        answered("Ada Lovelace", "# A title\n<script>alert(1)</script> [x](javascript:alert(2)) $a < b$"),
        answered("Bob", ""),
    ]
    pages.write_results(both, tmp_path, questions=[question])
    text = (tmp_path / "read" / "hw3_collapse.html").read_text()
    assert "Lovelace" not in text
    assert marks.answer_code("Ada Lovelace", "hw3") in text
    assert "<strong>Because</strong>" in text
    assert "<code>$z^2$</code>" in text
    assert "&lt;script&gt;" in text
    assert 'href="javascript' not in text
    assert "1 student gave no answer" in text
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text, "a browser runs this script and no other"
    assert 'href="read/hw3_collapse.html"' in (tmp_path / "index.html").read_text()


def test_the_summary_says_how_the_class_did_and_whom_to_look_at(tmp_path):
    people = roster.Roster(("name",), tuple(roster.Person(name, "", (name,)) for name in ("Ada", "Ned")))
    some = [graded("Ada", 3), graded("Bob", 0), graded("Carl", 0), answered("Dan", "", late="handed in 5 min after the deadline")]
    some += [dataclasses.replace(answered("Eve", "x"), results=(), problem="It is not a notebook.")]
    some += [dataclasses.replace(some[-1], found=dataclasses.replace(some[-1].found, file="Eve/notes.txt", extra=True))]
    pages.write_results(some, tmp_path, people)
    text = re.sub(r"<[^>]+>|\s+", " ", (tmp_path / "index.html").read_text())
    text = " ".join(text.split())
    for words in (
        "mean 1.5, median 1.5", "No answer in words: Dan", "Could not be graded: Eve : It is not a notebook.",
        "Nothing handed in: Ned", "Late: Dan : handed in 5 min after", "2 The sign is reversed. Bob , Carl",
        "Not on the roster: Bob , Carl , Dan , Eve", "Eve/notes.txt", "Dan 3 of 8", "Graded with Python",
    ):  # fmt: skip
        assert words in text, (words, text)


LONG = "def kl(mean, logvar):\n    s = logvar.exp()\n    return 0.5 * (mean**2 + s - 1 - logvar).flatten(1).sum(1)"


def test_similar_submissions_are_hinted_at():
    words = "The mean of the two is not a piece of clothing because the space between the codes is empty"
    renamed = LONG.replace("mean", "m").replace("logvar", "lv").replace("s =", "variance =  # own\n").replace("+ s", "+ variance")
    some = [answered("Ada", words, LONG), answered("Kim", f"I say: {words}", "def kl(): 1"), answered("Bob", "", renamed)]
    pairs = {pair.students: (pair.words > 0.9, pair.programs) for pair in similarity.find_alike(some)}
    assert pairs == {("Ada", "Kim"): (True, ()), ("Ada", "Bob"): (False, ("kl",))}
    common = [answered(name, "", LONG) for name in ("Ada", "Bob", "Carl")]
    assert similarity.find_alike(common) == [], "what three have alike is the obvious program"


def test_the_gradebook_goes_back_to_the_platform():
    header = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
    person = roster.Person("Ada Lovelace", "S1", ("Lovelace, Ada", "7", "S1", "ada", "A"))
    people = roster.Roster(header, (person,))
    text = tables.gradebook_csv([answered("Ada Lovelace", "x"), answered("=Bob", "y", id="9")], people)
    assert list(csv.reader(io.StringIO(text))) == [
        [*header, "hw3", "total"], ["Points Possible", "", "", "", "", "8", "8"],
        ["Lovelace, Ada", "7", "S1", "ada", "A", "3", "3"], ["'=Bob", "9", "", "", "", "3", "3"],
    ]  # fmt: skip


def test_what_a_student_reads_holds_no_hidden_value():
    complaint = Complaint(
        "It raised NameError: name 'x1' is not defined.", "mean", "1.5", "2.5", "A hint.", public="It raised NameError."
    )
    one = results.Result("kl", 3, 0, complaint=complaint, program="return x1")
    assert one.lines == ["Input: mean.", "It raised NameError.", "`x1` is not defined.", "A hint."]
    other = dataclasses.replace(one, program="raise NameError(secret)")
    assert other.lines == ["Input: mean.", "It raised NameError.", "A hint."]


def test_gradescope_gets_a_test_for_each_function(tmp_path):
    gradescope.write_for_gradescope([graded("Ada", 0)], tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["score"] == 0
    (one,) = written["tests"]
    assert (one["name"], one["score"], one["max_score"], one["status"]) == ("kl", 0, 3, "failed")
    assert "The sign is reversed." in one["output"]


def test_the_autograder_holds_what_it_needs_and_no_solution(tmp_path):
    gradescope.make_autograder("hw3", tmp_path / "hw3.zip", b"a" * 16)
    with zipfile.ZipFile(tmp_path / "hw3.zip") as archive:
        names = archive.namelist()
        assert archive.getinfo("run_autograder").external_attr >> 16 & 0o111
        assert b"--homework hw3" in archive.read("run_autograder")
        assert archive.read("secret") == b"a" * 16
    assert {"setup.sh", "workbook/pyproject.toml", "workbook/course_lib/homework/grading/reports/read.js"} <= set(names)
    assert not [name for name in names if not name.startswith(("setup.sh", "run_autograder", "secret", "workbook/"))]
    assert not [name for name in names if name.startswith(("workbook/notebooks", "workbook/tests"))]
    with pytest.raises(ValueError, match="'hw9'"):
        gradescope.make_autograder("hw9", tmp_path / "hw9.zip", b"")


def test_similar_names_get_different_pages():
    names = ["Ada B", "Ada_B", "Ada/B", "Ädä B", "..", "", "x" * 300]
    files = {store.page_name(graded(name, 1)) for name in names}
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
        run(tmp_path, homework="hw9")


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
    assert grade._judge(task, protocol.pack_outcomes(outcomes)) == (None, "")
    forged = [dataclasses.replace(one, after=(5, "x")) for one in outcomes]
    assert grade._judge(task, protocol.pack_outcomes(forged))[0] is not None
    for wrong in (outcomes[:-1], [*outcomes, outcomes[0]], []):
        with pytest.raises(protocol.Malformed):
            grade._judge(task, protocol.pack_outcomes(wrong))


# --- marks -------------------------------------------------------------------------------------------------------


def lines(out) -> dict[tuple[str, str], dict]:
    return {(r["student"], r["exercise"]): r for r in csv.DictReader((out / "grades.csv").open(encoding="utf-8-sig"))}


def test_marks_survive_every_run(tmp_path):
    both = [graded("Ada", 3), graded("Bob & Co", 0)]
    pages.write_results(both, tmp_path)
    given = "\ufeffstudent;homework;exercise;points;comment\nAda;hw3;collapse;2,5;Good, but why?\nBob & Co;hw3;kl;1;half right\n"
    (tmp_path / "marks.csv").write_text(given, encoding="utf-8")
    code = marks.answer_code("Bob & Co", "hw3")
    by_number = f"student,homework,exercise,points,comment\n{code},hw3,collapse,3,\nNed,hw3,kl,1,\n"
    (tmp_path / "marks_hw3_collapse.csv").write_text(by_number)
    (unused,) = pages.write_results(both, tmp_path)
    assert "line 3" in unused.where
    found = lines(tmp_path)
    assert {key: row["points"] for key, row in found.items()} == {
        ("Ada", "kl"): "3", ("Ada", "collapse"): "2.5", ("Bob & Co", "kl"): "1", ("Bob & Co", "collapse"): "3",
    }  # fmt: skip
    assert found["Ada", "collapse"]["why"] == "Good, but why?"
    text = (tmp_path / "students" / page(graded("Ada", 3))).read_text()
    assert "5.5 of 6 points" in text
    assert "Good, but why?" in text
    assert "marks_hw3_collapse.csv, line 3" in (tmp_path / "index.html").read_text()
    assert (tmp_path / "marks.csv").read_text(encoding="utf-8") == given
    assert (tmp_path / "gradebook.csv").read_text(encoding="utf-8-sig") == "student,id,hw3,total\nAda,,5.5,5.5\nBob & Co,,4,4\n"


def test_one_answer_is_marked_once(tmp_path):
    start = "student,homework,exercise,points\n"
    (tmp_path / "marks.csv").write_text(f"{start}Ada,hw3,kl,1\n")
    (tmp_path / "marks_2.csv").write_text(f"{start}{marks.answer_code('Ada', 'hw3')},hw3,kl,2\n")
    with pytest.raises(ValueError, match=r"marks\.csv, line 2.*marks_2\.csv, line 2"):
        pages.write_results([graded("Ada", 3)], tmp_path)


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
    assert "half an emoji ?" in (tmp_path / "students" / page(half)).read_text()
    assert "M?ller" in (tmp_path / "index.html").read_text()


def test_a_grades_csv_with_other_columns_is_not_overwritten(tmp_path):
    (tmp_path / "grades.csv").write_text("name,mark\nAda,1\n")
    with pytest.raises(ValueError, match="other columns"):
        pages.write_results([graded("Ada", 3)], tmp_path)
    assert (tmp_path / "grades.csv").read_text() == "name,mark\nAda,1\n"
