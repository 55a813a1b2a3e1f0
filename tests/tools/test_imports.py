"""The import graph of course_lib, read from the source text file by file: who may know whom."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "course_lib"

# From the ground up. An entry is a file ("schedule"), a folder ("teddies/") or a file in a folder ("storage/paths"), which goes
# before its folder. A file imports from lower layers only; files of one folder in one layer may know each other.
LAYERS = (
    {"__init__", "arguments", "storage/__init__", "storage/console", "storage/paths", "storage/atomic"},
    {"layers", "schedule", "metrics", "images", "device"},
    {
        "autoencoder",
        "adversarial",
        "unet",
        "dit",
        "diffusion",
        "gaussian_mixture",
        "dimension",
        "training/",
        "teddies/",
        "notebook/",
    },
    {"vae", "text", "samplers", "guidance", "distillation", "judges/"},
    {"codec", "contrastive", "perceptual"},
    {"storage/"},
    {"data"},
    {"recipes/"},
    {"text_to_image"},
    {"experiments/"},
    {"homework/"},
    {"tools/"},
)
ALONE = ("notebook/", "training/")  # these know no model: of course_lib, only the lowest layers
MODELS = {"autoencoder", "vae", "codec", "unet", "dit", "layers", "text", "contrastive", "diffusion", "guidance", "distillation"}
ONLY_IN = {
    "matplotlib": {"notebook/"},
    "ipywidgets": {"notebook/widgets"},
    "lightning_fabric": {"training/"},
    "typer": {"tools/cli"},
}
STANDARD_LIBRARY_ONLY = ("storage/console", "storage/paths", "storage/atomic")
NOT_IN_THE_LIBRARY = {"benchmarks", "diffusers", "hypothesis", "pytest", "skdim", "playwright"}


def file_of(path: Path) -> str:
    """The name that the rules use: the path inside the package, without its ending."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def imports(path: Path, known: set[str]) -> tuple[set[str], set[str]]:
    """(files of course_lib, top-level names of other packages) that a file imports anywhere in its text.

    known: the names of all files of the package. A package stands for its ``__init__``.
    """
    ours, others = set(), set()
    for name in imported_names(path):
        first, *rest = name.split(".")
        if first != "course_lib":
            others.add(first)
            continue
        # the longest prefix that is a file or a package: what follows it is a symbol
        for end in range(len(rest), -1, -1):
            candidate = "/".join(rest[:end])
            file = candidate if candidate in known else f"{candidate}/__init__".lstrip("/")
            if file in known:
                ours.add(file)
                break
    return ours - {file_of(path)}, others


def imported_names(path: Path) -> Iterator[str]:
    """The dotted name of each thing that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(PACKAGE.parent).parts[: -node.level] if node.level else ()
            base = ".".join(filter(None, [*package, node.module or ""]))
            yield from (f"{base}.{alias.name}" for alias in node.names)


FILES = {file_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
IMPORTS = {name: imports(path, set(FILES)) for name, path in FILES.items()}  # each file is parsed once
GRAPH = {name: ours - {"__init__"} for name, (ours, _) in IMPORTS.items()}


def layer(name: str) -> int:
    """The number of a file's layer; its own entry goes before its folder's."""
    folder = name.partition("/")[0] + "/"
    found = [i for i, entries in enumerate(LAYERS) if name in entries] or [
        i for i, entries in enumerate(LAYERS) if folder in entries
    ]
    assert len(found) == 1, f"course_lib/{name}.py has {len(found)} layers: add it, or its folder, to LAYERS once"
    return found[0]


def in_one_folder(a: str, b: str) -> bool:
    return "/" in a and a.partition("/")[0] == b.partition("/")[0]


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_from_lower_layers_only(name):
    upward = {other for other in GRAPH[name] if layer(other) >= layer(name) and not in_one_folder(name, other)}
    assert not upward, f"{name} must not import {', '.join(sorted(upward))}"


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(ALONE)])
def test_notebook_and_training_know_no_model(name):
    assert not {other for other in GRAPH[name] if other in MODELS or other.startswith("judges/")}


def test_there_is_no_circle():
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for other in GRAPH[name]:
                visit(other, (*way, name))
            done.add(name)

    for name in GRAPH:
        visit(name, ())


def test_no_chapters_folder_imports_another():
    def chapter(name: str) -> str:
        folder = name.split("/")[1] if name.startswith("experiments/") else ""
        return folder if re.match(r"ch\d", folder) else ""

    wrong = [(a, b) for a, others in GRAPH.items() for b in others if chapter(b) and chapter(a) != chapter(b)
             and a.startswith("experiments/")]  # fmt: skip
    assert wrong == []


def test_grading_knows_the_checks_by_their_data_alone():
    """A submission's answers are compared by the checks; how a check is written is none of the grader's business."""
    allowed = {"homework/checks/__init__", "homework/checks/case"}
    for name in FILES:
        if name.startswith("homework/grading/"):
            assert {other for other in GRAPH[name] if other.startswith("homework/checks/")} <= allowed, name


def test_the_sandboxed_worker_knows_no_check():
    seen, todo = set(), ["homework/grading/worker"]
    while todo:
        for other in GRAPH[todo.pop()]:
            if other not in seen:
                seen.add(other)
                todo.append(other)
    assert not [name for name in seen if name.startswith("homework/checks/")]


@pytest.mark.parametrize("place", ["course_lib", "benchmarks", "tests", "notebooks"])
def test_no_folder_has_more_than_24_files(place):
    files = [path for ending in ("*.py", "*.ipynb") for path in (PACKAGE.parent / place).rglob(ending)]
    counts = Counter(path.parent for path in files if ".ipynb_checkpoints" not in path.parts)
    assert {str(folder): n for folder, n in counts.items() if n > 24} == {}


@pytest.mark.parametrize("name", STANDARD_LIBRARY_ONLY)
def test_the_ground_needs_the_standard_library_alone(name):
    assert IMPORTS[name][1] <= set(sys.stdlib_module_names)


def test_schedule_needs_torch_alone():
    assert IMPORTS["schedule"][1] - set(sys.stdlib_module_names) <= {"torch"}


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_a_heavy_package_is_imported_in_one_place(package):
    users = {name for name, (_, others) in IMPORTS.items() if package in others}
    assert users
    assert not {name for name in users if name not in ONLY_IN[package] and name.partition("/")[0] + "/" not in ONLY_IN[package]}


def test_test_only_packages_stay_out_of_the_library():
    assert {name: wrong for name, (_, others) in IMPORTS.items() if (wrong := others & NOT_IN_THE_LIBRARY)} == {}


@pytest.mark.parametrize("statement", ["import course_lib", "import course_lib.tools.cli", "import course_lib.storage.shipped"])
def test_light_imports_leave_torch_alone(statement):
    probe = f"{statement}, sys; print(*{{'torch', 'numpy', 'matplotlib', 'nbformat'}} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == ""


def test_the_rules_name_files_and_folders_that_exist():
    """A rule for a file that was renamed would hold nothing."""
    folders = {name.partition("/")[0] + "/" for name in FILES if "/" in name}
    named = set().union(*LAYERS, *ONLY_IN.values(), MODELS, ALONE, STANDARD_LIBRARY_ONLY)
    assert named <= set(FILES) | folders


def test_the_reader_of_imports_finds_them_all(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "course_lib")
    text = "import os, torch.nn as nn\nfrom course_lib import unet\nfrom course_lib.codec import cache\n"
    text += "from . import dit\nfrom .layers import zero_module\n"
    text += (
        "def f():\n    from matplotlib import pyplot\n    import course_lib.training.loop\n    from course_lib import training\n"
    )
    file = tmp_path / "course_lib" / "vae.py"
    file.parent.mkdir()
    file.write_text(text)
    known = {"__init__", "unet", "codec", "dit", "layers", "training/__init__", "training/loop", "vae"}
    ours = {"unet", "codec", "dit", "layers", "training/loop", "training/__init__"}
    assert imports(file, known) == (ours, {"os", "torch", "matplotlib"})
