"""The import graph of course_lib, read from the source text: who may know whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "course_lib"

# What each module may import from course_lib. Those who wire modules together (WIRING) may import anything.
ALLOWED = {
    "schedule": set(),
    "diffusion": {"schedule"},
    "guidance": {"schedule", "diffusion"},
    "samplers": {"schedule", "diffusion"},
    "exact": {"schedule"},
    "layers": set(),
    "unet": {"layers"},
    "dit": {"layers"},
    "text": {"layers", "teddies"},
    "text_denoiser": {"text", "unet"},
    "contrastive": {"layers", "text"},
    "autoencoder": {"layers"},
    "codec": {"autoencoder", "data"},
    "device": set(),
    "answers": set(),
    "manifest": set(),
}
WIRING = {"settings", "objectives", "recipes", "prompts", "cli", "bench", "experiments"}
WIRING |= {"checks", "at_work", "homework", "grading"}
MODELS = {"autoencoder", "codec", "unet", "dit", "layers", "text", "text_denoiser", "contrastive"}
DIFFUSION = {"schedule", "diffusion", "guidance", "samplers"}
# Modules not named above may be split as they grow; what they must not know is fixed.
FORBIDDEN = {
    "train": MODELS | DIFFUSION | {"data", "teddies", "metrics", "viz", "widgets"},
    "checkpoint": MODELS | DIFFUSION | {"train", "viz", "widgets"},
    "data": MODELS | DIFFUSION | {"train", "viz", "widgets"},
    "teddies": MODELS | DIFFUSION | {"train", "viz", "widgets"},
    "metrics": MODELS | DIFFUSION | {"train", "viz", "widgets"},
    "dimension": MODELS | DIFFUSION | {"train", "viz", "widgets"},
    "viz": MODELS | {"train", "widgets"},
    "widgets": MODELS | {"train"},
    "lab": MODELS | DIFFUSION,
    "notebooks": MODELS | DIFFUSION,
}
ONLY_IN = {"matplotlib": {"viz"}, "ipywidgets": {"widgets"}, "lightning_fabric": {"train"}, "typer": {"cli"}}
NOT_IN_THE_LIBRARY = {"diffusers", "hypothesis", "pytest", "skdim", "playwright"}


def module_of(path: Path) -> str:
    """The name that the rules use: the file's, or its sub-package's."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> tuple[set[str], set[str]]:
    """(names of course_lib's modules, top-level names of other packages) that a file imports anywhere in its text."""
    ours, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inside = path.relative_to(PACKAGE.parent).parts[: -node.level] if node.level else ()
            base = ".".join(["course_lib", *inside[1:], node.module or ""] if inside else [node.module]).strip(".")
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            (ours.add(rest[0]) if first == "course_lib" and rest else others.add(first))
    return ours - {module_of(path), "__version__"}, others


FILES = sorted(PACKAGE.rglob("*.py"))
GRAPH: dict[str, set[str]] = {}
for file in FILES:
    GRAPH.setdefault(module_of(file), set()).update(imports(file)[0])


@pytest.mark.parametrize("module", sorted(set(GRAPH) - WIRING))
def test_a_module_imports_only_what_it_may_know(module):
    wrong = GRAPH[module] - ALLOWED[module] if module in ALLOWED else GRAPH[module] & FORBIDDEN.get(module, set())
    assert not wrong, f"{module} must not import {', '.join(sorted(wrong))}"
    assert not GRAPH[module] & WIRING, f"{module} must not import the modules that wire others together"


def test_schedule_needs_torch_alone():
    others = imports(PACKAGE / "schedule.py")[1]
    assert others - set(sys.stdlib_module_names) <= {"torch"}


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_a_heavy_package_is_imported_in_one_place(package):
    users = {module_of(path) for path in FILES if package in imports(path)[1]}
    assert users <= ONLY_IN[package]


def test_test_only_packages_stay_out_of_the_library():
    for path in FILES:
        allowed = {"diffusers"} if path.parent.name == "bench" else set()  # who measures rivals needs them there
        assert not (imports(path)[1] - allowed) & NOT_IN_THE_LIBRARY, path.name


def test_there_is_no_cycle():
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module not in done:
            for other in GRAPH.get(module, set()):
                visit(other, (*way, module))
            done.add(module)

    for module in GRAPH:
        visit(module, ())


@pytest.mark.parametrize("statement", ["import course_lib", "import course_lib.tools.cli", "import course_lib.storage.shipped"])
def test_light_imports_leave_torch_alone(statement):
    probe = f"{statement}, sys; print(*{{'torch', 'numpy', 'matplotlib', 'nbformat'}} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == ""


def test_the_rules_name_modules_that_exist():
    """A rule for a module that was renamed would hold nothing."""
    named = set(ALLOWED) | set(FORBIDDEN) | set().union(*ONLY_IN.values()) | WIRING
    assert named <= set(GRAPH)


def test_the_reader_of_imports_finds_them_all(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    text = "import os, torch.nn as nn\nfrom course_lib import unet\nfrom course_lib.codec import cache\n"
    text += "from . import dit\nfrom .layers import zero\n"
    text += "def f():\n    from matplotlib import pyplot\n    import course_lib.train\n"
    (tmp_path / "codec.py").write_text(text)
    assert imports(tmp_path / "codec.py") == ({"unet", "dit", "layers", "train"}, {"os", "torch", "matplotlib"})
