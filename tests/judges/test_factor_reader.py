"""The factor reader: its outputs belong to their factors, and the shipped one reads new images."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close

from course_lib import device, recipes, teddies
from course_lib.judges.factor_reader import (
    NAMED_FACTORS,
    NUM_VALUES,
    FactorReader,
    corrupt,
    factor_accuracy,
    factor_targets,
    read_factors,
    reader_loss,
    split_outputs,
)


def oracle(factors):
    """The network output that predicts these factors exactly."""
    named, continuous = factor_targets(factors)
    onehot = [torch.nn.functional.one_hot(named[:, i], n).float() for i, n in enumerate(NUM_VALUES)]
    return torch.cat([*onehot, continuous], dim=1)


def test_outputs_belong_to_their_factors():
    factors = teddies.sample_factors(50, 0)
    logits, continuous = split_outputs(oracle(factors))
    for name in NAMED_FACTORS:
        assert torch.equal(logits[name].argmax(1), getattr(factors, name))
    for i, name in enumerate(teddies.CONTINUOUS):
        assert torch.equal(continuous[:, i], getattr(factors, name))


def test_larger_images_are_averaged():
    net = FactorReader(8)
    large = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    quarters = torch.stack([large[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]).mean(0)
    assert_close(net.features(large), net.features(quarters))
    for side in (32, 96):
        with pytest.raises(ValueError, match="a multiple of 64"):
            net.features(torch.zeros(1, 3, side, side))


class FixedOutput(torch.nn.Module):
    """A stand-in that returns given outputs."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def forward(self, images):
        return self.out[: len(images)]


def test_accuracy_counts_errors():
    factors = teddies.sample_factors(40, 1)
    images = torch.zeros(40, 3, 64, 64)
    right = factor_accuracy(FixedOutput(oracle(factors)), images, factors)
    assert right == pytest.approx(dict.fromkeys(right, 1.0))
    furs = factors.fur.clone()
    furs[:10] = (furs[:10] + 1) % 6
    mistaken = dataclasses.replace(factors, fur=furs, x=factors.x.mean().expand(40))
    wrong = factor_accuracy(FixedOutput(oracle(mistaken)), images, factors)
    assert wrong["fur"] == pytest.approx(0.75)
    assert wrong["x"] == pytest.approx(0.0, abs=1e-5)
    assert wrong["scarf"] == pytest.approx(1.0)


def test_it_learns():
    factors = teddies.sample_factors(32, 2)
    batch = (teddies.render(factors, 64), *factor_targets(factors))
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


def test_corrupt_leaves_a_third_unchanged_and_does_not_write_to_its_input():
    images = teddies.render(teddies.sample_factors(60, 3), 64)
    before = images.clone()
    corrupted = corrupt(images, torch.Generator().manual_seed(0))
    assert_close(images, before, rtol=0, atol=0)
    same = (corrupted == images).flatten(1).all(1)
    assert 10 <= same.sum() <= 30


def test_a_wrong_size_raises():
    with pytest.raises(ValueError, match=r"\(2, 3, 32, 32\).*\[B, 3, 64, 64\]"):
        FactorReader(width=8).features(torch.zeros(2, 3, 32, 32))


def test_the_shipped_reader_reads_new_images():
    machine = device.find(device="cpu", precision="fp32")
    net = recipes.load_or_train("teddies-reader", machine)
    factors = teddies.sample_factors(500, 987)
    found = factor_accuracy(net, teddies.render(factors, 64), factors)
    assert min(found[name] for name in teddies.SEMANTIC) >= 0.97
    assert min(found[name] for name in teddies.NUISANCE) >= 0.9
    logits, _ = read_factors(net, teddies.render(factors[:3], 64))
    assert set(logits) == set(NAMED_FACTORS)
