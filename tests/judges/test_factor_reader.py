"""The factor reader: its answers belong to their factors, and the shipped one reads fresh pictures."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close

from course_lib import device, recipes, teddies
from course_lib.judges.factor_reader import LEVELS, NAMED, FactorReader, accuracy, answers, corrupt, read, reader_loss, targets


def oracle(factors):
    """An output that says exactly what the factors are."""
    named, continuous = targets(factors)
    onehot = [torch.nn.functional.one_hot(named[:, i], n).float() for i, n in enumerate(LEVELS)]
    return torch.cat([*onehot, continuous], dim=1)


def test_answers_belong_to_their_factors():
    factors = teddies.sample_factors(50, 0)
    logits, continuous = answers(oracle(factors))
    for name in NAMED:
        assert torch.equal(logits[name].argmax(1), getattr(factors, name))
    for i, name in enumerate(teddies.CONTINUOUS):
        assert torch.equal(continuous[:, i], getattr(factors, name))


class Knows(torch.nn.Module):
    """A stand-in that answers with given outputs."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def forward(self, images):
        return self.out[: len(images)]


def test_accuracy_counts_what_is_wrong():
    factors = teddies.sample_factors(40, 1)
    images = torch.zeros(40, 3, 64, 64)
    right = accuracy(Knows(oracle(factors)), images, factors)
    assert right == pytest.approx(dict.fromkeys(right, 1.0))
    furs = factors.fur.clone()
    furs[:10] = (furs[:10] + 1) % 6
    mistaken = dataclasses.replace(factors, fur=furs, x=factors.x.mean().expand(40))
    wrong = accuracy(Knows(oracle(mistaken)), images, factors)
    assert wrong["fur"] == pytest.approx(0.75)
    assert wrong["x"] == pytest.approx(0.0, abs=1e-5)
    assert wrong["scarf"] == pytest.approx(1.0)


def test_it_learns():
    factors = teddies.sample_factors(32, 2)
    batch = (teddies.render(factors, 64), *targets(factors))
    torch.manual_seed(0)
    net = FactorReader(width=8)
    optimizer = torch.optim.AdamW(net.parameters(), 5e-3)
    losses = []
    for step in range(30):
        loss = reader_loss(net, batch, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_spoiling_leaves_a_third_alone_and_every_input_unchanged():
    images = teddies.render(teddies.sample_factors(60, 3), 64)
    before = images.clone()
    spoiled = corrupt(images, torch.Generator().manual_seed(0))
    assert_close(images, before, rtol=0, atol=0)
    same = (spoiled == images).flatten(1).all(1)
    assert 10 <= same.sum() <= 30


def test_a_wrong_size_is_one_sentence():
    with pytest.raises(ValueError, match=r"given \(2, 3, 32, 32\): it reads pictures \[B, 3, 64, 64\]; resize"):
        FactorReader(width=8).features(torch.zeros(2, 3, 32, 32))


def test_the_shipped_reader_reads_fresh_pictures():
    machine = device.find(device="cpu", precision="fp32")
    net = recipes.load_or_train("teddies-reader", machine)
    factors = teddies.sample_factors(500, 987)
    said = accuracy(net, teddies.render(factors, 64), factors)
    assert min(said[name] for name in teddies.SEMANTIC) >= 0.97
    assert min(said[name] for name in teddies.NUISANCE) >= 0.9
    logits, _ = read(net, teddies.render(factors[:3], 64))
    assert set(logits) == set(NAMED)
