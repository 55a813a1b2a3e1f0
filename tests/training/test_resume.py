"""Training when things go wrong: killed processes, interrupts, NaN, resume files of other runs."""

import contextlib
import errno
import multiprocessing
import os
import random
import signal
import sys
import time

import pytest
import torch
from torch import nn
from train_cases import Interruption, assert_same, make_data, make_net, noisy_loss, run

from course_lib.storage import atomic
from course_lib.training import DivergenceError, resume

# What it survives


def fork_server():
    context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
    if sys.platform != "win32":  # imports once, then each process starts in milliseconds
        context.set_forkserver_preload(["torch", "lightning_fabric", "course_lib.training", "train_cases"])
    return context


def long_run(folder, die=None):
    """A run of 60 steps in a process of its own. With `die` = "fsync" or "half" it dies in the middle of a write of
    its resume file, with "any" it waits before its last step to be killed, with "late" it dies before the result is saved."""
    torch.set_num_threads(1)
    writes = 0

    def fatal(original, half):
        def write(*args):
            nonlocal writes
            writes += 1
            if writes < 3:
                return original(*args)
            if half:  # half a file, as after a full disk or a power cut
                args[1].write(b"PK half a state")
                args[1].flush()
            os.kill(os.getpid(), signal.SIGKILL)

        return write

    if die == "fsync":
        os.fsync = fatal(os.fsync, half=False)
    elif die == "half":
        torch.save = fatal(torch.save, half=True)

    def on_step(step, net, ema):
        with open(folder / "steps", "a") as file:
            file.write(f"{step}\n")
        while step == 59 and die == "any":
            time.sleep(1)  # on a busy machine the kill may come late, but never after the end

    result = run(resume_file=folder / "run.pt", on_step=on_step, steps=60, save_every=1 if die == "any" else 7)
    if die == "late":
        os.kill(os.getpid(), signal.SIGKILL)
    final = {"losses": result.losses, "net": result.net.state_dict(), "ema": result.ema.state_dict()}
    torch.save(final, folder / "final.pt")


def finish(context, folder):
    process = context.Process(target=long_run, args=(folder,))
    process.start()
    process.join(180)
    assert process.exitcode == 0
    last = torch.load(folder / "run.pt", weights_only=True)
    assert last["step"] == 60
    final = torch.load(folder / "final.pt", weights_only=True)
    return {**final, "optimizer": last["optimizer"]}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    context = fork_server()
    return context, finish(context, tmp_path_factory.mktemp("uninterrupted"))


def flat(value):
    """All tensors and numbers in nested dicts, with their paths."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [(f"{key}.{path}", leaf) for key, inner in items for path, leaf in flat(inner)]
    return [("", value)]


def assert_same_bits(a, b):
    a, b = flat(a), flat(b)
    assert [path for path, _ in a] == [path for path, _ in b]
    for (path, x), (_, y) in zip(a, b, strict=True):
        assert torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y, path


@pytest.mark.posix
@pytest.mark.parametrize(("reached", "moment"), [(1, 0.0), (14, 0.013), (29, 0.005), (45, 0.002)])
def test_kill_9_at_some_moment_then_resume_bit_for_bit(uninterrupted, tmp_path, reached, moment):
    """Killed `moment` seconds after a step, with a resume file written in every step: a moment easily falls into a write."""
    context, expected = uninterrupted
    process = context.Process(target=long_run, args=(tmp_path, "any"))
    process.start()
    steps = tmp_path / "steps"
    while process.is_alive() and (not steps.exists() or steps.read_text().count("\n") < reached):
        process.join(0.002)
    process.join(moment)
    process.kill()  # SIGKILL
    process.join(180)
    assert process.exitcode == -signal.SIGKILL
    reached = steps.read_text().count("\n")
    saved = torch.load(tmp_path / "run.pt", weights_only=True)  # complete, whatever the moment was
    assert saved["step"] in (reached, reached + 1)  # no step before the last write is lost
    assert_same_bits(finish(context, tmp_path), expected)


@pytest.mark.posix
@pytest.mark.parametrize("die", ["fsync", "half"])
def test_kill_9_in_the_middle_of_a_write_keeps_the_state_before(uninterrupted, tmp_path, die):
    context, expected = uninterrupted
    process = context.Process(target=long_run, args=(tmp_path, die))
    process.start()
    process.join(180)
    assert process.exitcode == -signal.SIGKILL
    assert list(tmp_path.glob(".run.pt.*.tmp"))  # it did die in a write: the third, at step 21
    assert torch.load(tmp_path / "run.pt", weights_only=True)["step"] == 14
    assert_same_bits(finish(context, tmp_path), expected)
    assert [file.name for file in tmp_path.glob("*run.pt*")] == ["run.pt"]  # no draft, no lock


@pytest.mark.posix
def test_kill_9_after_the_last_step_loses_nothing(uninterrupted, tmp_path):
    """The result was not yet saved: the same call returns it again without a step."""
    context, expected = uninterrupted
    process = context.Process(target=long_run, args=(tmp_path, "late"))
    process.start()
    process.join(180)
    assert process.exitcode == -signal.SIGKILL
    steps = (tmp_path / "steps").read_text()
    assert_same_bits(finish(context, tmp_path), expected)
    assert (tmp_path / "steps").read_text() == steps


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_interrupt_finishes_the_step_and_the_run_continues_from_there(tmp_path, optimizer):
    """The stop button is pressed in the middle of step 13, between the forward and the backward pass."""
    handler = signal.getsignal(signal.SIGINT)
    count, done = 0, []

    def loss_fn(net, batch, generator):
        nonlocal count
        count += 1
        loss = noisy_loss(net, batch, generator)
        if count == 13:
            signal.raise_signal(signal.SIGINT)
        return loss

    net, file = make_net(), tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        run(net, loss_fn, resume_file=file, on_step=lambda step, net, ema: done.append(step), optimizer=optimizer)
    assert done[-1] == 13
    assert torch.load(file, weights_only=True)["step"] == 13
    assert signal.getsignal(signal.SIGINT) is handler
    assert not net.training
    assert_same(run(net, resume_file=file, optimizer=optimizer), run(optimizer=optimizer))


def test_a_second_interrupt_stops_at_once(tmp_path):
    def loss_fn(net, batch, generator):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("continued after the second interrupt")

    with pytest.raises(KeyboardInterrupt):
        run(loss_fn=loss_fn, resume_file=tmp_path / "run.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("log_every", [1, 5, 100])
def test_a_nan_stops_the_run_and_names_the_step(tmp_path, log_every):
    count, file = 0, tmp_path / "run.pt"

    def loss_fn(net, batch, generator):
        nonlocal count
        count += 1
        return noisy_loss(net, batch, generator) * (float("nan") if count == 8 else 1.0)

    with pytest.raises(DivergenceError, match=r"became nan at step 8 .*learning rate") as error:
        run(loss_fn=loss_fn, resume_file=file, save_every=3, log_every=log_every, steps=20)
    assert error.value.step == 8
    assert error.value.losses[:7].isfinite().all()
    assert torch.load(file, weights_only=True)["step"] == 6  # the last good state, not the one of step 9


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """In step 6 the loss is finite and its gradient is not (the root of 0): the next loss shows it; the file stays as it was."""
    count, file = 0, tmp_path / "run.pt"

    def loss_fn(net, batch, generator):
        nonlocal count
        count += 1
        loss = noisy_loss(net, batch, generator)
        return loss + (0 * net[4].bias.sum()).sqrt() if count == 6 else loss

    with pytest.raises(DivergenceError) as error:
        run(loss_fn=loss_fn, resume_file=file, save_every=3)
    assert error.value.step == 7
    assert torch.load(file, weights_only=True)["step"] == 3


def test_weights_that_are_not_finite_after_the_last_step_are_not_returned(tmp_path):
    """No later loss can show it."""

    def loss_fn(net, batch, generator):
        nonlocal count
        count += 1
        loss = noisy_loss(net, batch, generator)
        return loss + (0 * net[4].bias.sum()).sqrt() if count == 10 else loss

    count, file = 0, tmp_path / "run.pt"
    with pytest.raises(DivergenceError, match="weights became NaN or infinite at step 10"):
        run(loss_fn=loss_fn, resume_file=file, save_every=3, steps=10)
    assert torch.load(file, weights_only=True)["step"] == 9


def test_a_full_disk_does_not_end_a_run(tmp_path, monkeypatch, capsys):
    """The second write fails; the first stays until the third."""
    file, writes, fsync = tmp_path / "run.pt", [], os.fsync

    def full(descriptor):
        writes.append(descriptor)
        if len(writes) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    seen = []
    monkeypatch.setattr(os, "fsync", full)
    result = run(resume_file=file, save_every=10, on_step=lambda step, *_: seen.append(file.exists() and resume_step(file)))
    assert_same(result, run())
    assert (seen[15], seen[25], resume_step(file)) == (10, 10, 30)
    said = capsys.readouterr().out
    assert "Step 20 was not saved, and the training continues" in said
    assert "No space left" in said
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_stream_that_fails_is_named_as_a_full_disk(tmp_path, monkeypatch):
    """torch hides the error of the stream behind one of its zip writer."""
    file = resume.ResumeFile(tmp_path / "run.pt")
    file.write({"net": torch.zeros(3)})
    before = file.path.read_bytes()
    monkeypatch.setattr(atomic, "open", lambda *_: open("/dev/full", "wb", buffering=0), raising=False)  # noqa: SIM115
    with pytest.raises(atomic.OutputError, match=r"No space left on device.*free some space"):
        file.write({"net": torch.zeros(3)})
    assert file.path.read_bytes() == before


def test_a_second_run_on_the_same_file_is_refused_at_once(tmp_path):
    file, refused = tmp_path / "run.pt", []

    def start_another(step, net, ema):
        if step == 5:
            with pytest.raises(ValueError, match=r"run.pt is in use by another run.*another file name") as error:
                run(resume_file=file)
            refused.append(error)

    assert_same(run(resume_file=file, on_step=start_another), run())
    assert len(refused) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_a_lock_that_a_killed_run_left_does_not_stop_the_next(tmp_path):
    (tmp_path / ".run.pt.lock").touch()
    assert_same(run(resume_file=tmp_path / "run.pt"), run())


def test_a_finished_run_returns_its_result_again(tmp_path):
    file = tmp_path / "run.pt"
    first = run(resume_file=file)
    assert_same(run(resume_file=file, on_step=lambda *_: pytest.fail("a step")), first)


def test_no_flipped_bit_is_resumed_silently(begun):
    content = begun.read_bytes()
    for bit in random.Random(0).sample(range(8 * len(content)), 1000):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        begun.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"run.pt is damaged.*Delete it"):
            resume.ResumeFile(begun).read()
    begun.write_bytes(content)
    assert resume.ResumeFile(begun).read()["step"] == 10


def resume_step(file):
    return resume.ResumeFile(file).read()["step"]


@pytest.fixture
def begun(tmp_path):
    """The resume file of a run that was stopped after 10 of 30 steps."""
    file = tmp_path / "run.pt"
    with contextlib.suppress(KeyboardInterrupt):
        run(resume_file=file, on_step=Interruption(10))
    return file


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lr": 0.5}, r"lr was 0.001 and is now 0.5"),
        ({"steps": 40}, r"steps was 30 and is now 40"),
        ({"seed": 7, "ema_decay": None}, r"ema_decay was 0.999 and is now None; seed was 0 and is now 7"),
        ({"data": make_data(seed=1)}, r"data was '100 rows \w{8}' and is now '100 rows \w{8}'"),
        ({"data": make_data(n=90)}, r"data was '100 rows \w{8}' and is now '90 rows"),
        ({"net": nn.Linear(6, 1)}, r"network was 'Sequential \w{8}' and is now 'Linear"),
    ],
)
def test_the_resume_file_of_another_run_is_refused(begun, changes, says):
    before = begun.read_bytes()
    with pytest.raises(ValueError, match=f"another run: {says}.*Delete it"):
        run(resume_file=begun, **changes)
    assert begun.read_bytes() == before


def test_a_weight_without_gradients_so_far_resumes_without_optimizer_state(tmp_path):
    """The last layer is used from step 21 on; AdamW begins to count its steps there, also in a run resumed before that."""

    def run_late(**arguments):
        net, count = make_net(), [arguments.pop("begin", 0)]
        late = nn.ModuleDict({"net": net, "late": nn.Linear(1, 1)})
        nn.init.ones_(late["late"].weight)
        nn.init.zeros_(late["late"].bias)

        def loss_fn(net, batch, generator):
            count[0] += 1
            head = late["late"] if count[0] > 20 else nn.Identity()
            return noisy_loss(nn.Sequential(net["net"], head), batch, generator)

        return run(late, loss_fn, **arguments)

    file = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        run_late(resume_file=file, on_step=Interruption(10))
    assert_same(run_late(resume_file=file, begin=10), run_late())


def test_settings_without_effect_on_the_result_may_change(begun):
    assert_same(run(resume_file=begun, log_every=3, save_every=4, progress=True), run())


def test_a_constant_schedule_may_be_lengthened_but_not_cut(tmp_path):
    file = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        run(resume_file=file, on_step=Interruption(10), schedule="constant", steps=12)
    with pytest.raises(ValueError, match="step 10, beyond the 9 steps"):
        run(resume_file=file, schedule="constant", steps=9)
    assert_same(run(resume_file=file, schedule="constant", steps=20), run(schedule="constant", steps=20))


@pytest.mark.parametrize("content", [b"", b"not a state", "truncated", "weights"])
def test_a_file_that_is_no_training_state_is_refused(begun, content):
    if content == "truncated":
        content = begun.read_bytes()[:-100]
    if content == "weights":
        torch.save(make_net().state_dict(), begun)
    else:
        begun.write_bytes(content)
    with pytest.raises(ValueError, match=r"run.pt is .*not the state of a training run"):
        run(resume_file=begun)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no folder .*nowhere"):
        run(resume_file=tmp_path / "nowhere" / "run.pt")
