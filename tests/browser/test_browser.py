"""Every notebook in JupyterLab in a real browser: all cells run, and every slider answers the keyboard and the mouse.

    make browser-test                        all notebooks; prints latencies, and where the screenshots lie
    .venv/bin/python -m pytest -m browser -k 05    one of them

In `make test` nbval executes the notebooks in the same JupyterLab (see tests/support/lab_kernels.py), and the pages open on its
kernels; alone, these tests run all cells themselves.

Needs Chromium (Debian's package `chromium`); nothing is downloaded.
"""

import os
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from course_lib.storage import paths
from course_lib.tools.build_notebooks import METADATA

sync_api = pytest.importorskip("playwright.sync_api")
import lab_kernels  # noqa: E402  (they need playwright)
import lab_page  # noqa: E402
from chromium import CHROMIUM, chromium  # noqa: E402
from explorer_page import check_explorer  # noqa: E402
from lab_page import LabPage, Server  # noqa: E402

NOTEBOOKS = sorted(path.stem for path in (paths.ROOT / "notebooks").glob("[0-9]*.ipynb"))
READABLE = 4.5  # WCAG 2.2, success criterion 1.4.3: contrast of text

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def jupyterlab(folder, request) -> Iterator[Server]:
    """The server in which nbval has executed the notebooks, or else a new one, with copies of the networks trained so far."""
    if request.config.getoption("--in-jupyterlab"):
        yield lab_kernels.server()
        return
    if paths.runs_dir().exists():
        shutil.copytree(paths.runs_dir(), folder / "runs")
    with lab_page.server(folder, folder / "runs") as running:
        yield running


@pytest.fixture(scope="module")
def browser(folder):
    with chromium(folder) as browser:
        yield browser


@pytest.fixture(scope="module", params=NOTEBOOKS)
def notebook(request, browser, jupyterlab) -> Iterator[LabPage]:
    """A notebook whose cells have all been run."""
    with opened(request.param, browser, jupyterlab, request.config.getoption("--in-jupyterlab")) as page:
        yield page


@contextmanager
def opened(name: str, browser, jupyterlab: Server, executed: bool = False) -> Iterator[LabPage]:
    """The page of a notebook, all of whose cells are run here, unless nbval has executed them in this JupyterLab."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = LabPage(context.new_page(), jupyterlab)
        if executed:
            assert lab_kernels.is_executed(name), f"nbval has not executed {name}: give its path before tests/browser"
        page.open(name)
        if not executed:
            page.run_all()
        yield page
        page.close()


# --- the test itself: what must be seen is seen --------------------------------------------------------------------

BROKEN = """
from course_lib.notebook import widgets
from IPython.display import Javascript
import torch
display(Javascript("console.error('from the page')"))
widgets.image_slider(lambda level: torch.zeros(1, 1, 64, 64), alt="Always black", level=[0, 1])
"""


def test_a_slider_without_effect_and_errors_are_found(browser, jupyterlab, monkeypatch):
    monkeypatch.setattr(lab_page, "ANSWER_LIMIT", 1)
    cells = [nbformat.v4.new_code_cell(source) for source in (BROKEN, "1 / 0")]
    file = jupyterlab.root / "notebooks" / "broken.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=METADATA), file)
    with opened("broken", browser, jupyterlab) as page:
        assert page.problems() == ["cell 1: division by zero"]
        (slider,) = page.sliders()
        assert (slider.label, slider.alt, slider.position, slider.last) == ("level", "Always black", 0, 1)
        assert slider.press("ArrowRight") is None
        assert slider.position == 1
        assert "from the page" in " ".join(page.errors)
    file.unlink()


def test_errors_in_the_servers_log_are_found(tmp_path):
    log = tmp_path / "log"
    wrong = ["[E 2026-11-23 08:00:01.000 ServerApp] not fine", "Traceback (most recent call last):", "ValueError: nor this"]
    log.write_text("\n".join(["[I 2026-11-23 08:00:00.000 ServerApp] an Error that is none", *wrong]))
    assert Server("", "", root=tmp_path, jupyter=tmp_path, log=log).complaints() == wrong


# --- every notebook ------------------------------------------------------------------------------------------------


def test_all_cells_run(notebook):
    assert notebook.problems() == []


def test_every_slider_is_on_the_page(notebook):
    source = (paths.ROOT / "notebooks" / "source" / f"{notebook.name}.py").read_text(encoding="utf-8")
    assert len({slider.alt for slider in notebook.sliders()}) == source.count("widgets.image_slider(")


def test_each_slider_answers_the_keyboard(notebook, capsys):
    notebook.sliders_to_start()
    for slider in notebook.sliders():
        before = slider.look()
        took = [slider.press("ArrowRight") for _ in range(slider.last)]
        assert slider.position == slider.last
        assert None not in took, f"{slider.label}: no other picture at position {1 + took.index(None)} of {slider.last}"
        assert slider.look() != before, slider.label
        median = statistics.median(took)
        with capsys.disabled():
            print(f"\n{notebook.name}, {slider.label}: {median:.0f} ms from key to picture", end="")
            print(f" (median of {len(took)} moves, {min(took):.0f} to {max(took):.0f}; load {os.getloadavg()[0]:.1f})", end=" ")


def test_each_slider_follows_the_mouse(notebook):
    notebook.sliders_to_start()
    for slider in notebook.sliders():
        before = slider.look()
        slider.drag(to=1)
        assert slider.position == slider.last
        slider.wait_until_quiet()
        assert slider.look() != before, slider.label


def test_each_explorer_follows_keyboard_and_mouse(notebook, capsys):
    source = (paths.ROOT / "notebooks" / "source" / f"{notebook.name}.py").read_text(encoding="utf-8")
    explorers = 0
    for explorer in notebook.explorers():
        took = check_explorer(explorer)
        assert notebook.contrast(explorer.root.locator(".course-caption")) >= READABLE
        with capsys.disabled():
            print(f"\n{notebook.name}, explorer {explorers}: {statistics.median(took):.0f} ms from key to picture", end=" ")
        explorers += 1
    assert explorers == source.count("explore.sliders(") + source.count("explore.pad(")


def test_each_prompt_box_draws_what_is_typed_and_knows_its_words(notebook):
    source = (paths.ROOT / "notebooks" / "source" / f"{notebook.name}.py").read_text(encoding="utf-8")
    boxes = 0
    for box in notebook.prompt_boxes():
        line, picture, status = box.locator("input[type=text]"), box.locator(".course-picture"), box.locator(".course-status")
        before = picture.get_attribute("src")
        line.fill("one white teddy bear in the snow")
        line.press("Enter")
        sync_api.expect(picture).not_to_have_attribute("src", before, timeout=1000 * lab_page.PATIENCE)
        sync_api.expect(status).to_have_text("", timeout=1000 * lab_page.PATIENCE)
        line.fill("two purple teddy bears")
        line.press("Enter")
        sync_api.expect(status).to_contain_text("'purple' in 'two purple teddy bears'", timeout=1000 * lab_page.PATIENCE)
        boxes += 1
    assert boxes == source.count("widgets.prompt_box(")


def test_each_slider_is_labelled_and_reached_by_tab(notebook):
    for slider in notebook.sliders():
        assert slider.label.strip()
        assert slider.tab_to(), f"{slider.label}: the Tab key does not reach it"
        sync_api.expect(slider.picture).to_have_accessible_name(slider.alt)


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_it_is_readable_in_either_theme(notebook, folder, theme, capsys):
    notebook.change_theme(f"JupyterLab {theme}")
    for slider in notebook.sliders():
        for text in (slider.box.locator(".widget-label"), slider.box.locator(".widget-readout"), slider.caption):
            assert notebook.contrast(text) >= READABLE, text.inner_text()
        assert slider.opaque()
    file = folder / f"{notebook.name}_{theme.lower()}.png"
    notebook.page.screenshot(path=file)
    with capsys.disabled():
        print(f"\n{file}", end=" ")


def test_neither_page_nor_server_complains(notebook):
    assert notebook.errors == []
    assert notebook.server.complaints() == []
