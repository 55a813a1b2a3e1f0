"""The static site in Chromium: each kind of page opens without an error and loads nothing from elsewhere; sliders, pads,
predictions and the search answer without a kernel; wide and narrow, light and dark; and axe-core finds no serious fault.

The site is built once. Screenshots are written next to it; `pytest -s` prints where.
"""

import functools
import http.server
import importlib.metadata
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import nbformat
import pytest

from course_lib.storage import paths
from course_lib.tools.site import builder

pytest.importorskip("playwright.sync_api")
pytest.importorskip("sphinx")
from chromium import CHROMIUM, chromium
from explorer_page import Explorer

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")]

NOTEBOOKS = sorted(path.stem for path in (paths.ROOT / "notebooks").glob("[0-9]*.ipynb"))
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# One page of each kind, in one theme; the colours of the two kinds with most of them are looked at in both.
KINDS = {
    "index": "light",
    "10_design_choices": "light",
    "homework/hw1": "dark",
    "api/index": "light",
    "api/codec": "dark",
    "formulas": "light",
    "symbols": "dark",
    "exam/1_pixel_space": "light",
    "readme": "dark",
    "search": "light",
}
COLOURS = {"index": "dark", "10_design_choices": "dark"}


def in_one_process(value: str) -> str:
    """The id of a test, which conftest.py does not take for a notebook's: else each process would build the site."""
    return value.replace("_", "-")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    built = builder.build(tmp_path_factory.mktemp("site") / "site", address="")
    assert built.pages > 60
    print(f"\n{built}")
    return built.folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("home")) as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(site, browser):
    """Open a page of the site, and fail where it asks another host, misses a file, or reports an error."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"

    @contextmanager
    def open_page(name: str, viewport=DESKTOP, theme="light", **options) -> Iterator:
        wrong: list[str] = []
        with browser.new_context(viewport=viewport, color_scheme=theme, reduced_motion="reduce", **options) as context:
            context.route(
                lambda url: not url.startswith((home, "data:")), lambda route: (wrong.append(route.request.url), route.abort())
            )
            page = context.new_page()
            page.on("console", lambda message: message.type in ("error", "warning") and wrong.append(message.text))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status} {answer.url}"))
            page.goto(f"{home}{name}.html")
            page.wait_for_function("!window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)")
            yield page
        assert wrong == [], name

    yield open_page
    server.shutdown()


def picture_of(page, site, name: str) -> None:
    page.screenshot(path=site.parent / f"{name.replace('/', '-')}.png")


@pytest.mark.parametrize("name", NOTEBOOKS, ids=in_one_process)
def test_every_slider_and_pad_of_a_notebook_is_dragged(name, opened, site):
    with opened(name, theme="dark" if NOTEBOOKS.index(name) % 2 else "light") as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        source = (paths.ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
        roots = page.locator("[data-course-explorer]").all()
        assert len(roots) == source.count('data-course-explorer=\\"') - source.count("[data-course-explorer=")
        for root in roots:
            drag(Explorer(page, root))
        picture_of(page, site, name)


def drag(explorer: Explorer) -> None:
    """Drag each control; other pixels, and at the start of a slider the first ones, must show."""
    explorer.canvas.wait_for()
    if explorer.is_pad:
        before = explorer.look()
        explorer.drag(explorer.pad, (0.5, 0.5), (0.2, 0.3))
        assert explorer.look() != before
    for slider in explorer.sliders:
        before = explorer.look()
        explorer.drag(slider, (0.02, 0.5), (0.98, 0.5))
        assert int(slider.input_value()) == int(slider.get_attribute("max"))
        assert explorer.look() != before
        assert slider.get_attribute("aria-valuetext").strip()


def test_predictions_are_shown_next_to_the_measurement(opened):
    with opened("02_autoencoder") as page:
        page.locator("[data-guess=lead] input").fill("3")
        page.locator("[data-guess=better_shape] select").select_option("4 channels at 4×4")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        measured = page.locator("[data-of=lead]").get_attribute("data-value")
        assert page.locator("[data-of=lead]").inner_text() == f"you guessed: 3 dB; measured: {measured}"
        assert page.locator("[data-of=better_shape]").inner_text().endswith("measured: 4 channels at 4×4 ✓")
        page.locator("[data-guess=lead] input").fill("")
        assert page.locator("[data-of=lead]").inner_text() == f"measured: {measured}"


def test_outputs_after_a_prediction_are_folded_until_the_reader_opens_them(opened):
    with opened("02_autoencoder") as page:
        line = page.locator("[data-of=lead]")
        assert not line.is_visible()
        page.locator("details", has=line).locator("summary").first.click()
        assert line.is_visible()


def test_the_search_finds_a_block_and_a_homework(opened, site):
    with opened("search") as page:
        page.locator(".bd-content input[type=search]").fill("participation ratio")
        page.keyboard.press("Enter")
        for place in ("api/dimension.html", "homework/hw1.html"):
            page.locator(f"#search-results a[href*='{place}']").first.wait_for()
        picture_of(page, site, "search")


def test_a_notebook_is_downloaded_as_it_is_stored_and_homework_without_outputs(opened, site):
    for name in ("02_autoencoder", "homework/hw1"):
        with opened(name) as page:
            with page.expect_download() as download:
                page.get_by_role("link", name="Download this notebook").click()
            got = nbformat.read(download.value.path(), as_version=4)
        stored = nbformat.read(paths.ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        assert [cell.source for cell in got.cells] == [cell.source for cell in stored.cells]
        if name.startswith("homework"):
            assert not any(cell.get("outputs") for cell in got.cells)
        else:
            assert got == stored


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "03_vae", "exam/3_vae"], ids=in_one_process)
def test_a_phone_shows_it_without_scrolling_sideways(name, theme, opened, site):
    with opened(name, PHONE, theme, has_touch=True, is_mobile=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        for root in page.locator("[data-course-explorer]").all()[:3]:
            box = root.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE["width"]
        picture_of(page, site, f"phone-{theme}-{name}")


def test_without_scripts_stills_stand_in(opened):
    with opened("03_vae", java_script_enabled=False) as page:
        stills = page.locator("[data-course-explorer] > img").all()
        assert len(stills) > 1
        assert all(still.get_attribute("alt").strip() for still in stills)
        assert page.locator("[data-of=readable]").text_content().startswith("measured: ")


@pytest.mark.parametrize(("name", "theme"), [*KINDS.items(), *COLOURS.items()], ids=in_one_process)
def test_axe_finds_nothing_serious(name, theme, opened, site):
    with opened(name, theme=theme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        page.evaluate(axe())
        part = "html" if name == "index" else "#main-content"  # what is around the text is the same on all pages
        options = {"preload": False}
        if (name, theme) in COLOURS.items():
            part, options = ".cell_output, .course-hero, .course-tiles", options | {"runOnly": ["color-contrast"]}
        found = page.evaluate(f"axe.run({part!r}, {json.dumps(options)})")
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []
        picture_of(page, site, f"{theme}-{name}")


@functools.cache
def axe() -> str:
    """The script of axe-core, which a package for Python carries."""
    file = next(one for one in importlib.metadata.files("axe-playwright-python") if one.name == "axe.min.js")
    return file.locate().read_text(encoding="utf-8")
