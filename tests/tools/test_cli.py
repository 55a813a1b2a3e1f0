"""The command line: what it prints, its exit codes, and that an error is one sentence."""

import hashlib
import inspect
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from course_lib import recipes
from course_lib.experiments import latent_map, readme_picture
from course_lib.experiments.ch2_autoencoder import bottlenecks, teddy_bottlenecks
from course_lib.experiments.ch3_vae import prior_effects, rate_distortion
from course_lib.experiments.ch4_latent_ddpm import (
    equal_quality,
    equal_time,
    flow_matching,
    pixel_targets,
    prediction_types,
    sample_check,
    sampler_steps,
    target_dimension,
    units,
)
from course_lib.experiments.ch5_guidance import prompt_steps, stored_frontier
from course_lib.experiments.ch7_words import budgets, order
from course_lib.experiments.ch12_latents import comparison
from course_lib.experiments.ch13_fewer_calls import stored as fewer_calls
from course_lib.storage import paths
from course_lib.storage import shipped as shipped_files
from course_lib.tools import cli, lab


def course(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run ``course`` in a process of its own, as a shell does."""
    variables = {**os.environ, **environment}
    command = [sys.executable, "-m", "course_lib.tools.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=60)


@pytest.fixture
def shipped(tmp_path):
    """A data folder of two files, listed with their true checksums (computed here, not by the library)."""
    files = {}
    for name, content in (("pictures.bin", b"a" * 1000), ("weights.bin", b"b" * 500)):
        (tmp_path / name).write_bytes(content)
        entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        files[name] = entry | {"licence": "MIT", "source": "this test", "command": "none"}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    return tmp_path


@pytest.fixture
def trained(monkeypatch):
    """The calls of a recipe, whose training is replaced."""
    calls = []

    def train(out=None, machine=None, options=None) -> str:
        """A VAE of Fashion-MNIST.

        More words.
        """
        calls.append((out, options))
        return "trained"

    entry = recipes.RECIPES["fashion-vae"]
    monkeypatch.setitem(recipes.RECIPES, "fashion-vae", replace(entry, train=train))
    return calls


def run(*arguments: str):
    return CliRunner().invoke(cli.cli, list(arguments))


def test_the_file_of_the_weights_is_named(trained, tmp_path):
    assert f"trained: {tmp_path / 'here.safetensors'}" in run("train", "fashion-vae", "--out", str(tmp_path / "here")).stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("train fashion-vae --steps 0", "--steps"),
        ("train fashion-vae --steps -5", "--steps"),
        ("train fashion-vae --steps 2.5", "--steps"),
        ("train fashion-vae --seconds 0", "--seconds is 0"),
        ("train fashion-vae --seconds nan", "--seconds is nan"),
        ("train fashion-vae --seed 99999999999999999999999", "--seed is 99999999999999999999999, but must be"),
        ("train fashion-vae --seed -1", "--seed is -1"),
        ("train fashion-vae --devices 0", "--devices"),
        ("train fashion-vae --nodes 0", "--nodes"),
        ("train fashion-vae --shards 0", "--shards"),
        ("measure bottlenecks --steps 0", "--steps"),
        ("measure bottlenecks --out .", ". is a folder"),
        ("measure sampler-steps --samples 0", "--samples"),
        ("measure pixel-vs-latent --seconds inf", "--seconds is inf"),
        ("sample teddies --scale nan", "--scale is nan"),
        ("sample teddies --scale inf", "--scale is inf"),
        ("sample teddies --steps 0", "--steps"),
        ("sample teddies --seed 99999999999999999999999", "--seed is 9"),
        ("sample teddies --out .", ". is a folder"),
        ("sample teddies --out README.md/x.png", "README.md is not a folder"),
        ("bench --out README.md", "README.md/RESULTS.md cannot be written"),
        ("grade . --out README.md", "README.md/grades.csv cannot be written"),
    ],
)
def test_a_bad_option_is_refused_before_any_work(trained, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(paths.ROOT)
    monkeypatch.setattr(sys, "argv", ["course", *arguments.split()])
    for module, function, _ in MEASUREMENTS.values():
        monkeypatch.setattr(module, function, lambda *_: pytest.fail("measured"))
    with pytest.raises(SystemExit) as ended:
        cli.app()
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert says in " ".join(error.replace("│", " ").split()), error
    assert "Traceback" not in error
    assert trained == []


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied", "/somewhere/x"),
        IsADirectoryError(21, "Is a directory", "/somewhere/x"),
        NotADirectoryError(20, "Not a directory", "/somewhere/x"),
        FileExistsError(17, "File exists", "/somewhere/x"),
        OSError(28, "No space left on device"),
        OSError("a message of a library"),
    ],
)
def test_every_error_of_the_system_is_a_sentence(monkeypatch, capsys, error):
    def fail():
        raise error

    monkeypatch.setattr(shipped_files, "verify", fail)
    monkeypatch.setattr(sys, "argv", ["course", "data"])
    with pytest.raises(SystemExit) as ended:
        cli.app()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("course: ")
    assert said.count("\n") == 1
    assert (error.strerror or "a message of a library") in said
    assert not error.filename or error.filename in said


@pytest.mark.processes
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp932", "cp850"])
@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "data",
        "train --list",
        "train fashion-vae --steps 2",
        "measure --help",
        "sample Bären",
        "grade /nowhere/ü --out x",
    ],
)
def test_no_command_dies_of_a_character(tmp_path, arguments, encoding):
    """As in a pipe or a log of an old console; the folder's name cannot be written in most of these encodings."""
    runs = tmp_path / "Läufe→"
    done = subprocess.run(
        [sys.executable, "-m", "course_lib.tools.cli", *arguments.split()],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "COURSE_RUNS": str(runs), "COURSE_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert b"codec" not in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.returncode == (2 if arguments.startswith(("sample", "grade")) else 0)
    if "--steps 2" in arguments:
        assert (runs / "fashion_vae.safetensors").exists()
        assert b"100 %" in done.stdout


def test_help_names_every_command():
    result = course("--help")
    assert result.returncode == 0
    for command in ("data", "train", "bench", "notebooks", "lab"):
        assert command in result.stdout


def test_data_that_is_intact(shipped):
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
def test_data_that_is_damaged_is_named_with_its_fix(shipped, damage, word):
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


def test_train_passes_its_options_to_the_recipe(trained):
    assert "trained" in run("train", "fashion-vae").stdout
    run("train", "fashion-vae", "--seconds", "1.5", "--seed", "7", "--out", "here", "--devices", "2", "--strategy", "ddp")
    options = recipes.RunOptions(seed=7, max_seconds=1.5, devices=2, strategy="ddp")
    assert trained == [(None, recipes.RunOptions()), (Path("here"), options)]


@pytest.mark.parametrize("arguments", [["train"], ["train", "--list"]])
def test_train_lists_the_recipes(trained, arguments):
    lines = run(*arguments).stdout.splitlines()
    assert lines[::2] == list(recipes.RECIPES)
    assert lines[2 * lines[::2].index("fashion-vae") + 1] == "    A VAE of Fashion-MNIST."
    assert all(line.startswith("    ") and line.strip() for line in lines[1::2])
    assert trained == []


def test_an_unknown_recipe_is_refused_with_the_known_ones(trained):
    result = run("train", "no-such")
    assert isinstance(result.exception, ValueError)
    for name in ("no-such", *recipes.RECIPES):
        assert name in str(result.exception)
    assert trained == []


MEASUREMENTS = {  # command: (the function that measures, what it must get from the options below)
    "bottlenecks": (bottlenecks, "measure_bottlenecks", (5, 7, Path("here"))),
    "teddy-bottlenecks": (teddy_bottlenecks, "measure_teddy_bottlenecks", (5, 7, Path("here"))),
    "latent-map": (latent_map, "measure_latent_map", (5, 7, Path("here"))),
    "latent-space": (prior_effects, "measure_latent_space", (5, 7, Path("here"))),
    "rate-distortion": (rate_distortion, "measure_rate_distortion", (5, 7, Path("here"))),
    "predictions": (prediction_types, "measure", (5, 7, Path("here"))),
    "flow-matching": (flow_matching, "measure", (5, 7, Path("here"))),
    "target-dimension": (target_dimension, "measure", (5, 7, Path("here"))),
    "units": (units, "measure", (5, 7, Path("here"))),
    "sample-check": (sample_check, "measure", (9, 7, Path("here"))),
    "pixel-targets": (pixel_targets, "measure", (2.5, 7, Path("here"))),
    "sampler-steps": (sampler_steps, "measure", (9, Path("here"))),
    "pixel-vs-latent": (equal_time, "measure", (2.5, 7, Path("here"))),
    "matched-quality": (equal_quality, "measure", (2.5, 7, Path("here"), 9)),
    "frontier": (stored_frontier, "measure", (9, 7, Path("here"))),
    "prompt-steps": (prompt_steps, "measure", (9, 7, Path("here"))),
    "words-training": (budgets, "measure_words_training", (5, 7, Path("here"))),
    "word-order": (order, "measure_word_order", (5, 7, Path("here"))),
    "latents": (comparison, "measure", (5, 7, Path("here"))),
    "fewer-calls": (fewer_calls, "measure", (5, 7, Path("here"))),
    "readme-picture": (readme_picture, "draw_readme_picture", (7, Path("here"))),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_measure_passes_its_options_on(monkeypatch, name):
    module, function, expected = MEASUREMENTS[name]
    signature, calls = inspect.signature(getattr(module, function)), []
    monkeypatch.setattr(module, function, lambda *given: calls.append(given) or "measured")
    every = {"--steps": "5", "--seconds": "2.5", "--samples": "9", "--seed": "7", "--out": "here"}
    known = run("measure", name, "--help").stdout
    result = run("measure", name, *(part for option, value in every.items() if option in known for part in (option, value)))
    assert result.stdout.strip() == "measured", result.exception
    assert calls == [expected]
    signature.bind(*expected)  # the real function takes them
    assert {option for option in every if option in known} == set(every) - {
        option for option, value in every.items() if value not in [str(e) for e in expected]
    }


def test_each_stored_result_names_its_command():
    """What an error about a missing file tells the reader to type must exist."""
    results = [module.RESULT for module, *_ in MEASUREMENTS.values() if hasattr(module, "RESULT")]
    assert len(results) == 20
    listed = {name: entry["command"] for name, entry in shipped_files.entries().items() if name.startswith("results/")}
    for result in results:
        assert result.command == f"course measure {result.name}" == listed[result.file]
        assert result.name in MEASUREMENTS
        assert result.read().get("command", result.command) == result.command
    assert {command.removeprefix("course measure ") for command in listed.values()} == set(MEASUREMENTS)


def test_notebooks_names_what_there_is():
    result = course("notebooks", "no_such_chapter")
    assert result.returncode == 2
    for name in ("no_such_chapter", "00_start_here"):
        assert name in result.stderr


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
