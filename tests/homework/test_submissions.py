"""Who handed in what: layouts, names, attempts, archives, rosters. Every file appears, and no student is lost."""

import json
import os
import unicodedata
import zipfile

import pytest

from course_lib.homework.checks import HOMEWORKS
from course_lib.homework.grading.submissions import files as handed_in
from course_lib.homework.grading.submissions import find, roster
from course_lib.homework.grading.submissions import notebook as cells_of

NAMES = {name: one.names for name, one in HOMEWORKS.items()}
MOODLE, CANVAS = "{}_{}_assignsubmission_file_/hw3.ipynb", "{}_{}_{}_hw3.ipynb"


def notebook(*names: str) -> str:
    """A notebook that defines functions of these names, without names of cells."""
    code = [{"cell_type": "code", "source": f"def {name}(): return 1", "metadata": {}, "outputs": []} for name in names]
    return json.dumps({"cells": code, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def hand_in(folder, *names, text=None, time=1000):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(notebook("x") if text is None else text)
        os.utime(path, (time, time))


def found(folder, *given, **options):
    return [one for one in find.find_submissions(folder, NAMES, *given, **options) if not one.extra]


def students(folder, **options):
    return [(one.student, one.homework) for one in found(folder, **options)]


@pytest.mark.parametrize(
    ("files", "who"),
    [
        (["ada/hw3.ipynb", "bob/hw3.ipynb"], ["ada", "bob"]),
        (["ada/hw3/hw3.ipynb"], ["ada"]),
        (["hw3/ada.ipynb", "hw3/bob.ipynb"], ["ada", "bob"]),
        (["ada_12345_hw3.ipynb"], ["ada_12345"]),
        (["Lovelace_Ada_991_HW3-2.ipynb"], ["Lovelace_Ada_991"]),
        ([MOODLE.format("Ada Lovelace", 42)], ["Ada Lovelace"]),
        (["export/" + MOODLE.format("Ada", 42), "export/" + MOODLE.format("Bob", 43)], ["Ada", "Bob"]),
        (["loumax_LATE_2231_88012_hw3-1.ipynb"], ["loumax"]),
        (["canvas/loumax_2231_77001_hw3.IPYNB"], ["loumax"]),
        (["hw3.ipynb"], ["hw3"]),
        (["hw3/student-12.ipynb", "hw3/student-13.ipynb"], ["student-12", "student-13"]),
        (["student-12/hw3.ipynb", "student-13/hw3-2.ipynb"], ["student-12", "student-13"]),
        (["section A/ada/hw3.ipynb", "section A/bob/hw3.ipynb", "section B/carol/hw3.ipynb"], ["ada", "bob", "carol"]),
        (["A/ada/hw3.ipynb", "A/bob/hw3.ipynb", "B/carol/hw3.ipynb"], ["ada", "bob", "carol"]),
        (["2026 physics/ada/hw3.ipynb", "2026 physics/bob/hw3.ipynb"], ["ada", "bob"]),
        (["submissions/ada/hw3.ipynb"], ["ada"]),
        (["submissions/hw3/ada.ipynb", "submissions/hw3/bob.ipynb"], ["ada", "bob"]),
        (["group 1/ada_hw3.ipynb", "group 1/bob_hw3.ipynb"], ["ada", "bob"]),
        (["hw3 late/ada.ipynb"], ["ada"]),
        (["hw3 late/ada/hw3.ipynb", "hw3/bob.ipynb"], ["ada", "bob"]),
        (["CS236-hw3-99182/ada/hw3.ipynb", "CS236-hw3-99182/bob/solution.ipynb"], ["ada", "bob"]),
        (["ada_hw3/solution.ipynb", "bob_hw3/solution.ipynb"], ["ada", "bob"]),
        (["ada/Copy of hw3.ipynb", "bob/hw3 - Copy.ipynb", "eve/hw3.ipynb.json"], ["ada", "bob", "eve"]),
        (["ada/work/hw3.ipynb", "bob/hw3.ipynb"], ["ada", "bob"]),
        (["ada/attempt 1/hw3.ipynb", "ada/attempt 2/hw3.ipynb"], ["ada"]),
        (["01/hw3.ipynb", "02/hw3.ipynb"], ["01", "02"]),
        (["A/ada/hw3.ipynb", "A/bob/hw3.ipynb", "B/ada/hw3.ipynb", "B/eve/hw3.ipynb"], ["A ada", "B ada", "bob", "eve"]),
        (["section 1/7/hw3.ipynb", "section 2/7/hw3.ipynb"], ["section 1 7", "section 2 7"]),
        (["hw3/ada/hw3.ipynb", "hw3 late/ada/hw3.ipynb", "hw3 late/bob/hw3.ipynb"], ["ada", "bob"]),
        (["homework 3/ada/solution.ipynb", "homework 3/bob/mine.ipynb"], ["ada", "bob"]),
    ],
)
def test_layouts(tmp_path, files, who):
    hand_in(tmp_path, *files)
    assert students(tmp_path) == [(name, "hw3") for name in who]


def test_two_students_of_one_name_keep_the_platforms_numbers(tmp_path):
    hand_in(tmp_path, *(MOODLE.format("Ada L", n) for n in (1, 2)), MOODLE.format("Bob", 3))
    assert [name for name, _ in students(tmp_path)] == ["Ada L 1", "Ada L 2", "Bob"]


def test_of_a_canvas_students_two_files_the_newest_counts(tmp_path):
    hand_in(tmp_path, CANVAS.format("loumax", 2231, 1), time=2000)
    hand_in(tmp_path, "loumax_LATE_2231_2_hw3-1.ipynb", time=1000)
    (one,) = found(tmp_path)
    assert (one.file, one.id, one.late) == (CANVAS.format("loumax", 2231, 1), "2231", "")
    assert [attempt.late for attempt in one.older] == ["handed in late"]
    assert "2 notebooks were handed in" in one.remark


def test_of_two_notebooks_the_newest_that_can_be_read_counts(tmp_path):
    hand_in(tmp_path, "ada/hw3.ipynb", "ada/hw3 (1).ipynb", "bob/hw3.ipynb")
    hand_in(tmp_path, "ada/hw3-Copy1.ipynb", text="{", time=3000)
    os.utime(tmp_path / "ada" / "hw3 (1).ipynb", (2000, 2000))
    ada, bob = found(tmp_path)
    assert ada.file == "ada/hw3 (1).ipynb"  # though "hw3.ipynb" is the last by name
    assert "hw3.ipynb" in ada.remark
    assert bob.remark == ""
    extra = [one for one in find.find_submissions(tmp_path, NAMES) if one.extra]
    assert [one.file for one in extra] == ["ada/hw3-Copy1.ipynb"]


def test_which_homework_it_is_follows_from_the_cells(tmp_path):
    hand_in(tmp_path, "ada/homework4.ipynb", "bob/mine.ipynb", text=notebook("kl", "elbo"))
    hand_in(tmp_path, "carol/mine.ipynb", "dana/hw13.ipynb")
    assert students(tmp_path) == [("ada", "hw3"), ("bob", "hw3"), ("carol", ""), ("dana", "")]
    assert "cells are those of hw3" in found(tmp_path)[0].remark
    assert students(tmp_path, homework="hw3") == [(name, "hw3") for name in ("ada", "bob", "carol", "dana")]


def test_a_notebook_that_only_its_name_gives_to_another_homework_does_not_vanish(tmp_path):
    hand_in(tmp_path, "ada/hw3.ipynb", "ada/hw2.ipynb", "bob/hw2.ipynb")
    hand_in(tmp_path, "carol/hw2.ipynb", text=notebook("psnr", "bottleneck"))
    every = find.find_submissions(tmp_path, NAMES, "hw3")
    assert [(one.student, one.homework, one.extra) for one in every] == [
        ("ada", "hw3", False),
        ("bob", "", False),
        ("ada", "", True),
    ]
    assert "Its name says hw2" in every[1].problem


def test_names_of_cells_count_before_functions():
    cells = (cells_of.Cell("code", "def psnr(): pass", "check-kl"), cells_of.Cell("markdown", "", "collapse"))
    assert cells_of.Notebook(cells).homework(NAMES) == "hw3"
    assert cells_of.Notebook(cells[:0]).homework(NAMES) == ""


def test_an_archive_is_a_folder(tmp_path):
    (tmp_path / "eve").mkdir()
    with zipfile.ZipFile(tmp_path / "eve" / "my homework.zip", "w") as archive:
        archive.writestr("hw3/solution.ipynb", notebook("kl"))
        archive.writestr("__MACOSX/hw3/._solution.ipynb", "x")
        archive.writestr("inner.zip", "x")
    with zipfile.ZipFile(tmp_path / "finn_hw3.zip", "w") as archive:
        archive.writestr("../../hw3.ipynb", notebook("kl"))
    (tmp_path / "gita").mkdir()
    (tmp_path / "gita" / "hw3.zip").write_bytes(b"PK no archive")
    hand_in(tmp_path, "hal/hw3.ipynb")
    assert [name for name, _ in students(tmp_path)] == ["eve", "finn", "gita", "hal"]
    eve, finn, gita, _ = found(tmp_path)
    assert eve.notebook and finn.notebook and eve.file == "eve/my homework.zip/hw3/solution.ipynb"  # noqa: PT018
    assert "archive cannot be opened" in gita.problem
    extra = {one.file: one.problem for one in find.find_submissions(tmp_path, NAMES) if one.extra}
    assert "archive within an archive" in extra["eve/my homework.zip/inner.zip"]
    assert "macOS" in extra["eve/my homework.zip/__MACOSX"]


def test_the_submissions_may_be_one_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("ada/hw3.ipynb", notebook("kl"))
        archive.writestr("bob/hw3.ipynb", notebook("kl"))
    assert students(tmp_path / "all.zip") == [("ada", "hw3"), ("bob", "hw3")]


def test_an_archive_bomb_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "ada_hw3.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("hw3.ipynb", b"[" * (handed_in.MAX_BYTES + 1))
    (one,) = found(tmp_path)
    assert "more than 20 MiB" in one.problem


def test_every_file_appears(tmp_path):
    hand_in(tmp_path, "ada/hw3.ipynb", "ada/.ipynb_checkpoints/hw3-checkpoint.ipynb", ".hidden/hw3.ipynb")
    hand_in(tmp_path, "ada/notes.txt", "bob/hw4.py", "bob/essay.pdf", text="x")
    hand_in(tmp_path, "carol/hw3.ipynb.txt")
    (tmp_path / "dana").mkdir()
    (tmp_path / "eve" / "hw3.ipynb").mkdir(parents=True)
    (tmp_path / "finn").mkdir()
    os.mkfifo(tmp_path / "finn" / "hw3.ipynb")
    os.symlink("/etc/passwd", tmp_path / "gita.ipynb")
    os.symlink(tmp_path / "ada", tmp_path / "hal")
    every = find.find_submissions(tmp_path, NAMES)
    problems = {one.student: (one.homework, one.problem) for one in every if not one.extra}
    assert list(problems) == [".hidden", "ada", "carol", "eve", "finn", "bob", "dana", "gita", "hal"]
    assert [name for name, (_, problem) in problems.items() if not problem] == [".hidden", "ada", "carol"]
    for name, words in {"eve": "empty", "finn": "special file", "dana": "empty", "gita": "link", "hal": "link"}.items():
        assert words in problems[name][1]
    assert problems["bob"][0] == "hw4"
    assert "hw4.py" in problems["bob"][1]
    assert [one.file for one in every if one.extra] == ["ada/.ipynb_checkpoints", "ada/notes.txt", "bob/essay.pdf"]
    carol = next(one for one in every if one.student == "carol")
    assert "does not end in .ipynb" in carol.remark


@pytest.mark.skipif(os.geteuid() == 0, reason="root can open every folder")
def test_a_folder_that_cannot_be_opened_appears(tmp_path):
    hand_in(tmp_path, "ada/hw3.ipynb", "bob/hw3.ipynb")
    (tmp_path / "bob").chmod(0)
    try:
        ada, bob = found(tmp_path)
    finally:
        (tmp_path / "bob").chmod(0o700)
    assert ada.problem == ""
    assert "cannot be opened" in bob.problem


def test_names_have_one_form(tmp_path):
    hand_in(tmp_path, f"{unicodedata.normalize('NFD', 'Zoë')}/hw3.ipynb", f"{unicodedata.normalize('NFC', 'Zoë')}/hw2.ipynb")
    hand_in(tmp_path, "ada \u202e/hw3.ipynb", os.fsdecode(b"M\xfcller") + "/hw3.ipynb", "two  blanks/hw3.ipynb")
    assert sorted(students(tmp_path)) == [
        ("Müller", "hw3"), ("Zoë", "hw2"), ("Zoë", "hw3"), ("ada \\u202e", "hw3"), ("two blanks", "hw3"),
    ]  # fmt: skip


def test_no_folder_and_no_notebook(tmp_path):
    with pytest.raises(ValueError, match="neither a folder nor a zip archive"):
        found(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no notebook of hw3"):
        found(tmp_path, homework="hw3")


def test_lateness(tmp_path):
    hand_in(tmp_path, "ada/hw3.ipynb", time=1000)
    hand_in(tmp_path, "bob/hw3.ipynb", time=1000 + 3600 * 30)
    ada, bob = found(tmp_path, deadline=1000)
    assert (ada.late, bob.late) == ("", "handed in 1 d 6 h after the deadline")


# --- rosters -----------------------------------------------------------------------------------------------------------

ROSTERS = {
    "canvas": 'Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"White, Carol",2231,S9,cwhite,A\n',
    "moodle": "\ufeffFirst name;Last name;ID number;Email address\nCarol;White;S9;cwhite@example.org\n",
    "plain": "name\tid\nCarol White\tS9\n",
}


@pytest.mark.parametrize("text", ROSTERS.values(), ids=ROSTERS)
def test_a_roster_knows_its_people_by_any_spelling(tmp_path, text):
    (tmp_path / "roster.csv").write_text(text, encoding="utf-8")
    read = roster.read_roster(tmp_path / "roster.csv")
    (carol,) = read.people
    assert (carol.name, carol.id) == ("Carol White", "S9")
    for spelling in ("carol white", "White, Carol", "whitecarol", "White_Carol", "S9"):
        assert read.find(spelling) == carol, spelling
    assert read.find("", "Ned") is None


def test_a_roster_names_the_students(tmp_path):
    (tmp_path / "roster.csv").write_text(ROSTERS["canvas"])
    hand_in(tmp_path / "in", "whitecarol_2231_1_hw3.ipynb", "course/cwhite/hw2.ipynb", "course/group/other/hw2.ipynb")
    read = roster.read_roster(tmp_path / "roster.csv")
    assert ("Carol White", "hw3") in students(tmp_path / "in", roster=read)
    assert ("Carol White", "hw2") in students(tmp_path / "in", roster=read)


def test_a_number_of_moodles_is_no_number_of_the_roster(tmp_path):
    (tmp_path / "roster.csv").write_text("name,id\nAda,7\nBob,101\n")
    hand_in(tmp_path / "in", MOODLE.format("Ada", 101))
    assert students(tmp_path / "in", roster=roster.read_roster(tmp_path / "roster.csv")) == [("Ada", "hw3")]


def test_a_file_that_is_no_roster(tmp_path):
    (tmp_path / "roster.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no column of names"):
        roster.read_roster(tmp_path / "roster.csv")


# --- cells -------------------------------------------------------------------------------------------------------------


def test_an_answer_may_stand_in_cells_of_its_own():
    here = cells_of.Cell("markdown", cells_of.ANSWER_HERE, "collapse")
    own, more = cells_of.Cell("markdown", " first "), cells_of.Cell("raw", "second")
    rest = (cells_of.Cell("markdown", f"{cells_of.AFTER_ANSWERS}\n"), cells_of.Cell("markdown", "not this"))
    assert cells_of.Notebook((here, own, more, *rest)).answer("collapse") == "first\n\nsecond"
    assert cells_of.Notebook((here, *rest)).answer("collapse") == ""
    assert cells_of.Notebook(rest).answer("collapse") == ""
    long = cells_of.Notebook((cells_of.Cell("markdown", "x" * 30_000, "collapse"),)).answer("collapse")
    assert len(long) < 20_100
    assert long.endswith("it has 30,000 characters.)")


def test_an_answer_is_found_where_an_editor_dropped_the_names_of_cells():
    cells = (cells_of.Cell("code", "x"), cells_of.Cell("markdown", "my words"), cells_of.Cell("markdown", cells_of.AFTER_ANSWERS))
    assert cells_of.Notebook(cells).answer("collapse").endswith("my words")


def test_programs_that_use_the_library_are_noted():
    cells = (
        "from course_lib import device, vae\nfrom course_lib.homework.checks import hw3",
        "def kl(m, s): return vae.kl(m, s)",
    )
    book = cells_of.Notebook(tuple(cells_of.Cell("code", text) for text in cells))
    assert book.uses_library(cells[1]) == ["vae"]
    assert book.uses_library("def kl(m, s): return m.to(device=s.device) + hw3.x") == []
    assert book.uses_library("import course_lib.vae\ncourse_lib.vae.kl") == ["course_lib"]
