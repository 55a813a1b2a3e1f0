"""The tokeniser and the text transformer: every caption survives the round trip, and padding has no influence."""

import pytest
import torch
from networks import perturbed
from torch.testing import assert_close

from course_lib import teddies, text
from course_lib.text import CONTEXT_LENGTH, END, PAD, START, TextTransformer, tokenise

LONGEST = "two golden teddy bears with a yellow scarf holding a balloon in the snow"
SHORT = "two pink teddy bears"
KNOWN = """a at ball balloon beach bear bears bedroom blue brown eating golden green grey holding honey in meadow night on one
pink playing reading red scarf sleeping snow teddy the two waving white with without yellow"""


def every_label():
    """All labels [5292, 5], null labels included, by torch's own product."""
    return torch.cartesian_prod(*(torch.arange(n + 1) for n in teddies.NUM_VALUES))


def test_the_vocabulary_is_the_words_of_the_captions():
    assert set(text.vocabulary()) == set(KNOWN.split())
    assert list(text.vocabulary()) == sorted(text.vocabulary())


def test_tokens_are_start_words_end_and_padding():
    rows = tokenise([SHORT, "", LONGEST])
    assert rows.shape == (3, CONTEXT_LENGTH)
    assert rows.dtype == torch.int64
    wanted = [START, *(text.vocabulary().index(word) + 3 for word in SHORT.split()), END]
    assert rows[0].tolist() == wanted + [PAD] * (CONTEXT_LENGTH - 6)
    assert rows[1].tolist() == [START, END] + [PAD] * (CONTEXT_LENGTH - 2)
    assert torch.equal(tokenise("Two PINK teddy bears!"), rows[:1])
    assert text.detokenise(rows) == [SHORT, "", LONGEST]


def test_the_longest_caption_fits_exactly():
    longest = max(len(caption.split()) for caption in teddies.captions_from_labels(every_label()))
    assert longest == len(LONGEST.split()) == CONTEXT_LENGTH - 2
    with pytest.raises(ValueError, match=r"15 words.*at most 14"):
        tokenise(LONGEST + " snow")


def test_an_unknown_word_raises_with_the_list_of_known_words():
    with pytest.raises(ValueError, match=r"'purple' in 'two purple bears'.* a, at, .*yellow"):
        tokenise([SHORT, "two purple bears"])


def test_labels_become_the_tokens_of_their_caption():
    labels = every_label()
    captions = teddies.captions_from_labels(labels)
    assert len(set(captions)) == len(labels)
    assert torch.equal(teddies.labels_from_captions(captions), labels)  # an independent parser: both must agree on every caption
    assert torch.equal(text.tokenise_labels(labels), tokenise(captions))
    nothing = torch.tensor([teddies.NUM_VALUES])
    assert torch.equal(text.tokenise_labels(nothing), tokenise(""))


def test_captions_of_factors_and_of_labels_are_the_same():
    factors = teddies.sample_factors(50, 0)
    assert teddies.captions_from_labels(factors.labels()) == teddies.captions(factors)


def test_shapes_and_the_mask():
    tokens = tokenise([SHORT, LONGEST])
    features, pooled, mask = TextTransformer(32, 2, 4)(tokens)
    assert features.shape == (2, CONTEXT_LENGTH, 32)
    assert pooled.shape == (2, 32)
    assert mask.sum(1).tolist() == [6, 16]
    assert torch.equal(pooled, features[:, 0])


def test_padding_influences_nothing():
    net = perturbed(TextTransformer(32, 2, 4))
    tokens = tokenise([SHORT, ""])
    features, pooled, mask = net(tokens)
    for n, row in ((6, 0), (2, 1)):  # at its own length, without padding
        alone = net(tokens[row : row + 1, :n])
        assert_close(alone.features[0], features[row, :n], rtol=1e-5, atol=1e-5)
        assert_close(alone.pooled[0], pooled[row], rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        net.word.weight[PAD] += 100
    assert torch.equal(net(tokens).features[mask], features[mask])


def test_padding_gets_no_gradient():
    net = perturbed(TextTransformer(32, 2, 4))
    features, pooled, mask = net(tokenise([SHORT, LONGEST]))
    (features[mask].square().mean() + pooled.square().mean()).backward()
    assert (net.word.weight.grad[PAD] == 0).all()
    used = tokenise([SHORT, LONGEST]).unique()
    assert (net.word.weight.grad[used[used != PAD]].abs().amax(1) > 0).all()


def test_each_word_attends_to_later_words_and_their_order_matters():
    net = perturbed(TextTransformer(32, 1, 4))
    one, other = net(tokenise(["a blue scarf", "a blue bear"])).features[:, 2]
    assert (one - other).abs().max() > 1e-3  # "blue" knows what it colours
    one, other = net(tokenise(["one blue bear with a red scarf", "one red bear with a blue scarf"])).pooled
    assert (one - other).abs().max() > 1e-3
