"""The solved homework runs to the end and earns every point, in its own checks and on hidden inputs.

A separate file, so that another process can run it while the students' files run.
"""

import nbformat
import pytest
from files import BY_SOURCE, SOURCES, grade_folder, grade_id, outputs, why_no_sandbox

from course_lib.homework.checks import HOMEWORKS
from course_lib.storage.paths import ROOT
from course_lib.tools import build_homework
from course_lib.tools import build_notebooks as book


@pytest.mark.notebooks
@BY_SOURCE
def test_the_solved_notebook_runs_and_every_check_passes(source):
    nb = build_homework.assemble(source, solved=True)
    book.execute(nb, ROOT / "notebooks" / "homework")
    exercises = HOMEWORKS[source.stem].exercises
    printed = {grade_id(cell): outputs(cell) for cell in nb.cells if grade_id(cell).startswith("check-")}
    for one in exercises:
        assert printed[f"check-{one.name}"].startswith(f"✓ {one.name}: passed, {one.points} point")
    full = sum(one.points for one in exercises)
    summary = [cell for cell in nb.cells if cell.cell_type == "code"][-1]
    assert f"{full} of {full} points." in outputs(summary)


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("solved")
    for source in SOURCES:
        place = folder / "submitted" / "ada" / source.stem
        place.mkdir(parents=True)
        nbformat.write(build_homework.assemble(source, solved=True), place / f"{source.stem}.ipynb")
    return folder


@pytest.mark.processes
def test_a_solved_homework_earns_every_point_on_hidden_inputs(solved):
    if why := why_no_sandbox():
        pytest.skip(f"no sandbox: {why}")
    graded = grade_folder(solved / "submitted", solved / "out", solved / "secret")
    assert [one.found.homework for one in graded] == list(HOMEWORKS)
    for one in graded:
        assert one.problem == ""
        homework = HOMEWORKS[one.found.homework]
        earned = {r.exercise: r.points for r in one.results}
        assert earned == {e.name: None if e in homework.written else e.points for e in homework.order}
        assert all("Rubric" in r.answer for r in one.results if r.points is None)
