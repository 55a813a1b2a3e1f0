"""The stored attacks are programs that delete files and more: no tool may take them for notebooks or tests."""

import subprocess
import sys

from course_lib.storage.paths import ROOT

SUBMISSIONS = ROOT / "tests" / "submissions"


def test_no_stored_attack_has_an_ending_that_a_tool_executes():
    endings = {path.suffix for path in SUBMISSIONS.rglob("*") if path.is_file()}
    assert endings == {".submission"}


def test_pytest_collects_none_of_them():
    """As the README's test command for Windows and `pytest --nbval-lax` in the root would."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--nbval-lax", "tests/submissions"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 5, done.stdout + done.stderr  # pytest's code for "no tests were collected"


def test_a_notebook_among_them_would_not_be_collected_either(tmp_path):
    """`collect_ignore` alone protects: seen with the repository's own conftest.py and a notebook under the old name."""
    folder = tmp_path / "tests" / "submissions" / "deletes_files"
    folder.mkdir(parents=True)
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    notebook = (SUBMISSIONS / "honest" / "hw3.submission").read_text(encoding="utf-8")
    (folder / "hw3.ipynb").write_text(notebook, encoding="utf-8")
    (tmp_path / "tests" / "plain.ipynb").write_text(notebook, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--nbval-lax", "-p", "no:cacheprovider"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "plain.ipynb" in found
    assert "submissions" not in found
