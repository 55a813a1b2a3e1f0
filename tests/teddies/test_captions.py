"""Captions of the teddies: every combination round-trips, in any order; errors explain what cannot be parsed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import teddies, text
from course_lib.teddies import NUM_COMBINATIONS, SEMANTIC, captions, parse_caption, sample_factors


def test_captions_round_trip_for_every_combination():
    factors = sample_factors(NUM_COMBINATIONS, 0, **teddies.combination(torch.arange(NUM_COMBINATIONS)))
    written = captions(factors)
    assert len(set(written)) == NUM_COMBINATIONS
    assert teddies.captions_from_labels(factors.labels()) == written
    read = sample_factors(NUM_COMBINATIONS, 1, **{
        name: [parse_caption(caption)[name] for caption in written] for name in SEMANTIC
    })  # fmt: skip
    assert torch.equal(read.labels(), factors.labels())
    assert torch.equal(teddies.labels_from_captions(written), factors.labels())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, NUM_COMBINATIONS - 1), st.sets(st.sampled_from(SEMANTIC)), st.randoms())
def test_captions_round_trip_for_any_mention_and_any_order(number, mention, random):
    factors = sample_factors(1, 0, **teddies.combination(torch.tensor([number])))
    expected = {name: factors.describe()[name] for name in SEMANTIC if name in mention}
    assert parse_caption(captions(factors, mention)[0]) == expected
    pieces = [captions(factors, [name])[0] for name in mention]  # any order, with commas
    random.shuffle(pieces)
    assert parse_caption(", ".join(pieces)) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("two pink teddy bears with a green scarf reading", "two pink reading green -"),
        ("one brown teddy bear sleeping on a meadow", "one brown sleeping - meadow"),
        ("A blue bear in a blue scarf, at NIGHT!", "one blue - blue night"),
        ("Golden bears eating without scarves", "two golden eating_honey none -"),
        ("reading a book, scarf is yellow, gray teddies", "two grey reading yellow -"),
        ("a red scarf, white bear", "one white - red -"),
        ("waving in the snow", "- - waving - snow"),
        ("holding a balloon", "- - holding_a_balloon - -"),
        ("two teddy bear", "two - - - -"),
        ("teddies", "two - - - -"),
        ("", "- - - - -"),
    ],
)
def test_parse_caption_accepts_free_wording(caption, expected):
    values = [word.replace("_", " ") for word in expected.split()]
    assert parse_caption(caption) == {name: value for name, value in zip(SEMANTIC, values, strict=True) if value != "-"}


@pytest.mark.parametrize(
    ("caption", "facts"),
    [
        ("a purple bear", ["purple", "brown", "blue", "reading"]),
        ("a pink bear with a pink scarf", ["pink", "scarf", "green"]),
        ("a green bear", ["green", "scarf", "brown"]),
        ("a pink brown bear", ["fur", "pink", "brown", "once"]),
        ("a bear with a scarf", ["scarf", "colour", "red"]),
        ("three bears", ["three", "two"]),
    ],
)
def test_parse_caption_explains_what_it_cannot_parse(caption, facts):
    with pytest.raises(ValueError, match=r".+") as error:
        parse_caption(caption)
    message = str(error.value)
    assert all(fact in message for fact in facts), message
    assert "\n" not in message


@pytest.mark.parametrize("read", [parse_caption, text.tokenise])
def test_a_message_names_the_word_as_it_was_written_and_repeats_no_long_caption(read):
    with pytest.raises(ValueError, match="bear's"):
        read("a bear's scarf")
    with pytest.raises(ValueError, match="purple") as error:
        read("purple " * 300)
    assert len(str(error.value)) < 500


def test_a_factor_left_out_of_a_caption_gets_its_null_label():
    assert teddies.labels_from_captions("two pink bears").tolist() == [[1, 2, 6, 5, 5]]
    assert teddies.labels_from_captions(["", "red scarf"]).tolist() == [[2, 6, 6, 5, 5], [2, 6, 6, 1, 5]]
