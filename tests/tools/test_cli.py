"""The command line: what it prints, its exit codes, and that an error is one sentence."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from course_lib.storage import paths
from course_lib.tools import cli, lab


def course(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run ``course`` in a process of its own, as a shell does."""
    variables = {**os.environ, **environment}
    command = [sys.executable, "-m", "course_lib.tools.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=60)


@pytest.fixture
def shipped(tmp_path):
    """A data folder of two files, listed with their true sums (computed here, not by the library)."""
    files = {}
    for name, content in (("pictures.bin", b"a" * 1000), ("weights.bin", b"b" * 500)):
        (tmp_path / name).write_bytes(content)
        entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        files[name] = entry | {"licence": "MIT", "source": "this test", "command": "none"}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    return tmp_path


@pytest.fixture
def recipes(monkeypatch):
    """A stand-in for the real recipes, which would train."""
    calls = []

    def fashion_vae(seconds: float = 60, seed: int = 0) -> str:
        """A VAE on garments.

        More words.
        """
        calls.append((seconds, seed))
        return "trained"

    module = ModuleType("course_lib.recipes")
    module.RECIPES = {"fashion-vae": fashion_vae}
    monkeypatch.setitem(sys.modules, "course_lib.recipes", module)
    monkeypatch.setattr("course_lib.recipes", module, raising=False)
    return calls


def run(*arguments: str):
    return CliRunner().invoke(cli.cli, list(arguments))


def test_help_names_every_command():
    result = course("--help")
    assert result.returncode == 0
    for command in ("data", "train", "bench", "notebooks", "lab"):
        assert command in result.stdout


def test_data_that_is_whole(shipped):
    result = course("data", COURSE_DATA=str(shipped))
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 files" in result.stdout
    assert result.stdout.count("ok ") == 2


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda file: file.unlink(), "missing"),
        (lambda file: file.write_bytes(b"a" * 999), "truncated"),
        (lambda file: file.write_bytes(b"a" * 999 + b"b"), "altered"),
    ],
)
def test_data_that_is_not_whole_is_named_with_its_mend(shipped, damage, word):
    damage(shipped / "pictures.bin")
    result = course("data", COURSE_DATA=str(shipped))
    assert result.returncode == 1
    assert f"data/pictures.bin is {word}" in result.stderr
    assert "git checkout -- data/pictures.bin" in result.stderr
    assert "weights.bin" not in result.stderr
    assert "Traceback" not in result.stderr


def test_an_error_is_one_sentence_and_exit_code_2(tmp_path):
    result = course("data", COURSE_DATA=str(tmp_path / "nowhere"))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("course: ")
    assert "nowhere" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_course_debug_shows_the_traceback(tmp_path):
    result = course("data", COURSE_DATA=str(tmp_path / "nowhere"), COURSE_DEBUG="1")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_train_passes_on_what_was_given_and_nothing_else(recipes):
    assert "trained" in run("train", "fashion-vae").stdout
    run("train", "fashion-vae", "--seconds", "1.5", "--seed", "7")
    run("train", "fashion-vae", "--seed", "0")
    assert recipes == [(60, 0), (1.5, 7), (60, 0)]


def test_train_passes_options_through_a_recipe_that_takes_any(recipes):
    def fashion_ldm(**options) -> str:
        """A denoiser."""
        return f"trained with {options}"

    sys.modules["course_lib.recipes"].RECIPES["fashion-ldm"] = fashion_ldm
    result = run("train", "fashion-ldm", "--steps", "5", "--seed", "0", "--out", "here")
    assert result.stdout.strip() == f"trained with {dict(steps=5, seed=0, out=Path('here'))}"


@pytest.mark.parametrize("arguments", [["train"], ["train", "--list"]])
def test_train_lists_the_recipes(recipes, arguments):
    result = run(*arguments)
    assert result.stdout.splitlines()[:3] == ["fashion-vae", "    A VAE on garments.", "bottlenecks"]
    assert recipes == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["no-such"],
            "there is no recipe 'no-such'; choose from "
            "fashion-vae, bottlenecks, rate-distortion, pixel-vs-latent, matched-quality, predictions, sampler-steps, "
            "readme-picture",
        ),
        (["fashion-vae", "--steps", "5"], "recipe fashion-vae takes no --steps; it takes seconds, seed"),
    ],
)
def test_train_says_what_cannot_be(recipes, arguments, sentence):
    result = run("train", *arguments)
    assert isinstance(result.exception, ValueError)
    assert str(result.exception) == sentence
    assert recipes == []


def test_notebooks_names_what_there_is():
    result = course("notebooks", "no_such_chapter")
    assert result.returncode == 2
    assert "there is no notebook 'no_such_chapter'; choose from 00_start_here" in result.stderr


def test_lab_hands_its_options_to_jupyterlab(monkeypatch):
    seen = []
    monkeypatch.setattr(lab, "main", seen.append)
    assert run("lab", "--no-browser", "--port=9999").exit_code == 0
    assert seen == [["--no-browser", "--port=9999"]]


def test_lab_settings_are_understood_by_jupyterlab(tmp_path, monkeypatch):
    """Jupyter only warns of an option that it does not know, so ask it what it understood."""
    from jupyterlab.handlers.announcements import NeverCheckForUpdate
    from jupyterlab.labapp import LabApp

    monkeypatch.setattr(os, "environ", os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path)})
    app = LabApp()
    app.parse_command_line(lab.arguments(["--no-browser"]))
    assert app.news_url is None
    assert app.check_for_updates_class is NeverCheckForUpdate
    assert app.extension_manager == "readonly"
    assert app.default_url == "/lab/tree/notebooks/00_start_here.ipynb"
    assert app.config.ServerApp.ip == "127.0.0.1"
    assert app.config.ServerApp.root_dir == str(paths.ROOT)


def test_a_setting_that_is_given_replaces_ours():
    """Jupyter refuses to start where one is given twice."""
    arguments = lab.arguments(["--ServerApp.root_dir=elsewhere", "--no-browser"])
    assert [option for option in arguments if "root_dir" in option] == ["--ServerApp.root_dir=elsewhere"]
    assert set(lab.QUIET) < set(arguments)


def test_jupyterlab_finds_its_settings_and_the_connection(tmp_path):
    from jupyterlab_server.settings_utils import _get_overrides
    from traitlets import import_item

    setting = "--ServerApp.kernel_websocket_connection_class="
    (connection,) = [option.removeprefix(setting) for option in lab.QUIET if option.startswith(setting)]
    assert callable(import_item(connection))
    variables = lab.prepare(tmp_path)
    assert set(variables) == set(lab.environment())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_CONFIG_DIR", variables["JUPYTER_CONFIG_DIR"])
        found, error = _get_overrides(str(tmp_path))
    assert not error
    assert found["@jupyterlab/apputils-extension:notification"] == {"fetchNews": "false"}


def test_jupyters_files_stay_out_of_the_home_folder():
    assert len(lab.environment()) == 4
    for folder in lab.environment().values():
        assert folder.startswith(str(paths.ROOT / "build"))
