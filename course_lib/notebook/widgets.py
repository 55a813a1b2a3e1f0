"""Sliders that answer with a picture: the one module that uses ipywidgets.

A picture is sent as PNG bytes to ``ipywidgets.Image``, which is several times faster than a matplotlib figure. Pictures are
cached. A caption below the sliders gives the exact values. While a picture is being drawn, the browser keeps only the latest
move, so that fast moves do not pile up work.

A widget lives only as long as its kernel, and a stored notebook does not contain it. There, in print and on code hosts, `strip`
shows the same experiment as a still figure, in a cell of its own.
"""

import functools
import html
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets
import torch
import traitlets
from IPython.display import display
from torch import Tensor

from course_lib.arguments import check_integer
from course_lib.notebook import viz
from course_lib.notebook.pictures import MAX_SCALE
from course_lib.notebook.positions import checked_positions, label, picture_and_caption

Shown = Tensor | viz.Picture | bytes
Drawn = Shown | tuple[Shown, str]
CACHE_SIZE = 256  # pictures cached for each slider: a few megabytes at most


class DescribedImage(ipywidgets.Image):
    """An image widget that a screen reader can name: its ``tooltip`` becomes the title of the ``<img>``.

    ipywidgets 8 has no alternative text for images, and gives a widget its title only where it has an (empty) description.
    """

    description = traitlets.Unicode("").tag(sync=True)
    tooltip = traitlets.Unicode("", allow_none=True).tag(sync=True)  # ipywidgets 7 gives images none


class ImageSlider:
    """Sliders above a picture; see `image_slider`.

    sliders: the widgets, by name. image, caption, status: the widgets below them. box: the container of all.
    """

    label = "slider"  # its name in the plain-text fallback
    busy = ""  # the status while a picture is being drawn

    def __init__(
        self,
        draw: Callable[..., Drawn],
        controls: dict[str, ipywidgets.ValueWidget],
        positions: Mapping[str, Sequence],
        alt: str,
        columns: int | None,
        scale: int | None,
    ) -> None:
        if not callable(draw):
            raise TypeError(f"draw is a {type(draw).__name__}, but must be a function of the sliders' values.")
        for name, value in {"columns": columns, "scale": scale}.items():
            if value is not None:
                check_integer(name, value, 1, MAX_SCALE)
        self._draw, self._columns, self._scale, self.alt = draw, columns, scale, alt
        self._positions = positions
        self._answer = functools.lru_cache(CACHE_SIZE)(self._render)
        self._moved_in_code = False
        self.sliders = controls
        shape = {"align_self": "flex-start", "max_width": "100%", "object_fit": "contain"}  # else the box stretches it
        self.image = DescribedImage(format="png", tooltip=alt, layout=shape)
        self.image.add_class("course-picture")
        self.caption, self.status = ipywidgets.HTML(), ipywidgets.HTML()
        self.status.add_class("course-status")
        for control in controls.values():
            control.observe(self._on_move, names="value")
        self.box = ipywidgets.VBox([*controls.values(), self.image, self.caption, self.status])
        self._update()

    @property
    def values(self) -> dict[str, object]:
        """The current values of all sliders, by name."""
        return {name: slider.value for name, slider in self.sliders.items()}

    @property
    def value(self) -> object:
        """The current value of the slider; with several sliders, `values`."""
        return next(iter(self.values.values())) if len(self.sliders) == 1 else self.values

    def set(self, **values: object) -> str:
        """Set sliders from code, all at once, and draw; return the caption.

        Raises ValueError for a value that the slider does not have, and whatever `draw` raises.
        """
        for name, value in values.items():
            if name not in self.sliders:
                raise ValueError(f"There is no slider {name!r}; there are {', '.join(self.sliders)}.")
            if isinstance(value, Tensor) or value not in self._positions.get(name, [value]):
                raise ValueError(f"{name} = {value!r} is not on the slider; it has {', '.join(map(str, self._positions[name]))}.")
        self._moved_in_code = True
        try:
            for name, value in values.items():
                self.sliders[name].value = value
        finally:
            self._moved_in_code = False
        self._update()
        return html.unescape(self.caption.value)

    def latency(self, n: int = 20) -> float:
        """Median milliseconds from a move to new picture bytes, over n evenly spread positions, none of them cached."""
        n, times = check_integer("n", n, 1, 1000), []
        for i in range(n):
            at = [values[round(i * (len(values) - 1) / max(1, n - 1))] for values in self._positions.values()]
            began = time.perf_counter()
            self._render(*at)
            times.append(time.perf_counter() - began)
        return 1000 * statistics.median(times)

    def _render(self, *at: object) -> tuple[bytes, str]:
        drawn, note = picture_and_caption(self._draw(**dict(zip(self.sliders, at, strict=True))))
        if isinstance(drawn, viz.Picture):
            return drawn.png, note
        return drawn if isinstance(drawn, bytes) else viz.encode(viz.tile(drawn, self._columns, self._scale)), note

    def _update(self) -> None:
        picture, note = self._answer(*self.values.values())
        self.image.value = picture
        self.caption.value = html.escape(note or self.alt)
        self.status.value = ""

    def _on_move(self, change: object) -> None:
        """Draw after a user's move. An error becomes a sentence below it, since exceptions in a callback are invisible."""
        if self._moved_in_code:
            return
        self.status.value = self.busy
        try:
            self._update()
        except Exception as error:
            sentence = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            self.status.value = f"<b>Could not draw this:</b> {html.escape(sentence)}"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, object]:
        fallback: dict[str, object] = {"text/plain": f"[{self.label}: {self.alt}]"}
        if not hasattr(self.box, "_repr_mimebundle_"):  # ipywidgets 7 displays itself, and gives no bundle
            display(self.box)
            return fallback
        return {**self.box._repr_mimebundle_(**options), **fallback}


class PromptBox(ImageSlider):
    """A text field and sliders above the picture that they control; see `prompt_box`.

    An `ImageSlider` with one more control, "prompt", that takes any text; errors in it are shown right below it.
    """

    label = "prompt box"
    busy = "Drawing …"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.box.children = (*self.sliders.values(), self.status, self.image, self.caption)


def _slider(name: str, values: Sequence, while_moved: bool = True) -> ipywidgets.SelectionSlider:
    words = name.replace("_", " ")
    return ipywidgets.SelectionSlider(
        options=[(label(value), value) for value in values],
        value=values[0],
        description=words,
        tooltip=f"{words}: drag it, or use the arrow keys, Home and End",  # without one ipywidgets says "null"
        continuous_update=while_moved,
        style={"description_width": "initial"},
        layout={"width": "420px", "max_width": "100%"},
    )


def image_slider(
    draw: Callable[..., Drawn],
    *,
    alt: str,
    columns: int | None = None,
    scale: int | None = None,
    **sliders: Sequence,
) -> ImageSlider:
    """Show a picture that follows sliders: ``image_slider(draw, alt="…", noise_level=[0.0, 0.1, 0.2])``. As the last line of
    a cell it is displayed.

    draw: called with one value for each slider by name → images [N, 1 or 3, H, W] in [-1, 1], PNG bytes or a `Picture`; or a
    pair of one of these and a caption. It must be a function of these values alone, since pictures are cached. sliders: the
    positions of each, in order; it starts at the first. alt: what the picture shows. columns, scale: as in `viz.tile`.

    An error in draw is raised here and by `ImageSlider.set`; when a user moves the slider it is shown below the picture.
    Raises ValueError for a slider without positions, or with two equal ones.
    """
    if not sliders:
        raise ValueError("image_slider needs at least one slider: name=[values, …].")
    positions = checked_positions(sliders)
    controls = {name: _slider(name, values) for name, values in positions.items()}
    return ImageSlider(draw, controls, positions, viz.checked_alt(alt), columns, scale)


def prompt_box(
    draw: Callable[..., Drawn],
    *,
    prompt: str,
    alt: str,
    columns: int | None = None,
    scale: int | None = None,
    **sliders: Sequence,
) -> PromptBox:
    """Show a text field, sliders, and the picture that they control: ``prompt_box(draw, prompt="one bear", alt="…", w=[1, 3])``.

    draw: called with prompt, as typed, and one value for each slider by name; all else as in `image_slider`. It may take seconds:
    a picture is drawn when Enter is pressed or a slider is released. If draw raises ValueError for a prompt that it does not
    understand, the message is shown below the field.
    """
    if not isinstance(prompt, str):
        raise TypeError(f"prompt is a {type(prompt).__name__}, but must be a text.")
    positions = checked_positions(sliders)
    line = ipywidgets.Text(
        value=prompt,
        description="prompt",
        tooltip="prompt: type, then press Enter",
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "640px", "max_width": "100%"},
    )
    controls = {"prompt": line, **{name: _slider(name, values, while_moved=False) for name, values in positions.items()}}
    return PromptBox(draw, controls, positions, viz.checked_alt(alt), columns, scale)


def number_field(label: str, unit: str = "") -> ipywidgets.Text:
    """An empty field for a number, with a label before it."""
    return ipywidgets.Text(description=label, placeholder=unit or "your guess", **_wide(label))


def choice_field(label: str, choices: Sequence[str]) -> ipywidgets.Dropdown:
    """A list to choose from, with a label before it and nothing chosen."""
    options = [("your guess …", ""), *((text, text) for text in choices)]
    return ipywidgets.Dropdown(description=label, options=options, value="", **_wide(label))


def _wide(label: str) -> dict[str, Any]:
    return {"tooltip": label, "style": {"description_width": "initial"}, "layout": {"width": "640px", "max_width": "100%"}}


def strip(
    draw: Callable[..., Tensor | tuple[Tensor, str]],
    name: str,
    values: Sequence,
    *,
    alt: str,
    scale: int | None = None,
    **fixed: object,
) -> viz.Picture:
    """Show a slider as a still figure: its images at some positions, next to each other, each under its value.

    draw: as in `image_slider`, returning images; the first of them is shown. fixed: the values of the other sliders.
    """
    values = checked_positions({name: values})[name]
    drawn = [picture_and_caption(draw(**{name: value}, **fixed))[0] for value in values]
    images = torch.cat([x[:1].cpu() for x in drawn])
    return viz.grid(images, len(drawn), alt=alt, scale=scale, titles=[label(v) for v in values], title=name.replace("_", " "))
