"""The further notebook on words: its measurements on networks that are known to be right or wrong."""

import math

import pytest
import torch
from oracles import normal

from course_lib import device, recipes, teddies, text
from course_lib.contrastive import ImageTextPair, contrastive_loss
from course_lib.experiments import prompt_adherence
from course_lib.experiments.ch7_words import words
from course_lib.schedule import cosine
from course_lib.teddies import LEVELS, SEMANTIC
from course_lib.text_denoiser import TextDenoiser

MACHINE = device.find("cpu", "fp32")
LABELS = torch.tensor([[0, 5, 0, 1, 0], [1, 0, 2, 3, 4], [1, 5, 3, 0, 2], [0, 2, 1, 3, 3]])  # blue fur, blue scarf, twice


class Knowing(torch.nn.Module):
    """A pair that sees labels written into the latents, and understands captions by the parser.

    A caption is similar to a picture by the share of factors that it names rightly. wrong: a factor that it confuses.
    """

    def __init__(self, wrong: str | None = None):
        super().__init__()
        self.wrong = wrong

    def forward(self, latents, tokens):
        labels = latents[:, 0, 0, :5].round().long()
        if self.wrong:
            i = SEMANTIC.index(self.wrong)
            labels[:, i] = (labels[:, i] + 1) % LEVELS[i]
        asked = teddies.prompt(text.untokenise(tokens))
        hot = [
            torch.cat([torch.nn.functional.one_hot(y[:, i], n + 1)[:, :n] for i, n in enumerate(LEVELS)], 1)
            for y in (labels, asked)
        ]
        return hot[0].float(), hot[1].float()


def shelf(labels=LABELS):
    latents = torch.zeros(len(labels), 4, 8, 8)
    latents[:, 0, 0, :5] = labels.float()
    return words.Split(torch.zeros(len(labels), 3, 64, 64, dtype=torch.uint8), latents, labels)


def test_a_pair_that_knows_finds_everything():
    for say in (teddies.say, words.in_another_order):  # the parser does not mind the order
        assert words.search(Knowing(), {"some": shelf(), "others": shelf(1 - LABELS % 2)}, say) == {
            "some": (1.0, 1.0),
            "others": (1.0, 1.0),
        }
    assert words.read_by_words(Knowing(), shelf()) == dict.fromkeys(SEMANTIC, 1.0)
    assert words.attribute_binding_accuracy(Knowing(), shelf()) == 1.0


def test_a_pair_that_confuses_one_factor_is_found_out():
    shares = words.read_by_words(Knowing("activity"), shelf())
    assert shares == dict.fromkeys(SEMANTIC, 1.0) | {"activity": 0.0}


def test_another_order_says_the_same():
    said = words.in_another_order(LABELS)
    assert said[0] == "on a meadow with a red scarf reading blue one teddy bear"
    assert torch.equal(teddies.prompt(said), LABELS)
    assert sorted(said[1].split()) == sorted(teddies.say(LABELS)[1].split())


def test_factors_can_be_left_out():
    assert teddies.say(words.without(LABELS, "scarf", "background"))[:2] == [
        "one blue teddy bear reading",
        "two brown teddy bears sleeping",
    ]


def test_wishes_are_of_the_side_that_was_asked_for():
    for unseen in (False, True):
        labels = prompt_adherence.sample_prompts(40, 3, unseen)
        assert labels.shape == (40, 5)
        factors = teddies.sample_factors(40, 0, **dict(zip(SEMANTIC, labels.unbind(1), strict=True)))
        assert (teddies.held_out(factors) == unseen).all()


def test_adherence_of_drawn_pictures_is_high_and_of_others_low():
    reader = recipes.load_or_train("teddies-reader", MACHINE)
    images, factors = teddies.dataset(60, 8)
    labels = factors.labels()
    right = prompt_adherence.adherence(reader, images, labels)
    assert right["all"] >= 0.85
    assert prompt_adherence.adherence(reader, images, labels.roll(1, 0))["all"] < 0.1
    nothing = torch.tensor(LEVELS).expand(60, -1)
    assert prompt_adherence.adherence(reader, images, nothing) == dict.fromkeys((*SEMANTIC, "all"), 1.0)
    assert prompt_adherence.adherence(reader, images, words.without(labels, *SEMANTIC[1:]))["all"] == right["count"]
    counted = words.shares(reader, images, "scarf")
    assert sum(counted.values()) == pytest.approx(1)
    assert counted["red"] == pytest.approx((factors.scarf == 1).double().mean().item(), abs=0.06)


def small_net():
    torch.manual_seed(0)
    return TextDenoiser(32, 1, in_channels=4, width=16, heads=2, blocks=1)


def test_looks_add_up_to_one_and_never_fall_on_padding():
    tokens = text.tokenise(["two pink teddy bears", ""])
    maps = words.attention_maps(small_net(), normal(2, 4, 8, 8, dtype=torch.float32), cosine().grid(10)[4], tokens)
    assert maps.shape == (2, text.LENGTH, 8, 8)
    torch.testing.assert_close(maps.sum(1), torch.ones(2, 8, 8))
    assert (maps[tokens == text.PAD] == 0).all()
    assert (maps[tokens != text.PAD] > 0).all()


def test_overlay_is_bright_where_the_map_is_large():
    maps = torch.zeros(1, 8, 8)
    maps[0, :4] = 1.0
    shown = words.overlay(torch.ones(3, 64, 64), maps).float()
    assert shown.shape == (1, 3, 64, 64)
    assert shown[0, :, :24].min() > 250
    assert shown[0, :, 40:].max() < 50


def test_a_pair_is_trained_and_repeats():
    latents, labels = normal(300, 4, 8, 8, dtype=torch.float32), prompt_adherence.sample_prompts(300, 0)
    runs = [words.train_pair(latents, labels, MACHINE, steps=3, progress=False) for _ in range(2)]
    assert isinstance(runs[0].ema, ImageTextPair)
    assert torch.equal(runs[0].losses, runs[1].losses)
    assert runs[0].losses.isfinite().all()


def test_the_floor_is_what_a_perfect_pair_pays():
    labels = LABELS[[0, 0, 0, 1, 2, 2]]
    assert words.loss_lower_bound(labels) == pytest.approx((3 * math.log(3) + 2 * math.log(2)) / 6)
    same = torch.eye(4)[[0, 0, 0, 1, 2, 2]]
    assert contrastive_loss(same, same, 100.0).item() == pytest.approx(words.loss_lower_bound(labels), abs=1e-5)
    assert words.loss_lower_bound(LABELS) == 0


def test_captions_are_shortened_as_often_as_asked():
    labels = prompt_adherence.sample_prompts(2000, 0)
    short = words.drop_words(labels, 0.2, torch.Generator().manual_seed(0))
    left_out = short == torch.tensor(LEVELS)
    assert (short[~left_out] == labels[~left_out]).all()
    assert left_out.double().mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.03)
    assert torch.equal(words.drop_words(labels, 0.0), labels)


def test_each_shelf_is_searched_among_all():
    """Two pictures that the pair takes for one another: alone each finds its caption, together neither is sure."""
    one, other = shelf(LABELS[:1]), shelf(LABELS[:1] + torch.tensor([[0, 0, 1, 0, 0]]))
    blind = Knowing("activity")
    assert words.search(blind, {"one": one}) == {"one": (1.0, 1.0)}
    assert words.search(blind, {"one": one, "other": other})["one"].image_to_text == 0.0  # taken for the other's activity
    assert words.search(Knowing(), {"one": one, "other": other}) == {"one": (1.0, 1.0), "other": (1.0, 1.0)}


def test_a_finder_answers_as_a_comparison_does():
    find = words.finder(Knowing(), shelf().latents)
    for caption in ("two", "two blue teddy bears sleeping"):
        torch.testing.assert_close(find(caption), words.compare(Knowing(), shelf().latents, [caption])[:, 0])
