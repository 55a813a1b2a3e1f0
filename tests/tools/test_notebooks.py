"""The stored notebooks are clean and are what their sources say; the builder refuses whatever is not."""

import json
import re
import shutil
import sys
import zlib
from pathlib import Path

import pytest

from course_lib.notebook import claims
from course_lib.tools import build_notebooks as book
from course_lib.tools import chapter_table

ROOT = Path(__file__).resolve().parents[2]
STORED = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHAPTERS = ["01_pixel_space", "02_autoencoder", "03_vae", "04_latent_ddpm", "05_guidance"]


def joined(text) -> str:
    return text if isinstance(text, str) else "".join(text)


# --- what is stored ------------------------------------------------------------------------------------------------
# Read as plain JSON, so that the builder's own opinion of a notebook is not asked.


def test_all_notebooks_are_there():
    assert [path.stem for path in STORED][:6] == ["00_start_here", *CHAPTERS]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_notebook_is_clean(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]

    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "executed once each, in order"
    assert [output["ename"] for output in outputs if output["output_type"] == "error"] == []
    assert [joined(output["text"]) for output in outputs if output.get("name") == "stderr"] == []
    assert max(len(joined(cell["source"]).splitlines()) for cell in code) <= 25
    assert path.stat().st_size < 2_000_000
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}, "no widgets' state, nothing of one machine"
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"

    texts = [joined(cell["source"]) for cell in cells] + [joined(output.get("text", "")) for output in outputs]
    texts += [joined(value) for output in outputs for mime, value in output.get("data", {}).items() if "text" in mime]
    for text in texts:
        assert str(ROOT) not in text
        assert str(Path.home()) + "/" not in text
        assert not re.search(r"(^|[\s\"'(])/(home|Users|tmp)/|[A-Z]:\\Users", text), text


def test_stored_notebooks_are_what_their_sources_say():
    assert book.check() == []


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "notebooks" / "00_start_here.ipynb"], ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s\"]+)(?:#[\w-]*)?\)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_readme_table_shows_what_was_measured():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert chapter_table.with_table(text) == text
    timings = chapter_table.read_timings()
    assert set(timings) == {path.stem for path in STORED}
    for name, runs in timings.items():
        row = next(line for line in text.splitlines() if f"notebooks/{name}.ipynb" in line)
        for run in runs.values():
            assert f"{run['seconds'] / 60:.1f} min" in row
            assert f"{run['machine']}: notebooks" in text


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_the_recorded_machine_is_the_one_that_the_notebook_prints(path):
    """A notebook says in its first output where it runs: the README must not credit another machine."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    printed = "".join(joined(out.get("text", "")) for cell in cells for out in cell.get("outputs", []))
    recorded = [run["machine"] for run in chapter_table.read_timings()[path.stem].values()]
    assert any(machine in printed for machine in recorded), recorded


# --- the builder ---------------------------------------------------------------------------------------------------

GOOD = """# %% [markdown]
# # A title
# Words.

# %% tags=["first"]
import os, sys, zlib
print(zlib.crc32(sys.executable.encode()))
print(os.path.basename(os.getcwd()), os.path.exists("source"))

# %%
import ipywidgets
from IPython.display import Image, display
display(ipywidgets.IntSlider())
display(Image(data=b"\\x89PNG\\r\\n\\x1a\\n", format="png"))

# %%
print("again")

# %%
print("again")
"""


def written(folder: Path, text: str, name: str = "07_trial") -> Path:
    source = folder / "source" / f"{name}.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text, encoding="utf-8")
    return source


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    return folder, book.build(written(folder, GOOD))


def test_build_runs_this_interpreter_in_the_notebooks_folder(built):
    folder, measured = built
    notebook = json.loads((folder / "07_trial.ipynb").read_text())
    shown = joined(notebook["cells"][1]["outputs"][0]["text"]).splitlines()
    assert shown == [str(zlib.crc32(sys.executable.encode())), f"{folder.name} True"]
    assert 0 < measured.first_picture < measured.seconds < 60
    assert measured.size == (folder / "07_trial.ipynb").stat().st_size


def test_build_stores_the_still_picture_and_drops_the_widget(built):
    notebook = json.loads((built[0] / "07_trial.ipynb").read_text())
    shown = [list(output["data"]) for output in notebook["cells"][2]["outputs"]]
    assert shown == [["image/png", "text/plain"]]
    assert "widgets" not in notebook["metadata"]
    assert notebook["cells"][1]["metadata"] == {"tags": ["first"]}


def test_two_builds_are_equal_byte_for_byte(built):
    first = (built[0] / "07_trial.ipynb").read_bytes()
    book.build(built[0] / "source" / "07_trial.py")
    assert (built[0] / "07_trial.ipynb").read_bytes() == first


def test_an_inserted_cell_leaves_the_other_ids_alone(built, tmp_path):
    before = [cell.id for cell in book.assemble(built[0] / "source" / "07_trial.py").cells]
    after = [cell.id for cell in book.assemble(written(tmp_path, "# %%\n'new'\n" + GOOD)).cells]
    assert after[1:] == before
    assert len(set(after)) == len(after)


def test_cells_with_a_tag_for_collapsing_are_collapsed_in_jupyterlab(tmp_path):
    text = '# %% tags=["hide-input"]\na = 1\n\n# %% tags=["hide-output", "hide-input"]\na\n\n# %%\na\n'
    cells = book.assemble(written(tmp_path, text)).cells
    both = {"source_hidden": True, "outputs_hidden": True}
    assert [cell.metadata.get("jupyter") for cell in cells] == [{"source_hidden": True}, both, None]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; print('careful', file=sys.stderr)", "printed to stderr: 'careful'"),
        ("import warnings; warnings.warn('old')", "printed to stderr"),
        ("import time; time.sleep(60)", "did not finish"),
        ("import os; os._exit(1)", "did not finish"),
        ("print('/home/' + 'ada/pictures')", "one machine only"),
        ("print(('x' * 99 + '\\n') * 21_000)", "at most 2 MB"),
        ("import ipywidgets\nwith ipywidgets.Output():\n    1 / 0", "widget's callback failed: division by zero"),
        ("\n".join(["x = 1"] * 26), "has 26 lines"),
        ("", "code cell 1 is empty"),
    ],
)
def test_build_refuses_and_leaves_the_old_notebook_alone(tmp_path, cell, reason):
    source = written(tmp_path, f"# %%\n{cell}\n")
    (tmp_path / "07_trial.ipynb").write_text("the old one")
    with pytest.raises(book.NotebookError, match=re.escape(reason)) as caught:
        book.build(source, timeout=4)
    assert str(caught.value).startswith("07_trial was not written: ")
    assert (tmp_path / "07_trial.ipynb").read_text() == "the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["07_trial.ipynb", "source"]


# --- the check -----------------------------------------------------------------------------------------------------


def edited(cell: int, **changes):
    def edit(notebook):
        notebook["cells"][cell].update(changes)

    return edit


def swap_counts(notebook):
    first, second = notebook["cells"][3:5]
    first["execution_count"], second["execution_count"] = second["execution_count"], first["execution_count"]


STDERR = {"output_type": "stream", "name": "stderr", "text": "oh"}
ERROR = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (edited(0, source="# Another title"), "differs"),
        (edited(1, source="print(1)"), "differs"),
        (edited(1, metadata={}), "differs"),
        (edited(1, id="0123456789ab"), "differs"),
        (lambda notebook: notebook["cells"].pop(), "differs"),
        (edited(3, execution_count=None), "in order"),
        (swap_counts, "in order"),
        (edited(3, outputs=[STDERR]), "stderr"),
        (edited(3, outputs=[ERROR]), "is an error"),
        (lambda notebook: notebook["metadata"].update(widgets={}), "widgets' state"),
    ],
)
def test_check_sees_each_difference(built, tmp_path, edit, complaint):
    shutil.copytree(built[0], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "07_trial.ipynb"
    notebook = json.loads(path.read_text())
    assert book.check(folder=tmp_path) == []
    edit(notebook)
    path.write_text(json.dumps(notebook))
    problems = book.check(folder=tmp_path)
    assert len(problems) == 1
    assert complaint in problems[0]


def displayed(code: str, name: str = "free_bits", file: str = "course_lib/vae.py") -> dict:
    text = f"`{name}` in `{file}`\n\n```python\n{code}```"
    return {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": text, "text/plain": "…"}}


@pytest.mark.parametrize("docstring", [True, False])
def test_check_sees_a_displayed_source_that_is_no_longer_the_librarys(built, tmp_path, docstring):
    from course_lib.vae import free_bits

    shutil.copytree(built[0], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "07_trial.ipynb"
    notebook = json.loads(path.read_text())
    code = claims.source_text(free_bits, docstring)
    for output, complaints in (
        (displayed(code), 0),
        (displayed(code.replace("floor", "ceiling")), 1),
        (displayed(code, name="no_longer_there"), 1),
        (displayed(code, file="course_lib/no_longer_there.py"), 1),
    ):
        notebook["cells"][3]["outputs"] = [output]
        path.write_text(json.dumps(notebook))
        problems = book.check(folder=tmp_path)
        assert len(problems) == complaints, problems
        assert all("shows an old source" in problem for problem in problems)


def test_check_reads_what_source_displays(monkeypatch):
    """The pattern of the check and the text of `claims.source` belong together."""
    from course_lib.vae import free_bits

    shown = []
    monkeypatch.setattr(claims, "display", lambda markdown: shown.append(markdown.data))
    claims.source(free_bits)
    match = book.DISPLAYED_SOURCE.match(shown[0])
    assert (match["name"], match["file"]) == ("free_bits", "course_lib/vae.py")
    assert match["code"] == claims.source_text(free_bits)


def test_check_sees_what_is_missing_and_what_has_no_source(built, tmp_path):
    shutil.copytree(built[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "07_trial.ipynb").rename(tmp_path / "08_other.ipynb")
    missing, orphan = book.check(folder=tmp_path)
    assert missing.startswith("07_trial.ipynb is missing")
    assert orphan.startswith("08_other.ipynb has no source")


def test_sources_are_chosen_by_number_or_name(tmp_path):
    for name in ("00_start", "01_one", "02_two"):
        written(tmp_path, "", name)
    assert [path.stem for path in book.sources(["2", "01_one"], tmp_path)] == ["01_one", "02_two"]
    assert [path.stem for path in book.sources(["0"], tmp_path)] == ["00_start"]
    assert len(book.sources(None, tmp_path)) == 3
    with pytest.raises(ValueError, match=r"'7'.*00_start, 01_one, 02_two"):
        book.sources(["7"], tmp_path)


def test_record_keeps_other_devices_and_names_each_machine(tmp_path):
    for name in ("01_one", "02_two"):
        written(tmp_path, "# %% [markdown]\n# # One\n#\n# > Why\n# > so?\n", name)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{chapter_table.BEGIN}\nold\n{chapter_table.END}\nafter\n")
    runs = [("01_one", 90, "cpu", "a laptop"), ("01_one", 12, "cuda", "a GPU"), ("01_one", 96.2, "cpu", "a better laptop")]
    for name, seconds, device, machine in [*runs, ("02_two", 30, "cpu", "a laptop")]:
        chapter_table.record(book.Built(name, seconds, None, 10), device, machine, tmp_path, readme)
    text = readme.read_text()
    assert f"| [One]({tmp_path.name}/01_one.ipynb) | Why so? | not yet measured | 1.6 min | 0.2 min |" in text
    assert f"| [One]({tmp_path.name}/02_two.ipynb) | Why so? | not yet measured | 0.5 min | not yet measured |" in text
    for line in ("on a better laptop: notebooks 01", "on a laptop: notebooks 02", "on a GPU: notebooks 01"):
        assert line in text
    assert text.startswith(f"before\n{chapter_table.BEGIN}\n| notebook")
    assert text.endswith(f"{chapter_table.END}\nafter\n")
    with pytest.raises(ValueError, match=re.escape(chapter_table.BEGIN)):
        chapter_table.with_table("no markers", tmp_path)
