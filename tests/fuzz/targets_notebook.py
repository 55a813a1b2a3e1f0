"""Specs of what notebooks show: pictures, sheets, plots, claims and sliders."""

from typing import Any

import numpy as np
import torch
from inputs import images, normal
from spec import exclude, spec

from course_lib.notebook import claims, pictures, plots, widgets
from course_lib.notebook.claims import Claims
from course_lib.notebook.plots import Map, Panels

P = "notebook.pictures"


def pixels(*shape: int) -> np.ndarray:
    return torch.randint(256, shape, dtype=torch.uint8).numpy()


spec(f"{P}.Picture", text=("alt",))(lambda: {"data": pictures.encode(pixels(4, 5)), "alt": "noise", "width": 40})
spec(f"{P}.checked_alt", text=("alt",))(lambda: {"alt": "a bear"})
spec(f"{P}.to_pixels", images=("images",))(lambda: {"images": images(2, 3)})
spec(f"{P}.to_pixels", images=("images",))(lambda: {"images": pixels(2, 1, 4, 4)})
spec(f"{P}.signed", any_dtype=("values",))(lambda: {"values": normal(2, 1, 4, 4), "limit": 2.0})
spec(f"{P}.enlarge")(lambda: {"pixels": pixels(2, 4, 4, 3), "scale": 2})
spec(f"{P}.shrink")(lambda: {"pixels": pixels(2, 4, 4, 3), "factor": 2})
spec(f"{P}.tile", images=("images",))(lambda: {"images": images(4, 3), "columns": 2, "scale": 2, "gap": 1})
spec(f"{P}.side_by_side", lambda a, b, gap: pictures.side_by_side(a, b, gap=gap))(
    lambda: {"a": pixels(4, 5, 3), "b": pixels(3, 4), "gap": 2}
)
spec(f"{P}.encode")(lambda: {"pixels": pixels(4, 5, 3), "level": 1})
spec(f"{P}.compress")(lambda: {"pixels": pixels(4, 5, 3)})
exclude("takes no arguments", *(f"{P}.Picture.{name}" for name in ("pixels", "html", "for_print")))

TITLES: dict[str, Any] = {"text": ("alt", "title", "titles", "row_labels"), "images": ("images", "groups"), "slow": True}
spec("notebook.sheets.grid", **TITLES)(
    lambda: {
        "images": images(4, 3),
        "columns": 2,
        "alt": "noise",
        "scale": 2,
        "titles": ["a", "b"],
        "row_labels": ["one", "two"],
        "title": "noise",
    }
)
spec("notebook.sheets.grid", **TITLES)(lambda: {"images": images(3), "alt": "noise"})
spec("notebook.sheets.rows", **TITLES)(
    lambda: {"groups": {"a": images(2, 3), "b": images(2, 1)}, "alt": "noise", "scale": 2, "titles": ["a", "b"]}
)

# -------------------------------------------------------------------------------------------------------------- plots

PLOTS = "notebook.plots"
LABELS: dict[str, Any] = {
    "text": ("xlabel", "ylabel", "title", "alt", "label", "rows", "columns"),
    "any_dtype": ("curves", "groups", "values", "variances"),
    "may_be_nan": ("curves", "values"),
    "slow": True,
}


def curves() -> dict[str, Any]:
    return {"a": ([1, 2, 3], torch.tensor([1.0, 4.0, 9.0])), "b": (np.array([1.0, 2.0]), [2.0, 1.0], [0.1, 0.2])}


def drawn(draw: Any, **options: Any) -> Any:
    panels = Panels(1, 2.0, 1.5)
    draw(panels[0], **options)
    return panels.picture("a plot")


spec(f"{PLOTS}.Panels")(lambda: {"n": 1, "width": 2.0, "height": 1.5})
spec(f"{PLOTS}.Panels.picture", text=("alt",))(lambda: {"self": Panels(1, 2.0, 1.5), "alt": "nothing"})
spec(f"{PLOTS}.Map.at")(lambda: {"self": Map(Panels(1, 2.0, 1.5)), "x": 0.5, "y": 0.5, "radius": 4})
exclude("takes finished panels alone", f"{PLOTS}.Map")
spec(f"{PLOTS}.draw_lines", lambda **o: drawn(plots.draw_lines, **o), **LABELS)(
    lambda: {
        "curves": curves(),
        "xlabel": "x",
        "ylabel": "y",
        "log": "xy",
        "references": {"one": 1.0},
        "title": "squares",
        "marker": True,
    }
)
spec(f"{PLOTS}.lines", **LABELS)(
    lambda: {"curves": curves(), "alt": "squares", "width": 2.0, "height": 1.5, "xlabel": "x", "ylabel": "y", "log": "y"}
)
spec(f"{PLOTS}.loss_curve", **LABELS)(lambda: {"values": torch.rand(20), "ylabel": "loss", "alt": "a loss", "smooth": 5})
spec(f"{PLOTS}.bars", **LABELS)(
    lambda: {"values": {"a": 1.0, "b": 2.0}, "ylabel": "y", "alt": "bars", "errors": [0.1, 0.2], "log": False}
)
spec(f"{PLOTS}.heatmap", **LABELS)(
    lambda: {
        "values": torch.rand(2, 3),
        "rows": ["a", "b"],
        "columns": [1, 2, 3],
        "ylabel": "y",
        "xlabel": "x",
        "label": "z",
        "alt": "a table",
        "limits": (0.0, 1.0),
    }
)


def groups() -> dict[str, torch.Tensor]:
    return {"a": normal(6, 2), "b": normal(4, 2)}


spec(f"{PLOTS}.draw_points", lambda **o: drawn(plots.draw_points, **o), **LABELS)(
    lambda: {"groups": groups(), "xlabel": "x", "ylabel": "y", "title": "points", "size": 4.0}
)
spec(f"{PLOTS}.draw_histogram", lambda **o: drawn(plots.draw_histogram, **o), **LABELS)(
    lambda: {"groups": groups(), "xlabel": "x", "bins": 5, "title": "values"}
)
spec(f"{PLOTS}.scatter", **LABELS)(lambda: {"groups": groups(), "alt": "points", "width": 2.0, "height": 1.5})
spec(f"{PLOTS}.histogram", **LABELS)(lambda: {"groups": groups(), "alt": "values", "width": 2.0, "height": 1.5, "xlabel": "x"})
spec(f"{PLOTS}.spectrum", **LABELS)(
    lambda: {"variances": {"a": torch.tensor([3.0, 1.0, 0.5])}, "alt": "a spectrum", "fraction": 0.9}
)

# -------------------------------------------------------------------------------------------------------------- claims


def entered(**options: Any) -> list[Any]:
    """What was entered: a claim of NaN is documented, and never holds."""
    made = Claims("0")
    made.claim(**options)
    return [claim.verdict for claim in made.claims.values()]


K: dict[str, Any] = {"text": ("sentence", "unit", "reason"), "may_be_nan": ("measured",)}
spec("notebook.claims.Claims", text=("chapter",))(lambda: {"chapter": "1 Pixels"})
spec("notebook.claims.Claims.claim", entered, **K)(
    lambda: {
        "sentence": "a is large",
        "measured": 3.0,
        "at_least": 2.0,
        "at_most": 4.0,
        "unit": "m",
        "expected": False,
        "reason": "b",
    }
)
spec("notebook.claims.Claims.claim", entered, **K)(lambda: {"sentence": "a is 3", "measured": 3.0, "equals": 3.0})


def closed(measured: Any, method: str) -> None:
    made = Claims("0")
    made.claim("a is large", measured, at_least=2.0)
    getattr(made, method)()


for method in ("close", "verdicts"):
    spec(f"notebook.claims.Claims.{method}", lambda measured, m=method: closed(measured, m), raises=(AssertionError,), **K)(
        lambda: {"measured": 3.0}
    )
exclude("a record of one claim", "notebook.claims.Claim")
spec("notebook.claims.table", text=("title", "columns", "rows"), may_be_nan=("rows",))(
    lambda: {"columns": ["a", "b"], "rows": [["x", 1.5], ["y", 3]], "title": "numbers"}
)
spec("notebook.claims.source", lambda block, docstring: claims.source(block, docstring=docstring))(
    lambda: {"block": normal, "docstring": False}
)
spec("notebook.claims.source_text")(lambda: {"block": normal, "docstring": True})

# ------------------------------------------------------------------------------------------------------------- sliders

W = "notebook.widgets"


def draw(level: float = 0.0, prompt: str = "") -> tuple[torch.Tensor, str]:
    return torch.full((1, 1, 4, 4), min(float(level), 1.0) if isinstance(level, int | float) else 0.5), f"level {level}"


def slider() -> Any:
    return widgets.image_slider(draw, alt="grey", level=[0.0, 0.5, 1.0])


spec(f"{W}.image_slider", text=("alt",))(
    lambda: {"draw": draw, "alt": "grey", "columns": 1, "scale": 2, "level": [0.0, 0.5, 1.0]}
)
spec(f"{W}.prompt_box", text=("alt", "prompt"))(
    lambda: {"draw": draw, "prompt": "one bear", "alt": "grey", "columns": 1, "scale": 2, "level": [0.0, 0.5]}
)
spec(f"{W}.strip", text=("alt",), fixed=("name",), slow=True)(
    lambda: {"draw": draw, "name": "level", "values": [0.0, 0.5], "alt": "grey", "scale": 2}
)
spec(f"{W}.ImageSlider.set")(lambda: {"self": slider(), "level": 0.5})
spec(f"{W}.ImageSlider.latency")(lambda: {"self": slider(), "n": 3})
exclude("made by image_slider and prompt_box, which check", f"{W}.ImageSlider", f"{W}.PromptBox", f"{W}.DescribedImage")
