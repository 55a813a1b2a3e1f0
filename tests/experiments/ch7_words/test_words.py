"""Notebook 7: its measurements on networks that are known to be right or wrong."""

import math

import pytest
import torch
from networks import perturbed
from oracles import normal

from course_lib import device, recipes, teddies, text, text_to_image
from course_lib.contrastive import ImageTextPair, contrastive_loss
from course_lib.experiments import prompt_adherence
from course_lib.experiments.ch7_words import words
from course_lib.schedule import cosine
from course_lib.teddies import NUM_VALUES, SEMANTIC
from course_lib.text import TextDenoiser

MACHINE = device.find("cpu", "fp32")
LABELS = torch.tensor([[0, 5, 0, 1, 0], [1, 0, 2, 3, 4], [1, 5, 3, 0, 2], [0, 2, 1, 3, 3]])  # blue fur, blue scarf, twice


class Knowing(torch.nn.Module):
    """A pair that reads labels written into the latents, and captions with the parser.

    The similarity of a caption and an image is the number of factors that it names correctly. wrong: a factor that it confuses.
    """

    def __init__(self, wrong: str | None = None):
        super().__init__()
        self.wrong = wrong

    def forward(self, latents, tokens):
        labels = latents[:, 0, 0, :5].round().long()
        if self.wrong:
            i = SEMANTIC.index(self.wrong)
            labels[:, i] = (labels[:, i] + 1) % NUM_VALUES[i]
        asked = teddies.labels_from_captions(text.detokenise(tokens))
        hot = [
            torch.cat([torch.nn.functional.one_hot(y[:, i], n + 1)[:, :n] for i, n in enumerate(NUM_VALUES)], 1)
            for y in (labels, asked)
        ]
        return hot[0].float(), hot[1].float()


class Identity:
    """A codec whose images are the latents."""

    def decode(self, latents):
        return latents


def split(labels=LABELS):
    latents = torch.zeros(len(labels), 4, 8, 8)
    latents[:, 0, 0, :5] = labels.float()
    return words.Split(torch.zeros(len(labels), 3, 64, 64, dtype=torch.uint8), latents, labels)


def test_a_pair_that_knows_finds_everything():
    for say in (teddies.captions_from_labels, words.reordered_captions):  # the parser accepts any order
        assert words.retrieval_by_split(Knowing(), {"some": split(), "others": split(1 - LABELS % 2)}, say) == {
            "some": (1.0, 1.0),
            "others": (1.0, 1.0),
        }
    assert words.zero_shot_accuracy(Knowing(), split()) == dict.fromkeys(SEMANTIC, 1.0)


def test_a_pair_that_confuses_one_factor_is_wrong_about_it():
    accuracy = words.zero_shot_accuracy(Knowing("activity"), split())
    assert accuracy == dict.fromkeys(SEMANTIC, 1.0) | {"activity": 0.0}


def test_another_order_has_the_same_meaning():
    said = words.reordered_captions(LABELS)
    assert said[0] == "on a meadow with a red scarf reading blue one teddy bear"
    assert torch.equal(teddies.labels_from_captions(said), LABELS)
    assert sorted(said[1].split()) == sorted(teddies.captions_from_labels(LABELS)[1].split())


def test_factors_can_be_dropped():
    assert teddies.captions_from_labels(words.drop_factors(LABELS, "scarf", "background"))[:2] == [
        "one blue teddy bear reading",
        "two brown teddy bears sleeping",
    ]


def test_value_frequencies_are_those_of_the_rendered_factors():
    images, factors = teddies.dataset(60, 8)
    found = words.value_frequencies(recipes.load_or_train("teddies-reader", MACHINE), images, "scarf")
    assert sum(found.values()) == pytest.approx(1)
    assert found["red"] == pytest.approx((factors.scarf == 1).double().mean().item(), abs=0.06)


def test_a_negative_prompt_equal_to_the_prompt_takes_all_guidance_away():
    torch.manual_seed(0)
    net = perturbed(TextDenoiser(32, 1, in_channels=4, width=16, heads=2, blocks=1))
    model = text_to_image.TextToImage(net, Identity(), cosine(), MACHINE, (4, 8, 8), text.tokenise)
    condition = text.tokenise(["two brown teddy bears reading"] * 3)
    same = model.sample(condition, scale=5.0, steps=4, negative_condition=condition[0])
    torch.testing.assert_close(same, model.sample(condition, scale=1.0, steps=4), rtol=1e-4, atol=1e-4)
    assert (model.sample(condition, scale=5.0, steps=4) - same).abs().max() > 0.01


def test_a_pair_is_trained_and_repeats():
    latents, labels = normal(300, 4, 8, 8, dtype=torch.float32), prompt_adherence.sample_prompts(300, 0)
    runs = [words.train_pair(latents, labels, MACHINE, steps=3, progress=False) for _ in range(2)]
    assert isinstance(runs[0].ema, ImageTextPair)
    assert torch.equal(runs[0].losses, runs[1].losses)
    assert runs[0].losses.isfinite().all()


def test_the_lower_bound_is_the_loss_of_a_perfect_pair():
    labels = LABELS[[0, 0, 0, 1, 2, 2]]
    assert words.loss_lower_bound(labels) == pytest.approx((3 * math.log(3) + 2 * math.log(2)) / 6)
    same = torch.eye(4)[[0, 0, 0, 1, 2, 2]]
    assert contrastive_loss(same, same, 100.0).item() == pytest.approx(words.loss_lower_bound(labels), abs=1e-5)
    assert words.loss_lower_bound(LABELS) == 0


def test_factors_are_dropped_with_the_given_probability():
    labels = prompt_adherence.sample_prompts(2000, 0)
    short = words.drop_words(labels, 0.2, torch.Generator().manual_seed(0))
    left_out = short == torch.tensor(NUM_VALUES)
    assert (short[~left_out] == labels[~left_out]).all()
    assert left_out.double().mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.03)
    assert torch.equal(words.drop_words(labels, 0.0), labels)


def test_each_split_is_retrieved_among_all():
    """Two images that the pair confuses: alone each finds its caption, together neither does."""
    one, other = split(LABELS[:1]), split(LABELS[:1] + torch.tensor([[0, 0, 1, 0, 0]]))
    blind = Knowing("activity")
    assert words.retrieval_by_split(blind, {"one": one}) == {"one": (1.0, 1.0)}
    both = words.retrieval_by_split(blind, {"one": one, "other": other})
    assert both["one"].image_to_text == 0.0  # confused with the other's activity
    assert words.retrieval_by_split(Knowing(), {"one": one, "other": other}) == {"one": (1.0, 1.0), "other": (1.0, 1.0)}


def test_a_search_finds_the_same_similarities():
    find = words.image_search(Knowing(), split().latents)
    for caption in ("two", "two blue teddy bears sleeping"):
        torch.testing.assert_close(find(caption), words.caption_similarity(Knowing(), split().latents, [caption])[:, 0])
