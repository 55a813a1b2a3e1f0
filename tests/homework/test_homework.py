"""The homework's files: a student's file is what its source says without solutions, and a stub fails only in its own cell."""

import json
import re
import subprocess
import time
from pathlib import Path

import nbformat
import pytest
import torch
from files import BY_SOURCE, SOURCES, grade_id, joined, outputs, student_file
from typer.testing import CliRunner

from course_lib.homework.checks import HOMEWORKS
from course_lib.homework.demos import compare_guess
from course_lib.homework.demos import hw1 as hw1_demos
from course_lib.storage.paths import ROOT
from course_lib.tools import build_homework, cli
from course_lib.tools import build_notebooks as book

REGION = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.S)
TEACHERS = re.compile(r'^# %% \[markdown\] teacher="\w+"\n(.*?)(?=^# %%|\Z)', re.M | re.S)


def cells_of(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_there_are_five_homeworks_with_four_to_six_exercises_each():
    assert [path.stem for path in SOURCES] == list(HOMEWORKS) == ["hw1", "hw2", "hw3", "hw4", "hw5"]
    for one in HOMEWORKS.values():
        assert 4 <= len(one.exercises) <= 6
        assert one.written
        assert all(e.points >= 1 and 1 <= e.difficulty <= 5 and e.minutes >= 1 for e in one.order)


def test_students_files_are_what_their_sources_say():
    assert build_homework.check() == []
    stored = {path.name for path in (ROOT / "notebooks" / "homework").iterdir() if not path.name.startswith(".")}
    assert stored == {f"{path.stem}.ipynb" for path in SOURCES}


@BY_SOURCE
def test_no_solution_is_in_a_students_file(source):
    """Searches cells, outputs and metadata for every line of a solution that is long enough to be distinctive."""
    regions = REGION.findall(source.read_text(encoding="utf-8"))
    assert len(regions) == len(HOMEWORKS[source.stem].order)
    notebook = json.loads(student_file(source).read_text(encoding="utf-8"))
    text = "\n".join(every_string(notebook))
    lines = [line.strip().removeprefix("# ") for region in regions for line in region.splitlines()]
    distinctive = [line for line in lines if len(line) > 15]
    assert len(distinctive) >= len(HOMEWORKS[source.stem].order)
    assert [line for line in distinctive if line in text] == []
    assert "SOLUTION" not in text
    assert "Rubric" not in text


@BY_SOURCE
def test_the_teachers_part_is_in_the_solved_file_only(source):
    written = TEACHERS.findall(source.read_text(encoding="utf-8"))
    lines = [line.removeprefix("# ") for part in written for line in part.splitlines() if len(line) > 15]
    numbered = [line for line in lines if re.match(r"\d\. \*", line)]
    assert len(numbered) == 6, "three questions on paper and three oral ones"
    assert all("Shows: " in line for line in numbered)
    solved = "\n".join(cell.source for cell in build_homework.assemble(source, solved=True).cells)
    assert [line for line in lines if line not in solved] == []
    text = "\n".join(every_string(json.loads(student_file(source).read_text(encoding="utf-8"))))
    assert [line for line in lines if line in text] == []
    assert "teacher" not in text.lower()


@BY_SOURCE
def test_a_student_reads_how_the_grader_works(source):
    cells = build_homework.assemble(source, solved=False).cells
    assert [cell.source for cell in cells].count(build_homework.GRADING) == 1
    assert len(build_homework.GRADING.split()) <= 110


@BY_SOURCE
def test_a_guess_is_asked_for_before_it_is_compared(source):
    code = [cell.source for cell in build_homework.assemble(source, solved=False).cells if cell.cell_type == "code"]
    asked = [re.match(r"(guess_\w+) = None  # your guess: ", cell) for cell in code]
    names = {found[1]: n for n, found in enumerate(asked) if found}
    assert 2 <= len(names) <= 4
    used = {name: n for n, cell in enumerate(code) for name in re.findall(r"compare_guess\(.*?, (guess_\w+),", cell)}
    assert list(used) == list(names)
    assert all(used[name] > names[name] for name in names)


@pytest.mark.parametrize(
    ("guess", "printed"),
    [
        (None, "share: no guess, measured 79.28\n"),
        (80, "share: your guess 80, measured 79.28\n"),
        ("about 80 %", "share: your guess about 80 %, measured 79.28\n"),
    ],
)
def test_a_guess_is_printed_next_to_what_was_measured(guess, printed, capsys):
    compare_guess("share", guess, 79.2842)
    assert capsys.readouterr().out == printed


def test_a_two_nn_that_needs_too_much_is_replaced_for_a_figure(capsys):
    def by_differences(x):
        _, r1, r2 = ((x[:, None] - x[None]) ** 2).sum(-1).sqrt().topk(3, largest=False).values.T
        return ((len(x) - 1) / torch.log(r2 / r1).sum()).item()

    def slow(x):
        time.sleep(0.05)
        return 1.0

    assert hw1_demos.within_limits(by_differences, n=1000, d=50) is by_differences
    assert capsys.readouterr().out == ""
    replaced = hw1_demos.within_limits(by_differences, n=4000, d=1024)
    assert "would need 131 GB of memory, so this cell uses the workbook's own" in capsys.readouterr().out
    x = torch.rand(50, 3, dtype=torch.float64)
    assert replaced(x) == pytest.approx(by_differences(x))
    hw1_demos.within_limits(slow, n=4000, d=3)
    assert re.search(r"would need about \d+ s,", capsys.readouterr().out)


def every_string(value) -> list[str]:
    """Every string in a JSON value, lists of lines joined."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        joined_lines = ["".join(value)] if value and all(isinstance(v, str) for v in value) else []
        return joined_lines + [text for item in value for text in every_string(item)]
    if isinstance(value, dict):
        return [text for k, v in value.items() for text in [k, *every_string(v)]]
    return []


@BY_SOURCE
def test_a_stub_fails_in_its_own_cell_with_its_own_message(source):
    names = [one.name for one in HOMEWORKS[source.stem].exercises]
    cells = [cell for cell in cells_of(student_file(source)) if cell["cell_type"] == "code"]
    printed = {grade_id(cell): outputs(cell) for cell in cells if grade_id(cell).startswith("check-")}
    assert list(printed) == [f"check-{name}" for name in names]
    for name in names:
        lines = printed[f"check-{name}"].splitlines()
        assert lines[0].startswith(f"○ {name}: not written yet")
        assert f"use the workbook's own {name}" in lines[1]
    others = [outputs(cell) for cell in cells[:-1] if not grade_id(cell).startswith("check-")]
    assert not [text for text in others if "not written" in text]
    assert "error" not in {out["output_type"] for cell in cells for out in cell["outputs"]}
    space: dict = {}
    exec(
        "import math\nimport numpy as np\nimport torch\nfrom torch import Tensor, nn\nfrom torch.nn import functional as F", space
    )
    for cell in cells:
        if grade_id(cell) in names:
            exec(joined(cell["source"]), space)
            function = space[grade_id(cell)]
            with pytest.raises(NotImplementedError, match=f"^{grade_id(cell)} is not written yet$"):
                function(*[None] * function.__code__.co_argcount)


@BY_SOURCE
def test_every_part_says_points_difficulty_and_minutes_and_has_hints(source):
    nb = build_homework.assemble(source, solved=False)
    text = "\n".join(cell.source for cell in nb.cells)
    assert not re.search(r"\[\[\w+\]\]", text), "a placeholder that was not filled in"
    exercises = HOMEWORKS[source.stem].exercises
    for one in HOMEWORKS[source.stem].order:
        assert f"difficulty {'●' * one.difficulty}{'○' * (5 - one.difficulty)} · about {one.minutes} minutes" in text
    assert text.count("<summary>Hint") >= len(exercises)
    assert text.count("**At work.**") >= len(exercises) - 1
    assert all("→" in cell.source or "->" in cell.source for cell in nb.cells if grade_id(cell) in {e.name for e in exercises})


@pytest.mark.notebooks
@BY_SOURCE
def test_the_students_notebook_runs_with_nothing_written(source):
    nb = build_homework.assemble(source, solved=False)
    book.execute(nb, ROOT / "notebooks" / "homework")
    book.tidy(nb)
    assert book.faults(nb) == []
    assert f"0 of {sum(one.points for one in HOMEWORKS[source.stem].exercises)} points." in outputs(nb.cells[-1])


# --- the build's own rules -----------------------------------------------------------------------------------------


def test_check_sees_drift_and_a_missing_file(tmp_path, monkeypatch):
    monkeypatch.setattr(build_homework, "STUDENTS", tmp_path)
    names = [source.stem for source in SOURCES]
    assert [line.split(" ")[0] for line in build_homework.check()] == [f"homework/{name}.ipynb" for name in names]
    for source in SOURCES:
        text = student_file(source).read_text(encoding="utf-8")
        (tmp_path / student_file(source).name).write_text(text.replace("YOUR CODE HERE", "your code here", 1), encoding="utf-8")
    assert [line.split(" ")[0] for line in build_homework.check()] == [f"homework/{name}.ipynb" for name in names]


def test_cells_carry_nbgraders_metadata():
    nb = build_homework.assemble(SOURCES[2], solved=False)
    facts = {grade_id(cell): cell.metadata["nbgrader"] for cell in nb.cells if grade_id(cell)}
    assert facts["kl"]["solution"]
    assert not facts["kl"]["grade"]
    assert facts["check-kl"] == {
        "schema_version": 3, "grade_id": "check-kl", "cell_type": "code",
        "grade": True, "solution": False, "locked": True, "task": False, "points": 3,
    }  # fmt: skip
    assert facts["collapse"]["grade"]
    assert facts["collapse"]["solution"]


def test_homeworks_are_chosen_by_name_or_number():
    assert [path.stem for path in build_homework.sources(["3"])] == ["hw3"]
    assert [path.stem for path in build_homework.sources(["hw1", "5"])] == ["hw1", "hw5"]
    with pytest.raises(ValueError, match=r"'hw9'.* hw1"):
        build_homework.sources(["9"])


def test_a_source_that_names_no_exercise_is_refused(tmp_path):
    source = tmp_path / "hw3.py"
    source.write_text('# %% exercise="entropy"\n1\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"hw3 .*'entropy'.* reparameterise"):
        build_homework.assemble(source, solved=False)


# --- the kit -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A committed copy of this working tree's text files: a kit is made from what is committed."""
    folder = tmp_path_factory.mktemp("teacher") / "workbook"
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in names.stdout.splitlines():
        if (
            (ROOT / name).is_file()
            and (ROOT / name).suffix in (".py", ".md", ".ipynb", ".toml", ".lock", "")
            and not name.startswith("data/")
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for line in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *line], cwd=folder, check=True)
    return folder


def test_a_kit_holds_the_workbook_and_no_solution(clone, tmp_path, monkeypatch):
    monkeypatch.setattr(build_homework, "ROOT", clone)
    done = CliRunner().invoke(cli.cli, ["homework", "release", str(tmp_path / "kit")])
    assert done.exit_code == 0, done.output
    assert "no solved notebook and no rubric among them" in done.output
    kit = {p.relative_to(tmp_path / "kit").as_posix(): p for p in (tmp_path / "kit").rglob("*") if p.is_file()}
    assert {"README.md", "Makefile", "notebooks/01_pixel_space.ipynb", "course_lib/homework/checks/hw3/kl.py"} <= set(kit)
    assert {f"notebooks/homework/{source.stem}.ipynb" for source in SOURCES} <= set(kit)
    assert [name for name in kit if name.startswith(build_homework.WITHHELD)] == []
    for source in SOURCES:
        cells = nbformat.read(kit[f"notebooks/homework/{source.stem}.ipynb"], as_version=4).cells
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
        assert len(cells) == len(build_homework.assemble(source, solved=False).cells)
        copy = kit[f"{build_homework.ORIGINALS}/{source.stem}.ipynb"]
        assert copy.read_bytes() == kit[f"notebooks/homework/{source.stem}.ipynb"].read_bytes()
    readme = kit["README.md"].read_text(encoding="utf-8")
    assert "git checkout -- notebooks" not in readme
    assert "course homework build" not in readme
    assert build_homework.ORIGINALS in readme
    # A chapter shows the sources of the library's blocks, or folds the solution of what its reader writes: this is where a
    # student may look. Solutions lie nowhere else.
    rest = [p for name, p in kit.items() if not name.startswith(("course_lib/", "notebooks/0", "notebooks/source/0"))]
    text = "\n".join(p.read_text(encoding="utf-8", errors="replace") for p in rest)
    assert "### BEGIN SOLUTION" not in text
    for source in SOURCES:
        for region in REGION.findall(source.read_text(encoding="utf-8")):
            body = [line.strip() for line in region.splitlines() if len(line.strip()) > 40 and not line.startswith("#")]
            assert [line for line in body if line in text] == []
    assert list(tmp_path.iterdir()) == [tmp_path / "kit"]


def test_a_kit_says_that_it_has_no_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(build_homework, "SOURCES", tmp_path / "notebooks" / "source" / "homework")
    assert build_homework.check() == []
    done = CliRunner().invoke(cli.cli, ["homework", "build", "3"])
    assert re.search(r"kit for students has no sources.*originals", f"{done.output}{done.exception}", re.S)


def test_a_kit_is_refused_where_the_readme_has_changed(clone, tmp_path, monkeypatch):
    monkeypatch.setattr(build_homework, "ROOT", clone)
    monkeypatch.setattr(build_homework, "README_OF_A_KIT", {"a sentence that is not there": ""})
    with pytest.raises(ValueError, match="adapt README_OF_A_KIT"):
        build_homework.release(tmp_path / "kit")
    assert list(tmp_path.iterdir()) == []


def test_a_kit_is_refused_in_a_folder_that_is_not_empty_or_with_uncommitted_changes(clone, tmp_path, monkeypatch):
    monkeypatch.setattr(build_homework, "ROOT", clone)
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path} is not empty")):
        build_homework.release(tmp_path)
    (clone / "README.md").write_text("changed")
    with pytest.raises(ValueError, match=r"1 files.*README\.md"):
        build_homework.release(tmp_path / "kit")
    monkeypatch.setattr(build_homework, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="git clone"):
        build_homework.release(tmp_path / "kit")
    assert not (tmp_path / "kit").exists()
