"""Training settings that change how a run is computed and not what, and the messages for wrong ones."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from train_cases import MACHINE, Interruption, assert_same, config, make_net, noisy_loss, plain_loss, run

from course_lib import device
from course_lib.training import TrainConfig, train

# How it is computed, not what


def test_bf16_stays_near_fp32():
    bf16 = device.Machine(torch.device("cpu"), "bf16-mixed", 1, "the test's CPU")
    dtypes = set()

    def loss_fn(net, batch, generator):
        dtypes.add((batch[0].dtype, net(batch[0]).dtype))
        return noisy_loss(net, batch, generator)

    low, full = run(loss_fn=loss_fn, machine=bf16), run(loss_fn=noisy_loss)
    assert dtypes == {(torch.float32, torch.bfloat16)}  # the batch arrives unrounded, the network computes in bf16
    assert all(p.dtype == torch.float32 for p in low.net.parameters())
    torch.testing.assert_close(low.losses, full.losses, rtol=0.05, atol=0.02)
    assert not torch.equal(low.losses, full.losses)


def conv_run(**changes):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1))
    formats = []

    def loss_fn(net, batch, generator):
        formats.append(batch[0].is_contiguous(memory_format=torch.channels_last))
        return (net(batch[0]).float() - batch[0]).square().mean()

    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return run(net, loss_fn, (images,), **changes), formats


def test_channels_last_reaches_the_network_and_changes_nothing_else():
    (last, formats), (first, _) = conv_run(channels_last=True), conv_run()
    assert all(formats)
    assert last.net[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last.losses, first.losses, rtol=1e-3, atol=1e-4)


def test_compile_passes_the_compiled_network_to_the_loss(monkeypatch):
    compiled = []
    real = torch.compile

    def compile_eagerly(net):  # the compiler itself is tested with the networks; here it would cost a minute
        compiled.append(real(net, backend="eager"))
        return compiled[0]

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    used = []

    def loss_fn(net, batch, generator):
        used.append(net)
        return plain_loss(net, batch, generator)

    net = nn.Linear(6, 1)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    result = run(net, loss_fn, compile=True)
    assert used[0] is compiled[0]
    assert result.net is net
    other = nn.Linear(6, 1)
    other.load_state_dict(start)
    torch.testing.assert_close(result.losses, run(other, plain_loss).losses)


def test_no_step_reads_a_number_off_the_device():
    """Reading one (`.item()`, `if tensor:`) makes a GPU wait. Twice as many steps need no more reads: none is in a step."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        reads = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.reads += func is torch.ops.aten._local_scalar_dense.default
            return func(*args, **(kwargs or {}))

    counts = []
    for steps in (10, 20):
        with Count() as count:
            run(steps=steps, log_every=100)
        counts.append(count.reads)
    assert counts[0] == counts[1]


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, r"TrainConfig.steps is 0, but must be a whole number of at least 1"),
        ({"lr": -1.0}, r"TrainConfig.lr is -1.0, but must be a finite number above 0"),
        ({"schedule": "linear"}, r"TrainConfig.schedule is 'linear', but must be one of 'cosine', 'constant'"),
        ({"ema_decay": 1.0}, r"TrainConfig.ema_decay is 1.0"),
        ({"optimizer": "sgd"}, r"TrainConfig.optimizer is 'sgd', but must be one of 'adamw', 'muon'"),
        ({"optimizer": "muon", "weight_decay": 0.1}, r"TrainConfig.weight_decay is 0.1, expected 0 with Muon"),
        ({"optimizer": "muon", "strategy": "fsdp"}, r"TrainConfig.strategy is 'fsdp', expected 'ddp' with Muon"),
        ({"grad_clip": 0}, r"TrainConfig.grad_clip is 0, but must be a finite number above 0"),
        ({"min_lr_ratio": 2}, r"TrainConfig.min_lr_ratio is 2, but must be a finite number from 0 to 1"),
        ({"batch_size": 3, "devices": 2}, r"TrainConfig.batch_size is 3, expected a multiple of devices"),
        ({"batch_size": 8, "shards": 3, "devices": 2}, r"TrainConfig.shards is 3, expected a multiple of devices"),
        ({"batch_size": 8, "shards": 3}, r"TrainConfig.batch_size is 8, expected a multiple of shards"),
        ({"shards": 0}, r"TrainConfig.shards is 0, but must be a whole number of at least 1"),
        ({"max_seconds": 5, "devices": 2}, r"TrainConfig.max_seconds is 5, expected None on several devices"),
        ({"steps": 4.5}, r"steps is 4.5, but must be a whole number"),
        ({"batch_size": math.nan}, r"batch_size is nan"),
        ({"lr": math.nan}, r"lr is nan"),
        ({"lr": math.inf}, r"lr is inf"),
        ({"weight_decay": -0.1}, r"weight_decay is -0.1"),
        ({"weight_decay": math.nan}, r"weight_decay is nan"),
        ({"warmup_steps": -1}, r"warmup_steps is -1"),
        ({"warmup_steps": 2.5}, r"warmup_steps is 2.5"),
        ({"min_lr_ratio": math.nan}, r"min_lr_ratio is nan"),
        ({"grad_clip": math.nan}, r"grad_clip is nan"),
        ({"ema_decay": math.nan}, r"ema_decay is nan"),
        ({"max_seconds": math.inf}, r"max_seconds is inf"),
        ({"max_seconds": 0}, r"max_seconds is 0"),
        ({"betas": (0.9,)}, r"betas is \(0.9,\), expected two numbers"),
        ({"betas": (0.9, 1.0)}, r"betas is 1.0, but must be"),
        ({"betas": (math.nan, 0.9)}, r"betas is nan"),
        ({"seed": 2**63}, r"seed is 9223372036854775808, but must be"),
        ({"seed": 0.5}, r"seed is 0.5"),
        ({"strategy": "dp"}, r"strategy is 'dp', but must be one of"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((), "data must be a tensor, or a tuple of tensors"),
        ((torch.tensor(1.0),), "whose first dimension counts the rows"),
        ((torch.zeros(0, 6), torch.zeros(0, 1)), "data has 0 rows, fewer than batch_size 32"),
        ((torch.zeros(31, 6), torch.zeros(31, 1)), "data has 31 rows, fewer than batch_size 32"),
        ((torch.zeros(40, 6), torch.zeros(39, 1)), r"the tensors of data have \[40, 39\] rows"),
    ],
)
def test_wrong_data_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        train(make_net(), noisy_loss, data, config(), machine=MACHINE)


@pytest.mark.parametrize(
    ("loss_fn", "message"),
    [
        (lambda net, batch, generator: net(batch[0]), r"one number as a tensor of shape \(\), not shape \(32, 1\)"),
        (lambda net, batch, generator: 1.0, "not float"),
        (lambda net, batch, generator: batch[0].mean(), "does not depend on the network's weights"),
    ],
)
def test_a_wrong_loss_is_named(loss_fn, message):
    with pytest.raises(ValueError, match=message):
        run(loss_fn=loss_fn)


def test_a_network_without_parameters_is_named():
    with pytest.raises(ValueError, match="no trainable parameter"):
        run(nn.ReLU())


def test_fsdp_in_fp16_is_refused():
    with pytest.raises(ValueError, match="not in fp16: set COURSE_PRECISION=fp32"):
        run(machine=replace(MACHINE, precision="16-mixed"), strategy="fsdp", devices=2)


def test_an_error_in_the_loss_leaves_the_network_usable():
    net = make_net()
    with pytest.raises(ZeroDivisionError):
        run(net, on_step=Interruption(3, ZeroDivisionError()))
    assert not net.training
    assert_same(run(make_net(), steps=5), run(make_net(), steps=5))


@pytest.mark.parametrize("changes", [{"steps": True}, {"compile": 1}, {"progress": "no"}, {"lr": "1e-3"}, {"steps": None}])
def test_settings_of_a_wrong_type_are_named(changes):
    (name,) = changes
    with pytest.raises(TypeError, match=f"TrainConfig.{name} is "):
        TrainConfig(**changes)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_gradients_that_are_switched_off_are_named_as_the_cause(around):
    with around(), pytest.raises(ValueError, match=r"no_grad|inference_mode"):
        run()
