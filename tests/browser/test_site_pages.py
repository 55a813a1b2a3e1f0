"""The static site in Chromium: each kind of page opens without an error and loads nothing from elsewhere; sliders, pads,
predictions and the search answer without a kernel; wide and narrow, light and dark; and axe-core finds no serious fault.

The site is built once. Screenshots are written next to it; `pytest -s` prints where.
"""

import base64
import functools
import gzip
import http.server
import importlib.metadata
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import nbformat
import numpy as np
import pytest
import torch

from course_lib import device, teddies, text_to_image
from course_lib.storage import paths
from course_lib.tools.site import builder, live

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
    "live": "light",
}
COLOURS = {"index": "dark", "10_design_choices": "dark", "live": "dark"}


def in_one_process(value: str) -> str:
    """The id of a test, which conftest.py does not take for a notebook's: else each process would build the site."""
    return value.replace("_", "-")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A page that is left does not wait for its files."""


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


@contextmanager
def served(site) -> Iterator[str]:
    """The address of the site on a server of its own."""
    server = QuietServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def opened(site, browser):
    """Open a page of the site, and fail where it asks another host, misses a file, or reports an error."""

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

    with served(site) as home:
        yield open_page


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
@pytest.mark.parametrize("name", ["index", "03_vae", "exam/3_vae", "live"], ids=in_one_process)
def test_a_phone_shows_it_without_scrolling_sideways(name, theme, opened, site):
    with opened(name, PHONE, theme, has_touch=True, is_mobile=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        if name == "live":
            drawn(page)
            page.locator(".live-view").scroll_into_view_if_needed()
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


def drawn(page) -> float:
    """Wait until the live page has drawn what is asked for. Milliseconds of the guided walk."""
    page.wait_for_function("""() => {
        const { drawing, drawn } = document.querySelector("#course-live").dataset
        return drawing && drawing === drawn
    }""")
    assert page.locator(".live-status").inner_text().endswith("ms, in this page.")
    return float(page.locator("#course-live").get_attribute("data-milliseconds"))


def look(canvas) -> str:
    return canvas.evaluate("canvas => canvas.toDataURL()")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_teddies_are_drawn_live(theme, opened, site):
    with opened("live", theme=theme) as page:
        drawn(page)
        unguided, guided = page.locator(".live-view canvas").all()
        caption, scale = page.get_by_label("Caption", exact=True), page.get_by_role("slider", name="Guidance scale")
        assert look(guided) != look(unguided)
        assert page.locator(".live-strip canvas").count() == 2 * 10
        for change, both in (
            (lambda: page.get_by_role("button", name="night").click(), True),
            (lambda: page.get_by_role("button", name="New noise").click(), True),
            (lambda: page.get_by_label("Pictures").select_option("4"), True),
            (lambda: scale.press("End"), False),
            (lambda: page.get_by_role("slider", name="Steps").press("Home"), True),
            (lambda: page.get_by_role("slider", name="Steps").press("End"), True),
            (lambda: (page.get_by_label("Negative caption").fill("blue bears in the snow"), page.keyboard.press("Enter")), False),
            (lambda: (caption.fill("a golden bear sleeping"), page.keyboard.press("Enter")), True),
        ):
            before = look(guided), look(unguided)
            change()
            assert 0 < drawn(page) < 60_000
            assert look(guided) != before[0]
            assert (look(unguided) != before[1]) is both
        assert page.locator(".live-strip canvas").count() == 2 * 20
        pressed = {one.inner_text() for one in page.locator("button[aria-pressed=true]").all()}
        assert pressed == {"one", "golden", "sleeping"}
        assert guided.get_attribute("aria-label") == "a golden bear sleeping, drawn with guidance scale 8"
        assert page.locator(".live-view figcaption").all_inner_texts() == ["Caption only (scale 1)", "Guided (scale 8)"]
        assert page.locator(".live-status").inner_text().startswith("20 steps, 40 evaluations of the network")
        picture_of(page, site, f"live-{theme}")


def test_a_caption_that_cannot_be_read_is_named_and_what_was_drawn_before_stays(opened):
    with opened("live") as page:
        drawn(page)
        caption, status = page.get_by_label("Caption", exact=True), page.locator(".live-status")
        page.get_by_role("button", name="New noise").click()
        caption.fill("a purple bear")
        page.keyboard.press("Enter")  # while it draws
        page.wait_for_timeout(500)
        assert status.inner_text().startswith("Caption: “purple” is not a word that this model knows.")
        assert caption.get_attribute("aria-invalid") == "true"
        page.get_by_role("button", name="beach").click()
        drawn(page)
        assert caption.input_value() == "on a beach"
        assert caption.get_attribute("aria-invalid") == "false"
        caption.fill("a brown bear")  # no Enter: it is read when the reader pauses
        drawn(page)
        page.wait_for_function("document.querySelector('.live-view canvas').ariaLabel.startsWith('a brown bear')")


def test_without_guidance_both_images_are_equal_and_what_was_asked_last_is_drawn(opened):
    with opened("live") as page:
        drawn(page)
        for key in ("Home", *["ArrowRight"] * 6, "Home"):  # no image is waited for
            page.get_by_role("slider", name="Guidance scale").press(key)
        drawn(page)
        unguided, guided = page.locator(".live-view canvas").all()
        assert look(guided) == look(unguided)
        assert page.get_by_label("Negative caption").is_disabled()
        assert page.locator(".live-view figcaption").last.inner_text() == "Guided (scale 1)"
        while (words := page.locator("button[aria-pressed=true]")).count():
            words.first.click()  # take all words out
        page.get_by_role("slider", name="Guidance scale").press("End")
        drawn(page)
        assert page.get_by_label("Caption", exact=True).input_value() == ""
        assert look(guided) == look(unguided)


def test_the_live_pad_is_dragged(opened):
    with opened("live") as page:
        drawn(page)
        pad, canvas, where = (
            page.locator(".live-pad"),
            page.locator(".live-row > canvas"),
            page.locator("#course-live-map .live-small"),
        )
        page.wait_for_function("document.querySelector('.live-row > canvas').getAttribute('aria-label').includes('z = (')")
        pad.scroll_into_view_if_needed()
        box, before = pad.bounding_box(), look(canvas)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.3 * box["height"], steps=4)
        page.mouse.up()
        assert where.inner_text() == "z = (4.0, 2.0)"
        page.wait_for_function("document.querySelector('.live-row > canvas').getAttribute('aria-label').includes('(4.0, 2.0)')")
        dragged = look(canvas)
        assert dragged != before
        pad.press("ArrowLeft")
        page.wait_for_function("document.querySelector('.live-row > canvas').getAttribute('aria-label').includes('(3.8, 2.0)')")
        assert look(canvas) != dragged


def test_the_live_page_loads_at_most_10_megabytes(opened):
    asked = []
    with opened("live") as page:
        page.context.on("request", lambda request: asked.append(request.url))
        page.reload()
        drawn(page)
        bodies = {name: page.request.get(name).body() for name in set(asked)}
    names = {name.split("/")[-1] for name in bodies}
    assert names > {"live.html", "worker.js", "models.json", f"{live.RUNTIMES[0]}.gz", "denoiser.onnx", "map.onnx"}
    # texts are packed on the way by all but the simplest servers
    packed = [gzip.compress(body) if b"\0" not in body[:1000] else body for body in bodies.values()]
    assert 4e6 < sum(map(len, packed)) < 10e6


@pytest.mark.parametrize(("missing", "says"), [("decoder.onnx", "decoder.onnx is missing (404"), ("worker.js", "did not load")])
def test_what_cannot_be_loaded_is_named_and_the_still_stays(missing, says, browser, site):
    with served(site) as home, browser.new_context() as context:
        page = context.new_page()
        context.route(f"**/{missing}", lambda route: route.fulfill(status=404))
        page.goto(f"{home}live.html")
        page.wait_for_function("document.querySelector('.live-status')?.textContent.includes('cannot draw here')")
        page.wait_for_timeout(500)  # other files are still on their way
        assert says in page.locator(".live-status").inner_text()
        assert page.locator("#course-live img").is_visible()


def test_a_page_opened_as_a_file_says_that_it_needs_a_server(browser, site):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((site / "live.html").as_uri())
        assert "needs a web server" in page.locator("#course-live .course-note").inner_text()


def walked(page, device_name: str, asked: dict) -> np.ndarray:
    """Images of a walk in the page, on "wasm" or "webgpu"."""
    script = """async ([device, { noise, ...asked }]) => {
        const { load } = await import(new URL("_static/live/models.js", document.baseURI)), models = await load(() => {}, device)
        let last
        for await (const { x } of models.walk({ noise: Float32Array.from(noise), ...asked })) last = x
        const bytes = new Uint8Array((await models.decode(last)).data.slice().buffer)
        return btoa(Array.from(bytes, one => String.fromCharCode(one)).join(""))
    }"""
    return np.frombuffer(base64.b64decode(page.evaluate(script, [device_name, asked])), np.float32)


@pytest.fixture(scope="module")
def request_and_images():
    """What a walk in the page is asked for, from noise of torch's, and the images of torch's walk."""
    model = text_to_image.load(device.find("cpu", "fp32"))
    prompts, negative, scale, steps = ["two pink bears reading at night", "a white bear with a red scarf", ""], "blue", 3.0, 6
    labels, away = model.encode_prompt(prompts), model.encode_prompt(negative)[0]
    noise = torch.randn(len(prompts), *model.shape, generator=torch.Generator().manual_seed(5))
    expected = model.sample(labels, scale, steps, seed=5, negative_condition=away)
    asked = {"labels": labels.tolist(), "negative": away.tolist(), "scale": scale, "steps": steps}
    return asked | {"noise": noise.flatten().tolist()}, expected.flatten().numpy()


def test_the_page_walks_as_torch_does(opened, request_and_images):
    asked, expected = request_and_images
    with opened("live") as page:
        assert np.abs(walked(page, "wasm", asked) - expected).max() < 1e-4


def test_the_page_walks_as_torch_does_on_a_gpu(site, browser, tmp_path, request_and_images):
    """Chromium's own software stands in for the GPU; its functions are less exact; half a grey level is nowhere to be seen."""
    asked, expected = request_and_images
    gpu = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan", "--use-vulkan=swiftshader"]
    env = {**os.environ, "HOME": str(tmp_path)}
    with browser.browser_type.launch(executable_path=CHROMIUM, args=gpu, env=env) as other, served(site) as home:
        page = other.new_page()
        page.goto(f"{home}index.html")
        if not page.evaluate("navigator.gpu ? navigator.gpu.requestAdapter().then(Boolean) : false"):
            pytest.skip("this browser has no WebGPU")
        assert np.abs(walked(page, "webgpu", asked) - expected).max() < 1 / 255
        asked = []
        other.contexts[0].on("request", lambda request: asked.append(request.url))
        script = """async () => {
            const { load } = await import(new URL("_static/live/models.js?again", document.baseURI))
            Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false })
            return (await load()).device
        }"""
        assert page.evaluate(script) == "wasm"  # the GPU of software is many times slower
        assert any(url.endswith(f"{live.RUNTIMES[1]}.gz") for url in asked)  # and was tried


@pytest.mark.parametrize(
    ("gpu", "chosen"),
    [
        ("{ milliseconds: 1, image: [0.5, 0.51] }", "gpu"),
        ("{ milliseconds: 9, image: [0.5, 0.5] }", "processor"),
        ("{ milliseconds: 1, image: [0.5, 0.6] }", "processor"),
        ("{ milliseconds: 1, image: [0.5, NaN] }", "processor"),
        ("fail()", "processor"),
    ],
)
def test_a_gpu_is_used_where_it_is_faster_and_right(gpu, chosen, opened):
    script = f"""async () => {{
        const {{ better }} = await import(new URL("_static/live/models.js", document.baseURI))
        const fail = () => {{ throw new Error("device lost") }}
        const make = (name, trial) => async () => ({{ name, trial: async () => trial() }})
        const processor = make("processor", () => ({{ milliseconds: 5, image: [0.5, 0.5] }}))
        return (await better(make("gpu", () => ({gpu})), processor)).name
    }}"""
    with opened("index") as page:
        assert page.evaluate(script) == chosen


def test_the_page_reads_captions_as_the_library_does(opened):
    factors = teddies.sample_factors(200, torch.Generator().manual_seed(1))
    written = teddies.captions(factors) + teddies.captions(factors, ("fur", "scarf")) + teddies.captions(factors, ("count",))
    others = [
        "", "a teddy", "teddies", "two teddy bears", "Gray bear!", "scarf green", "a bear whose scarf is red", "scarf", "green",
        "a bear with a brown scarf", "pink pink bear", "pink blue bear", "no scarf", "a bear without any scarf, asleep",
        "scarfless bears", "blue bear with a blue scarf", "scarves are blue", "a bear in a red scarf and blue",
        "one bear two bears", "without", "constructor", "toString", "a purple bear", "none", "bears playing ball in the snow",
        "pink bear with a scarf", "red scarf blue scarf", "a bear, reading; at night.", "read reads reading", "reading eating",
        "a bear’s book", "zwei Bären",
    ]  # fmt: skip
    script = """async captions => {
        const at = name => new URL(`_static/live/${name}`, document.baseURI)
        const { parse, write, labels, CaptionError } = await import(at("captions.js"))
        const { captions: lexicon, null: nulls } = await (await fetch(at("models.json"))).json()
        return captions.map(caption => {
            try {
                const named = parse(caption, lexicon)
                return { named, written: write(named, lexicon), labels: labels(named, lexicon, nulls) }
            } catch (error) {
                if (!(error instanceof CaptionError)) throw error
                return null
            }
        })
    }"""
    with opened("live") as page:
        found = page.evaluate(script, [*written, *others])
    for caption, got in zip([*written, *others], found, strict=True):
        try:
            named = teddies.parse_caption(caption)
        except ValueError:
            assert got is None, caption
            continue
        labels = teddies.labels_from_captions(caption)
        assert got == {"named": named, "written": teddies.captions_from_labels(labels)[0], "labels": labels[0].tolist()}, caption
    assert 3 < found.count(None) < len(others)


def test_the_live_page_without_scripts_shows_a_still(opened, site):
    with opened("live", java_script_enabled=False) as page:
        still = page.locator("#course-live img")
        assert still.is_visible()
        assert still.evaluate("image => image.naturalWidth") == 768
        assert "With scripts switched on" in page.locator("#course-live").inner_text()
        picture_of(page, site, "live-still")


@pytest.mark.parametrize(("name", "theme"), [*KINDS.items(), *COLOURS.items()], ids=in_one_process)
def test_axe_finds_nothing_serious(name, theme, opened, site):
    with opened(name, theme=theme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        if name == "live":
            page.wait_for_selector("#course-live[data-drawn]")
        page.evaluate(axe())
        part = "html" if name == "index" else "#main-content"  # what is around the text is the same on all pages
        options = {"preload": False}
        if (name, theme) in COLOURS.items():
            part, options = ".cell_output, .course-hero, .course-tiles, .course-live", options | {"runOnly": ["color-contrast"]}
        found = page.evaluate(f"axe.run({part!r}, {json.dumps(options)})")
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []
        picture_of(page, site, f"{theme}-{name}")


@functools.cache
def axe() -> str:
    """The script of axe-core, which a package for Python carries."""
    file = next(one for one in importlib.metadata.files("axe-playwright-python") if one.name == "axe.min.js")
    return file.locate().read_text(encoding="utf-8")
