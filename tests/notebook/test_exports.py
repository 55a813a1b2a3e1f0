"""What leaves JupyterLab: exports to LaTeX, HTML, slides, Markdown and reStructuredText, and the round trips of other tools.

One small notebook with each kind of output is executed once.
"""

import base64
import io
import re
import shutil
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbconvert import HTMLExporter, LatexExporter, MarkdownExporter, RSTExporter, SlidesExporter
from PIL import Image

from course_lib.notebook import pictures
from course_lib.tools import build_notebooks

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

SOURCE = """# %% [markdown]
# # A small notebook with $x^2$

# %% tags=["parameters"]
size = 8

# %%
import torch

from course_lib.notebook import viz, widgets
from course_lib.notebook.claims import Claims

images = torch.linspace(-1, 1, 4 * size * size).view(4, 1, size, size)
viz.grid(images, alt="four grey squares")

# %%
viz.lines({"a": ([1, 2], [1, 2.0])}, alt="a line that rises", xlabel="x (1)", ylabel="y (1)")

# %%
colours = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
viz.grid(colours, alt="coloured noise, which is a heavy picture")

# %%
widgets.image_slider(lambda level: images[:1] * level, alt="a square of some grey", level=[0.5, 1.0])

# %% nbgrader={"grade": true, "grade_id": "answer", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
claims = Claims("A small notebook")
claims.claim("One and one", 1 + 1, equals=2)
claims.close()
"""  # noqa: E501 - one line of metadata
PICTURES = 3


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "small.py").write_text(SOURCE, encoding="utf-8")
    nb = build_notebooks.assemble(folder / "small.py")
    nb.cells[-1].metadata["nbgrader"] = {"grade_id": "answer", "points": 2, "grade": True}
    build_notebooks.execute(nb, folder)
    build_notebooks.tidy(nb)
    return nb


def pngs(nb):
    data = [out.data for cell in nb.cells for out in cell.get("outputs", []) if "data" in out]
    return [base64.b64decode(one["image/png"]) for one in data if "image/png" in one]


def test_every_picture_has_pixels_next_to_its_html(executed):
    found = pngs(executed)
    assert len(found) == PICTURES
    for png in found:
        assert Image.open(io.BytesIO(png)).size[0] >= 8


@pytest.mark.skipif(not shutil.which("pandoc"), reason="nbconvert needs pandoc to write LaTeX, and there is none here")
def test_every_picture_is_in_what_becomes_a_pdf(executed):
    text, resources = LatexExporter().from_notebook_node(executed)
    names = re.findall(r"\{(output_\w+\.png)\}", text)
    assert len(names) == PICTURES
    assert set(names) == set(resources["outputs"])
    assert {Image.open(io.BytesIO(data)).format for data in resources["outputs"].values()} == {"PNG"}
    assert "[picture:" not in text


@pytest.mark.parametrize("exporter", [HTMLExporter, SlidesExporter, MarkdownExporter, RSTExporter])
def test_pages_show_the_html_with_its_text_and_not_the_picture_again(executed, exporter):
    if exporter is RSTExporter and not shutil.which("pandoc"):
        pytest.skip("nbconvert needs pandoc to write reStructuredText, and there is none here")
    text, _ = exporter().from_notebook_node(executed)
    shown = re.findall(r"<img[^>]*>", text)
    assert len(shown) == PICTURES
    for alt in ("four grey squares", "a line that rises", "coloured noise"):
        assert sum(alt in one for one in shown) == 1
    assert "![png]" not in text


def test_jupytext_brings_everything_back_but_outputs(executed):
    text = jupytext.writes(executed, fmt="py:percent")
    back = jupytext.reads(text, fmt="py:percent")
    assert [cell.source for cell in back.cells] == [cell.source for cell in executed.cells]
    assert back.cells[1].metadata["tags"] == ["parameters"]
    assert back.cells[-1].metadata["nbgrader"] == executed.cells[-1].metadata["nbgrader"]


def test_it_runs_from_another_folder_and_with_injected_parameters(executed, tmp_path):
    """As papermill does it: a cell after the one that is tagged "parameters". And as nbconvert --execute does it."""
    nb = nbformat.from_dict(executed)
    injected = nbformat.v4.new_code_cell("size = 4", metadata={"tags": ["injected-parameters"]})
    changed = nbformat.v4.new_notebook(cells=[*nb.cells[:2], injected, *nb.cells[2:]], metadata=nb.metadata)
    build_notebooks.execute(changed, tmp_path)
    assert [
        cell.source for cell in changed.cells if "outputs" in cell and any(o.output_type == "error" for o in cell.outputs)
    ] == []
    assert pngs(changed)[0] != pngs(executed)[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda file: file.stem)
def test_every_picture_of_a_stored_notebook_has_pixels_next_to_its_html(file):
    nb = nbformat.read(file, as_version=4)
    data = [out.data for cell in nb.cells for out in cell.get("outputs", []) if "data" in out]
    shown = [one for one in data if "<img" in "".join(one.get("text/html", ""))]
    assert [one["text/plain"] for one in shown if "image/png" not in one] == []


def test_a_heavy_picture_is_printed_in_fewer_colours_and_its_white_stays_white():
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    pixels[:20] = 255
    picture = pictures.Picture(pictures.encode(pixels), "noise below white")
    printed = Image.open(io.BytesIO(picture.for_print())).convert("RGB")
    assert len(picture.for_print()) < len(picture.data) / 2
    assert (np.asarray(printed)[:20] == 255).all()
    assert abs(np.asarray(printed).astype(float) - pixels).mean() < 40
    light = pictures.Picture(pictures.encode(pixels[:5, :5]), "a light one")
    assert light.for_print() == light.data


def test_a_few_dots_keep_their_colour_in_fewer_colours():
    import numpy as np

    rng = np.random.default_rng(0)
    pixels = np.full((400, 400, 3), 255, np.uint8)
    pixels[:, 200:] = rng.integers(0, 255, (400, 200, 1))  # a photograph in grey takes nearly every colour of the palette
    olive, orange = (188, 189, 34), (255, 127, 14)
    pixels[10:14, 10:14], pixels[30:34, 30:90] = olive, orange
    printed = Image.open(io.BytesIO(pictures.Picture(pictures.encode(pixels), "dots").for_print())).convert("RGB")
    found = np.asarray(printed).astype(int)
    assert abs(found[12, 12] - olive).max() < 40
    assert abs(found[32, 40] - orange).max() < 40
