"""A class of twelve students with every habit and layout that we know, graded twice with marks by hand in between.

With the real sandbox; test_submissions and test_grading test the parts.
"""

import csv
import io
import os
import unicodedata
import zipfile
from pathlib import Path

import nbformat
import pytest
from files import why_no_sandbox

from course_lib.homework.checks import HOMEWORKS
from course_lib.homework.grading import grade
from course_lib.homework.grading.reports import marks, pages, store
from course_lib.homework.grading.submissions import roster
from course_lib.homework.grading.submissions.notebook import ANSWER_HERE
from course_lib.tools import build_homework

WHY = why_no_sandbox()
pytestmark = [pytest.mark.processes, pytest.mark.skipif(bool(WHY), reason=f"no sandbox: {WHY}")]
SOURCES = {path.stem: path for path in build_homework.SOURCES.glob("hw*.py")}
MONDAY = 1_763_978_400.0
PROGRAMS = sum(one.points for one in HOMEWORKS["hw3"].exercises)
ROSTER = """Student,ID,SIS User ID,SIS Login ID,Section
    Points Possible,,,,
"White, Carol",2231,S9,cwhite,A
"Stone, Bob",77,S2,bstone,A
"Nowhere, Ned",5,S5,ned,A
"""


def solved(homework: str = "hw3", **changes) -> nbformat.NotebookNode:
    """A solved homework. changes: by the name of a cell, its new text, or a function that makes it from the old one."""
    book = build_homework.assemble(SOURCES[homework], solved=True)
    words = {one.name: f"My own words about {homework}." for one in HOMEWORKS[homework].written}
    for cell in book.cells:
        change = {**words, **changes}.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        if change:
            cell.source = change(cell.source) if callable(change) else change
    return book


def put(path: Path, book: nbformat.NotebookNode, time: float = MONDAY) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    os.utime(path, (time, time))


def hand_in(folder: Path) -> None:
    put(folder / "ada" / "hw3.ipynb", solved())
    put(folder / "ada" / "hw2.ipynb", solved("hw2"))
    put(folder / "ada" / ".ipynb_checkpoints" / "hw3-checkpoint.ipynb", solved())
    magic = solved(kl=lambda text: f"%%time\n{text}\ndisplay(kl(m_demo, l_demo))\n%timeit 1 + 1", collapse=ANSWER_HERE)
    put(folder / "Bob Stone_101_assignsubmission_file_" / "hw3.ipynb", magic)
    put(folder / "canvas" / "whitecarol_2231_88012_hw3.ipynb", solved())
    put(folder / "canvas" / "whitecarol_2231_88099_hw3-1.ipynb", solved(kl="def kl(mean, logvar):\n    return mean"), MONDAY + 60)
    forged = solved(elbo="def elbo(images, copies, cost, noise_std):\n    raise ValueError(str(images.tolist()))")
    put(folder / "dana" / "hw3" / "hw3.ipynb", forged, MONDAY + 90_000)
    (folder / "eve").mkdir()
    with zipfile.ZipFile(folder / "eve" / "my homework.zip", "w") as archive:
        archive.writestr("hw3/solution.ipynb", nbformat.writes(solved()))
        archive.writestr("__MACOSX/hw3/._solution.ipynb", "x")
    put(folder / "finn" / "homework4.ipynb.txt", solved())
    own_cell = solved(collapse=ANSWER_HERE)
    at = next(n for n, cell in enumerate(own_cell.cells) if cell.source == ANSWER_HERE)
    own_cell.cells.insert(at + 1, nbformat.v4.new_markdown_cell("In a cell of its own."))
    put(folder / unicodedata.normalize("NFD", "Zoë") / "hw3.ipynb", own_cell)
    put(folder / unicodedata.normalize("NFC", "Zoë") / "hw2.ipynb", solved("hw2"))
    (folder / "hal").mkdir()
    (folder / "hal" / "hw3.py").write_text("def kl(): pass")
    (folder / "ian").mkdir()
    put(
        folder / "section B" / "jan" / "hw3.ipynb",
        solved(kl="from course_lib.vae import Posterior\ndef kl(mean, logvar):\n    return Posterior(mean, logvar).kl()"),
    )
    put(folder / "section B" / "kim" / "hw3.ipynb", build_homework.assemble(SOURCES["hw3"], solved=False))
    put(folder / os.fsdecode(b"M\xfcller") / "hw3.ipynb", solved())


def run(folder: Path) -> None:
    people = roster.read_roster(folder / "roster.csv")
    stored = store.Store(folder / "out" / "results")
    options = grade.Options(roster=people, deadline=MONDAY + 3600, progress=False)
    graded = grade.grade(folder / "in", HOMEWORKS, lambda: b"a" * 16, stored, options)
    pages.write_results(stored.read(graded), folder / "out", people, build_homework.questions())


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    (folder / "roster.csv").write_text(ROSTER)
    hand_in(folder / "in")
    run(folder)
    return folder


def test_every_student_and_every_file_is_there(graded):
    rows = table(graded / "out" / "grades.csv")
    everyone = {
        "ada",
        "Bob Stone",
        "Carol White",
        "dana",
        "eve",
        "finn",
        "Zoë",
        "hal",
        "ian",
        "jan",
        "kim",
        "Müller",
        "Ned Nowhere",
    }
    assert {row["student"] for row in rows} == everyone
    handed_in = {unicodedata.normalize("NFC", row["file"]) for row in rows}
    for name in ("ada/.ipynb_checkpoints", "eve/my homework.zip/__MACOSX", "hal/hw3.py", "ian", "Müller/hw3.ipynb"):
        assert name in handed_in
    index = (graded / "out" / "index.html").read_text(encoding="utf-8")
    assert not [name for name in everyone if name not in index]


def test_right_programs_earn_their_points_whatever_surrounds_them(graded):
    earned = {}
    for row in table(graded / "out" / "grades.csv"):
        if row["homework"] == "hw3":
            earned[row["student"]] = earned.get(row["student"], 0) + float(row["points"] or 0)
    without = {name: PROGRAMS - one.points for name, one in (("kl", HOMEWORKS["hw3"].kl), ("elbo", HOMEWORKS["hw3"].elbo))}
    full, none = ("ada", "Bob Stone", "eve", "finn", "Zoë", "jan", "Müller"), ("hal", "kim", "Ned Nowhere")
    assert earned == {
        **dict.fromkeys(full, PROGRAMS), **dict.fromkeys(none, 0), "Carol White": without["kl"], "dana": without["elbo"],
    }  # fmt: skip


def test_the_pages_say_what_a_person_needs_and_no_hidden_input(graded):
    read = {
        path.name.partition("_")[0]: path.read_text(encoding="utf-8") for path in (graded / "out" / "students").glob("*hw3.html")
    }
    hidden = HOMEWORKS["hw3"].elbo.task(b"a" * 16).hidden_inputs[0].args[0].flatten()[:3].tolist()
    assert not [value for value in hidden if str(value)[:6] in read["dana"]]
    assert "raise ValueError(str(images.tolist()))" in read["dana"], "the cell stands next to the message"
    assert "1 d 0 h after the deadline" in read["dana"]
    index = (graded / "out" / "index.html").read_text(encoding="utf-8")
    assert "Nothing handed in" in index
    assert "Posterior" in index
    reading = (graded / "out" / "read" / "hw3_collapse.html").read_text(encoding="utf-8")
    assert "In a cell of its own." in reading
    assert "Rubric" in reading
    assert "Carol" not in reading


def test_marks_survive_a_second_run_with_a_better_submission(graded):
    code = marks.answer_code("ada", "hw3")
    (graded / "out" / "marks.csv").write_text(
        f"student,homework,exercise,points,comment\n{code},hw3,collapse,4.5,Good\nhal,hw3,kl,1,ill\n"
    )
    put(graded / "in" / "kim" / "hw3.ipynb", solved(), MONDAY + 120)
    run(graded)
    rows = {(row["student"], row["homework"], row["exercise"]): row for row in table(graded / "out" / "grades.csv")}
    assert rows["ada", "hw3", "collapse"]["points"] == "4.5"
    assert rows["hal", "hw3", "kl"]["points"] == "1"
    assert rows["kim", "hw3", "kl"]["points"] == rows["kim", "hw3", "kl"]["of"]
    book = {row["Student"]: row for row in table(graded / "out" / "gradebook.csv")}
    assert float(book["ada"]["hw3"]) == PROGRAMS + 4.5
    assert float(book["ada"]["total"]) == PROGRAMS + 4.5 + sum(one.points for one in HOMEWORKS["hw2"].exercises)
    assert book["White, Carol"]["SIS User ID"] == "S9"
    assert book["Nowhere, Ned"]["total"] == "0"
