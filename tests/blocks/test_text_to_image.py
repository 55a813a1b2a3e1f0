"""From a caption to pictures: which labels the denoiser is told, what guidance makes of them, and what the command writes."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from course_lib import device, schedule, teddies, text, text_to_image
from course_lib.tools import cli

PINK_READERS = "two pink teddy bears with a green scarf reading"


class Told(torch.nn.Module):
    """A network that predicts a constant for each set of labels, and remembers which sets it was told."""

    def __init__(self):
        super().__init__()
        self.labels = []

    def forward(self, x, t, y):
        self.labels.append(y)
        return x * 0 + y.double().mean(1).to(x).view(-1, 1, 1, 1) / 100


class Same:
    """The latents are the pictures."""

    def decode(self, latents):
        return latents.clamp(-1, 1)


@pytest.fixture
def painter():
    return text_to_image.TextToImage(Told(), Same(), schedule.cosine(), device.find("cpu"), shape=(3, 8, 8))


def told(painter, **options) -> set[tuple[int, ...]]:
    painter.net.labels.clear()
    painter.draw(PINK_READERS, n=2, steps=3, **options)
    return {tuple(row) for y in painter.net.labels for row in y.tolist()}


def test_the_denoiser_is_told_the_captions_labels_and_the_null_labels(painter):
    wanted = tuple(teddies.prompt(PINK_READERS)[0].tolist())
    assert wanted[-1] == teddies.LEVELS[-1]  # the caption says nothing of a background
    assert told(painter, scale=3.0) == {wanted, teddies.LEVELS}
    assert told(painter, scale=1.0) == {wanted}
    unwanted = tuple(teddies.prompt("at night")[0].tolist())
    assert told(painter, scale=3.0, negative="at night") == {wanted, unwanted}


def test_a_network_that_reads_is_told_the_words(painter):
    reading = replace(painter, tell=text.tokenise)
    wanted, unwanted, nothing = (tuple(row) for row in text.tokenise([PINK_READERS, "at night", ""]).tolist())
    assert told(reading, scale=3.0) == {wanted, nothing}
    assert told(reading, scale=3.0, negative="at night") == {wanted, unwanted}
    with pytest.raises(ValueError, match="'purple' is a word never read"):
        reading.draw("two purple teddy bears")


def test_pictures_depend_on_the_arguments_alone(painter):
    first = painter.draw(PINK_READERS, n=3, steps=4, seed=5)
    assert first.shape == (3, 3, 8, 8)
    assert first.abs().max() <= 1
    assert torch.equal(painter.draw(PINK_READERS, n=3, steps=4, seed=5), first)
    for other in ({"seed": 6}, {"scale": 4.0}, {"steps": 5}, {"negative": "one teddy bear"}):
        assert not torch.equal(painter.draw(PINK_READERS, **({"n": 3, "steps": 4, "seed": 5} | other)), first)


class Says(torch.nn.Module):
    """Predicts v such that x0_hat is a twentieth of the first number that it is told."""

    def forward(self, x, t, y):
        at = schedule.cosine().at(t)
        x0 = y[:, 0].view(-1, 1, 1, 1) / 20 + 0 * x
        return (at.alpha * x - x0) / at.sigma


def test_painting_is_guided_from_the_empty_caption_or_from_what_is_unwanted(painter):
    told = torch.tensor([[2, 7], [4, 7], [6, 7]])
    saying = replace(painter, net=Says(), tell=lambda _: torch.zeros(1, 2).long())
    for unwanted, wanted in ((None, [0.3, 0.6, 0.9]), (torch.tensor([1, 0]), [0.2, 0.5, 0.8])):  # ref + 3 (main - ref)
        got = saying.paint(told, scale=3.0, steps=4, unwanted=unwanted, batch=2)
        torch.testing.assert_close(got, torch.tensor(wanted).view(3, 1, 1, 1).expand(3, 3, 8, 8), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"caption": "two purple teddy bears"}, "'purple' is not a word the teddies know"),
        ({"negative": "a dog"}, "'dog' is not a word"),
        ({"n": 0}, "must be 1 or more"),
        ({"steps": 0}, "1 to 1000"),
        ({"steps": 1001}, "1 to 1000"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_a_sentence(painter, options, message):
    with pytest.raises(ValueError, match=message):
        painter.draw(**({"caption": PINK_READERS} | options))


def test_the_command_writes_one_sheet(painter, tmp_path, monkeypatch):
    monkeypatch.setattr(text_to_image, "ready", lambda: painter)
    file = tmp_path / "bears.png"
    result = CliRunner().invoke(cli.cli, ["sample", PINK_READERS, "--steps", "2", "-n", "4", "--out", str(file)])
    assert result.exit_code == 0, result.output
    assert str(file) in result.output.replace("\n", "")
    sheet = np.asarray(Image.open(io.BytesIO(file.read_bytes())))
    assert sheet.shape == (16, 4 * 16 + 3 * 2, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["bears.png"]


@pytest.mark.parametrize(
    ("arguments", "message"), [(["two purple bears"], "purple"), ([PINK_READERS, "--out", "bears.jpg"], ".png")]
)
def test_a_wrong_request_loads_no_network_and_writes_nothing(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(text_to_image, "ready", lambda: pytest.fail("a network was loaded"))
    result = CliRunner().invoke(cli.cli, ["sample", *arguments])
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())
