"""Pictures: pixels come back unchanged, positions are where arithmetic puts them, and the alternative text is there."""

import base64
import io
import re
import subprocess
import sys
import time

import nbformat
import numpy as np
import pytest
import skimage.data
import torch
from nbconvert import HTMLExporter
from PIL import Image

from course_lib import data, teddies
from course_lib.notebook import pictures, plots, style, viz

ALT = "What these images show, in a sentence"


def decoded(data: bytes) -> np.ndarray:
    """Pixels by Pillow's reader, [H, W] or [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(data)))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_survives_the_png_bit_for_bit(channels):
    image = noise(1, channels, 32, 24)
    back = decoded(viz.encode(viz.tile(image, scale=1)))
    np.testing.assert_array_equal(back, image[0].permute(1, 2, 0).numpy().squeeze())


def test_minus_one_is_black_zero_is_the_middle_one_is_white_and_the_rest_is_clipped():
    image = torch.tensor([-1.0, 0.0, 1.0, -3.0, 7.0]).view(1, 1, 1, 5)
    assert viz.tile(image, scale=1).tolist() == [[0, 128, 255, 0, 255]]
    assert viz.tile(image.bfloat16(), scale=1).tolist() == [[0, 128, 255, 0, 255]]


def test_every_image_lies_where_row_and_column_say_and_between_them_is_white():
    images, scale, gap = noise(5, 3, 4, 6), 3, 2
    sheet = viz.tile(images, columns=2, scale=scale, gap=gap)
    assert sheet.shape == (3 * 12 + 2 * gap, 2 * 18 + gap, 3)
    inked = np.zeros(sheet.shape[:2], bool)
    for i in range(5):
        y, x = (i // 2) * (12 + gap), (i % 2) * (18 + gap)
        for row in range(12):
            for column in range(18):
                assert sheet[y + row, x + column].tolist() == images[i, :, row // scale, column // scale].tolist()
        inked[y : y + 12, x : x + 18] = True
    assert (sheet[~inked] == 255).all()


def test_a_plain_grid_shows_exactly_the_given_pixels_at_twice_the_shown_size():
    images = noise(4, 3, 8, 8)
    picture = viz.grid(images, 2, alt=ALT, scale=5)
    pixels = picture.pixels()
    assert picture.width == 2 * 40 + 3
    assert pixels.shape == (166, 166, 3)
    np.testing.assert_array_equal(pixels[5:80:10, 5:80:10], images[0].permute(1, 2, 0))
    np.testing.assert_array_equal(pixels[86 + 5 :: 10, 86 + 5 :: 10], images[3].permute(1, 2, 0))
    assert (pixels[80:86] == 255).all()


@pytest.mark.parametrize(
    "options",
    [
        {"titles": ["a", "b"]},
        {"titles": list("abcd")},
        {"title": "all of them"},
        {"row_labels": ["above", "below"]},
        {"titles": ["a", "b with a long name of many words"], "row_labels": ["above", "below"], "title": "all of them"},
    ],
)
def test_names_add_white_paper_with_letters_and_leave_every_pixel_of_the_images_alone(options):
    images = torch.full((4, 3, 6, 6), 255, dtype=torch.uint8)
    images[:, 1] = 0  # magenta: neither paper nor letters
    images[:, 0] = torch.arange(4).view(4, 1, 1) * 10 + 200
    pixels = viz.grid(images, 2, alt=ALT, scale=4, **options).pixels()
    for i in range(4):
        found = np.argwhere((pixels == [200 + 10 * i, 0, 255]).all(-1))
        (top, left), (bottom, right) = found.min(0), found.max(0)
        assert len(found) == 48 * 48 == (bottom - top + 1) * (right - left + 1)
        assert (top, left) >= (54 * (i // 2), 54 * (i % 2))
    magenta = (pixels[..., 1] == 0) & (pixels[..., 2] == 255)
    assert (pixels[~magenta] < 128).any(), "there are no dark letters on the paper"


def test_rows_stand_under_one_another_and_a_short_one_is_filled_with_white():
    grey, colour = torch.zeros(3, 1, 8, 8), torch.ones(2, 3, 8, 8) * torch.tensor([1.0, -1, -1]).view(3, 1, 1)
    pixels = viz.rows({"grey": grey, "red": colour}, alt=ALT, scale=4).pixels()
    red = np.argwhere((pixels == [255, 0, 0]).all(-1))
    middle = np.argwhere((pixels == [128, 128, 128]).all(-1))
    assert len(red) == 2 * 64 * 64
    assert len(middle) >= 3 * 64 * 64  # letters may hold this grey too
    assert red[:, 0].min() == 64 + 6


def test_a_large_photograph_is_averaged_to_the_page_and_stays_light():
    ramp = torch.linspace(-1, 1, 1400).view(1, 1, 1, 1400).expand(1, 3, 1400, 1400)
    picture = viz.grid(ramp, alt=ALT)
    pixels = picture.pixels().astype(float)
    assert pixels.shape[1] <= pictures.PAGE
    assert abs(pixels[100, :, 0] - np.linspace(0, 255, pixels.shape[1])).max() < 4
    photograph = skimage.data.astronaut()
    shown = viz.grid(torch.from_numpy(photograph).permute(2, 0, 1), alt=ALT)
    assert shown.kind == "jpeg"
    assert len(shown.data) < len(viz.encode(photograph, level=9)) / 3
    assert abs(shown.pixels().astype(float) - photograph).mean() < 3


def test_a_heavy_sheet_of_teddies_keeps_its_squares_in_fewer_colours():
    sheet = pictures.tile(teddies.dataset(20, 0)[0], 5, scale=4)
    compressed = pictures.compress(sheet)
    light = Image.open(io.BytesIO(compressed)).convert("RGB")
    assert len(compressed) < len(pictures.encode(sheet, level=9)) / 2
    shown = np.asarray(light)
    assert abs(shown.astype(float) - sheet).mean() < 6
    assert (shown[0:4, 0:4] == shown[0, 0]).all(), "a pixel of the teddy stays one square of one colour"
    assert (shown[(sheet == 255).all(-1)] == 255).all(), "white stays white"


def test_shrinking_averages_squares():
    pixels = noise(2, 7, 9, 3).numpy()
    expected = pixels[1, 3:6, 6:9].reshape(9, 3).astype(float).mean(0)
    assert abs(pictures.shrink(pixels, 3)[1, 1, 2] - expected).max() <= 0.5


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(2, 4, 8, 8), "latents"),
        (torch.zeros(8, 8), r"\(8, 8\)"),
        (torch.zeros(0, 1, 8, 8), "at least 1"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.int64), "int64"),
        (torch.full((1, 1, 8, 8), torch.nan), "NaN"),
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence(images, words):
    with pytest.raises(ValueError, match=words):
        viz.grid(images, alt=ALT)


def test_names_that_do_not_fit_are_refused():
    images = torch.zeros(6, 1, 4, 4)
    with pytest.raises(ValueError, match="4 titles, but 3 columns and 6 images"):
        viz.grid(images, 3, alt=ALT, titles=list("abcd"))
    with pytest.raises(ValueError, match="3 row labels, but 2 rows"):
        viz.grid(images, 3, alt=ALT, row_labels=list("abc"))
    with pytest.raises(ValueError, match="different size"):
        viz.rows({"a": images, "b": torch.zeros(6, 1, 5, 4)}, alt=ALT)
    with pytest.raises(ValueError, match="2 x and 3 y"):
        viz.lines({"a": ([1, 2], [1, 2, 3])}, alt=ALT, xlabel="step", ylabel="loss (nats)")
    with pytest.raises(ValueError, match="'b' has no values"):
        viz.histogram({"a": torch.zeros(3), "b": torch.tensor([1.0, torch.inf])}, alt=ALT, xlabel="value")


def test_a_picture_without_a_description_is_refused():
    with pytest.raises(ValueError, match="alt="):
        viz.grid(torch.zeros(1, 1, 4, 4), alt="  ")
    with pytest.raises(ValueError, match="PNG or a JPEG"):
        viz.Picture(b"GIF89a", ALT)


PLOTS = {
    "lines": lambda: viz.lines(
        {"a": ([1, 10, 100], [3.0, 2.0, 1.0], [0.1, 0.1, 0.1]), "b": (torch.arange(1, 4), torch.ones(3))},
        alt=ALT, xlabel="steps", ylabel="loss (nats)", log="xy", references={"real": 0.5},
    ),
    "losses": lambda: viz.loss_curve(torch.rand(200) + 1, ylabel="loss (nats)", alt=ALT),
    "bars": lambda: viz.bars({f"net {i}": 1000.0 * i for i in range(12)}, ylabel="time (s)", alt=ALT, errors=[1.0] * 12),
    "scatter": lambda: viz.scatter({str(i): torch.randn(50, 2) for i in range(11)}, alt=ALT, xlabel="z1 (1)", ylabel="z2 (1)"),
    "histogram": lambda: viz.histogram({"a": torch.randn(500).bfloat16()}, alt=ALT, xlabel="value (1)"),
    "spectrum": lambda: viz.spectrum({"a": torch.tensor([4.0, 2, 1, 1])}, alt=ALT),
}  # fmt: skip


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_small_silent_and_described(name, capfd, recwarn):
    picture = PLOTS[name]()
    assert len(picture.data) < 100_000
    pixels = picture.pixels()
    assert pixels.shape[1] == round(picture.width * style.FINE)
    assert (pixels[0, 0] == 255).all(), "the ground is white, in a dark theme too"
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10, "nothing was drawn"
    assert picture.alt == ALT
    assert capfd.readouterr().err == ""
    assert not recwarn.list


def test_a_curve_is_drawn_where_its_numbers_are():
    panels = viz.Panels(2)
    viz.draw_lines(panels[1], {"a": ([1, 2, 4], torch.tensor([3.0, 2, 1]).bfloat16(), [1, 1, 1])}, xlabel="x", ylabel="y")
    np.testing.assert_array_equal(panels[1].lines[0].get_xydata(), [[1, 3], [2, 2], [4, 1]])
    bars = [path.vertices[:, 1] for path in panels[1].collections[0].get_paths()]
    assert [(bar.min(), bar.max()) for bar in bars] == [(2, 4), (1, 3), (0, 2)]


def test_the_errors_of_many_points_are_a_band():
    panels = viz.Panels()
    viz.draw_lines(panels[0], {"a": (range(13), [1.0] * 13, [2.0] * 13)}, xlabel="x", ylabel="y")
    (band,) = panels[0].collections[0].get_paths()
    assert (band.vertices[:, 1].min(), band.vertices[:, 1].max()) == (-1, 3)
    assert panels.picture(ALT).pixels().shape[1] > panels.picture(ALT).pixels().shape[0]


def test_a_spectrum_ends_at_all_of_the_variance(monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "lines", lambda curves, **options: drawn.update(curves))
    viz.spectrum({"a": torch.tensor([5.0, 3, 2])}, alt=ALT)
    np.testing.assert_allclose(drawn["a"], [[1, 2, 3], [50, 80, 100]])


def test_histograms_share_their_bins_and_each_has_area_one():
    axes = viz.Panels(1)[0]
    viz.draw_histogram(axes, {"a": torch.randn(400), "b": torch.rand(30) + 5}, xlabel="value", bins=20)
    (first, edges, _), (second, same, _) = (patch.get_data() for patch in axes.patches)
    np.testing.assert_array_equal(edges, same)
    for values in (first, second):
        np.testing.assert_allclose((values * np.diff(edges)).sum(), 1)


def test_lines_stay_apart_without_colour():
    axes = viz.Panels(1)[0]
    viz.draw_lines(axes, {str(i): ([0, 1], [i, i]) for i in range(8)}, xlabel="x", ylabel="y")
    styles = {(line.get_linestyle(), line.get_marker(), str(line._dash_pattern)) for line in axes.lines}
    assert len(styles) == 8
    assert len({line.get_color() for line in axes.lines}) == 8


def test_a_logarithmic_axis_reads_as_people_write():
    panels = viz.Panels(1)
    viz.draw_lines(panels[0], {"a": ([5, 10, 20, 50], [1, 10, 100, 1000.0])}, xlabel="x", ylabel="y", log="xy")
    panels.picture(ALT)
    assert [t.get_text() for t in panels[0].get_xticklabels()] == ["5", "10", "20", "50"]
    assert {"1", "10", "100", "1,000"} <= {t.get_text() for t in panels[0].get_yticklabels()}


def test_a_logarithmic_axis_of_less_than_a_decade_has_no_powers():
    panels = viz.Panels(1)
    x = np.linspace(0.15, 0.9, 20)
    viz.draw_lines(panels[0], {"a": (x, x)}, xlabel="x", ylabel="y", log="xy")
    panels.picture(ALT)
    named = {t.get_text() for t in panels[0].get_yticklabels(minor=True)} - {""}
    assert {"0.2", "0.6"} <= named <= {f"0.{i}" for i in range(1, 10)}


@pytest.mark.parametrize("title", data.FASHION_CLASSES)
def test_a_title_stays_over_its_image(title):
    """Over one black image, 64 CSS pixels wide: the outermost pixels of the band above it are paper, not letters."""
    sheet = viz.grid(torch.full((1, 1, 32, 32), -1.0), alt=ALT, scale=2, titles=[title]).pixels().mean(2)
    band = sheet[: np.flatnonzero((sheet == 0).all(1))[0]]
    assert band.min() < 100  # there are letters
    assert band[:, [0, -1]].min() > 200


def test_drawing_changes_no_setting_and_keeps_no_figure():
    probe = """
import matplotlib
before = matplotlib.rcParams.copy()  # as dict(...), it would ask pyplot for a backend
from course_lib.notebook import viz
import torch, sys
for _ in range(3):
    viz.lines({"a": ([1, 2], [1, 2.0])}, alt="a line that rises", xlabel="x (1)", ylabel="y (1)")
    viz.grid(torch.zeros(2, 1, 8, 8), alt="two black squares", titles=["a", "b"])
assert matplotlib.rcParams.copy() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", probe], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_text_reaches_the_reader_of_the_html():
    tricky = 'KL < 5 nats & "free bits"'
    picture = viz.grid(noise(2, 1, 8, 8), alt=tricky)
    data = picture._repr_mimebundle_()
    assert set(data) == {"text/html", "image/png", "text/plain"}
    assert base64.b64decode(data["image/png"]) == picture.data
    assert tricky in data["text/plain"]
    source = re.search(r'src="data:image/\w+;base64,([^"]+)"', data["text/html"])[1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGB")), picture.pixels())
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data=data)], execution_count=1)
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert 'alt="KL &lt; 5 nats &amp; &quot;free bits&quot;"' in page or "alt='KL &lt; 5 nats &amp; \"free bits\"'" in page


def test_a_sheet_for_a_slider_is_quick():
    """64 images of 32x32 and one image of 256x256 together: a slider has 100 ms for all it does."""
    times = []
    for _ in range(5):
        began = time.process_time()
        viz.encode(viz.tile(torch.zeros(64, 1, 32, 32), columns=8))
        viz.encode(viz.tile(torch.rand(1, 3, 256, 256) * 2 - 1, scale=1))
        times.append(time.process_time() - began)
    assert min(times) < 0.05


def test_heat_puts_the_largest_number_in_the_lightest_colour_where_row_and_column_say():
    values = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    picture = viz.heatmap(values, rows="ab", columns="xyz", ylabel="row", xlabel="column", label="how much", alt=ALT)
    pixels = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))
    yellow = (pixels[..., 0] > 230) & (pixels[..., 1] > 200) & (pixels[..., 2] < 120)  # the end of the cividis map
    blue = (pixels[..., 0] < 60) & (pixels[..., 2] > 60) & (pixels[..., 1] < 60)  # its start
    table = np.argwhere(blue)
    (top, left), (bottom, right) = table.min(0), table.max(0)
    y, x = np.argwhere(yellow & (np.arange(pixels.shape[1]) < 0.75 * pixels.shape[1])).mean(0)
    assert (top + bottom) / 2 < y < bottom + (bottom - top) / 2
    assert left + (right - left) / 2 < x
    assert picture.alt == ALT


# --- a dot that moves on a plot -------------------------------------------------------------------------------------


def orange(pixels: np.ndarray) -> np.ndarray:
    """Row and column of the middle of what has the dot's colour."""
    return np.argwhere((pixels == (0xD5, 0x5E, 0x00)).all(-1)).mean(0)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_dot_lies_where_the_axes_say(scale):
    """A line through the corners of the axes: its own pixels tell where a value lies."""
    panels = viz.Panels()
    panels[0].set(xlim=(1, 100), ylim=(1, 100), xscale=scale, yscale=scale)
    panels[0].set_axis_off()
    panels[0].plot([1, 100], [1, 100], color="black")
    plot = viz.Map(panels)
    dark = np.argwhere((plot.pixels < 60).all(-1))
    low, high = dark[dark[:, 1].argmin()], dark[dark[:, 1].argmax()]  # left below, right above
    for x, share in {1.0: 0.0, 100.0: 1.0, 10.0: 0.5 if scale == "log" else 9 / 99}.items():
        np.testing.assert_allclose(orange(plot.at(x, x)), low + share * (high - low), atol=2.5)


def test_the_plot_below_the_dot_stays():
    plot = viz.Map(viz.Panels())
    before = plot.pixels.copy()
    plot.at(0.5, 0.5)
    assert (plot.pixels == before).all()


def test_sheets_stand_side_by_side_in_the_middle():
    page = viz.side_by_side(np.zeros((2, 3), np.uint8), np.full((6, 1, 3), 7, np.uint8), gap=4)
    assert page.shape == (6, 8, 3)
    assert (page[2:4, :3] == 0).all()
    assert (page[:, 7] == 7).all()
    assert (page[:2, :7] == 255).all()


def test_signed_differences_are_white_at_0_and_differ_in_colour_by_sign():
    values = torch.tensor([0.0, 0.5, -0.5, 2.0]).view(4, 1, 1, 1)
    colours = viz.signed(values, limit=0.5)[:, :, 0, 0].tolist()
    assert colours == [[255, 255, 255], [213, 94, 0], [0, 114, 178], [213, 94, 0]]  # Okabe and Ito's, full from the limit on
    half = viz.signed(values)[1, :, 0, 0].tolist()  # of the largest, 2.0, a quarter
    assert half == [round(255 + (c - 255) / 4) for c in (213, 94, 0)]
    assert viz.signed(torch.zeros(1, 1, 2, 2)).min() == 255
