"""The tokeniser and the text transformer: every caption goes through and back, and padding is nowhere to be seen."""

import pytest
import torch
from oracles import normal
from torch.testing import assert_close

from course_lib import teddies, text
from course_lib.text import END, LENGTH, PAD, START, TextTransformer, tokenise

LONGEST = "two golden teddy bears with a yellow scarf holding a balloon in the snow"
SHORT = "two pink teddy bears"
KNOWN = """a at ball balloon beach bear bears bedroom blue brown eating golden green grey holding honey in meadow night on one
pink playing reading red scarf sleeping snow teddy the two waving white with without yellow"""


def woken(net):
    """Biases and norms start at 0 and 1, where mistakes hide: put noise on all of them."""
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p += 0.1 * normal(*p.shape, seed=i, dtype=p.dtype)
    return net


def every_label():
    """All labels [5292, 5], null labels included, by torch's own product."""
    return torch.cartesian_prod(*(torch.arange(n + 1) for n in teddies.LEVELS))


def test_the_vocabulary_is_what_the_captions_say():
    assert set(text.words()) == set(KNOWN.split())
    assert list(text.words()) == sorted(text.words())


def test_tokens_are_start_words_end_and_padding():
    rows = tokenise([SHORT, "", LONGEST])
    assert rows.shape == (3, LENGTH)
    assert rows.dtype == torch.int64
    wanted = [START, *(text.words().index(word) + 3 for word in SHORT.split()), END]
    assert rows[0].tolist() == wanted + [PAD] * (LENGTH - 6)
    assert rows[1].tolist() == [START, END] + [PAD] * (LENGTH - 2)
    assert torch.equal(tokenise("Two PINK teddy bears!"), rows[:1])
    assert text.untokenise(rows) == [SHORT, "", LONGEST]


def test_the_longest_caption_just_fits():
    longest = max(len(caption.split()) for caption in teddies.say(every_label()))
    assert longest == len(LONGEST.split()) == LENGTH - 2
    with pytest.raises(ValueError, match="has 15 words, but a caption has at most 14"):
        tokenise(LONGEST + " snow")


def test_an_unknown_word_is_one_sentence_with_the_words_that_are_known():
    with pytest.raises(ValueError, match=r"'purple' is a word never read, in 'two purple bears'. Known are: a, at, .*yellow"):
        tokenise([SHORT, "two purple bears"])


def test_labels_become_the_tokens_of_their_caption():
    labels = every_label()
    said = teddies.say(labels)
    assert len(set(said)) == len(labels)
    assert torch.equal(teddies.prompt(said), labels)  # the parser is another program: both must agree on every caption
    assert torch.equal(text.from_labels(labels), tokenise(said))
    nothing = torch.tensor([teddies.LEVELS])
    assert torch.equal(text.from_labels(nothing), tokenise(""))


def test_captions_of_factors_and_of_labels_are_the_same():
    factors = teddies.sample_factors(50, 0)
    assert teddies.say(factors.labels()) == teddies.captions(factors)


def test_shapes_and_the_mask():
    tokens = tokenise([SHORT, LONGEST])
    features, pooled, mask = TextTransformer(32, 2, 4)(tokens)
    assert features.shape == (2, LENGTH, 32)
    assert pooled.shape == (2, 32)
    assert mask.sum(1).tolist() == [6, 16]
    assert torch.equal(pooled, features[:, 0])


def test_padding_influences_nothing():
    net = woken(TextTransformer(32, 2, 4))
    tokens = tokenise([SHORT, ""])
    features, pooled, mask = net(tokens)
    for n, row in ((6, 0), (2, 1)):  # as long as it is, without any padding
        alone = net(tokens[row : row + 1, :n])
        assert_close(alone.features[0], features[row, :n], rtol=1e-5, atol=1e-5)
        assert_close(alone.pooled[0], pooled[row], rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        net.word.weight[PAD] += 100
    assert torch.equal(net(tokens).features[mask], features[mask])


def test_no_gradient_comes_from_padding():
    net = woken(TextTransformer(32, 2, 4))
    features, pooled, mask = net(tokenise([SHORT, LONGEST]))
    (features[mask].square().mean() + pooled.square().mean()).backward()
    assert (net.word.weight.grad[PAD] == 0).all()
    used = tokenise([SHORT, LONGEST]).unique()
    assert (net.word.weight.grad[used[used != PAD]].abs().amax(1) > 0).all()


def test_each_word_sees_the_words_behind_it_and_their_order_counts():
    net = woken(TextTransformer(32, 1, 4))
    one, other = net(tokenise(["a blue scarf", "a blue bear"])).features[:, 2]
    assert (one - other).abs().max() > 1e-3  # "blue" knows what it colours
    one, other = net(tokenise(["one blue bear with a red scarf", "one red bear with a blue scarf"])).pooled
    assert (one - other).abs().max() > 1e-3
