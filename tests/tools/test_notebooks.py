"""The stored notebooks are clean and are what their sources say; the builder refuses whatever is not."""

import json
import re
import shutil
import sys
import zlib
from pathlib import Path

import pytest

from course_lib.tools import build_notebooks as book

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


def test_readme_table_is_what_was_measured():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert book.with_table(text) == text
    for name, times in book.measured()["seconds"].items():
        row = next(line for line in text.splitlines() if f"notebooks/{name}.ipynb" in line)
        for seconds in times.values():
            assert f"{seconds / 60:.1f} min" in row


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
        (edited(0, source="# Another title"), "is not what"),
        (edited(1, source="print(1)"), "is not what"),
        (edited(1, metadata={}), "is not what"),
        (edited(1, id="0123456789ab"), "is not what"),
        (lambda notebook: notebook["cells"].pop(), "is not what"),
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
    with pytest.raises(ValueError, match="no notebook '7'; choose from 00_start, 01_one, 02_two"):
        book.sources(["7"], tmp_path)


def test_record_keeps_other_machines_and_writes_the_table(tmp_path):
    written(tmp_path, "# %% [markdown]\n# # One\n#\n# > Why\n# > so?\n", "01_one")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{book.BEGIN}\nold\n{book.END}\nafter\n")
    for seconds, kind, machine in ((90, "cpu", "a laptop"), (12, "cuda", "a card"), (96.2, "cpu", "a better laptop")):
        book.record([book.Built("01_one", seconds, None, 10)], kind, machine, tmp_path, readme)
    text = readme.read_text()
    assert f"| [One]({tmp_path.name}/01_one.ipynb) | Why so? | 1.6 min | 0.2 min |" in text
    assert "Measured on a CPU: a better laptop; on a GPU: a card." in text
    assert text.startswith(f"before\n{book.BEGIN}\n| notebook")
    assert text.endswith(f"{book.END}\nafter\n")
    with pytest.raises(ValueError, match="the README needs the line"):
        book.with_table("no markers", tmp_path)
