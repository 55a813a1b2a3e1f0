"""The cache of training runs: the same run is found again, and no other one is taken for it."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from train_cases import MACHINE, config, make_data, make_net, noisy_loss

from course_lib.training import cache, train

LIST: list[float] = []


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    return tmp_path


def run(net=None, loss=noisy_loss, data=None, on_step=None, **changes):
    settings = {"steps": 5, "batch_size": 10, **changes}
    return train(net or make_net(), loss, data or make_data(), config(**settings), machine=MACHINE, on_step=on_step)


def scaled(factor):
    """A loss that refers to a number, as a notebook's does."""
    return lambda net, batch, generator: factor * (net(batch[0]) - batch[1]).square().mean()


def teacher(net):
    return lambda student, batch, generator: (student(batch[0]) - net(batch[0]).detach()).square().mean()


def entries(folder) -> int:
    return len(list(folder.iterdir()))


@pytest.mark.parametrize("ema_decay", [0.9, None])
def test_the_same_run_is_found_again(folder, ema_decay):
    first = run(ema_decay=ema_decay)
    assert entries(folder) == 1
    second = run(ema_decay=ema_decay)
    assert entries(folder) == 1
    assert_close(second.losses, first.losses, rtol=0, atol=0)
    assert_close(second.net.state_dict(), first.net.state_dict(), rtol=0, atol=0)
    assert_close(second.ema.state_dict(), first.ema.state_dict(), rtol=0, atol=0)
    assert (second.seconds, second.steps) == (first.seconds, first.steps)
    assert (second.ema is second.net) == (ema_decay is None)
    assert not second.net.training


def test_a_run_that_is_found_does_not_train(monkeypatch):
    run()
    monkeypatch.setattr("course_lib.training.loop.training_step", lambda *_: pytest.fail("it trained again"))
    run()


@pytest.mark.parametrize(
    "other",
    [
        {"lr": 0.5},
        {"steps": 6},
        {"seed": 1},
        {"net": "seed"},
        {"data": "seed"},
        {"loss": scaled(2.0)},
    ],
    ids=str,
)
def test_another_run_is_not_taken_for_it(folder, other):
    run()
    if "net" in other:
        other = {"net": make_net(seed=1)}
    if "data" in other:
        other = {"data": make_data(seed=1)}
    run(**other)
    assert entries(folder) == 2


def test_what_a_loss_refers_to_counts(folder):
    run(loss=scaled(2.0))
    run(loss=scaled(3.0))
    assert entries(folder) == 2
    run(loss=scaled(2.0))
    assert entries(folder) == 2
    one, other = nn.Linear(6, 1), nn.Linear(6, 1)
    run(loss=teacher(one))
    run(loss=teacher(other))
    assert entries(folder) == 4


def test_what_may_have_an_effect_is_not_cached(folder):
    seen = []

    def watched(net, batch, generator):
        seen.append(len(batch[0]))
        return noisy_loss(net, batch, generator)

    def watched_globally(net, batch, generator):
        LIST.append(1.0)
        return noisy_loss(net, batch, generator)

    for _ in range(2):
        run(loss=watched)
        run(loss=watched_globally)
    run(on_step=lambda step, net, ema: None)
    assert len(seen) == 10
    assert len(LIST) == 10
    assert entries(folder) == 0


def test_it_is_off_by_default(folder, monkeypatch):
    monkeypatch.delenv(cache.VARIABLE)
    run()
    assert entries(folder) == 0


def test_another_version_of_the_library_is_another_run(folder, monkeypatch):
    run()
    monkeypatch.setattr(cache, "_library_checksum", lambda: "another")
    run()
    assert entries(folder) == 2


def test_a_global_of_the_loss_counts(folder):
    run(loss=uses_global)
    globals()["FACTOR"] = torch.tensor(3.0)
    run(loss=uses_global)
    assert entries(folder) == 2


FACTOR = torch.tensor(2.0)


def uses_global(net, batch, generator):
    return FACTOR * (net(batch[0]) - batch[1]).square().mean()
