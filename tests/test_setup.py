"""The set-up: lock file, conda environment, hooks and Makefile agree with pyproject.toml, and an interrupted install
is taken up again.
"""

import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [
    Requirement(line)
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
LOCK = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in PINS}
ONE_SYSTEM = {canonicalize_name(pin.name) for pin in PINS if pin.marker}  # may not be installed here
PYTHONS = ["3.11", "3.12", "3.13"]
SYSTEMS = {
    "linux": {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"},
    "macos": {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin"},
    "windows": {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows"},
}


# --- the lock file -------------------------------------------------------------------------------------------------


def test_every_line_pins_one_public_version():
    assert len(LOCK) == len(PINS)
    for pin in PINS:
        operators = [specifier.operator for specifier in pin.specifier]
        assert operators == ["=="], pin
        assert pin.url is None
        assert "+" not in str(pin.specifier), f"{pin}: a local version is not to be had everywhere"
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"^(nvidia|triton|cuda)|://|^-", text, re.MULTILINE)


def test_torch_is_the_version_that_was_tested():
    assert LOCK["torch"] == "2.13.0"


def asked_for(python: str, system: str) -> list[Requirement]:
    """What the workbook needs, what that needs, and so on, as installed packages state it for that Python and system."""
    place = SYSTEMS[system] | {"python_version": python, "python_full_version": f"{python}.1"}
    asked, todo, seen = [], [Requirement("course-lib[dev]")], set()
    while todo:
        requirement = todo.pop()
        asked.append(requirement)
        key = (canonicalize_name(requirement.name), *sorted(requirement.extras))
        if key in seen or key[0] in ONE_SYSTEM:
            continue
        seen.add(key)
        for need in map(Requirement, importlib.metadata.requires(key[0]) or []):
            if not need.marker or any(need.marker.evaluate(place | {"extra": e}) for e in {"", *requirement.extras}):
                todo.append(need)
    return asked[1:]


@pytest.mark.parametrize("system", sorted(SYSTEMS))
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_all_that_the_workbook_needs(python, system):
    for requirement in asked_for(python, system):
        name = canonicalize_name(requirement.name)
        assert name in LOCK, f"{name} is not pinned"
        assert requirement.specifier.contains(LOCK[name], prereleases=True), f"{requirement}: {LOCK[name]} is pinned"


def test_the_lock_holds_nothing_else():
    asked = {canonicalize_name(r.name) for python in PYTHONS for system in SYSTEMS for r in asked_for(python, system)}
    assert set(LOCK) == asked


def test_the_tested_python_versions_are_the_allowed_ones():
    allowed = Requirement(f"x{PROJECT['requires-python']}").specifier
    assert [python for python in ("3.10", *PYTHONS, "3.14") if allowed.contains(python)] == PYTHONS


# --- conda, hooks, continuous integration --------------------------------------------------------------------------


def test_conda_environment_is_pyprojects():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, with_pip = environment["dependencies"]
    assert conda == ["python=3.11", "pip"]
    assert Requirement(f"x{PROJECT['requires-python']}").specifier.contains("3.11")
    assert with_pip == {"pip": ["-r requirements.lock", "-e .[dev]"]}
    assert (ROOT / "requirements.lock").exists()
    assert "dev" in PROJECT["optional-dependencies"]


def test_hooks_fetch_nothing():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    assert {hook["language"] for repo in hooks["repos"] for hook in repo["hooks"]} == {"system"}


def test_continuous_integration_runs_what_a_student_runs():
    script = ROOT / ".ci" / "run"
    subprocess.run(["bash", "-n", script], check=True)
    assert script.read_text(encoding="utf-8").rstrip().endswith("make test")
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")


def test_the_console_script_is_there():
    module, function = PROJECT["scripts"]["course"].split(":")
    assert callable(getattr(importlib.import_module(module), function))


# --- the Makefile --------------------------------------------------------------------------------------------------
# A stand-in for Python notes what it is asked and can be told to fail, so that no test installs anything.

STAND_IN = """#!/bin/sh
echo "$@" >> "$LOG"
case "$*" in
  *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/course ;;
  *"$FAILS_ON"*) exit 1 ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    if not shutil.which("make"):
        pytest.skip("there is no make on this machine")
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python, log = tmp_path / "python", tmp_path / "log"
    python.write_text(STAND_IN)
    python.chmod(0o755)

    def run(*arguments: str, fails_on: str = "nothing") -> tuple[int, str, str]:
        log.write_text("")
        environment = {"PATH": "/usr/bin:/bin", "LOG": str(log), "FAILS_ON": fails_on}
        command = ["make", f"PYTHON={python}", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, log.read_text(), done.stdout + done.stderr

    return run


def test_first_lab_installs_the_lock_and_later_ones_start_at_once(make):
    code, asked, _ = make("lab", "LAB_FLAGS=--no-browser")
    assert code == 0
    assert "-m venv" in asked
    assert "-r requirements.lock" in asked
    assert "--no-deps --no-build-isolation -e ." in asked
    assert asked.rstrip().endswith("lab --no-browser")
    assert make("lab") == (0, "lab\n", "")


@pytest.mark.parametrize("step", ["-r requirements.lock", "-e ."])
def test_an_interrupted_install_is_taken_up_again(make, tmp_path, step):
    assert make("lab", fails_on=step)[0] != 0
    assert not (tmp_path / ".venv" / "installed").exists()
    code, asked, _ = make("lab")
    assert code == 0
    assert step in asked
    assert (tmp_path / ".venv" / "installed").exists()


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_a_changed_requirement_installs_again(make, tmp_path, changed):
    make("lab")
    stamp = (tmp_path / ".venv" / "installed").stat().st_mtime
    os.utime(tmp_path / changed, (stamp + 10, stamp + 10))
    assert "-r requirements.lock" in make("lab")[1]


def test_another_index_for_torch_is_passed_on(make):
    assert "--extra-index-url some-index" in make("lab", "TORCH_INDEX=some-index")[1]
    assert "--extra-index-url" not in make("lab")[1]


def test_a_python_that_is_too_old_is_refused(make):
    code, _, said = make("lab", fails_on="(3, 11)")
    assert code != 0
    assert "this needs Python 3.11, 3.12 or 3.13" in said


@pytest.mark.parametrize("run", ["not browser tests", "--nbval-lax"])
def test_a_failing_test_run_fails_make(make, run):
    make("lab")
    code, asked, _ = make("test", fails_on=run)
    assert code != 0
    assert run in asked.splitlines()[-1]


def test_help_lists_every_target(make):
    code, _, said = make("help")
    assert code == 0
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    assert set(phony) >= {"help", "lab", "test", "lint", "notebooks", "bench", "gpu-test", "clean"}
    for target in phony:
        assert f"make {target} " in said
