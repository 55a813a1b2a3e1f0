"""One training loop for every network of the workbook, on Lightning Fabric.

    result = train(net, lambda net, batch, generator: loss(net, *batch, generator), (images, labels), TrainConfig())

The loop knows no model: it gives `loss_fn` a batch and a generator, and steps the weights. All that varies from step to
step (which rows, which random numbers, which learning rate) is a function of (seed, step) alone. Therefore a run that
was killed and resumed ends, bit for bit, where the uninterrupted run ends (same machine, same thread count: set
COURSE_THREADS, where other programs run at the same time).

To read it: `training_step` is one step, `_Run.loop` repeats it, `train` sets up and cleans up.
Steps are counted from 1 wherever people see them; ``losses[k - 1]`` is the loss of step k.
"""

import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from course_lib import device as devices
from course_lib.device import Machine
from course_lib.storage.atomic import OutputError
from course_lib.storage.console import say
from course_lib.training import fsdp
from course_lib.training.config import Batch, LossFn, Net, OnStep, TrainConfig, TrainResult
from course_lib.training.determinism import (
    defer_interrupt,
    derive_seed,
    preserve_rng_state,
    run_fingerprint,
    seed_globals,
)
from course_lib.training.fabric import checked_data, fabric_logs_nothing, is_lost_process, launch, require_gradients
from course_lib.training.history import History
from course_lib.training.progress import Progress
from course_lib.training.resume import ResumeFile
from course_lib.training.trainer import Trainer, make_trainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train(
    net: Net,
    loss_fn: LossFn[Net],
    data: Tensor | Batch,
    config: TrainConfig | None = None,
    *,
    machine: Machine | None = None,
    resume_file: str | Path | None = None,
    on_step: OnStep | None = None,
) -> TrainResult[Net]:
    """Train `net` in place.

    Args:
        net: any module; it is moved to the machine's device and stays there. With ``strategy="fsdp"`` it may be too large for
            a device and stays where it is; a sharded copy is trained, and its weights are copied back at the end.
        loss_fn: ``loss_fn(net, batch, generator) -> scalar``. It runs under autocast: write ``.float()`` on what the
            network returns before arithmetic that needs precision. The generator is on the device and is freshly
            seeded for this step; torch's global generators are too (their state is restored afterwards), for dropout.
        data: tensors with equally many rows N, moved to the device once; a batch is the tuple of their rows. Each epoch
            visits every row once; a batch may end one epoch and begin the next.
        config: defaults to ``TrainConfig()``.
        machine: from `course_lib.device.find`, which is called where it is None.
        resume_file: a file name. The state of the run is written there every ``config.save_every`` steps, atomically, by an
            interrupt, and at the end. Where the file exists already, the run continues from it; after the end it only
            returns the result again. Delete the file when the result is saved. One run at a time may use it. Where it cannot
            be written in the middle of a run (a full disk), the run says so and continues without.
        on_step: called after each step with (steps done, net, ema), ema is net if there is no average; its time is not
            counted. It must leave both networks as they are, and net in train mode. With "fsdp" both are sharded, and cannot
            be called.

    Raises:
        ValueError: data that is empty, ragged or smaller than a batch; a loss that is not a scalar; gradients that are
            switched off; a resume file that belongs to another run, is damaged, is in use or cannot be written.
        DivergenceError: (a ValueError) the loss or the weights are no longer finite. The resume file holds the last good state.
        RuntimeError: another process of a run on several devices ended; the message says which step is saved.
        KeyboardInterrupt: after Ctrl-C or the notebook's stop button. The current step is finished first, so that
            network and resume file are consistent; call again with the same arguments to continue.
    """
    config = config or TrainConfig()
    machine = machine or devices.find()
    file = ResumeFile(resume_file) if resume_file is not None else None
    data = checked_data(data, config.batch_size)
    require_gradients()
    try:
        run = _Run.set_up(net, loss_fn, data, config, machine, file)
        try:
            with preserve_rng_state(run.fabric.device), defer_interrupt() as interrupted:
                run.loop(on_step, interrupted)
            ema = run.averaged(net)
        except RuntimeError as error:
            if run.fabric.world_size > 1 and is_lost_process(error):
                raise RuntimeError(run.dead_process_message()) from error
            raise
        finally:
            net.eval()
            run.progress.close()
    finally:
        if file:
            file.release()
    history = run.history
    return TrainResult(net, ema, history.losses, history.elapsed, history.images_per_second, history.step)


def training_step(trainer: Trainer, config: TrainConfig, step: int, fraction: float) -> Tensor:
    """Forward, backward, clip, optimizer, EMA: step `step` = 0, 1, ... when `fraction` (0 to 1) of the run is over.

    Returns the loss [] of this process's rows. Nothing here waits for the device.
    """
    fabric, objective = trainer.fabric, trainer.objective
    for group in trainer.optimizer.param_groups:
        group["lr"] = config.lr_at(step, fraction)
    rows = trainer.sampler.rows(step)
    own_shards = range(fabric.global_rank, config.num_shards, fabric.world_size)
    total = torch.zeros((), device=fabric.device)
    for shard in own_shards:  # what a shard draws depends on its number alone, not on the process that computes it
        trainer.generator.manual_seed(derive_seed(config.seed, "loss", step, shard))
        seed_globals(fabric.device, derive_seed(config.seed, "dropout", step, shard))
        # With "fsdp" gradients are reduced after each shard: unreduced ones may not fit on the device.
        wait = shard != own_shards[-1] and config.strategy != "fsdp"
        with fabric.no_backward_sync(objective, enabled=wait):
            loss = objective(rows[shard :: config.num_shards], trainer.generator) / len(own_shards)
            fabric.backward(loss)
        total += loss.detach()
    if config.grad_clip is not None:
        fabric.clip_gradients(objective, trainer.optimizer, max_norm=config.grad_clip, error_if_nonfinite=False)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad(set_to_none=True)
    if trainer.average:
        trainer.average.update(step)
    return total


@dataclass(frozen=True)
class _Run:
    """One call of `train`: its trainer, its progress, and its resume file."""

    config: TrainConfig
    trainer: Trainer
    history: History
    progress: Progress
    file: ResumeFile | None
    fingerprint: dict[str, object]
    platform: str

    @property
    def fabric(self) -> "Fabric":
        """This process's handle of Fabric."""
        return self.trainer.fabric

    @classmethod
    def set_up(
        cls, net: Net, loss_fn: LossFn[Net], data: Batch, config: TrainConfig, machine: Machine, file: ResumeFile | None
    ) -> "_Run":
        """Start the processes, prepare the first step, and continue from the resume file where there is one."""
        with fabric_logs_nothing():
            fabric = launch(machine, config)
            if file and fabric.global_rank == 0:
                file.acquire()
            fingerprint = run_fingerprint(net, data, config)
            trainer = make_trainer(fabric, net, loss_fn, data, config, machine)
        history = History(config, fabric.device, machine.precision)
        platform = f"{machine}, torch {torch.__version__}"
        if file:
            _resume(file, trainer, history, config, fingerprint, platform)
        progress = Progress(show=config.progress and fabric.global_rank == 0)
        trainer.net.train()
        return cls(config, trainer, history, progress, file, fingerprint, platform)

    def loop(self, on_step: OnStep | None, interrupted: list[bool]) -> None:
        """Step until the run is over; see `train`."""
        config, history, trainer = self.config, self.history, self.trainer
        began = time.perf_counter() - history.elapsed
        while history.fraction < 1:
            devices.leave_busy_cores()
            history.add(training_step(trainer, config, history.step, history.fraction))
            history.elapsed = time.perf_counter() - began
            if history.step % config.log_every == 0:
                self.report()
            if self.file and (history.step % config.save_every == 0 or history.fraction >= 1):
                self.save(self.file)
            if on_step:
                paused = time.perf_counter()
                on_step(history.step, trainer.net, trainer.ema)
                began += time.perf_counter() - paused
            if interrupted:
                if self.file and self.fabric.world_size == 1:  # several processes stop at different steps
                    self.save(self.file)
                raise KeyboardInterrupt
        self.report()  # waits for the device, so that the time below includes its work
        history.elapsed = time.perf_counter() - began
        history.require_finite(trainer.net, self.fabric)  # the last step's gradient has no next loss that would show it
        self.progress.update(1.0, history.line())

    def report(self) -> None:
        """Fetch the losses, check that they are finite, and draw the progress line."""
        self.history.fetch(self.fabric)
        self.progress.update(self.history.fraction, self.history.line())

    def save(self, file: ResumeFile) -> None:
        """Write the resume file; leave the old one where the weights are not finite (the next loss will show it)."""
        self.report()
        trainer, history = self.trainer, self.history
        weights = fsdp.full_state(trainer.net)  # all processes must help; only the first one gets the state, and writes it
        averages = fsdp.full_state(trainer.average.net) if trainer.average else None
        optimizer = fsdp.full_state(trainer.net, trainer.optimizer.optimizer)
        names = [name for name, _ in trainer.net.named_parameters()]
        if self.fabric.global_rank == 0 and all(bool(weights[name].isfinite().all()) for name in names):
            state = {
                "run": self.fingerprint,
                "machine": self.platform,
                "step": history.step,
                "elapsed": history.elapsed,
                "losses": history.losses,
                "net": weights,
                "ema": averages,
                "optimizer": optimizer,
                "scaler": self.fabric.strategy.precision.state_dict(),
            }
            try:
                file.write(state)
            except OutputError as error:  # the run itself does not need the file
                self.progress.note(f"Step {history.step:,} was not saved, and the training continues: {error}")

    def averaged(self, net: Net) -> Net:
        """The averaged network, in full. The given one, `net`, gets the trained weights where a sharded copy has them."""
        if self.config.strategy != "fsdp":
            return cast(Net, self.trainer.ema)  # the given network's class: itself, or its copy
        fsdp.copy_weights(net, self.trainer.net)
        if not self.trainer.average:
            return net
        return fsdp.copy_weights(deepcopy(net).eval().requires_grad_(False), self.trainer.average.net)

    def dead_process_message(self) -> str:
        """What to say when another process of this run has ended."""
        state = self.file.read() if self.file else None
        saved = f"{self.file.path} contains the state at step {state['step']}" if self.file and state else "no step was saved"
        return (
            f"another process of this run ended, in step {self.history.step + 1}; {saved}: start the same command again to "
            "continue."
        )


def _resume(
    file: ResumeFile,
    trainer: Trainer,
    history: History,
    config: TrainConfig,
    fingerprint: dict[str, object],
    platform: str,
) -> None:
    """Continue from the resume file, where there is one."""
    fabric, state = trainer.fabric, file.read()
    if state is not None:
        file.require_same_run(state["run"], fingerprint)
        if config.max_seconds is None and state["step"] > config.steps:
            raise file.refuse(f"is at step {state['step']}, beyond the {config.steps} steps requested")
        fsdp.load_full_state(trainer.net, state["net"])
        if trainer.average:
            fsdp.load_full_state(trainer.average.net, state["ema"])
        fsdp.load_full_state(trainer.net, state["optimizer"], trainer.optimizer.optimizer)
        if state["scaler"]:  # of fp16 alone
            fabric.strategy.precision.load_state_dict(state["scaler"])
        history.step, history.elapsed, history.losses = state["step"], state["elapsed"], state["losses"]
        if config.progress and fabric.global_rank == 0:
            say(f"Continuing from step {history.step:,} in {file.path}.")
            if state["machine"] != platform:
                say(f"It began on {state['machine']}; this is {platform}: equal only up to rounding.")
    fabric.barrier()  # no process writes before all have read
