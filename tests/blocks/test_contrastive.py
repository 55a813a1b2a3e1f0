"""CLIP's loss and retrieval, computed by hand on small cases, and a pair that learns."""

import math

import pytest
import torch
from oracles import normal
from torch.testing import assert_close

from course_lib import contrastive, text
from course_lib.contrastive import ImageTextPair, contrastive_loss, retrieval_accuracy, similarity, unique_captions


def test_similarity_is_the_cosine():
    a, b = normal(3, 5), normal(4, 5, seed=1)
    wanted = [[float(x @ y) / math.sqrt(float(x @ x) * float(y @ y)) for y in b] for x in a]
    assert_close(similarity(a, b), torch.tensor(wanted, dtype=torch.float64))
    assert_close(similarity(3 * a, b / 7), similarity(a, b))


def test_the_loss_by_hand_on_two_pairs():
    images = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    texts = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    h = math.sqrt(0.5)  # cosines [[1, h], [0, h]]
    s = 5.0
    rows = -math.log(math.exp(s) / (math.exp(s) + math.exp(s * h))) - math.log(math.exp(s * h) / (1 + math.exp(s * h)))
    columns = -math.log(math.exp(s) / (math.exp(s) + 1)) - math.log(0.5)
    assert contrastive_loss(images, texts, s).item() == pytest.approx((rows / 2 + columns / 2) / 2, rel=1e-5)


def test_the_loss_by_double_loop_is_symmetric():
    a, b, s = normal(6, 8), normal(6, 8, seed=1), 9.0
    cosine = similarity(a, b).tolist()
    total = 0.0
    for i in range(6):
        total -= math.log(math.exp(s * cosine[i][i]) / sum(math.exp(s * cosine[i][j]) for j in range(6)))
        total -= math.log(math.exp(s * cosine[i][i]) / sum(math.exp(s * cosine[j][i]) for j in range(6)))
    assert contrastive_loss(a, b, s).item() == pytest.approx(total / 12)
    assert contrastive_loss(b, a, s).item() == pytest.approx(total / 12)


def test_excluded_pairs_are_in_neither_softmax():
    images, texts, scale = normal(4, 3), normal(4, 3, seed=1), 2.0
    excluded = torch.zeros(4, 4, dtype=torch.bool)
    excluded[0, 2] = excluded[2, 0] = excluded[1, 3] = True
    weight = (scale * similarity(images, texts)).exp()
    total = 0.0
    for i in range(4):
        total -= math.log(weight[i, i] / sum(weight[i, j] for j in range(4) if not excluded[i, j])) / 8
        total -= math.log(weight[i, i] / sum(weight[j, i] for j in range(4) if not excluded[j, i])) / 8
    assert contrastive_loss(images, texts, scale, excluded).item() == pytest.approx(total, rel=1e-6)


def test_the_loss_of_guessing_is_log_b_and_of_a_perfect_pair_almost_zero():
    same = torch.ones(16, 4)
    assert contrastive_loss(same, same, 20.0).item() == pytest.approx(math.log(16), rel=1e-5)
    own = torch.eye(16)
    assert contrastive_loss(own, own, 50.0) < 1e-6
    assert retrieval_accuracy(similarity(own, own), torch.arange(16)) == (1.0, 1.0)


def test_images_that_share_a_caption_have_loss_log_k():
    captions = torch.eye(4)[[0, 0, 0, 1, 2, 3]]
    wanted = 3 * math.log(3) / 6  # the lowest possible: a caption does not distinguish three of them
    assert contrastive_loss(captions, captions, 100.0).item() == pytest.approx(wanted, abs=1e-5)


def test_accuracy_counts_unique_captions():
    captions, own = unique_captions(["red", "blue", "red", "green"])
    assert captions == ["red", "blue", "green"]
    assert own.tolist() == [0, 1, 0, 2]
    similar = torch.tensor([
        [0.9, 0.1, 0.0],  # a red one, right
        [0.2, 0.3, 0.1],  # the blue one, right
        [0.3, 0.8, 0.0],  # a red one, mistaken for blue: and "blue" retrieves it
        [0.1, 0.2, 0.1],  # the green one, mistaken for blue
    ])  # fmt: skip
    assert retrieval_accuracy(similar, own) == (
        0.5,
        1 / 3,
    )  # "red" retrieves the first; "green" ties, and its first is blue
    similar[3, 2] = 0.5
    assert retrieval_accuracy(similar, own) == (0.75, 2 / 3)


def test_any_image_of_a_caption_is_a_correct_answer_to_it():
    own = torch.tensor([0, 0, 1])
    for first, second in ((0.9, 0.1), (0.1, 0.9)):
        similar = torch.tensor([[first, 0.0], [second, 0.0], [0.0, 0.5]])
        assert retrieval_accuracy(similar, own).text_to_image == 1.0


@pytest.mark.parametrize("own", [[0, 0, 0], [0, 1], [0, 1, 2], [1, 1, 1]])
def test_captions_without_images_raise(own):
    with pytest.raises(ValueError, match="each of 0…1"):
        retrieval_accuracy(torch.zeros(3, 2), torch.tensor(own))


def small_pair():
    torch.manual_seed(0)
    return ImageTextPair(features=16, width=16, text_dim=32, text_depth=1)


def batch(n=30):
    labels = torch.stack([torch.arange(n) % levels for levels in (2, 6, 6, 5, 5)], 1)
    return normal(n, 4, 8, 8, dtype=torch.float32), text.tokenise_labels(labels)


def test_an_untrained_pair_guesses():
    pair = small_pair()
    images, texts = pair(*batch())
    assert images.shape == texts.shape == (30, 16)
    assert max(retrieval_accuracy(similarity(images, texts), torch.arange(30))) < 0.4
    assert contrastive_loss(images, texts, 1e-4).item() == pytest.approx(math.log(30), abs=1e-3)
    assert pair.scale.item() == pytest.approx(1 / 0.07)


def test_the_temperature_is_learned_and_the_scale_is_at_most_100():
    pair = small_pair()
    contrastive_loss(*pair(*batch()), pair.scale).backward()
    assert pair.log_scale.grad.abs() > 0
    with torch.no_grad():
        pair.log_scale.fill_(9.0)
    assert pair.scale.item() == pytest.approx(contrastive.MAX_SCALE)


def test_a_pair_fits_its_training_batch():
    pair = small_pair()
    latents, tokens = batch()
    optimizer = torch.optim.Adam(pair.parameters(), 3e-3)
    for _ in range(60):
        loss = contrastive_loss(*pair(latents, tokens), pair.scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = retrieval_accuracy(similarity(*pair(latents, tokens)), unique_captions(text.detokenise(tokens))[1])
    assert min(found) > 0.9
