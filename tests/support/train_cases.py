"""Small training runs that several tests share."""

import signal

import torch
from torch import nn

from course_lib import device
from course_lib.training import TrainConfig, train

MACHINE = device.Machine(torch.device("cpu"), "32-true", torch.get_num_threads(), "the test's CPU")


def make_net(seed=0):
    """A network with everything that a resume file must hold: weights, buffers, and dropout that draws random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Linear(6, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Dropout(0.1), nn.Linear(16, 1)
        return nn.Sequential(*layers)


class Sharded(nn.Module):
    """Weights and dropout in blocks and outside them, and a table; no batch statistics, which depend on who sees which rows."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(6, 15), nn.Linear(15, 1)  # two processes cannot halve 15 and 1
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(15, 15), nn.SiLU(), nn.Dropout(0.1)) for _ in range(2))
        self.register_buffer("table", torch.rand(15) + 0.5)

    def forward(self, x):
        h = self.embed(x) * self.table
        for block in self.blocks:
            h = h + block(h)
        return self.head(h)


def sharded_net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Sharded()


def make_data(n=100, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=generator)
    return x, x @ torch.randn(6, 1, generator=generator) + 0.1 * torch.randn(n, 1, generator=generator)


def noisy_loss(net, batch, generator):
    x, y = batch
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    return (net(x + 0.1 * noise).float() - y).square().mean()


def plain_loss(net, batch, generator):
    return (net(batch[0]).float() - batch[1]).square().mean()


def config(**changes):
    return TrainConfig(**{"steps": 30, "batch_size": 32, "log_every": 7, "progress": False, **changes})


def run(net=None, loss_fn=noisy_loss, data=None, *, resume_file=None, on_step=None, machine=MACHINE, **changes):
    net, data = net or make_net(), data or make_data()
    return train(net, loss_fn, data, config(**changes), machine=machine, resume_file=resume_file, on_step=on_step)


def assert_same(result, other):
    """Bit for bit."""
    assert torch.equal(result.losses, other.losses)
    for a, b in ((result.net, other.net), (result.ema, other.ema)):
        a, b = a.state_dict(), b.state_dict()
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


class Interruption:
    """An on_step that presses the stop button in step `at`, or raises the given error."""

    def __init__(self, at, error=None):
        self.at, self.error = at, error

    def __call__(self, step, net, ema):
        if step == self.at:
            if self.error:
                raise self.error
            signal.raise_signal(signal.SIGINT)
