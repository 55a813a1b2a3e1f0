"""One training loop for every network of the workbook, on Lightning Fabric.

    result = train(net, lambda net, batch, generator: loss(net, *batch, generator), (images, labels), TrainConfig())

The loop knows no model: it hands `loss_fn` a batch and a generator, and steps the weights. All that varies from step to
step (which rows, which random numbers, which learning rate) is a function of (seed, step) alone. Therefore a run that
was killed and resumed ends, bit for bit, where the uninterrupted run ends (same machine, same thread count).

Steps are counted from 1 wherever people see them; ``losses[k - 1]`` is the loss of step k.
"""

import logging
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib.device import Machine
from course_lib.training import fsdp
from course_lib.training.config import Diverged, TrainConfig, TrainResult
from course_lib.training.determinism import (
    BatchSampler,
    derive_seed,
    interrupt_between_steps,
    preserve_rng_state,
    run_fingerprint,
    seed_globals,
)
from course_lib.training.ema import Ema
from course_lib.training.muon import Muon
from course_lib.training.progress import Progress, minutes
from course_lib.training.resume import Snapshot

Batch = tuple[Tensor, ...]
LossFn = Callable[[nn.Module, Batch, torch.Generator], Tensor]


def train(
    net: nn.Module,
    loss_fn: LossFn,
    data: Tensor | Batch,
    config: TrainConfig | None = None,
    *,
    machine: Machine | None = None,
    checkpoint: str | Path | None = None,
    on_step: Callable[[int, nn.Module, nn.Module], None] | None = None,
) -> TrainResult:
    """Train `net` in place.

    Args:
        net: any module; it is moved to the machine's device and stays there. With ``strategy="fsdp"`` it may be too large for
            a device and stays where it is; a sharded copy trains, whose weights it gets when the run is over.
        loss_fn: ``loss_fn(net, batch, generator) -> scalar``. It runs under autocast: write ``.float()`` on what the
            network returns before arithmetic that needs precision. The generator lives on the device and is freshly
            seeded for this step; torch's global generators are too (they are put back afterwards), for dropout.
        data: tensors with equally many rows N, moved to the device once; a batch is the tuple of their rows. Each epoch
            visits every row once; a batch may end one epoch and begin the next.
        config: defaults to ``TrainConfig()``.
        machine: from `course_lib.device.find`, which is called where it is None.
        checkpoint: a file name. The state is written there every ``config.checkpoint_every`` steps, whole or not at
            all, and by an interrupt. Where the file exists already, the run goes on from it. A completed run removes
            it: from then on the result is the caller's to keep.
        on_step: called after each step with (steps done, net, ema), ema being net where there is none; its time is not
            counted. It must leave both networks as they are, and net in train mode. With "fsdp" both are sharded, and cannot
            be called.

    Raises:
        ValueError: data that is empty, ragged or smaller than a batch; a loss that is no scalar; a checkpoint of
            another run.
        Diverged: (a ValueError) the loss is no longer finite. The checkpoint keeps the last good state.
        RuntimeError: another process of a run on several devices ended; the sentence says which step is kept.
        KeyboardInterrupt: after Ctrl-C or the notebook's stop button. The current step is finished first, so that
            network and checkpoint are whole; call again with the same arguments to go on.
    """
    config = config or TrainConfig()
    machine = machine or devices.find()
    snapshot = Snapshot(checkpoint) if checkpoint is not None else None
    run = _Run(net, loss_fn, _checked(data, config.batch_size), config, machine, snapshot)
    run.net.train()
    try:
        with preserve_rng_state(run.device), interrupt_between_steps() as interrupted:
            run.loop(on_step, interrupted)
        ema = run.result(net)
    except RuntimeError as error:
        if run.world > 1 and _lost(error):
            raise RuntimeError(run.told_of_a_loss()) from error
        raise
    finally:
        net.eval()
        run.progress.close()
    if snapshot and run.rank == 0:
        snapshot.remove()
    rate = run.step * config.batch_size / run.elapsed
    return TrainResult(net, ema, run.losses, run.elapsed, rate, run.step)


class _Run:
    """The moving parts of one call of `train`."""

    def __init__(
        self,
        net: nn.Module,
        loss_fn: LossFn,
        data: Batch,
        config: TrainConfig,
        machine: Machine,
        snapshot: Snapshot | None,
    ):
        self.config, self.machine, self.snapshot = config, machine, snapshot
        self.sharded = config.strategy == "fsdp"
        self.fabric = _fabric(machine, config)
        self.fabric.launch()
        self.device, self.rank, self.world = self.fabric.device, self.fabric.global_rank, self.fabric.world_size
        if self.device.type == "cpu":
            devices.share_threads(config.devices)
        self.identity = run_fingerprint(net, data, config)
        layout = torch.channels_last if config.channels_last else torch.preserve_format
        self.net = deepcopy(net) if self.sharded else net
        if not self.sharded:  # shares are not channels_last: then only the images are
            self.fabric.to_device(net)
            net.to(memory_format=layout)
        data = tuple(d.to(self.device, memory_format=layout if d.ndim == 4 else torch.preserve_format) for d in data)
        self.order = BatchSampler(len(data[0]), config.batch_size, config.seed, self.device)
        self.generator = torch.Generator(self.device)
        objective = _Objective(torch.compile(self.net) if config.compile else self.net, loss_fn, data)
        self.objective = self.fabric.setup_module(objective)
        self.optimizer = self.fabric.setup_optimizers(_optimizer(self.net, config, machine))
        self.average = None if config.ema_decay is None else self.averaging(net)
        self.ema = self.average.net if self.average else self.net
        self.step, self.elapsed, self.losses = 0, 0.0, torch.empty(0)
        self.recent, self.pending = torch.zeros(config.log_every, device=self.device), 0  # losses not yet looked at
        if snapshot:
            self.resume()
        self.progress = Progress(show=config.progress and self.rank == 0)

    def averaging(self, net: nn.Module) -> Ema:
        """The average of the weights that train, which begin as those of `net`."""
        if not self.sharded:
            return Ema(net, self.config.ema_decay)
        mesh = self.fabric.strategy.device_mesh["data_parallel"]
        return Ema(self.net, self.config.ema_decay, fsdp.shard(deepcopy(net), mesh))

    def loop(self, on_step: Callable | None, interrupted: list) -> None:
        """Step until the run is over; see `train`."""
        began = time.perf_counter() - self.elapsed
        while self.fraction() < 1:
            self.one_step()
            self.elapsed = time.perf_counter() - began
            if self.step % self.config.log_every == 0:
                self.look()
            if self.snapshot and self.step % self.config.checkpoint_every == 0:
                self.save()
            if on_step:
                paused = time.perf_counter()
                on_step(self.step, self.net, self.ema)
                began += time.perf_counter() - paused
            if interrupted:
                if self.snapshot and self.world == 1:  # several processes stop at different steps
                    self.save()
                raise KeyboardInterrupt
        self.look()  # waits for the device, so the clock below is honest
        self.elapsed = time.perf_counter() - began
        self.progress.update(1.0, self.status(f"in {minutes(self.elapsed)}"))

    def fraction(self) -> float:
        """How much of the run is over, 0 to 1."""
        if self.config.max_seconds is None:
            return self.step / self.config.steps
        return min(1.0, self.elapsed / self.config.max_seconds)

    def one_step(self) -> None:
        """Forward, backward, clip, optimizer, EMA. Nothing here waits for the device."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr_at(self.step, self.fraction())
        rows, mine = self.order.rows(self.step), range(self.rank, config.parts, self.world)
        total = torch.zeros((), device=self.device)
        for shard in mine:  # what a shard draws depends on its number alone, not on who takes it
            self.generator.manual_seed(derive_seed(config.seed, "loss", self.step, shard))
            seed_globals(self.device, derive_seed(config.seed, "dropout", self.step, shard))
            waits = shard != mine[-1] and not self.sharded  # whole gradients that wait may not fit on the device
            with self.fabric.no_backward_sync(self.objective, enabled=waits):
                loss = self.objective(rows[shard :: config.parts], self.generator) / len(mine)
                self.fabric.backward(loss)
            total += loss.detach()
        if config.grad_clip is not None:
            self.fabric.clip_gradients(self.objective, self.optimizer, max_norm=config.grad_clip, error_if_nonfinite=False)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.step)
        self.recent[self.pending] = total
        self.pending += 1
        self.step += 1

    @torch.no_grad()
    def look(self) -> None:
        """Fetch the losses since the last look (the one wait for the device), search them for NaN, draw the line."""
        recent, self.pending = self.recent[: self.pending], 0
        if self.world > 1 and len(recent):
            recent = self.fabric.all_reduce(recent.clone(), reduce_op="mean")
        self.losses = torch.cat([self.losses, recent.cpu()])
        bad = (~torch.isfinite(self.losses)).nonzero()
        if len(bad):
            raise Diverged(int(bad[0]) + 1, self.losses, self.machine.precision)
        fraction = self.fraction()
        self.progress.update(fraction, self.status(f"{minutes(self.elapsed * (1 / fraction - 1))} left"))

    def status(self, clock: str) -> str:
        """What the progress line says."""
        of = f"/{self.config.steps:,}" if self.config.max_seconds is None else ""
        rate = self.step * self.config.batch_size / self.elapsed
        loss = float(self.losses[-self.config.log_every :].mean())
        return f"step {self.step:,}{of} · loss {loss:.4g} · {rate:,.0f} images/s · {clock}"

    def told_of_a_loss(self) -> str:
        """What to say when another process of this run is gone."""
        kept = self.snapshot.read() if self.snapshot else None
        where = f"{self.snapshot.path} keeps step {kept['step']}" if kept else "no checkpoint was kept"
        return f"another process of this run ended, in step {self.step + 1}; {where}: start the same command again to go on."

    def save(self) -> None:
        """Write the checkpoint; keep the old one where the weights are no longer finite (the next loss will tell)."""
        self.look()
        first = self.rank == 0
        weights = fsdp.whole(self.net.state_dict(), keep=first)  # all processes must help, and the first alone writes
        averages = fsdp.whole(self.ema.state_dict(), keep=first) if self.average else None
        optimizer = fsdp.whole(self.optimizer.state_dict(), keep=first)
        if first and all(bool(torch.isfinite(weights[name]).all()) for name, _ in self.net.named_parameters()):
            self.snapshot.write(
                {
                    "run": self.identity,
                    "machine": f"{self.machine}, torch {torch.__version__}",
                    "step": self.step,
                    "elapsed": self.elapsed,
                    "losses": self.losses,
                    "net": weights,
                    "ema": averages,
                    "optimizer": optimizer,
                    "scaler": self.fabric.strategy.precision.state_dict(),
                }
            )

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        state = self.snapshot.read()
        if state is not None:
            self.snapshot.check(state["run"], self.identity)
            if self.config.max_seconds is None and state["step"] > self.config.steps:
                raise self.snapshot.refuse(f"is at step {state['step']}, beyond the {self.config.steps} steps asked for")
            fsdp.load_network(self.net, state["net"])
            if self.average:
                fsdp.load_network(self.ema, state["ema"])
            fsdp.load_optimizer(self.optimizer, state["optimizer"])
            if state["scaler"]:  # of fp16 alone
                self.fabric.strategy.precision.load_state_dict(state["scaler"])
            self.step, self.elapsed, self.losses = state["step"], state["elapsed"], state["losses"]
            if self.config.progress:
                self.fabric.print(f"Going on from step {self.step:,} in {self.snapshot.path}.")
                if state["machine"] != (here := f"{self.machine}, torch {torch.__version__}"):
                    self.fabric.print(f"Begun on {state['machine']}; here is {here}: equal only up to rounding.")
        self.fabric.barrier()  # nobody writes before all have read

    def result(self, net: nn.Module) -> nn.Module:
        """The averaged network, whole. The given one, `net`, gets the trained weights where a sharded copy has them."""
        if not self.sharded:
            return self.ema
        fsdp.fill(net, self.net)
        return fsdp.fill(deepcopy(net).eval().requires_grad_(False), self.ema) if self.average else net


class _Objective(nn.Module):
    """The loss as a module. Fabric (and DDP) then wrap one forward per step, whichever methods of the network it calls,
    and the batch itself does not pass Fabric's conversion of float inputs to bf16."""

    def __init__(self, net: nn.Module, loss_fn: LossFn, data: Batch):
        super().__init__()
        self.net, self.loss_fn, self.data = net, loss_fn, data

    def forward(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        loss = self.loss_fn(self.net, tuple(d[rows] for d in self.data), generator)
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"loss_fn must return one number as a tensor of shape (), not {got}: end it with .mean()")
        if not loss.requires_grad:
            raise ValueError("loss_fn returned a loss that does not depend on the network's weights: call net in it")
        return loss


def _lost(error: RuntimeError) -> bool:
    """Whether an error means that another process no longer answers: gloo says so in words, NCCL by its type."""
    words = ("Connection closed by peer", "Connection reset by peer", "gloo")
    return isinstance(error, torch.distributed.DistError) or any(word in str(error) for word in words)


def _optimizer(net: nn.Module, config: TrainConfig, machine: Machine) -> torch.optim.Optimizer:
    weights = [p for p in net.parameters() if p.requires_grad]
    if not weights:
        raise ValueError("the network has no trainable parameter: nothing would change")
    if config.optimizer == "muon":
        return Muon(weights, config.lr, config.betas)
    # Fused is 4 times faster on a CPU, and on a GPU. Fabric cannot clip fp16 gradients for an optimizer that unscales.
    fused = machine.device.type in ("cpu", "cuda") and not (machine.precision == "16-mixed" and config.grad_clip)
    kinds = {"fused": True} if fused else {"foreach": True}
    return torch.optim.AdamW(weights, config.lr, config.betas, weight_decay=config.weight_decay, **kinds)


def _fabric(machine: Machine, config: TrainConfig):
    from lightning_fabric import Fabric  # seconds to import: only who trains pays

    chatter = logging.getLogger("lightning_fabric")
    level = chatter.level
    chatter.setLevel(logging.ERROR)  # it logs to stderr, which notebooks paint red
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one = [machine.device.index] if machine.device.type == "cuda" else 1
            return Fabric(
                accelerator=machine.device.type,
                devices=one if config.world == 1 else config.devices,
                num_nodes=config.nodes,
                strategy=_shares(config, machine) if config.strategy == "fsdp" else config.strategy,
                precision=machine.precision,
            )
    finally:
        chatter.setLevel(level)


def _shares(config: TrainConfig, machine: Machine):
    from lightning_fabric.strategies import ModelParallelStrategy  # Fabric's FSDPStrategy needs a GPU

    if machine.precision == "16-mixed":
        raise ValueError("strategy 'fsdp' computes in bf16 or fp32, not in fp16: set COURSE_PRECISION=fp32, or take 'ddp'")
    return ModelParallelStrategy(
        lambda module, mesh: fsdp.shard(module, mesh["data_parallel"]),
        data_parallel_size=config.world,
        tensor_parallel_size=1,
    )


def _checked(data: Tensor | Batch, batch_size: int) -> Batch:
    data = (data,) if isinstance(data, Tensor) else tuple(data)
    if not data or not all(isinstance(d, Tensor) and d.ndim for d in data):
        raise ValueError("data must be a tensor, or a tuple of tensors, whose first dimension counts the rows")
    lengths = [len(d) for d in data]
    if len(set(lengths)) > 1:
        raise ValueError(f"the tensors of data have {lengths} rows: all must have the same number")
    if lengths[0] < batch_size:
        raise ValueError(f"data has {lengths[0]} rows, fewer than batch_size {batch_size}: lower it, or give more data")
    return data
