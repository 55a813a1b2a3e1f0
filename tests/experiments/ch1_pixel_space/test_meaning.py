"""Chapter 1's experiments on meaning, against plain loops and images with known answers."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from course_lib import device, recipes, teddies
from course_lib.experiments.ch1_pixel_space import meaning
from course_lib.judges import factor_reader
from course_lib.vae import VAE


class StubReader(nn.Module):
    """A stand-in for the reader: a logit is 3 times the corresponding value among the image's first ones."""

    def __init__(self):
        super().__init__()
        self.size = sum(factor_reader.NUM_VALUES) + len(teddies.CONTINUOUS)
        self.head = nn.Linear(self.size, self.size, bias=False)
        nn.init.eye_(self.head.weight)

    def features(self, images):
        return 3.0 * images.flatten(1)[:, : self.size]

    def forward(self, images):
        return self.head(self.features(images))


def images_of(factors: teddies.Factors) -> torch.Tensor:
    """Images that `StubReader` reads: one-hot encodings of their named factors in the first values."""
    named, _ = factor_reader.factor_targets(factors)
    hot = torch.cat([nn.functional.one_hot(named[:, i], n) for i, n in enumerate(factor_reader.NUM_VALUES)], dim=1).float()
    images = torch.zeros(len(named), 3 * 64 * 64)
    images[:, : hot.shape[1]] = hot
    return images.view(-1, 3, 64, 64)


def test_confidence_and_accuracy_of_a_reader_with_known_answers():
    factors = teddies.sample_factors(6, 0)
    wrong = factors.replace(fur=(factors.fur + 1) % len(teddies.VALUES["fur"]))
    confidence, right = meaning.reader_confidence_and_accuracy(StubReader(), images_of(factors), wrong)
    e = torch.e**3
    assert_close(confidence, torch.tensor([e / (e + len(teddies.VALUES[n]) - 1) for n in teddies.SEMANTIC]))
    assert right.tolist() == [float(name != "fur") for name in teddies.SEMANTIC]


def test_the_shipped_reader_reads_fresh_teddies():
    machine = device.find("cpu", "fp32")
    factors = teddies.sample_factors(100, 5)
    confidence, right = meaning.reader_confidence_and_accuracy(
        recipes.load_or_train("teddies-reader", machine), teddies.render(factors), factors
    )
    assert right.min() >= 0.95
    assert confidence.min() >= 0.9


def test_triplets_change_the_named_factors_and_nothing_else():
    three = meaning.sample_triplets(6, "scarf", moved=False, seed=0, size=32)
    anchor = teddies.sample_factors(6, torch.Generator().manual_seed(0))
    assert_close(three.anchor, teddies.render(anchor, 32))
    # Another scarf leaves the image's upper edge unchanged; another light does not.
    assert_close(three.other[:, :, :2], three.anchor[:, :, :2])
    assert (three.same - three.anchor)[:, :, :2].abs().amax((1, 2, 3)).min() > 0.001


def test_a_part_of_the_appearance_can_be_changed_alone():
    three = meaning.sample_triplets(5, "fur", moved=False, seed=3, size=32, appearance=("light", "warmth"))
    generator = torch.Generator().manual_seed(3)
    anchor, stranger = (teddies.sample_factors(5, generator) for _ in range(2))
    assert_close(three.same, teddies.render(anchor.replace(light=stranger.light, warmth=stranger.warmth), 32))


def test_error_rates_of_known_triplets_and_of_ties():
    anchor = torch.zeros(4, 1, 16, 16)
    near, far = anchor + 0.1, anchor + torch.randn(anchor.shape, generator=torch.Generator().manual_seed(0))
    three = [{"pixels": x} for x in (anchor, torch.cat([near[:3], far[3:]]), torch.cat([far[:3], near[3:]]))]
    assert meaning.triplet_error_rates(*three) == {"MSE": 0.25, "SSIM": 0.25}
    points = [{"latent": torch.tensor(x)[:, None]} for x in ([0.0, 0, 0, 0], [1.0, 2, 3, 4], [2.0, 2, 2, 2])]
    assert meaning.triplet_error_rates(*points) == {"latent": 0.5}


def test_the_distances_of_known_points():
    a = {
        "latent": torch.zeros(2, 1, 1, 2),
        "features": torch.zeros(2, 2),
        "words": torch.tensor([[1.0, 0, 0, 1], [0.5, 0.5, 1, 0]]),
    }
    b = {"latent": torch.tensor([[3.0, 4], [0, 2]]).view(2, 1, 1, 2), "features": torch.ones(2, 2)}
    b["words"] = torch.tensor([[0.0, 1, 1, 0], [1.0, 0, 1, 0]])  # of two words with two values each
    found = meaning.paired_distances(a, b)
    assert_close(found["latent"], torch.tensor([5.0, 2.0]))
    assert_close(found["features"], torch.full((2,), 2**0.5))
    assert_close(found["words"], torch.tensor([2.0, 0.5]))  # both words differ; half of one


def test_representations_are_what_each_distance_needs():
    torch.manual_seed(0)
    vae, factors = VAE(3, width=8).eval(), teddies.sample_factors(3, 1)
    images = images_of(factors)
    found = meaning.represent(images, vae, StubReader())
    assert torch.equal(found["pixels"], images)
    with torch.no_grad():
        assert_close(found["latent"], vae.encode(images).mean)
    assert found["words"].shape == (3, sum(teddies.NUM_VALUES))
    assert_close(found["words"].sum(1), torch.full((3,), 5.0))  # five words, and the probabilities of each sum to 1
    best = [part.argmax(1) for part in found["words"].split(list(teddies.NUM_VALUES), 1)]
    assert torch.equal(torch.stack(best, 1), factors.labels())


def test_morph_changes_words_in_order_and_the_appearance_evenly():
    start, end = (teddies.sample_factors(1, seed) for seed in (0, 1))
    end = end.replace(**{name: (getattr(start, name) + 1) % len(teddies.VALUES[name]) for name in teddies.SEMANTIC})
    for words in range(6):
        moved = meaning.morph(start, end, words, 0.0)
        changed = {name for name in teddies.SEMANTIC if getattr(moved, name) != getattr(start, name)}
        assert changed == set(meaning.MORPH_ORDER[:words])
        assert all(torch.equal(getattr(moved, name), getattr(start, name)) for name in (*teddies.PERCEPTUAL, *teddies.NUISANCE))
    half, full = (meaning.morph(start, end, 0, appearance) for appearance in (0.5, 1.0))
    assert_close(half.light, (start.light + end.light) / 2)
    assert torch.equal(half.grain, end.grain)
    assert torch.equal(half.fabric, start.fabric)
    assert all(torch.equal(getattr(full, name), getattr(end, name)) for name in teddies.PERCEPTUAL)
    assert set(meaning.MORPH_ORDER) == set(teddies.SEMANTIC)


@pytest.mark.parametrize("distance", [meaning.mean_squared_error, meaning.ssim_distance, meaning.euclidean_distance])
def test_images_of_two_shapes_are_rejected_where_they_would_be_broadcast(distance):
    with pytest.raises(ValueError, match=r"\(3, 1, 16, 16\)"):
        distance(torch.zeros(3, 1, 16, 16), torch.zeros(1, 1, 16, 16))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"factor": "light"}, "factor is 'light'"),
        ({"moved": 1}, "moved is 1"),
        ({"appearance": ("fur",)}, "appearance is 'fur'"),
        ({"appearance": "light"}, "appearance is 'l'"),
    ],
)
def test_triplets_of_what_is_no_factor_are_rejected(arguments, match):
    with pytest.raises((TypeError, ValueError), match=match):
        meaning.sample_triplets(**{"n": 2, "factor": "fur", "moved": False, "seed": 0, "size": 16} | arguments)


@pytest.mark.parametrize(
    ("other", "match"),
    [
        ([torch.zeros(2, 3)], "b is a list"),
        ({"words": torch.zeros(2, 3)}, "must hold the same representations"),
        ({"latent": torch.full((2, 3), torch.nan)}, "the distance 'latent' contains NaN"),
    ],
)
def test_representations_that_cannot_be_compared_are_rejected(other, match):
    anchor = {"latent": torch.zeros(2, 3)}
    with pytest.raises((TypeError, ValueError), match=match):
        meaning.triplet_error_rates(anchor, anchor, other)


@pytest.mark.parametrize(("words", "appearance", "match"), [(6, 0.5, "words is 6"), (1, 1.5, "appearance is 1.5")])
def test_a_morph_beyond_its_end_is_rejected(words, appearance, match):
    start, end = (teddies.sample_factors(1, seed) for seed in (0, 1))
    with pytest.raises(ValueError, match=match):
        meaning.morph(start, end, words, appearance)
