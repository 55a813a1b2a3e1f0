"""Sliders: the picture is that of the value, each is drawn once, and no error passes unseen."""

import io

import ipywidgets
import nbformat
import numpy as np
import pytest
import torch
from nbconvert import HTMLExporter
from PIL import Image

from course_lib.notebook import viz, widgets
from course_lib.tools import build_notebooks

ALT = "A grey square, lighter as the level rises"


def grey(slider) -> int:
    """The brightness of the only grey value in the shown picture, read by Pillow from the widget's bytes."""
    (value,) = set(np.asarray(Image.open(io.BytesIO(slider.image.value))).ravel().tolist())
    return value


class Square:
    """Draws a square of brightness `level` in [-1, 1], counts its calls, and fails on demand."""

    def __init__(self, fails_at: float | None = None):
        self.calls, self.fails_at = [], fails_at

    def __call__(self, level: float):
        self.calls.append(level)
        if level == self.fails_at:
            raise RuntimeError("the <net> diverged")
        return torch.full((1, 1, 4, 4), level), f"level {level} < 2"


def test_the_picture_and_the_caption_are_those_of_the_value():
    slider = widgets.image_slider(Square(), alt=ALT, level=[-1.0, 0.0, 0.2, 1.0])
    assert (slider.value, grey(slider)) == (-1.0, 0)
    for level, expected in [(1.0, 255), (0.2, 153), (0.0, 128)]:
        assert slider.set(level=level) == f"level {level} < 2"
        assert (slider.value, grey(slider)) == (level, expected)
    assert slider.caption.value == "level 0.0 &lt; 2"


def test_a_hand_on_the_slider_changes_the_picture():
    slider = widgets.image_slider(Square(), alt=ALT, level=[-1.0, 1.0])
    slider.sliders["level"].index = 1  # what the browser sends
    assert grey(slider) == 255


def test_each_position_is_drawn_once():
    square = Square()
    slider = widgets.image_slider(square, alt=ALT, level=[0.0, 0.5, 1.0])
    for level in (0.5, 1.0, 0.5, 0.0, 1.0):
        slider.set(level=level)
    assert sorted(square.calls) == [0.0, 0.5, 1.0]


def test_several_sliders_move_together_and_are_drawn_once():
    seen = []

    def draw(first, second):
        seen.append((first, second))
        return torch.zeros(1, 1, 2, 2)

    slider = widgets.image_slider(draw, alt=ALT, first=[1, 2], second=["a", "b"])
    slider.set(first=2, second="b")
    assert seen == [(1, "a"), (2, "b")]
    assert slider.values == slider.value == {"first": 2, "second": "b"}
    assert slider.caption.value == ALT


def test_an_error_under_the_hand_is_a_sentence_below_and_goes_again():
    slider = widgets.image_slider(Square(fails_at=0.5), alt=ALT, level=[0.0, 0.5, 1.0])
    slider.sliders["level"].index = 1
    assert "RuntimeError: the &lt;net&gt; diverged" in slider.status.value
    assert grey(slider) == 128, "the last good picture stays"
    slider.sliders["level"].index = 2
    assert slider.status.value == ""
    assert grey(slider) == 255


def test_an_error_in_code_is_raised():
    with pytest.raises(RuntimeError, match="diverged"):
        widgets.image_slider(Square(fails_at=0.0), alt=ALT, level=[0.0, 1.0])
    slider = widgets.image_slider(Square(fails_at=1.0), alt=ALT, level=[0.0, 1.0])
    with pytest.raises(RuntimeError, match="diverged"):
        slider.set(level=1.0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"level": 0.3}, "level = 0.3 is not on the slider; it has 0.0, 1.0"), ({"lvl": 0.0}, "no slider 'lvl'; there are level")],
)
def test_a_value_that_is_not_there_is_named(wrong, words):
    square = Square()
    slider = widgets.image_slider(square, alt=ALT, level=[0.0, 1.0])
    with pytest.raises(ValueError, match=words):
        slider.set(**wrong)
    assert square.calls == [0.0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alt": ALT}, "at least one slider"),
        ({"alt": ALT, "level": []}, "no positions"),
        ({"alt": ALT, "level": [1.0, 1]}, "read the same: 1, 1"),
        ({"alt": " ", "level": [1.0]}, "alt="),
    ],
)
def test_sliders_that_cannot_be_used_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        widgets.image_slider(Square(), **options)


def bears(prompt: str, strength: float):
    """White for a prompt that names bears, black otherwise; friendly to a cat."""
    if "cat" in prompt:
        raise ValueError("No <cats> here: there are bears.")
    return torch.full((1, 1, 4, 4), 2.0 * ("bear" in prompt) - 1), f"{prompt} at {strength:g}"


@pytest.fixture
def box():
    return widgets.prompt_box(bears, prompt="one bear", alt=ALT, strength=[1.0, 3.0])


def test_a_prompt_box_draws_what_is_typed_and_set(box):
    assert (grey(box), box.caption.value) == (255, "one bear at 1")
    assert box.set(prompt="nothing", strength=3.0) == "nothing at 3"
    assert (grey(box), box.values) == (0, {"prompt": "nothing", "strength": 3.0})
    box.sliders["prompt"].value = "two bears"  # what the browser sends on Enter
    assert (grey(box), box.caption.value, box.status.value) == (255, "two bears at 3", "")


def test_a_prompt_box_answers_unknown_words_with_the_sentence_alone(box):
    box.sliders["prompt"].value = "a cat"
    assert box.status.value == "<b>Could not draw this:</b> No &lt;cats&gt; here: there are bears."
    assert grey(box) == 255, "the last good picture stays"
    with pytest.raises(ValueError, match="No <cats>"):
        box.set(prompt="a cat")


def test_a_prompt_box_says_that_it_draws(box):
    seen = []
    box.status.observe(lambda change: seen.append(change["new"]), names="value")
    box.sliders["strength"].index = 1
    assert seen == ["Drawing …", ""]


def test_a_prompt_box_waits_for_enter_and_for_the_hand_to_let_go(box):
    assert not box.sliders["prompt"].continuous_update
    assert not box.sliders["strength"].continuous_update
    assert box._repr_mimebundle_()["text/plain"] == f"[prompt box: {ALT}]"


def test_draw_may_answer_with_a_picture_or_bytes():
    picture = viz.grid(torch.zeros(1, 1, 4, 4), alt=ALT, scale=1)
    for answer in (picture, picture.png):
        slider = widgets.image_slider(lambda level, answer=answer: answer, alt=ALT, level=[1, 2])
        assert slider.image.value == picture.png


def test_positions_may_be_a_tensor():
    slider = widgets.image_slider(Square(), alt=ALT, level=torch.linspace(-1, 1, 5))
    slider.set(level=0.5)
    assert grey(slider) == 191


def test_it_is_labelled_reachable_and_named_for_a_screen_reader():
    slider = widgets.image_slider(lambda noise_level: torch.zeros(1, 1, 2, 2), alt=ALT, noise_level=[0.25, 0.5])
    control = slider.sliders["noise_level"]
    assert control.description == "noise level"
    assert [label for label, _ in control.options] == ["0.25", "0.5"]
    assert control.continuous_update
    assert control.tabbable is not False
    assert control.tooltip.startswith("noise level: ")
    state = slider.image.get_state()
    assert state["tooltip"] == ALT
    assert state["description"] == "", "without it ipywidgets gives the image no title"
    assert slider._repr_mimebundle_()["text/plain"] == f"[slider: {ALT}]"


def test_an_older_ipywidgets_shows_the_box_itself(monkeypatch):
    """Version 7, as on Google Colab: a widget displays itself, and has no bundle to give."""
    shown = []

    class Box:
        pass

    slider = widgets.image_slider(lambda level: torch.zeros(1, 1, 2, 2), alt=ALT, level=[0.25, 0.5])
    slider.box = Box()
    monkeypatch.setattr(widgets, "display", shown.append)
    assert slider._repr_mimebundle_() == {"text/plain": f"[slider: {ALT}]"}
    assert shown == [slider.box]


def test_latency_times_fresh_pictures_and_leaves_the_slider_where_it_is():
    square = Square()
    slider = widgets.image_slider(square, alt=ALT, level=[0.0, 0.5, 1.0])
    took = slider.latency(n=5)
    assert 0 < took < 100
    assert square.calls == [0.0, 0.0, 0.0, 0.5, 1.0, 1.0]
    assert slider.value == 0.0


def test_the_strip_shows_the_first_image_of_each_position():
    def draw(level, channel):
        images = torch.full((3, 3, 4, 4), -1.0)
        images[0, channel] = level
        return images, "a caption"

    pixels = widgets.strip(draw, "level", [-0.5, 0.0, 1.0], alt=ALT, scale=8, channel=2).pixels()
    for i, blue in enumerate((64, 128, 255)):
        found = np.argwhere((pixels == [0, 0, blue]).all(-1))
        assert len(found) == (4 * 8 * 2) ** 2, "one square of 4 pixels, 8 times enlarged, twice as fine as the screen"
        assert found[:, 1].min() == i * (4 * 8 + 3) * 2


def built(tmp_path, cells: list[str]) -> nbformat.NotebookNode:
    """A notebook of these cells, run in a fresh kernel and tidied as those of the course are."""
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=build_notebooks.METADATA)
    build_notebooks.execute(nb, tmp_path, timeout=100)
    assert not build_notebooks.hidden_faults(nb)
    return nb


DRAW = """import torch
from course_lib.notebook import viz, widgets
from course_lib.notebook.claims import Claims

def draw(level):
    return torch.full((2, 1, 8, 8), level), f"level {level}"
"""


def test_in_a_notebook_nothing_is_red_and_where_no_widget_runs_the_strip_stands(tmp_path):
    cells = [
        DRAW,
        f"slider = widgets.image_slider(draw, alt={ALT!r}, level=[0.0, 0.5, 1.0])\nslider",
        "print(slider.set(level=0.5))",
        "widgets.strip(draw, 'level', [0.0, 1.0], alt='The square at both ends')",
        "book = Claims('1 Pixel space')\nbook.claim('a claim', 2, at_least=1)\nbook.close()\nbook.verdicts()",
    ]
    nb = built(tmp_path, cells)
    kinds = [[out.get("name", out.output_type) for out in cell.outputs] for cell in nb.cells]
    assert kinds == [[], ["execute_result"], ["stdout"], ["execute_result"], ["display_data", "stdout"]]
    assert nb.cells[2].outputs[0].text == "level 0.5\n"
    assert build_notebooks.WIDGET_VIEW in nb.cells[1].outputs[0].data
    build_notebooks.tidy(nb)
    assert nb.cells[1].outputs == []
    assert not build_notebooks.faults(nb)
    page, _ = HTMLExporter().from_notebook_node(nb)
    assert 'alt="The square at both ends"' in page
    assert "model not found" not in page
    assert "No description has been provided" not in page


def test_a_slider_that_fails_stops_the_notebook(tmp_path):
    broken = "slider = widgets.image_slider(lambda level: 1 / 0, alt='Nothing to be seen', level=[1])"
    with pytest.raises(build_notebooks.NotebookError, match="ZeroDivisionError"):
        built(tmp_path, [DRAW, broken])


def test_the_image_is_still_ipywidgets_own_kind_to_the_browser():
    state, plain = widgets.DescribedImage(value=b"").get_state(), ipywidgets.Image(value=b"").get_state()
    for name in ("_model_name", "_model_module", "_view_name", "_view_module"):
        assert state[name] == plain[name]
