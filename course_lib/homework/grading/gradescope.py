"""An autograder for Gradescope (https://gradescope-autograders.readthedocs.io): the archive to upload, and its results."""

import io
import json
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path

from course_lib.homework.grading.reports.results import Graded
from course_lib.storage.atomic import write_atomically
from course_lib.storage.paths import ROOT

SETUP = """#!/usr/bin/env bash
# Gradescope runs this once, when it builds the image.
set -e
apt-get update
apt-get install -y --no-install-recommends bubblewrap python3 python3-venv
python3 -m venv /autograder/python
cd /autograder/source/workbook
/autograder/python/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.lock
/autograder/python/bin/pip install --no-cache-dir --no-deps -e .
# What a student's program must not read, where no sandbox can be made and it runs as a user without rights.
chmod -R go-rwx /autograder/source/secret course_lib/homework/checks
"""
RUN = """#!/usr/bin/env bash
# Gradescope runs this for every submission.
set -e
course=/autograder/python/bin/course
options="/autograder/submission --out /tmp/graded --homework {homework} --secret /autograder/source/secret"
options="$options --gradescope /autograder/results/results.json"
# A container may forbid a sandbox of its own. It holds one submission, and the program runs there as a user without rights.
"$course" grade $options || "$course" grade $options --unsafe-no-sandbox
"""


def make_autograder(homework: str, out: Path, secret: bytes) -> None:
    """Write the zip archive for one homework: the workbook's package, the teacher's secret, and Gradescope's two scripts.

    Raises ValueError for an unknown homework.
    """
    from course_lib.homework.checks import HOMEWORKS

    if homework not in HOMEWORKS:
        raise ValueError(f"there is no homework {homework!r}; choose from {', '.join(HOMEWORKS)}.")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", SETUP), ("run_autograder", RUN.replace("{homework}", homework))):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | 0o755) << 16
            archive.writestr(entry, text)
        archive.writestr("secret", secret)
        for path in _package_files():
            archive.write(path, f"workbook/{path.relative_to(ROOT).as_posix()}")
    write_atomically(out, content.getvalue())


def _package_files() -> list[Path]:
    kinds = (".py", ".html", ".js")
    package = [path for path in sorted((ROOT / "course_lib").rglob("*")) if path.suffix in kinds and path.is_file()]
    return [*package, ROOT / "pyproject.toml", ROOT / "requirements.lock", ROOT / "README.md"]


def write_for_gradescope(graded: Sequence[Graded], out: Path) -> None:
    """Write the results of the one submission in ``graded`` as Gradescope reads them: a test for each function.

    Answers in words are not among them: Gradescope has rubrics of its own for what a person marks.
    """
    (one, *_) = sorted(graded, key=lambda one: one.found.extra)
    tests = [
        {
            "name": r.exercise, "number": str(number), "score": r.points, "max_score": r.max_points,
            "status": "passed" if r.state == "passed" else "failed", "visibility": "visible",
            "output": "\n".join(filter(None, [r.remark, *r.lines])),
        }
        for number, r in enumerate(one.results, 1)
        if r.points is not None
    ]  # fmt: skip
    output = " ".join(filter(None, [one.problem, one.found.remark]))
    write_atomically(out, json.dumps({"output": output, "tests": tests, "score": one.points}, indent=1).encode())
