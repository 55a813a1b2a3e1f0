"""JupyterLab in a headless Chromium: a server of its own, and a page that runs a notebook and moves its sliders.

For test_browser.py and lab_kernels.py. The server and its kernels write into a folder that the test names, never into the home
folder, and the notebooks opened are copies; trained networks go to the folder that the test gives.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from explorer_page import Explorer
from playwright.sync_api import ConsoleMessage, Locator, Page

from course_lib.storage import paths
from course_lib.tools import lab
from course_lib.tools.build_notebooks import WIDGET_VIEW

RUN_LIMIT = 900  # seconds for all the cells of a notebook
ANSWER_LIMIT = 10  # seconds for one picture
PATIENCE = 180  # seconds for the server to start and for the page to respond on a busy machine


@dataclass
class Server:
    """A running JupyterLab: its address and token, its root folder, the folder of Jupyter's own files, and its log file."""

    url: str
    token: str
    root: Path
    jupyter: Path
    log: Path

    def complaints(self) -> list[str]:
        """Errors and tracebacks in the log."""
        text = self.log.read_text(encoding="utf-8")
        return [line for line in text.splitlines() if re.match(r"\[E |Traceback|\S*(Error|Exception)\b", line)]


@contextmanager
def server(folder: Path, runs: Path) -> Iterator[Server]:
    """JupyterLab as `make lab` starts it, with copies of the notebooks and its files in `folder`; stopped when the block exits.

    runs: the folder of trained networks that its kernels read and write. Raises RuntimeError where JupyterLab does not start.
    """
    root, log, jupyter = folder / "workbook", folder / "server.log", folder / "jupyter"
    shutil.copytree(paths.ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns("source", ".ipynb_checkpoints"))
    variables = {**lab.prepare(jupyter), "HOME": str(folder)}
    path = os.pathsep.join(filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **variables, "PYTHONPATH": path, "COURSE_RUNS": str(runs)}
    options = ["--no-browser", "--expose-app-in-browser", f"--ServerApp.root_dir={root}", f"--ServerApp.port={_free_port()}"]
    command = [sys.executable, "-m", "jupyterlab", *lab.arguments(options)]
    with log.open("w") as said:
        process = subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield Server(*_address(process, jupyter / "runtime", log), root, jupyter, log)
    finally:
        process.terminate()  # Jupyter then ends its kernels
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()  # a kernel ends by itself when its server is gone


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _address(process: subprocess.Popen, runtime: Path, log: Path) -> tuple[str, str]:
    """URL and token from the file that a Jupyter server writes once it listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                facts = json.loads(file.read_text(encoding="utf-8"))
            except json.JSONDecodeError:
                continue  # caught half written
            return facts["url"], facts["token"]
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')}")


@dataclass
class Slider:
    """One slider on the page, the picture that it moves, the caption below, and how the kernel describes the picture."""

    page: Page
    box: Locator
    picture: Locator
    caption: Locator
    alt: str
    label: str = field(init=False)

    def __post_init__(self) -> None:
        self.handle = self.box.get_by_role("slider")
        self.label = self.box.locator(".widget-label").first.inner_text()

    @property
    def position(self) -> int:
        return round(float(self.handle.get_attribute("aria-valuenow")))

    @property
    def last(self) -> int:
        """The number of the last position; the first is 0."""
        return round(float(self.handle.get_attribute("aria-valuemax")))

    def press(self, key: str) -> float | None:
        """Milliseconds from the key's event in the page to the first frame that can show the new picture, which is decoded then;
        None where no other picture came.

        So it includes the slider's own script, the way to the kernel and back, what the kernel computes, the decoding of the PNG,
        and the wait for a frame (up to 17 ms at 60 a second).
        """
        self.picture.evaluate(
            """(image, limit) => {
                window.answer = new Promise(resolve => {
                    let pressed = NaN
                    window.addEventListener("keydown", event => { pressed = event.timeStamp }, {capture: true, once: true})
                    let over = false
                    const shown = () => image.decode().then(
                        () => requestAnimationFrame(() => resolve(performance.now() - pressed)),
                        // a newer picture took its place before it was decoded: wait for that one
                        () => over || requestAnimationFrame(shown))
                    const watch = new MutationObserver(() => { watch.disconnect(); shown() })
                    watch.observe(image, {attributes: true, attributeFilter: ["src"]})
                    setTimeout(() => { over = true; watch.disconnect(); resolve(null) }, limit)
                })
            }""",
            1000 * ANSWER_LIMIT,
        )
        self.handle.press(key)
        return self.page.evaluate("window.answer")

    def to_start(self) -> None:
        """To the first position, by key; returns when its picture is there."""
        if self.position:
            self.press("Home")

    def drag(self, to: float) -> None:
        """Take the handle with the mouse to a place on the track, from 0, its left end, to 1."""
        track, grip = self.box.locator(".noUi-base").bounding_box(), self.handle.bounding_box()
        y = grip["y"] + grip["height"] / 2
        self.page.mouse.move(grip["x"] + grip["width"] / 2, y)
        self.page.mouse.down()
        self.page.mouse.move(track["x"] + to * track["width"], y, steps=10)
        self.page.mouse.up()

    def tab_to(self, limit: int = 30) -> bool:
        """Return whether the Tab key leads from the cell to the handle."""
        self.page.evaluate("jupyterapp.shell.currentWidget.content.activate()")
        for _ in range(limit):
            if self.handle.evaluate("handle => handle === document.activeElement"):
                return True
            self.page.keyboard.press("Tab")
        return False

    def wait_until_quiet(self) -> None:
        """Wait until no new picture has come for half a second: after a drag, the last one is shown."""
        self.picture.evaluate(
            """image => new Promise(resolve => {
                let timer = setTimeout(resolve, 500)
                const again = () => { clearTimeout(timer); timer = setTimeout(resolve, 500) }
                new MutationObserver(again).observe(image, {attributes: true})
            })"""
        )

    def opaque(self) -> bool:
        """Return whether the picture has no transparent pixel."""
        return self.picture.evaluate(
            """async image => {
                const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight)
                const context = canvas.getContext("2d")
                context.drawImage(image, 0, 0)
                const {data} = context.getImageData(0, 0, canvas.width, canvas.height)
                return data.every((value, i) => i % 4 !== 3 || value === 255)
            }"""
        )

    def look(self) -> bytes:
        """The picture as the screen shows it, once it is decoded: a PNG."""
        self.picture.evaluate("image => image.decode()")
        return self.picture.screenshot()


class LabPage:
    """A browser page with one notebook of a `Server`, open in JupyterLab.

    errors: what the page's console and scripts complained of.
    """

    def __init__(self, page: Page, server: Server) -> None:
        self.page, self.server, self.errors, self.name = page, server, [], ""
        page.set_default_timeout(1000 * PATIENCE)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def open(self, name: str) -> None:
        """Open notebooks/NAME.ipynb, alone, and wait for its kernel."""
        self.name = name
        self.page.goto(f"{self.server.url}lab/tree/notebooks/{name}.ipynb?reset&token={self.server.token}")
        self.page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel")
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.ready")

    def command(self, name: str, **arguments: object) -> object:
        """What a menu entry of JupyterLab does; returns when it is done."""
        return self.page.evaluate("([name, args]) => jupyterapp.commands.execute(name, args)", [name, arguments])

    def change_theme(self, name: str) -> None:
        """To "JupyterLab Light", "JupyterLab Dark", …; returns when JupyterLab has redrawn itself."""
        self.command("apputils:change-theme", theme=name)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    def run_all(self) -> None:
        """*Run → Run All Cells*, to the end; then save. TimeoutError after `RUN_LIMIT` seconds."""
        ended = self.page.evaluate(
            """limit => Promise.race([
                jupyterapp.commands.execute("notebook:run-all-cells").then(() => true),
                new Promise(resolve => setTimeout(() => resolve(false), limit)),
            ])""",
            1000 * RUN_LIMIT,
        )
        if not ended:
            raise TimeoutError(f"{self.name} still runs after {RUN_LIMIT} s.")
        self.command("docmanager:save")

    def close(self) -> None:
        """End the kernel: the next notebook needs the memory and the cores."""
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def outputs(self) -> list[tuple[int, dict]]:
        """What the cells showed, as saved: (index of the cell, output)."""
        notebook = json.loads((self.server.root / "notebooks" / f"{self.name}.ipynb").read_text(encoding="utf-8"))
        return [(i, output) for i, cell in enumerate(notebook["cells"]) for output in cell.get("outputs", [])]

    def problems(self) -> list[str]:
        """Cells that failed or wrote to stderr."""
        return [
            f"cell {i}: {output.get('evalue') or output.get('text')}"
            for i, output in self.outputs()
            if output["output_type"] == "error" or output.get("name") == "stderr"
        ]

    def show(self, cell: int) -> Locator:
        """Scroll to a cell (JupyterLab draws only those in view), choose it as the arrow keys would, and return it."""
        self.page.evaluate(
            """async cell => {
                const notebook = jupyterapp.shell.currentWidget.content
                notebook.activeCellIndex = cell
                notebook.mode = "command"
                await notebook.scrollToItem(cell, "center")
            }""",
            cell,
        )
        return self.page.locator(f".jp-Cell[data-windowed-list-index='{cell}']")

    def sliders(self) -> Iterator[Slider]:
        """Every slider of the notebook, each scrolled into view when its turn comes."""
        for cell, output in self.outputs():
            if WIDGET_VIEW not in output.get("data", {}):
                continue
            kind, alt = "".join(output["data"]["text/plain"]).removesuffix("]").split(": ", 1)
            if kind != "[slider":
                continue
            shown = self.show(cell)
            boxes = shown.locator(".widget-hslider")
            boxes.first.wait_for()
            picture, caption = shown.locator(".course-picture"), shown.locator(".widget-html-content").first
            for i in range(boxes.count()):
                boxes.nth(i).scroll_into_view_if_needed()
                yield Slider(self.page, boxes.nth(i), picture, caption, alt)

    def explorers(self) -> Iterator[Explorer]:
        """Every explorer of the notebook, scrolled into view when its turn comes.

        Outputs that were read from a file are first trusted and opened, as they are once a reader has run the cells.
        """
        self.page.evaluate(
            """jupyterapp.shell.currentWidget.content.widgets.forEach(cell => {
                cell.model.trusted = true
                if (cell.model.type === "code") cell.outputHidden = false
            })"""
        )
        for cell, output in self.outputs():
            if "".join(output.get("data", {}).get("text/plain", "")).startswith("[explorer: "):
                shown = self.show(cell)
                yield Explorer(self.page, shown.locator("[data-course-explorer]"))

    def prompt_boxes(self) -> Iterator[Locator]:
        """Every prompt box of the notebook, scrolled into view when its turn comes."""
        for cell, output in self.outputs():
            if WIDGET_VIEW in output.get("data", {}) and "".join(output["data"]["text/plain"]).startswith("[prompt box: "):
                box = self.show(cell)
                box.locator(".course-picture").wait_for()
                yield box

    def sliders_to_start(self) -> None:
        """Reset every slider, because another slider's value may hide the effect of this one."""
        for slider in self.sliders():
            slider.to_start()

    def contrast(self, text: Locator) -> float:
        """Return the contrast ratio of a text and its background, from 1 to 21 (WCAG 2.2)."""
        return text.evaluate(
            """element => {
                const numbers = colour => colour.match(/[\\d.]+/g).map(Number)
                const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
                const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
                const ground = e => getComputedStyle(e).backgroundColor
                let behind = element
                while (behind.parentElement && numbers(ground(behind))[3] === 0) behind = behind.parentElement
                const both = [getComputedStyle(element).color, ground(behind)]
                const [low, high] = both.map(c => luminance(numbers(c))).sort((a, b) => a - b)
                return (high + 0.05) / (low + 0.05)
            }"""
        )
