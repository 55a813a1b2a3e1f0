"""Sliders and pads without a kernel: the stored sheet holds every drawn frame, in its place, and the page can find it."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.notebook import explore, maps, viz

LEVELS = [0.0, 0.25, 0.5, 1.0]


def grey(value: float, n: int = 1) -> torch.Tensor:
    return torch.full((n, 1, 6, 8), 2.0 * value - 1)


def state(made: explore.Explorer) -> dict:
    """What the page's script gets, read from the stored HTML as a browser reads it."""
    (text,) = re.findall(r"^const state = (.*);$", made.html(), re.M)
    return json.loads(text)


def frame(made: explore.Explorer, index: int) -> np.ndarray:
    """One frame, cut out of the stored sheet as explorer.js cuts it: uint8 [h, w, 3]."""
    at = state(made)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(at["frames"].split(",")[1]))).convert("RGB"))
    row, column = divmod(index, at["columns"])
    return sheet[row * at["height"] :, column * at["width"] :][: at["height"], : at["width"]]


def test_every_position_of_a_slider_has_its_frame_and_caption():
    made = explore.sliders(lambda level: (grey(level), f"level {level}"), alt="a grey square", level=LEVELS)
    for i, level in enumerate(LEVELS):
        assert (frame(made, i) == round(255 * level)).all()
        assert made.caption(level=i) == state(made)["captions"][i] == f"level {level}"
    assert state(made)["axes"] == [{"name": "level", "values": ["0", "0.25", "0.5", "1"], "start": 0}]


def test_of_two_sliders_the_last_runs_fastest():
    made = explore.sliders(lambda a, b: (grey((10 * a + b) / 255), f"{a} {b}"), alt="grey", a=[1, 2, 3], b=[4, 5])
    assert [made.caption(a=i, b=j) for i in range(3) for j in range(2)] == state(made)["captions"]
    assert (frame(made, 2 * 2 + 1) == 35).all()


def test_many_frames_fill_several_rows_of_the_sheet():
    made = explore.sliders(lambda i: torch.full((1, 3, 4, 3000), i / 128 - 1), alt="wide", i=list(range(5)))
    assert state(made)["columns"] == 2
    assert [int(frame(made, i)[0, 0, 0]) for i in range(5)] == [round(255 * i / 256) for i in range(5)]


def test_plots_of_one_size_are_frames_too():
    def draw(height):
        panels = viz.Panels(1, 3, 2)
        viz.draw_lines(panels[0], {"": ([0, 1], [0, height])}, xlabel="x (1)", ylabel="y (1)")
        panels[0].set_ylim(0, 2)
        return panels.picture("a line")

    made = explore.sliders(draw, alt="a line that rises", height=[0.5, 1.0, 2.0])
    assert state(made)["shown"] == 340
    assert made.still.width == 340
    assert not np.array_equal(frame(made, 0), frame(made, 2))


def test_the_pad_decodes_its_grid_and_starts_in_the_middle():
    asked = []

    def decode(xy):
        asked.append(xy)
        return (xy.sum(1) / 8)[:, None, None, None].expand(-1, 1, 4, 4)

    points, labels = torch.tensor([[0.0, 1.0], [2.0, -1.0]]), torch.tensor([0, 1])
    ticks = [-2.0, 0.0, 2.0]
    made = explore.pad(decode, x=ticks, y=[-1.0, 0.0, 1.0, 2.0], points=points, labels=labels, names=["a", "b"], alt="a map")
    (xy,) = asked
    assert xy.tolist() == [[a, b] for a in ticks for b in (-1, 0, 1, 2)]
    for i, (a, b) in enumerate(xy.tolist()):
        assert abs(int(frame(made, i)[0, 0, 0]) - 255 * ((a + b) / 8 + 1) / 2) <= 1
        assert made.caption(x=i // 4, y=i % 4) == f"({a:.2f}, {b:.2f})"
    assert [axis["start"] for axis in state(made)["axes"]] == [1, 2]
    assert state(made)["map"].startswith("data:image/")


def test_a_still_picture_stands_in_where_no_script_runs():
    made = explore.sliders(lambda level: grey(level), alt="a grey square", level=LEVELS)
    bundle = made._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/png", "text/plain"}
    still = bundle["text/html"].split("<script>")[0]
    assert 'alt="a grey square"' in still
    assert base64.b64decode(bundle["image/png"])[:4] == b"\x89PNG"


def test_text_cannot_end_the_script():
    made = explore.sliders(lambda level: (grey(level), "</script><b>"), alt="grey </script>", level=LEVELS)
    assert made.html().count("</script>") == 1
    assert state(made)["captions"][0] == "</script><b>"


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: explore.sliders(grey, alt="x"), ValueError, "0 sliders"),
        (lambda: explore.sliders(grey, alt="x", value=[]), ValueError, "at least one"),
        (lambda: explore.sliders(grey, alt="x", value=[1, 1]), ValueError, "read the same"),
        (lambda: explore.sliders(grey, alt="", value=[1]), ValueError, "needs alt"),
        (lambda: explore.sliders(grey, alt="x", value=list(range(1001))), ValueError, "1001 positions"),
        (lambda: explore.sliders("grey", alt="x", value=[1]), TypeError, "a function"),
        (lambda: explore.sliders(lambda n: grey(0, n), alt="x", n=[1, 2]), ValueError, "one size"),
        (lambda: pad(x=[1.0, 0.0]), ValueError, "increasing"),
        (lambda: pad(names=["a"]), ValueError, "labels"),
        (lambda: pad(decode=lambda xy: grey(0)), ValueError, "returned 1 images of 4"),
    ],
)
def test_bad_input_gets_one_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def pad(**changed) -> explore.Explorer:
    arguments = {"decode": lambda xy: grey(0, len(xy)), "x": [0.0, 1.0], "y": [0.0, 1.0], "names": ["a", "b"], "alt": "a map"}
    arguments |= {"points": torch.zeros(2, 2), "labels": torch.tensor([0, 1])} | changed
    return explore.pad(arguments.pop("decode"), **arguments)


def test_clouds_have_the_size_of_their_standard_deviations():
    panels = viz.Panels(1)
    std = torch.tensor([[0.5, 1.0]])
    maps.draw_codes(panels[0], torch.zeros(1, 2), torch.tensor([0]), ["a"], std)
    (clouds,) = panels[0].collections
    assert (2 * clouds.get_widths() / 2, 2 * clouds.get_heights() / 2) == (1.0, 2.0)


def test_names_of_neighbouring_classes_do_not_overlap():
    panels = viz.Panels(1, 4, 4)
    panels[0].set(xlim=(-5, 5), ylim=(-5, 5))
    middles = torch.tensor([[0.0, 0.0], [0.1, 0.05], [0.0, 0.05], [4.0, 0.0]])
    maps.draw_codes(panels[0], middles, torch.arange(4), ["ankle", "coat", "shirt", "bag"])
    panels[0].figure.canvas.draw()
    boxes = [text.get_window_extent() for text in panels[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert panels[0].texts[3].get_position() == (4.0, 0.0)  # nothing near it


def test_a_still_of_plots_and_of_wide_frames_says_which_position_it_shows():
    def draw(height):
        panels = viz.Panels(1, 3, 2)
        viz.draw_lines(panels[0], {"": ([0, 1], [0, height])}, xlabel="x (1)", ylabel="y (1)")
        return panels.picture("a line"), f"up to {height} < 3"

    made = explore.sliders(draw, alt="a line that rises", height=[0.5, 1.0, 2.0])
    assert "<p>up to 1.0 &lt; 3</p>" in made.html().split("<script>")[0]

    def wide(caption):
        return explore.sliders(lambda step: (torch.zeros(1, 1, 10, 300), caption), alt="black", step=[1, 2]).still.pixels()

    assert not np.array_equal(wide("far"), wide("near"))
