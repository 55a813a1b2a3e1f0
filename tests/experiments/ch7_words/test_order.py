"""Scenes of two teddies: their captions, twins, and pairs that do or do not read the order."""

import pytest
import torch
from oracles import normal

from course_lib import device, recipes, teddies, text
from course_lib.experiments.ch7_words import order

MACHINE = device.find("cpu", "fp32")
LABELS = torch.tensor(
    [[[2, 0], [5, 1]], [[5, 0], [2, 1]], [[2, 1], [5, 0]], [[5, 1], [2, 0]], [[2, 0], [4, 3]], [[1, 1], [1, 1]]]
)
FURS, ACTIVITIES = teddies.VALUES["fur"], teddies.VALUES["activity"]


class Knowing(torch.nn.Module):
    """Reads the labels written into the latents, and the captions; ordered: knows which teddy is the left one."""

    def __init__(self, ordered=True):
        super().__init__()
        self.ordered = ordered

    def forward(self, latents, tokens):
        labels = latents[:, 0, 0, :4].round().long().view(-1, 2, 2)
        asked = []
        for caption in text.detokenise(tokens):
            sides = [side.strip() for side in caption.split("one ")[1:]]
            asked.append([[FURS.index(side.split()[0]), ACTIVITIES.index(" ".join(side.split()[3:]))] for side in sides])
        return self.features(labels), self.features(torch.tensor(asked))

    def features(self, labels):
        furs, does = (torch.nn.functional.one_hot(labels[..., i], n).float() for i, n in ((0, 6), (1, 6)))  # [N, 2, 6]
        both = torch.einsum("nsf,nsa->nsfa", furs, does).flatten(2)
        parts = [furs.sum(1), does.sum(1)] if not self.ordered else [furs.flatten(1), does.flatten(1), both.flatten(1)]
        return torch.cat(parts, 1)


def scenes(labels=LABELS):
    latents = torch.zeros(len(labels), 4, 8, 8)
    latents[:, 0, 0, :4] = labels.flatten(1).float()
    return order.TwoTeddies(torch.zeros(len(labels), 3, 64, 64, dtype=torch.uint8), latents, labels)


def test_captions_name_the_left_one_first():
    assert order.two_captions(LABELS[:1]) == ["one pink teddy bear reading one blue teddy bear waving"]
    assert order.two_captions(order.exchange_furs(LABELS[:1])) == ["one blue teddy bear reading one pink teddy bear waving"]
    longest = torch.tensor([[[0, 5], [1, 5]]])
    assert len(text.tokenise(order.two_captions(longest))[0]) == text.CONTEXT_LENGTH


def test_twins_have_the_same_words_in_another_order():
    captions = order.two_captions(LABELS)
    wanted = [[a != b and sorted(a.split()) == sorted(b.split()) for b in captions] for a in captions]
    assert order.are_twins(LABELS).tolist() == wanted
    assert order.are_twins(LABELS)[0].tolist() == [False, True, True, True, False, False]


def test_a_tenth_of_the_combinations_is_held_out():
    every = torch.cartesian_prod(*(torch.arange(6) for _ in range(4))).view(-1, 2, 2)
    assert int(order.is_held_out(every).sum()) == 129
    made = [order.make_two_teddies(3, 0, recipes.load_codec("teddies-vae", MACHINE), MACHINE, unseen=u) for u in (True, False)]
    assert [order.is_held_out(one.labels).tolist() for one in made] == [[True] * 3, [False] * 3]
    with pytest.raises(ValueError, match="the furs in labels must be in 0 to 5"):
        order.two_captions(torch.full((1, 2, 2), 6))


def test_the_left_half_shows_the_first_teddy():
    made = order.make_two_teddies(2, 5, recipes.load_codec("teddies-vae", MACHINE), MACHINE)
    assert made.images.shape == (2, 3, 64, 64)
    assert made.latents.shape == (2, 4, 8, 8)
    white = torch.tensor([[[4, 0], [0, 0]]])
    assert order.two_captions(white)[0].startswith("one white")


def test_a_pair_that_reads_the_order_and_one_that_does_not():
    assert order.order_accuracy(Knowing(), scenes()) == {"words": 1.0, "caption": 1.0, "own or furs exchanged": 1.0}
    blind = order.order_accuracy(Knowing(ordered=False), scenes())
    assert blind["words"] == 1.0
    assert blind["own or furs exchanged"] == 0.0  # never more similar: they are equal
    assert blind["caption"] < 1


@pytest.mark.parametrize("twins", [True, False])
def test_points_are_reported_at_the_budgets(twins):
    labels = torch.cartesian_prod(*(torch.arange(6) for _ in range(4))).view(-1, 2, 2)[:300]
    data = order.TwoTeddies(torch.zeros(300, 3, 64, 64, dtype=torch.uint8), normal(300, 4, 8, 8, dtype=torch.float32), labels)
    points = []
    order.measure_order_while_training(data, scenes(), MACHINE, points.append, [1, 2], seed=3, twins=twins)
    assert [(p["batches"], p["seed"], p["steps"]) for p in points] == [(order.BATCHES[not twins], 3, n) for n in (1, 2)]
    assert order.order_curve({"points": points}, points[0]["batches"], "words")[0] == [1, 2]
