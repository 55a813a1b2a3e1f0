"""The set-up: lock files, conda environment, hooks, continuous integration and Makefile agree with pyproject.toml, and an
interrupted install is taken up again.
"""

import ast
import functools
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import course_lib

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
NPM = "course_lib/tools/site/npm"
STUDENT, SITE, DEV = LOCKS = ("requirements.lock", "requirements-site.lock", "requirements-dev.lock")
PYTHONS = ["3.11", "3.12", "3.13"]
SYSTEMS = {
    "linux": {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"},
    "macos": {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin"},
    "windows": {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows"},
}
CUDA_BUILD = ("nvidia-", "cuda-", "triton")  # PyTorch's CUDA build pins these itself, so no lock lists them


def pins(lock: str, folder: Path = ROOT) -> list[Requirement]:
    lines = (folder / lock).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def versions(lock: str) -> dict[str, str]:
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins(lock)}


PINS = [pin for lock in LOCKS for pin in pins(lock)]
LOCK = versions(STUDENT) | versions(SITE) | versions(DEV)
ONE_SYSTEM = {canonicalize_name(pin.name) for pin in PINS if pin.marker}  # may not be installed here


# --- the lock files ------------------------------------------------------------------------------------------------


def test_every_line_pins_one_public_version_once():
    assert len(LOCK) == len(PINS)
    for pin in PINS:
        operators = [specifier.operator for specifier in pin.specifier]
        assert operators == ["=="], pin
        assert pin.url is None
        assert "+" not in str(pin.specifier), f"{pin}: a local version is not to be had everywhere"
        assert not canonicalize_name(pin.name).startswith(CUDA_BUILD)


@pytest.mark.parametrize(("lock", "options"), [(STUDENT, []), (SITE, [f"-r {STUDENT}"]), (DEV, [f"-r {SITE}"])])
def test_a_lock_names_no_index_and_starts_with_the_one_before_it(lock, options):
    lines = [line for line in (ROOT / lock).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert [line for line in lines if line.startswith("-")] == options == lines[: len(options)]
    assert "://" not in "".join(lines)


def test_torch_is_the_version_that_was_tested():
    assert versions(STUDENT)["torch"] == "2.13.0"


@functools.cache
def needs(name: str) -> list[Requirement]:
    """What an installed package states that it needs, but for PyTorch's CUDA build."""
    stated = map(Requirement, importlib.metadata.requires(name) or [])
    return [need for need in stated if not canonicalize_name(need.name).startswith(CUDA_BUILD)]


@functools.cache
def asked_for(roots: tuple[str, ...], python: str, system: str) -> list[Requirement]:
    """These requirements, what they need, and so on, as installed packages state it for that Python and system."""
    place = SYSTEMS[system] | {"python_version": python, "python_full_version": f"{python}.1"}
    asked, todo, seen = [], [Requirement(root) for root in roots], set()
    while todo:
        requirement = todo.pop()
        asked.append(requirement)
        key = (canonicalize_name(requirement.name), *sorted(requirement.extras))
        if key in seen or key[0] in ONE_SYSTEM:
            continue
        seen.add(key)
        for need in needs(key[0]):
            if not need.marker or any(need.marker.evaluate(place | {"extra": e}) for e in {"", *requirement.extras}):
                todo.append(need)
    return asked


def everywhere(roots: tuple[str, ...]) -> set[str]:
    """The packages that these requirements bring on any Python and system."""
    return {canonicalize_name(r.name) for python in PYTHONS for system in SYSTEMS for r in asked_for(roots, python, system)}


NEEDED = tuple(PROJECT["dependencies"])
FOR_THE_SITE = tuple(PROJECT["optional-dependencies"]["site"])
FOR_DEVELOPERS = tuple(PROJECT["optional-dependencies"]["dev"])


@pytest.mark.parametrize("system", sorted(SYSTEMS))
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("roots", "locks"), [(NEEDED, [STUDENT]), (FOR_THE_SITE, [STUDENT, SITE]), (FOR_DEVELOPERS, LOCKS)])
def test_the_locks_hold_all_that_is_needed(roots, locks, python, system):
    locked = {name: version for lock in locks for name, version in versions(lock).items()}
    for requirement in asked_for(roots, python, system):
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name} is not pinned"
        assert requirement.specifier.contains(locked[name], prereleases=True), f"{requirement}: {locked[name]} is pinned"


def test_a_student_installs_nothing_else():
    assert set(versions(STUDENT)) == everywhere(NEEDED)


def test_the_other_locks_hold_what_the_site_and_developers_need_beyond_that():
    assert set(versions(SITE)) == everywhere(FOR_THE_SITE) - everywhere(NEEDED)
    assert set(versions(DEV)) == everywhere(FOR_DEVELOPERS) - everywhere(FOR_THE_SITE) - everywhere(NEEDED)


def test_every_pin_installs_on_every_allowed_python():
    for name in set(LOCK) - ONE_SYSTEM:
        distribution = importlib.metadata.distribution(name)
        allowed = SpecifierSet(distribution.metadata["Requires-Python"] or "")
        if distribution.version.partition("+")[0] == LOCK[name]:
            assert all(allowed.contains(f"{python}.0") for python in PYTHONS), f"{name} asks for Python {allowed}"


def test_the_locks_are_what_make_lock_writes(tmp_path):
    for name in (*LOCKS, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run([sys.executable, ROOT / ".ci" / "lock.py", tmp_path], check=True, timeout=60)
    for lock in LOCKS:
        written = pins(lock, tmp_path)
        assert [(pin.name, pin.marker) for pin in written] == [(pin.name, pin.marker) for pin in pins(lock)]
        for pin in written:
            if not pin.marker:
                assert pin.specifier.contains(importlib.metadata.version(pin.name).partition("+")[0], prereleases=True)


def test_make_lock_refuses_a_package_of_which_it_knows_no_version(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["no-such-package-here"]\noptional-dependencies = { site = [], dev = [] }\n'
    )
    for lock in LOCKS:
        (tmp_path / lock).write_text("# a comment\n")
    command = [sys.executable, ROOT / ".ci" / "lock.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "no-such-package-here" in done.stderr
    assert (tmp_path / STUDENT).read_text() == "# a comment\n"


def test_the_tested_python_versions_are_the_allowed_ones():
    allowed = Requirement(f"x{PROJECT['requires-python']}").specifier
    assert [python for python in ("3.10", *PYTHONS, "3.14") if allowed.contains(python)] == PYTHONS


def imported() -> Iterator[tuple[str, str]]:
    """(file, top-level package) of every import in the library and in the notebooks' sources."""
    for path in [*(ROOT / "course_lib").rglob("*.py"), *(ROOT / "notebooks" / "source").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                yield path.relative_to(ROOT).as_posix(), name.partition(".")[0]


def test_library_and_notebooks_import_only_declared_dependencies():
    brings = importlib.metadata.packages_distributions()
    ours = {"course_lib", "benchmarks"}
    for file, package in set(imported()):
        needed = NEEDED + FOR_THE_SITE if "tools/site" in Path(file).as_posix() else NEEDED
        declared = {canonicalize_name(Requirement(need).name) for need in needed}
        if package not in sys.stdlib_module_names and package not in ours:
            assert declared & set(map(canonicalize_name, brings.get(package, []))), f"{file} imports {package}"


# --- version, package files, citation ------------------------------------------------------------------------------


def test_the_version_is_written_in_one_place():
    assert "version" not in PROJECT
    assert "version" in PROJECT["dynamic"]
    assert SETTINGS["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "course_lib.__version__"}
    assert importlib.metadata.version("course-lib") == course_lib.__version__


def test_citation_and_changelog_name_that_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == course_lib.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}
    releases = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert next(release for release in releases if release != "Unreleased") == course_lib.__version__


def test_every_file_that_is_no_program_is_installed_with_its_package():
    patterns = SETTINGS["tool"]["setuptools"]["package-data"]
    installed = {path for package, globs in patterns.items() for glob in globs for path in files_of(package, glob)}
    others = {path for path in (ROOT / "course_lib").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in others if path.suffix != ".py"} == installed


def files_of(package: str, glob: str) -> list[Path]:
    found = [path for path in ROOT.joinpath(*package.split(".")).glob(glob) if path.is_file()]
    assert found, f"package-data names {glob} in {package}, where there is none"
    return found


# --- conda, hooks, continuous integration, issues ------------------------------------------------------------------


def test_conda_environment_is_pyprojects():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, with_pip = environment["dependencies"]
    assert conda == ["python=3.11", "pip"]
    assert Requirement(f"x{PROJECT['requires-python']}").specifier.contains("3.11")
    assert with_pip == {"pip": [f"-r {STUDENT}", "-e ."]}


def test_the_hook_runs_make_lint_and_fetches_nothing():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    (hook,) = hooks["repos"][0]["hooks"]
    assert hook["language"] == "system"
    assert hook["entry"] == "make lint"
    assert hook["pass_filenames"] is False
    assert hook["always_run"] is True


@pytest.fixture
def ci(tmp_path):
    """Run a copy of .ci/run where only stand-ins are found: each logs its name and arguments, and fails on request."""
    if not (bash := shutil.which("bash")):
        pytest.skip("there is no bash on this machine")
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    for real in ("dirname", "env"):
        (programs / real).symlink_to(shutil.which(real))

    def run(present: str, fails_on: str = "nothing", **settings: str) -> tuple[int, list[str]]:
        log.write_text("")
        for name in ("make", "git", "python3", "python3.12", "chromium", "google-chrome", "bwrap", "pandoc", "apt-get", "sudo"):
            (programs / name).unlink(missing_ok=True)
        for name in present.split():
            does = 'exec "$@"' if name == "sudo" else 'case "$NAME $*" in *"$FAILS_ON"*) exit 1 ;; esac'
            (programs / name).write_text(f'#!/bin/sh\nNAME={name}\necho "$NAME $* $PYTHON" >> "$LOG"\n{does}\n')
            (programs / name).chmod(0o755)
        environment = {"PATH": str(programs), "LOG": str(log), "FAILS_ON": fails_on, **settings}
        done = subprocess.run([bash, tmp_path / ".ci" / "run"], env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, [line.strip() for line in log.read_text().splitlines() if line.startswith(("make", "apt-get"))]

    return run


ALL = "make git python3 chromium bwrap pandoc apt-get sudo"


def test_continuous_integration_lints_then_tests(ci):
    assert ci(ALL) == (0, ["make lint", "make test", "make test-pythons"])


def test_continuous_integration_passes_the_choice_of_python_on(ci):
    assert ci(f"{ALL} python3.12", PYTHON="python3.12") == (
        0,
        ["make lint python3.12", "make test python3.12", "make test-pythons python3.12"],
    )


@pytest.mark.parametrize("step", ["make lint", "make test", "make test-pythons"])
def test_a_failing_step_fails_continuous_integration(ci, step):
    code, asked = ci(ALL, fails_on=step)
    assert code != 0
    assert asked[-1] == step


@pytest.mark.parametrize(("missing", "package"), [("chromium", "chromium"), ("bwrap", "bubblewrap"), ("pandoc", "pandoc")])
def test_continuous_integration_installs_what_tests_want_and_does_without_it(ci, missing, package):
    present = ALL.replace(missing, "")
    for fails_on in ("nothing", "apt-get"):
        code, asked = ci(present, fails_on=fails_on)
        assert code == 0
        assert asked[-3:] == ["make lint", "make test", "make test-pythons"]
        assert "apt-get" in asked[0]
    code, asked = ci(present)
    assert asked[1].split()[-1] == package


def test_another_chromium_will_do(ci):
    assert ci(ALL.replace("chromium", "google-chrome")) == (0, ["make lint", "make test", "make test-pythons"])


@pytest.mark.parametrize(("missing", "package"), [("git", "git"), ("python3", "python3-venv")])
def test_continuous_integration_fails_without_what_it_needs(ci, missing, package):
    present = " ".join(name for name in ALL.split() if name != missing)
    code, asked = ci(present)
    assert code == 0
    assert asked[1].split()[-1] == package
    code, asked = ci(present, fails_on="apt-get")
    assert code != 0
    assert not any(line.startswith("make") for line in asked)


def test_the_hosted_workflow_runs_the_same_on_every_python():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == PYTHONS
    steps = job["steps"]
    assert [step["run"] for step in steps if ".ci/run" in step.get("run", "")] == [
        "PYTHON=python${{ matrix.python }} bash .ci/run"
    ]
    assert [step["with"]["python-version"] for step in steps if "python-version" in step.get("with", {})] == [
        "${{ matrix.python }}"
    ]
    assert workflow["permissions"] == {"contents": "read"}


def test_every_issue_form_has_what_a_host_asks_of_it():
    forms = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")
    }
    assert set(forms) == {"bug", "unclear_passage", "numbers_differ"}
    for form in forms.values():
        assert form.keys() >= {"name", "description", "body"}
        questions = [item for item in form["body"] if item["type"] != "markdown"]
        identifiers = [item["id"] for item in questions]
        assert len(set(identifiers)) == len(questions) >= 2
        assert all(item["attributes"]["label"] for item in questions)
        assert any(item.get("validations", {}).get("required") for item in questions)


def test_the_console_script_is_there():
    module, function = PROJECT["scripts"]["course"].split(":")
    assert callable(getattr(importlib.import_module(module), function))


# --- the Makefile --------------------------------------------------------------------------------------------------
# A stand-in for Python notes what it is asked and can be made to fail, so that no test installs anything.

STAND_IN = """#!/bin/sh
called="$(basename "$0")${*:+ $*}"
echo "$called" >> "$LOG"
case "$called" in
  *"-m venv"*) mkdir -p .venv/bin && for name in python course ruff mypy npm; do cp "$0" .venv/bin/$name; done ;;
  *"$FAILS_ON"*) exit 1 ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    if not shutil.which("make"):
        pytest.skip("there is no make on this machine")
    for name in ("Makefile", *LOCKS, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / NPM, tmp_path / NPM)
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


def test_first_lab_installs_the_students_lock_alone_and_later_ones_start_at_once(make):
    code, asked, _ = make("lab", "LAB_FLAGS=--no-browser")
    assert code == 0
    assert "-m venv" in asked
    assert f"-r {STUDENT}" in asked
    assert DEV not in asked
    assert "--no-deps --no-build-isolation -e ." in asked
    assert asked.splitlines()[-1] == "course lab --no-browser"
    assert make("lab") == (0, "course lab\n", "")


CHECKS = ["ruff check .", "ruff format --check .", "course notebooks --check", "course homework build --check", "mypy"]
FOR_DEVELOPERS_ONLY = ["test", "unit", "browser-test", "lint", "bench", "gpu-test", "gpu-check", "lock"]


def test_the_site_installs_its_own_lock_and_no_more(make):
    code, asked, _ = make("site")
    assert code == 0
    assert (
        asked.index(f"-r {STUDENT}") < asked.index("-e .") < asked.index(f"-r {SITE}") < asked.index("npm ci --prefix .venv/npm")
    )
    assert DEV not in asked
    assert make("site") == (0, "course site\n", "")
    assert make("lab") == (0, "course lab\n", "")


@pytest.mark.parametrize("target", FOR_DEVELOPERS_ONLY)
def test_what_only_developers_run_installs_the_last_lock_on_top_once(make, target):
    code, asked, _ = make(target)
    assert code == 0
    assert asked.index(f"-r {STUDENT}") < asked.index("-e .") < asked.index(f"-r {SITE}") < asked.index(f"-r {DEV}")
    assert f"-r {DEV}" not in make(target)[1]
    assert make("lab") == (0, "course lab\n", "")


def test_lint_runs_every_check(make):
    make("lint")
    assert make("lint")[1].splitlines() == CHECKS


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_can_fail_lint(make, check):
    make("lint")
    code, asked, _ = make("lint", fails_on=check)
    assert code != 0
    assert asked.splitlines()[-1] == check


def test_gpu_check_is_the_tests_and_then_the_benchmarks(make):
    make("gpu-test")
    assert make("gpu-check")[1].splitlines() == ["python -m pytest -m gpu tests", "course bench gpu"]
    assert make("gpu-check", "GPU_PARTS=matmul gpu")[1].splitlines()[-1] == "course bench matmul gpu"
    assert make("gpu-check", fails_on="pytest")[0] != 0


def test_lock_writes_all_files_by_one_script(make):
    make("lock")
    assert make("lock")[1].splitlines() == ["python .ci/lock.py"]


@pytest.mark.parametrize(
    ("target", "step", "stamp"),
    [
        ("lab", f"-r {STUDENT}", "installed"),
        ("lab", "-e .", "installed"),
        ("site", f"-r {SITE}", "installed-site"),
        ("unit", f"-r {STUDENT}", "installed"),
        ("unit", f"-r {DEV}", "installed-dev"),
    ],
)
def test_an_interrupted_install_is_taken_up_again(make, tmp_path, target, step, stamp):
    assert make(target, fails_on=step)[0] != 0
    assert not (tmp_path / ".venv" / stamp).exists()
    code, asked, _ = make(target)
    assert code == 0
    assert step in asked
    assert (tmp_path / ".venv" / stamp).exists()


@pytest.mark.parametrize("changed", [STUDENT, "pyproject.toml"])
def test_a_changed_requirement_installs_again(make, tmp_path, changed):
    make("unit")
    later(tmp_path, changed)
    assert f"-r {STUDENT}" in make("lab")[1]
    assert f"-r {DEV}" in make("unit")[1]


@pytest.mark.parametrize("lock", [SITE, DEV])
def test_another_changed_lock_installs_again_for_developers_only(make, tmp_path, lock):
    make("unit")
    later(tmp_path, lock)
    assert make("lab") == (0, "course lab\n", "")
    asked = make("unit")[1]
    assert f"-r {DEV}" in asked
    assert f"-r {STUDENT}" not in asked


def later(folder: Path, changed: str) -> None:
    """Make this file newer than all stamps."""
    stamp = max(path.stat().st_mtime for path in (folder / ".venv").glob("installed*"))
    os.utime(folder / changed, (stamp + 10, stamp + 10))


def test_another_index_for_torch_is_passed_on(make):
    assert "--extra-index-url some-index" in make("lab", "TORCH_INDEX=some-index")[1]
    assert "--extra-index-url" not in make("lab")[1]


def test_a_python_that_is_too_old_is_refused(make):
    code, _, said = make("lab", fails_on="(3, 11)")
    assert code != 0
    assert all(python in said for python in [*PYTHONS, "PYTHON="])


@pytest.mark.parametrize("run", ["not browser tests", "--nbval-lax"])
def test_a_failing_test_run_fails_make(make, run):
    make("lab")
    code, asked, _ = make("test", fails_on=run)
    assert code != 0
    assert run in asked.splitlines()[-1]


def test_help_lists_every_target(make):
    code, _, said = make("help")
    assert code == 0
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.MULTILINE)
    assert re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split() == targets
    assert set(targets) >= {"help", "lab", "test", "notebooks", "clean", *FOR_DEVELOPERS_ONLY}
    listed = [line.split()[:2] for line in said.splitlines()]
    assert listed == [["make", target] for target in targets]
    assert all(len(line.split()) > 2 for line in said.splitlines())
