"""Sliders that answer with a picture: the one module that uses ipywidgets.

A picture travels as PNG bytes into ``ipywidgets.Image``, which is several times faster than a matplotlib figure. What was drawn once
is kept. Below the sliders stands a caption, so that a value is read and not guessed. Where no widget runs (GitHub, print), the
still strip of the same experiment stands in its place.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import ipywidgets
from IPython.display import display
from torch import Tensor

from course_lib import viz

Drawn = Tensor | tuple[Tensor, str]


class ImageSlider:
    """Sliders above a picture; see ``image_slider``. ``set`` moves them from code, ``latency`` times an answer."""

    def __init__(
        self, draw: Callable[..., Drawn], options: dict[str, Sequence], alt: str, columns: int | None, scale: int | None
    ) -> None:
        self._draw, self._columns, self._scale, self._kept = draw, columns, scale, {}
        self.sliders = {name: _slider(name, values) for name, values in options.items()}
        self.image = ipywidgets.Image(format="png")
        self.image.add_class("course-picture")
        self.caption = ipywidgets.HTML()
        self.alt = alt
        for slider in self.sliders.values():
            slider.observe(self._update, names="value")
        self.box = ipywidgets.VBox([*self.sliders.values(), self.image, self.caption])
        self._update()

    @property
    def values(self) -> dict[str, object]:
        """Where the sliders stand."""
        return {name: slider.value for name, slider in self.sliders.items()}

    def set(self, **values: object) -> str:
        """Move sliders from code; returns the caption. Raises ValueError for a value that the slider does not have."""
        for name, value in values.items():
            if name not in self.sliders:
                raise ValueError(f"There is no slider {name!r}; there are {', '.join(self.sliders)}.")
            slider = self.sliders[name]
            choices = [value for _, value in slider.options]
            if value not in choices:
                raise ValueError(f"{name} = {value!r} is not on the slider; it has {', '.join(map(str, choices))}.")
            slider.value = value
        return self.caption.value

    def latency(self) -> float:
        """Median milliseconds from a slider's move to new picture bytes, over fresh positions (nothing kept)."""
        times = []
        for values in itertools.islice(itertools.product(*([v for _, v in s.options] for s in self.sliders.values())), 20):
            began = time.perf_counter()
            self._render(dict(zip(self.sliders, values, strict=True)))
            times.append(time.perf_counter() - began)
        return 1000 * statistics.median(times)

    def _render(self, values: dict[str, object]) -> tuple[bytes, str]:
        drawn = self._draw(**values)
        images, note = drawn if isinstance(drawn, tuple) else (drawn, "")
        return viz.encode(viz.tile(images, self._columns, self._scale)), note

    def _update(self, change: object = None) -> None:
        key = tuple(self.values.values())
        if key not in self._kept:
            self._kept[key] = self._render(self.values)
        self.image.value, note = self._kept[key]
        self.caption.value = note or self.alt

    def _ipython_display_(self) -> None:
        display(self.box)


def _slider(name: str, values: Sequence) -> ipywidgets.SelectionSlider:
    options = [(f"{v:g}" if isinstance(v, float) else str(v), v) for v in values]
    return ipywidgets.SelectionSlider(
        options=options,
        value=values[0],
        description=name.replace("_", " "),
        continuous_update=True,
        style={"description_width": "initial"},
        layout={"width": "420px"},
    )


def image_slider(
    draw: Callable[..., Drawn],
    *,
    alt: str,
    columns: int | None = None,
    scale: int | None = None,
    **sliders: Sequence,
) -> ImageSlider:
    """A picture that follows sliders: ``image_slider(draw, alt="…", noise_level=[0.0, 0.1, 0.2])``.

    draw: called with one value for each slider by name → images [N, 1 or 3, H, W] in [-1, 1], or such images and a caption.
    sliders: the positions of each, in order; it starts at the first. alt: what the picture shows. columns, scale: as in ``viz.tile``.
    An error in draw is raised where the slider is moved.
    """
    if not sliders:
        raise ValueError("image_slider needs at least one slider: name=[values, …].")
    for name, values in sliders.items():
        if not len(values):
            raise ValueError(f"Slider {name!r} has no positions: give it a list of values.")
    return ImageSlider(draw, {name: list(values) for name, values in sliders.items()}, alt, columns, scale)


def strip(
    draw: Callable[..., Drawn], name: str, values: Sequence, *, alt: str, scale: int | None = None, **fixed: object
) -> viz.Picture:
    """The still reading of a slider: what it shows at some positions, side by side, each under its value."""
    import torch

    drawn = [draw(**{name: value}, **fixed) for value in values]
    images = torch.cat([(d[0] if isinstance(d, tuple) else d)[:1] for d in drawn])
    titles = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    return viz.grid(images, alt=alt, scale=scale, titles=titles, title=name.replace("_", " "))
