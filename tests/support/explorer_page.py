"""An explorer of `course_lib.notebook.explore` on a page: in JupyterLab, or in an exported notebook without a kernel."""

from dataclasses import dataclass

from playwright.sync_api import Locator, Page

FRAME = """(key) => {
    const root = window.explorer, canvas = root.querySelector("canvas")
    return new Promise(resolve => {
        const before = canvas.dataset.frame
        let pressed = NaN
        window.addEventListener("keydown", event => { pressed = event.timeStamp }, {capture: true, once: true})
        const watch = new MutationObserver(() => {
            watch.disconnect()
            requestAnimationFrame(() => resolve(performance.now() - pressed))
        })
        watch.observe(canvas, {attributes: true, attributeFilter: ["data-frame"]})
        setTimeout(() => { watch.disconnect(); resolve(null) }, 2000)
    })
}"""


@dataclass
class Explorer:
    """One explorer on the page."""

    page: Page
    root: Locator

    @property
    def canvas(self) -> Locator:
        return self.root.locator("canvas.course-frame")

    @property
    def pad(self) -> Locator:
        return self.root.locator(".course-pad")

    @property
    def sliders(self) -> list[Locator]:
        return self.root.locator("input[type=range]").all()

    @property
    def is_pad(self) -> bool:
        return self.pad.count() > 0

    @property
    def frame(self) -> int:
        """The number of the frame that is shown."""
        return int(self.canvas.get_attribute("data-frame"))

    def look(self) -> str:
        """The pixels of the canvas, as text."""
        return self.canvas.evaluate("canvas => canvas.toDataURL()")

    def press(self, control: Locator, key: str) -> float | None:
        """Milliseconds from a key's event to the next frame of the screen; None where nothing changed."""
        self.root.evaluate("root => { window.explorer = root }")
        control.focus()
        self.page.evaluate(f"() => {{ window.answer = ({FRAME})() }}")
        self.page.keyboard.press(key)
        return self.page.evaluate("window.answer")

    def drag(self, control: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag with the mouse between two places of a control, each as fractions of its width and height."""
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        (x0, y0), (x1, y1) = ((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end))
        self.page.mouse.move(x0, y0)
        self.page.mouse.down()
        self.page.mouse.move(x1, y1, steps=8)
        self.page.mouse.up()


def check_explorer(explorer: Explorer) -> list[float]:
    """Move every control of an explorer by keyboard and by mouse; return the milliseconds from key to picture."""
    explorer.canvas.wait_for()
    explorer.root.scroll_into_view_if_needed()
    assert explorer.canvas.get_attribute("aria-label").strip()
    took = []
    if explorer.is_pad:
        for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
            before = explorer.frame
            took.append(explorer.press(explorer.pad, key))
            assert explorer.frame != before, key
        explorer.drag(explorer.pad, (0.5, 0.5), (0.02, 0.98))
        assert explorer.frame == 0  # the lowest x and y
        corner = explorer.look()
        explorer.drag(explorer.pad, (0.1, 0.9), (0.7, 0.3))
        assert explorer.look() != corner
    for slider in explorer.sliders:
        last, before = int(slider.get_attribute("max")), explorer.look()
        for _ in range(last):
            took.append(explorer.press(slider, "ArrowRight"))
        assert int(slider.input_value()) == last
        assert explorer.look() != before
        explorer.drag(slider, (0.97, 0.5), (0.01, 0.5))
        assert int(slider.input_value()) == 0
        assert explorer.look() == before
    assert None not in took, "a key was pressed, and no other frame came"
    return took
