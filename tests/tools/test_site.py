"""The static site without a browser: links, notebooks as pages, the reference, and what a build refuses."""

import ast
import re

import nbformat
import pytest
from nbformat import v4
from typer.testing import CliRunner

from course_lib.storage import paths
from course_lib.tools.cli import cli
from course_lib.tools.site import builder, links, notebook_page, reference, stage
from course_lib.tools.site.links import Links, SiteError
from course_lib.tools.site.notebook_page import Pictures

ROOT = paths.ROOT
PAGES = ROOT / "notebooks" / "pages"

# --- links ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def turned(tmp_path):
    """Turn the links of a text at notebooks/for_teachers.md, shown as for_teachers.md."""

    def turn(text: str, address: str = "") -> str:
        table = Links({"README.md": "readme.md", "notebooks/01_pixel_space.ipynb": "deep/1.ipynb"}, tmp_path, address)
        return table.turned(text, "notebooks/for_teachers.md", "for_teachers.md")

    return turn


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[one](01_pixel_space.ipynb)", "[one](deep/1.ipynb)"),
        ("[two](../README.md#other-machines)", "[two](readme.md#other-machines)"),
        ("[out](https://example.org/a) [here](#below)", "[out](https://example.org/a) [here](#below)"),
        ("`[code](nowhere.md)`", "`[code](nowhere.md)`"),
        ("```md\n[code](nowhere.md)\n```\n[one](01_pixel_space.ipynb)", "```md\n[code](nowhere.md)\n```\n[one](deep/1.ipynb)"),
    ],
)
def test_a_link_is_turned_to_the_page_and_code_is_left_alone(turned, text, expected):
    assert turned(text) == expected


def test_a_file_that_is_no_page_is_copied_or_linked_to_in_the_repository(turned, tmp_path):
    assert turned("[licence](../LICENSE)") == "[licence](files/LICENSE)"
    assert (tmp_path / "files" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    address = "https://github.com/somebody/workbook"
    assert turned("[licence](../LICENSE)", address) == f"[licence]({address}/blob/main/LICENSE)"
    assert turned("![picture](../data/results/readme.png)", address) == "![picture](files/data/results/readme.png)"


@pytest.mark.parametrize("target", ["nowhere.md", "../../outside.md", "homework"])
def test_a_link_to_nothing_is_named(turned, target):
    with pytest.raises(SiteError, match=re.escape(target)):
        turned(f"[lost]({target})")


def test_faults_of_a_finished_site_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "good.html").write_text('<p id="here"><a href="../index.html?x=1">up</a><a href="#here">self</a>')
    good = '<a href="a/good.html#here">1</a><a href="https://example.org">2</a><img src="data:image/png;base64,AA">'
    (tmp_path / "index.html").write_text(good)
    assert links.faults(tmp_path) == []
    bad = '<a href="a/none.html">1</a><a href="a/good.html#there">2</a><script src="https://cdn.example.org/x.js"></script>'
    (tmp_path / "index.html").write_text(bad)
    found = links.faults(tmp_path)
    assert len(found) == 3
    assert "https://cdn.example.org/x.js from elsewhere" in found[0]


# --- notebooks -----------------------------------------------------------------------------------------------------

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAIAAAA2iEnWAAAAEElEQVR4nGNgYGD4D8EQAAAL9gL+k8jh0wAAAABJRU5ErkJggg=="


@pytest.fixture
def shown(tmp_path):
    """The page of a notebook with a title and these code cells, each (source, outputs)."""

    def show(*cells: tuple, page: str = "a.ipynb", address: str = "") -> nbformat.NotebookNode:
        code = [v4.new_code_cell(source, outputs=outputs) for source, outputs in cells]
        nb = v4.new_notebook(cells=[v4.new_markdown_cell("# Title\n\n> A question?\n\nText"), *code])
        return notebook_page.notebook_page(
            nb, f"notebooks/{page}", page, Pictures(tmp_path / "_static"), Links({}, tmp_path, address)
        )

    return show


def printed(text: str) -> nbformat.NotebookNode:
    return v4.new_output("stream", name="stdout", text=text)


def html(nb: nbformat.NotebookNode, cell: int) -> list[str]:
    return [out.get("data", {}).get("text/html", out.get("text", "")) for out in nb.cells[cell].outputs]


def test_a_stored_picture_becomes_a_file_of_its_size_that_is_loaded_when_seen(shown, tmp_path):
    data = {"text/html": f'<img alt="A &lt;b&gt;" width="20" src="data:image/png;base64,{PIXEL}">', "image/png": PIXEL}
    nb = shown(("1", [v4.new_output("display_data", data)]), page="homework/hw1.ipynb")
    (text,) = html(nb, 1)
    (file,) = (tmp_path / "_static" / "pictures").iterdir()
    assert f'src="../_static/pictures/{file.name}"' in text
    assert 'alt="A &lt;b&gt;" width="20"' in text
    assert 'height="30" loading="lazy"' in text  # 2×3 pixels
    assert "image/png" not in nb.cells[1].outputs[0].data


def test_a_prediction_gets_a_field_and_its_measurement_waits_for_it(shown):
    ask = 'times = guess.number("how often", unit="times")\nwhich = guess.choice("which & why", ["a <b>", "c"])\ntimes, which'
    answer = 'print("before")\ntimes.compare(16)\nother.compare(2)\nwhich.compare("a <b>")'
    text = "before\nmeasured: 16 times (no guess)\nmeasured: a <b> (no guess)\nafter\n"
    nb = shown((ask, []), (answer, [printed(text)]))
    (fields,) = html(nb, 1)
    assert 'data-guess="times"' in fields
    assert 'data-unit="times"' in fields
    assert "<option>a &lt;b&gt;</option>" in fields
    before, first, second, after = html(nb, 2)
    assert (before, after) == ("before\n", "after\n")
    assert 'data-of="times" data-value="16 times"' in first
    assert 'data-of="which" data-value="a &lt;b&gt;"' in second


def test_a_dictionary_of_predictions_offers_all_answers(shown):
    ask = '{run: guess.choice(f"run {run}", FAULTS) for run in RUNS}'
    text = "run A · measured: too large (no guess)\nrun B · measured: swapped (no guess)\n"
    nb = shown((f"guesses = {ask}", []), ("for one in guesses.values(): one.compare(1)", [printed(text)]))
    assert html(nb, 1)[0].count("<option>too large</option>") == 2
    assert all('data-of="run' in line for line in html(nb, 2))


def test_a_measurement_without_its_prediction_is_an_error(shown):
    with pytest.raises(SiteError, match="build the notebook again"):
        shown(("1", [printed("measured: 16 (no guess)\n")]))


def test_what_needs_a_kernel_says_so(shown):
    nb = shown(("box", [v4.new_output("execute_result", {"text/plain": "[prompt box: teddies]"}, execution_count=1)]))
    assert "make lab" in html(nb, 1)[0]


def test_a_link_to_colab_appears_once_the_repository_has_an_address(shown):
    assert "Colab" not in shown().cells[0].source
    source = shown(address="https://github.com/somebody/workbook").cells[0].source
    assert "https://colab.research.google.com/github/somebody/workbook/blob/main/notebooks/a.ipynb" in source
    assert source.index("> A question?") < source.index("downloads/a.ipynb") < source.index("Text")
    assert "Colab" not in shown(address="https://git.example.org/somebody/workbook").cells[0].source


def test_the_address_is_set_in_pyproject(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    assert stage.repository() == ""
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/somebody/workbook.git"\n')
    assert stage.repository() == "https://github.com/somebody/workbook"


def test_every_notebook_and_text_is_a_page():
    shown = stage.pages()
    files = [*ROOT.glob("notebooks/[0-9]*.ipynb"), *ROOT.glob("notebooks/homework/*.ipynb"), *ROOT.glob("notebooks/*.md")]
    assert {path.relative_to(ROOT).as_posix() for path in [*files, *PAGES.rglob("*.md")]} <= set(shown)
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= set(shown)
    assert len(set(shown.values())) == len(shown)


# --- the reference -------------------------------------------------------------------------------------------------

MODULE = '''"""A module: see `double`, not `nothing`."""

LIMIT = 3
"""At most this many."""


@decorated
def double(x: float, times: int = 2) -> float:
    """Return [x] · *times* < inf, by ``double``.

    x: any number. times: how often (see `Box.value`). Raises ValueError for none.

    Args:
        x: once more,
            in two lines.
    """
    return x * times


def _private():
    pass


class Box(Base):
    """A box. side: in metres."""

    def __init__(self, side: float) -> None: ...

    @property
    def value(self) -> float:
        """What it holds."""
'''


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    (tmp_path / "course_lib").mkdir()
    (tmp_path / "course_lib" / "boxes.py").write_text(MODULE)
    return reference.Reference(["course_lib/boxes.py"]).page("course_lib/boxes.py")


@pytest.mark.parametrize(
    "part",
    [
        "{py:data} LIMIT",
        "{py:function} double(x: float, times: int=2) -> float",
        "Return \\[x\\] · \\*times\\* \\< inf, by {py:obj}`double <course_lib.boxes.double>`.",
        "- **x**: any number.",
        "- **times**: how often (see {py:obj}`Box.value <course_lib.boxes.Box.value>`).",
        "\n\nRaises ValueError for none.",
        "- **x**: once more, in two lines.",
        "@decorated\ndef double",
        "not `nothing`",
        "{py:class} Box(side: float)",
        "{py:property} Box.value\n",
    ],
)
def test_a_docstring_is_shown_as_it_is_meant(page, part):
    assert part in page


def test_what_is_private_is_not_shown(page):
    assert "_private" not in page


@pytest.mark.parametrize("file", reference.taught_modules())
def test_every_public_block_has_an_entry(file):
    text = reference.Reference([file]).page(file)
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert re.search(rf"{{py:(function|class)}} {node.name}\b", text), node.name


# --- a build -------------------------------------------------------------------------------------------------------


def test_a_folder_with_other_things_is_not_replaced(tmp_path):
    pytest.importorskip("sphinx")
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SiteError, match="name a new folder"):
        builder.build(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_without_sphinx_one_sentence_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(builder.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SiteError, match="make site"):
        builder.build(tmp_path / "site")


def test_a_failing_build_leaves_the_old_site(monkeypatch, tmp_path):
    pytest.importorskip("sphinx")
    old = tmp_path / "site" / builder.OURS
    old.parent.mkdir(parents=True)
    old.write_text("old")

    def fail(self) -> None:
        raise SiteError("no page")

    monkeypatch.setattr(stage.Stage, "fill", fail)
    with pytest.raises(SiteError, match="no page"):
        builder.build(tmp_path / "site")
    assert old.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_command_builds_where_it_is_asked_to(monkeypatch, tmp_path):
    monkeypatch.setattr(builder, "build", lambda site: f"built {site}")
    for arguments, folder in ((["site"], builder.SITE), (["site", "--out", str(tmp_path)], tmp_path)):
        assert CliRunner().invoke(cli, arguments).output.strip() == f"built {folder}"


@pytest.mark.processes
def test_a_warning_of_sphinx_ends_the_build(tmp_path):
    pytest.importorskip("sphinx")
    (tmp_path / "conf.py").write_text("extensions = ['myst_nb']\n")
    (tmp_path / "index.md").write_text("# Title\n\n[lost](nowhere.md)\n")
    with pytest.raises(SiteError, match="nowhere"):
        builder._run_sphinx(tmp_path, tmp_path / "out", tmp_path / "trees")
