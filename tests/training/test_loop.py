"""The training loop against oracles: closed forms, and loops written out in plain torch."""

import io
import logging
import math
import textwrap

import pytest
import torch
from torch import nn
from train_cases import MACHINE, assert_same, config, make_data, make_net, plain_loss, run

from course_lib.training import TrainConfig, train
from course_lib.training.determinism import BatchSampler
from course_lib.training.ema import Ema, decay_at

# What it computes


def test_the_learning_rate_against_its_closed_form():
    cfg = TrainConfig(lr=0.1, warmup_steps=10, min_lr_ratio=0.2)
    assert cfg.lr_at(0, 0.0) == pytest.approx(0.01)
    assert cfg.lr_at(4, 0.0) == pytest.approx(0.05)
    assert cfg.lr_at(9, 0.0) == pytest.approx(0.1)
    assert cfg.lr_at(50, 0.5) == pytest.approx(0.06)  # half-way between lr and final x lr
    assert cfg.lr_at(50, 1 / 3) == pytest.approx(0.02 + 0.08 * 0.75)  # cos(60 degrees) = 1/2
    assert cfg.lr_at(99, 1.0) == pytest.approx(0.02)
    flat = TrainConfig(lr=0.1, warmup_steps=0, schedule="constant")
    assert {flat.lr_at(step, step / 9) for step in range(10)} == {0.1}


def test_a_run_equals_a_loop_in_plain_torch():
    """AdamW, gradient clipping, warm-up and cosine, moving average, data order: each by torch's plainest own means."""
    cfg = config(
        lr=0.02, betas=(0.8, 0.95), weight_decay=0.1, warmup_steps=5, min_lr_ratio=0.1, grad_clip=4.5, ema_decay=0.9, seed=3
    )
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    reference = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    reference.load_state_dict(net.state_dict())
    x, y = make_data()
    result = train(net, plain_loss, (x, y), cfg, machine=MACHINE)

    adamw = torch.optim.AdamW(reference.parameters(), 0.02, (0.8, 0.95), weight_decay=0.1, foreach=False)
    mean = {name: value.double().clone() for name, value in reference.state_dict().items()}
    order, losses, clipped = BatchSampler(100, 32, seed=3), [], 0
    for step in range(30):
        rows = order.rows(step)
        cosine = 0.1 + 0.9 * (1 + math.cos(math.pi * step / 30)) / 2
        adamw.param_groups[0]["lr"] = 0.02 * min(1, (step + 1) / 5) * cosine
        loss = plain_loss(reference, (x[rows], y[rows]), None)
        adamw.zero_grad()
        loss.backward()
        norm = torch.stack([p.grad.double().square().sum() for p in reference.parameters()]).sum().sqrt()
        clipped += int(norm > 4.5)
        for p in reference.parameters():
            p.grad *= min(1.0, 4.5 / float(norm))
        adamw.step()
        losses.append(loss.item())
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in reference.state_dict().items():
            mean[name] = decay * mean[name] + (1 - decay) * value.double()
    assert 5 < clipped < 25  # in some steps only: AdamW does not feel a factor that is always the same
    torch.testing.assert_close(result.losses, torch.tensor(losses), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(result.net.state_dict(), reference.state_dict(), rtol=1e-4, atol=1e-5)
    mean = {name: value.float() for name, value in mean.items()}
    torch.testing.assert_close(result.ema.state_dict(), mean, rtol=1e-4, atol=1e-5)


def test_one_step_of_adamw_by_hand():
    """Loshchilov & Hutter 2019, algorithm 2, in float64: two steps on a weight whose gradient is known."""
    weight = nn.Linear(1, 1, bias=False)
    nn.init.constant_(weight.weight, 2.0)
    data = torch.full((4, 1), 3.0)  # loss = 3 w, so the gradient is 3 whatever the weight
    cfg = config(
        steps=2, batch_size=4, lr=0.1, weight_decay=0.05, warmup_steps=0, schedule="constant", grad_clip=None, ema_decay=None
    )
    train(weight, lambda net, batch, generator: net(batch[0]).mean(), data, cfg, machine=MACHINE)
    w, m, v = 2.0, 0.0, 0.0
    for t in (1, 2):
        m, v = 0.9 * m + 0.1 * 3, 0.999 * v + 0.001 * 9
        w = w - 0.1 * 0.05 * w - 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert weight.weight.item() == pytest.approx(w, rel=1e-6)


def test_the_moving_average_against_its_recursion():
    assert [decay_at(0.5, s) for s in (0, 1, 7, 8, 1000)] == [0.1, 2 / 11, 8 / 17, 0.5, 0.5]
    net = nn.BatchNorm1d(1)
    ema = Ema(net, 0.5)
    mean = 1.0  # a BatchNorm starts at weight 1
    for step, value in enumerate([3.0, -2.0, 5.0, 7.0, 1.0]):
        with torch.no_grad():
            net.weight.fill_(value)
            net.running_mean.fill_(10 * value)
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * value
        assert float(ema.net.weight) == pytest.approx(mean)
        assert float(ema.net.running_mean) == 10 * value  # buffers are copied
    assert not ema.net.training
    assert not any(p.requires_grad for p in ema.net.parameters())


def test_linear_regression_reaches_the_least_squares_optimum():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(200, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3 + 0.5 * torch.randn(200, 1, generator=generator)
    best = torch.linalg.lstsq(torch.cat([x, torch.ones(200, 1)], 1), y).solution.flatten()
    net = nn.Linear(3, 1)
    run(net, plain_loss, (x, y), steps=400, batch_size=200, lr=0.05, grad_clip=None)
    torch.testing.assert_close(torch.cat([net.weight.flatten(), net.bias]).detach(), best, rtol=1e-3, atol=1e-3)


def test_only_trainable_parameters_change():
    net = make_net()
    net[0].requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    run(net)
    assert torch.equal(net[0].weight, before["0.weight"])
    assert not torch.equal(net[4].weight, before["4.weight"])


# What it repeats


@pytest.mark.parametrize(("n", "batch_size"), [(100, 32), (96, 32), (7, 7), (10, 3)])
def test_every_epoch_visits_every_row_once(n, batch_size):
    order = BatchSampler(n, batch_size, seed=5)
    steps = [order.rows(step) for step in range(3 * n)]
    assert all(len(rows) == batch_size for rows in steps)
    epochs = torch.cat(steps)[: 3 * n].view(3, n)
    assert torch.equal(epochs.sort(1).values, torch.arange(n).expand(3, n))
    assert not torch.equal(epochs[0], epochs[1])
    late = BatchSampler(n, batch_size, seed=5)  # any step can be asked for first: the order has no state
    assert torch.equal(late.rows(3 * n - 1), steps[-1])
    assert torch.equal(late.rows(0), steps[0])
    assert not torch.equal(torch.cat([BatchSampler(n, batch_size, seed=6).rows(s) for s in range(n)]), torch.cat(steps[:n]))


def test_equal_seeds_give_equal_runs_and_others_do_not():
    assert_same(run(seed=1), run(seed=1))
    assert not torch.equal(run(seed=1).losses, run(seed=2).losses)


def test_the_random_numbers_of_a_step():
    """The same in each run, new in each step, others than dropout's, and without effect on the caller's."""
    drawn = []

    def loss_fn(net, batch, generator):
        drawn.append((torch.randn(4, generator=generator, device=batch[0].device), torch.randn(4)))
        return plain_loss(net, batch, generator)

    torch.manual_seed(9)
    before = torch.get_rng_state()
    run(loss_fn=loss_fn, steps=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(10)
    run(loss_fn=loss_fn, steps=3)
    numbers = torch.stack([torch.cat(pair) for pair in drawn])
    assert torch.equal(numbers[:3], numbers[3:])
    assert len(numbers[:3].flatten().unique()) == 3 * 8


def test_how_often_it_looks_does_not_change_the_run():
    assert_same(run(log_every=1, save_every=3), run(log_every=1000))


# What it returns and shows


def test_the_result():
    result = run(steps=12)
    assert result.losses.shape == (12,)
    assert result.losses.dtype == torch.float32
    assert result.steps == 12
    assert result.images_per_second == pytest.approx(12 * 32 / result.seconds)
    assert result.ema is not result.net
    assert not result.net.training
    assert not result.ema.training
    plain = run(ema_decay=None)
    assert plain.ema is plain.net


def test_a_budget_of_seconds():
    """The learning rate follows the clock. It shows: where the gradient never changes, AdamW's step is exactly lr."""
    net, weights = nn.Linear(1, 1, bias=False), []
    nn.init.zeros_(net.weight)
    cfg = config(max_seconds=0.4, steps=1, lr=1e-3, warmup_steps=0, grad_clip=None, ema_decay=None)
    result = train(
        net,
        lambda net, batch, generator: net(batch[0]).mean(),
        torch.ones(32, 1),
        cfg,
        machine=MACHINE,
        on_step=lambda step, net, ema: weights.append(net.weight.item()),
    )
    assert 0.4 <= result.seconds < 2
    assert result.steps == len(result.losses) == len(weights) > 10
    rates = -torch.tensor([0.0, *weights], dtype=torch.float64).diff()
    assert float(rates[0]) == pytest.approx(1e-3, rel=1e-3)
    assert (rates.diff() < 1e-6).all()
    assert rates[-1] < 0.5e-3


def test_progress_goes_to_stdout_only(capfd):
    run(progress=True, steps=20)
    out, err = capfd.readouterr()
    assert err == ""
    assert len(out.splitlines()) == 1
    assert "100 %" in out
    assert "step 20/20 · loss " in out
    assert "images/s" in out
    run(progress=False)
    assert capfd.readouterr() == ("", "")


def test_advice_of_fabric_does_not_reach_the_notebook(monkeypatch):
    """On an H200 its advice on Tensor Cores appeared in red below the first training, when the device was set up."""
    from lightning_fabric.accelerators.cpu import CPUAccelerator
    from lightning_fabric.utilities.rank_zero import rank_zero_info

    asked, shown = [], []
    monkeypatch.setattr(CPUAccelerator, "setup_device", lambda *_: asked.append(rank_zero_info("You are using …")))
    handler = logging.Handler()
    handler.emit = shown.append
    logger = logging.getLogger("lightning_fabric")
    logger.addHandler(handler)
    try:
        run(progress=False)
    finally:
        logger.removeHandler(handler)
    assert asked
    assert shown == []


def test_progress_in_a_saved_notebook_is_one_line_of_text():
    """Executed by nbclient as the workbook's notebooks are: one stream with the last state, nothing in red, no widget."""
    import nbformat
    from nbclient import NotebookClient

    cell = """
        import torch
        from course_lib.training import TrainConfig, train
        net, x = torch.nn.Linear(3, 1), torch.randn(200, 3)
        result = train(net, lambda net, batch, g: net(batch[0]).square().mean(), x, TrainConfig(steps=150, log_every=5))
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell))])
    NotebookClient(notebook, timeout=120, coalesce_streams=True).execute()
    (output,) = notebook.cells[0].outputs
    assert (output.output_type, output.name) == ("stream", "stdout")
    assert output.text.startswith("100 % |█")
    assert "step 150/150" in output.text
    assert len(output.text.splitlines()) == 1


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_survives_a_stdout_of_another_encoding(monkeypatch, is_terminal):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(stdout, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stdout", stdout)
    run(progress=True, steps=20)
    stdout.flush()
    shown = stdout.buffer.getvalue().decode("ascii")
    assert "100 % |" in shown
    assert "step 20/20 ? loss" in shown
    assert shown.endswith("\n")


def test_on_step_sees_every_step_and_both_networks():
    seen = []
    result = run(on_step=lambda step, net, ema: seen.append((step, net, ema)), steps=5)
    assert [step for step, _, _ in seen] == [1, 2, 3, 4, 5]
    assert all(net is result.net and ema is result.ema for _, net, ema in seen)


def test_it_trains_in_a_thread_too():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert_same(pool.submit(run).result(), run())
