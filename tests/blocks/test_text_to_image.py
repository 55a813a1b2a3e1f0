"""From a caption to images: which conditions the denoiser gets, what guidance makes of them, and what the command writes."""

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


class RecordingNet(torch.nn.Module):
    """A network that predicts a constant for each condition, and records the conditions it was given."""

    def __init__(self):
        super().__init__()
        self.conditions = []

    def forward(self, x, t, y):
        self.conditions.append(y)
        return x * 0 + y.double().mean(1).to(x).view(-1, 1, 1, 1) / 100


class ScaleNet(RecordingNet):
    """A network with the scale as an input, which records the scales that it was given."""

    takes_scale = True

    def __init__(self):
        super().__init__()
        self.scales = []

    def forward(self, x, t, y, scale=None):
        self.scales.append(None if scale is None else scale.unique().tolist())
        return super().forward(x, t, y)


class IdentityCodec:
    """The latents are the images."""

    def decode(self, latents):
        return latents.clamp(-1, 1)


@pytest.fixture
def model():
    return text_to_image.TextToImage(RecordingNet(), IdentityCodec(), schedule.cosine(), device.find("cpu"), shape=(3, 8, 8))


def conditions_given(model, **options) -> set[tuple[int, ...]]:
    model.net.conditions.clear()
    model.generate(PINK_READERS, n=2, steps=3, **options)
    return {tuple(row) for y in model.net.conditions for row in y.tolist()}


def test_the_denoiser_gets_the_captions_labels_and_the_null_labels(model):
    wanted = tuple(teddies.labels_from_captions(PINK_READERS)[0].tolist())
    assert wanted[-1] == teddies.NUM_VALUES[-1]  # the caption names no background
    assert conditions_given(model, scale=3.0) == {wanted, teddies.NUM_VALUES}
    assert conditions_given(model, scale=1.0) == {wanted}
    negative = tuple(teddies.labels_from_captions("at night")[0].tolist())
    assert conditions_given(model, scale=3.0, negative="at night") == {wanted, negative}


@pytest.mark.parametrize("scale", [1.0, 2.5, 4])
def test_a_network_that_takes_the_scale_is_called_once_a_step(model, scale):
    net = ScaleNet()
    images = replace(model, net=net).generate(PINK_READERS, n=2, steps=3, scale=scale)
    assert net.scales == [[scale]] * 3
    assert {tuple(row) for y in net.conditions for row in y.tolist()} == {tuple(model.encode_prompt(PINK_READERS)[0].tolist())}
    assert images.shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    "options", [{"scale": 4.5}, {"scale": 0.5}, {"scale": lambda level: 3.0}, {"negative": "at night"}, {"rescale": 0.5}]
)
def test_what_it_has_not_learned_takes_two_calls(model, options):
    net = ScaleNet()
    wanted, negative = model.encode_prompt(PINK_READERS), model.encode_prompt(options.pop("negative", ""))[0]
    replace(model, net=net).sample(wanted, steps=3, negative_condition=negative, **{"scale": 3.0} | options)
    assert set(net.scales) == {None}
    given = {tuple(row) for y in net.conditions for row in y.tolist()}
    assert given == {tuple(wanted[0].tolist()), tuple(negative.tolist())}


def test_a_network_with_a_text_encoder_gets_tokens(model):
    reading = replace(model, encode_prompt=text.tokenise)
    wanted, negative, nothing = (tuple(row) for row in text.tokenise([PINK_READERS, "at night", ""]).tolist())
    assert conditions_given(reading, scale=3.0) == {wanted, nothing}
    assert conditions_given(reading, scale=3.0, negative="at night") == {wanted, negative}
    with pytest.raises(ValueError, match="'purple'"):
        reading.generate("two purple teddy bears")


def test_images_depend_on_the_arguments_alone(model):
    first = model.generate(PINK_READERS, n=3, steps=4, seed=5)
    assert first.shape == (3, 3, 8, 8)
    assert first.abs().max() <= 1
    assert torch.equal(model.generate(PINK_READERS, n=3, steps=4, seed=5), first)
    for other in ({"seed": 6}, {"scale": 4.0}, {"steps": 5}, {"negative": "one teddy bear"}):
        assert not torch.equal(model.generate(PINK_READERS, **({"n": 3, "steps": 4, "seed": 5} | other)), first)


class ConditionNet(torch.nn.Module):
    """Predicts v such that x0_hat is a twentieth of the first number of the condition."""

    def forward(self, x, t, y):
        at = schedule.cosine().at(t)
        x0 = y[:, 0].view(-1, 1, 1, 1) / 20 + 0 * x
        return (at.alpha * x - x0) / at.sigma


def test_guidance_leads_away_from_the_empty_caption_or_from_the_negative_condition(model):
    condition = torch.tensor([[2, 7], [4, 7], [6, 7]])
    model = replace(model, net=ConditionNet(), encode_prompt=lambda _: torch.zeros(1, 2).long())
    for negative, wanted in ((None, [0.3, 0.6, 0.9]), (torch.tensor([1, 0]), [0.2, 0.5, 0.8])):  # ref + 3 (main - ref)
        got = model.sample(condition, scale=3.0, steps=4, negative_condition=negative, batch=2)
        torch.testing.assert_close(got, torch.tensor(wanted).view(3, 1, 1, 1).expand(3, 3, 8, 8), rtol=1e-3, atol=1e-3)


def test_a_rule_and_a_rescale_reach_the_guidance(model):
    condition = torch.tensor([[2, 7]])
    model = replace(model, net=ConditionNet(), encode_prompt=lambda _: torch.zeros(1, 2).long())
    got = model.sample(condition, scale=3.0, steps=4, rule=lambda main, ref, scale, x_t, level: ref - scale * main)
    torch.testing.assert_close(got, torch.full((1, 3, 8, 8), -0.3), rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="rescale is 2"):
        model.sample(condition, steps=2, rescale=2.0)


def test_another_sampler_gets_the_same_noise_and_levels(model):
    given = []

    def sampler(denoise, x_T, levels, callback=None):
        given.append((x_T, levels))
        return torch.full_like(x_T, 0.5)

    images = model.sample(
        torch.tensor([[2, 7]]).expand(3, -1), steps=4, seed=1, sampler=sampler, negative_condition=torch.tensor([0, 0])
    )
    assert (images == 0.5).all()
    ((x_T, levels),) = given
    noise = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(x_T, levels[0].sigma * noise)
    assert levels == model.schedule.grid(4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"caption": "two purple teddy bears"}, "'purple'.*'two purple teddy bears'"),
        ({"negative": "a dog"}, "'dog'.*'a dog'"),
        ({"n": 0}, "n is 0.*from 1 to"),
        ({"steps": 0}, "steps is 0.*1 to 1000"),
        ({"steps": 1001}, "steps is 1001.*1 to 1000"),
    ],
)
def test_invalid_arguments_raise(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.generate(**({"caption": PINK_READERS} | options))


def test_the_command_writes_one_sheet(model, tmp_path, monkeypatch):
    monkeypatch.setattr(text_to_image, "load", lambda: model)
    file = tmp_path / "bears.png"
    result = CliRunner().invoke(cli.cli, ["sample", PINK_READERS, "--steps", "2", "-n", "4", "--out", str(file)])
    assert result.exit_code == 0, result.output
    assert str(file) in result.output.replace("\n", "")
    sheet = np.asarray(Image.open(io.BytesIO(file.read_bytes())))
    assert sheet.shape == (2 * 16 + 2, 2 * 16 + 2, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["bears.png"]


@pytest.mark.parametrize(
    ("arguments", "message"), [(["two purple bears"], "purple"), ([PINK_READERS, "--out", "bears.jpg"], ".png")]
)
def test_an_invalid_request_loads_no_network_and_writes_nothing(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(text_to_image, "load", lambda: pytest.fail("a network was loaded"))
    result = CliRunner().invoke(cli.cli, ["sample", *arguments])
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())
