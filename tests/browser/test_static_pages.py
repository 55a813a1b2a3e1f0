"""Notebooks as pages without a kernel: every slider and pad moves, and nothing fails in the page's console."""

import statistics
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

from course_lib.storage import paths

pytest.importorskip("playwright.sync_api")
from chromium import CHROMIUM, chromium
from explorer_page import Explorer, check_explorer

SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in (paths.ROOT / "notebooks" / "source").glob("[0-9]*.py")}
EXPLORERS = {name: text.count("explore.sliders(") + text.count("explore.pad(") for name, text in sorted(SOURCES.items())}

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("home")) as browser:
        yield browser


@pytest.mark.parametrize("name", [name for name, count in EXPLORERS.items() if count])
def test_explorers_move_without_a_kernel(name, browser, tmp_path, capsys):
    nb = nbformat.read(paths.ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    page = _page(browser, HTMLExporter().from_notebook_node(nb)[0], tmp_path / "page.html")
    roots = page.locator("[data-course-explorer]").all()
    assert len(roots) == EXPLORERS[name]
    took = [ms for root in roots for ms in check_explorer(Explorer(page, root))]
    with capsys.disabled():
        print(f"\n{name}: {statistics.median(took):.0f} ms from key to picture, median of {len(took)}", end=" ")
    page.context.close()


def test_without_scripts_a_still_picture_stands_in(browser, tmp_path):
    name = next(name for name, count in EXPLORERS.items() if count)
    nb = nbformat.read(paths.ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    page = _page(browser, HTMLExporter().from_notebook_node(nb)[0], tmp_path / "page.html", java_script_enabled=False)
    stills = page.locator("[data-course-explorer] > img").all()
    assert len(stills) == EXPLORERS[name]
    for still in stills:
        assert still.bounding_box()["height"] > 50
        assert still.get_attribute("alt").strip()
    page.context.close()


def _page(browser, html: str, file: Path, **options):
    """Open an exported notebook; what it would load from the network is refused."""
    file.write_text(html, encoding="utf-8")
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    context.route(lambda address: not address.startswith("file:"), lambda route: route.abort())
    page = context.new_page()
    page.goto(file.as_uri())
    return page
