"""What another system does differently, as far as this one can pretend: Windows' Python and its line endings, PyTorch's CUDA
build, and Google Colab's packages."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course_lib.homework.grading import sandbox
from course_lib.storage import shipped

ROOT = Path(__file__).resolve().parents[2]

AS_ON_WINDOWS = """
import importlib, pkgutil, signal, sys
import filelock, psutil  # they have parts of their own for each system
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None  # importing it raises ImportError
del signal.SIGKILL
"""
IMPORT_ALL = """
import course_lib
for module in pkgutil.walk_packages(course_lib.__path__, "course_lib."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
COLLECT_ALL = """
import pytest
sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", "tests"]))
"""


@pytest.mark.processes
@pytest.mark.parametrize("program", [IMPORT_ALL, COLLECT_ALL], ids=["imports", "collects"])
def test_without_what_windows_lacks_everything(program):
    command = [sys.executable, "-c", AS_ON_WINDOWS + program]
    nothing = {**os.environ, "PATH": ""}  # no bubblewrap, no bash
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=nothing)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("system", ["win32", "darwin"])
@pytest.mark.parametrize("safe", [True, False])
def test_grading_says_at_once_that_it_needs_linux(monkeypatch, system, safe):
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(sandbox.NoSandbox, match=r"Linux alone.*grade on a Linux machine"):
        sandbox.require_sandbox(sandbox.Limits(), safe)


@pytest.mark.processes
def test_a_clone_with_windows_line_endings_has_the_same_data_and_scripts(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git repository")
    clone, tracked = tmp_path / "clone", [".ci/run", "Makefile", "data/manifest.json"]
    tracked += [f"data/{name}" for name in shipped.entries() if name.endswith((".json", ".csv", ".txt"))]
    subprocess.run(["git", "-c", "core.autocrlf=true", "clone", "-q", "--no-checkout", str(ROOT), str(clone)], check=True)
    shutil.copy(ROOT / ".gitattributes", clone)  # what is not yet committed is tried as well
    subprocess.run(["git", "-c", "core.autocrlf=true", "checkout", "-q", "HEAD", "--", *tracked], cwd=clone, check=True)
    for name in tracked:
        assert b"\r\n" not in (clone / name).read_bytes(), name


def test_data_whose_line_endings_were_changed_are_named_with_a_fix_that_works(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=tmp_path, check=True)

    (tmp_path / "data").mkdir()
    file = tmp_path / "data/figures.json"
    file.write_bytes(b'{\n "a": 1\n}\n')
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))
    shipped.record("figures.json", "MIT", "this test", "none")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "all")
    git("config", "core.autocrlf", "true")
    file.unlink()
    git("checkout", "--", "data/figures.json")
    assert b"\r\n" in file.read_bytes()
    (found,) = shipped.verify()
    assert (found.status, found.detail) == ("altered", "its line endings were changed")
    remove, _, restore = found.fix.partition(" && ")
    assert remove == "rm data/figures.json"
    file.unlink()
    subprocess.run(restore.split(), cwd=tmp_path, check=True)
    assert [one.status for one in shipped.verify()] == ["ok"]


# --- PyTorch's CUDA build ----------------------------------------------------------------------------------------------

OF_CUDA = ["nvidia-cublas==13.1", "nvidia-nccl-cu13==2.29; platform_system == 'Linux'", "cuda-bindings<14", "triton==3.7"]


def test_the_packages_of_a_cuda_build_stay_out_of_the_locks(monkeypatch):
    spec = importlib.util.spec_from_file_location("lock", ROOT / ".ci" / "lock.py")
    lock = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lock)
    requires = importlib.metadata.requires
    plain = lock.closure(["torch"])
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda name: (requires(name) or []) + (OF_CUDA if name == "torch" else [])
    )
    assert lock.closure(["torch"]) == plain
    assert not [name for name in plain if name.startswith(("nvidia", "cuda", "triton"))]


# --- Google Colab ------------------------------------------------------------------------------------------------------

COLAB = {  # its own list of August 2026, as far as we import them
    "torch": "2.11.0", "ipywidgets": "7.7.1", "ipython": "7.34.0", "ipykernel": "6.17.1", "numpy": "2.1.3",
    "matplotlib": "3.10.0", "scipy": "1.16.3", "scikit-image": "0.25.2", "pillow": "11.3.0", "tqdm": "4.67.1",
    "typer": "0.27.1", "traitlets": "5.7.1", "psutil": "5.9.5", "safetensors": "0.8.0", "filelock": "3.20.0", "jinja2": "3.1.6",
}  # fmt: skip
PACKAGES = {"PIL": "pillow", "skimage": "scikit-image", "IPython": "ipython"}
ONLY_THE_COMMAND_LINE = ("tools", "homework/grading")  # no notebook imports these


def colab_cell():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (cell,) = re.findall(r"```python\n(!git clone .*?)```", text, re.DOTALL)
    return cell


def test_colab_has_all_that_the_notebooks_import_or_its_cell_installs_it():
    line = next(line for line in colab_cell().splitlines() if "pip install" in line)
    requirements = [Requirement(word.strip('"')) for word in line.split()[2:] if not word.startswith("-")]
    installed = {canonicalize_name(one.name): one for one in requirements}
    imported = set()
    for path in (ROOT / "course_lib").rglob("*.py"):
        if not path.relative_to(ROOT / "course_lib").as_posix().startswith(ONLY_THE_COMMAND_LINE):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
                imported |= {name.partition(".")[0] for name in names}
    imported -= set(sys.stdlib_module_names) | {"course_lib", "nbformat"}
    needed = {canonicalize_name(PACKAGES.get(name, name)) for name in imported}
    assert needed <= set(COLAB) | set(installed)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = {canonicalize_name(one.name): one.specifier for one in map(Requirement, project["dependencies"])}
    for name in needed:
        if name in installed:
            assert str(installed[name].specifier) == str(bounds[name]), name
        else:
            assert bounds[name].contains(COLAB[name]), f"{name} {COLAB[name]} does not satisfy {bounds[name]}"
