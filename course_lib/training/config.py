"""What decides a training run, what it returns, and how it fails. Used through `course_lib.training`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from course_lib.arguments import check_choice, check_flag, check_integer, check_number

MIN_SEED, MAX_SEED = -(2**63), 2**63 - 1  # what torch's generators take on every device

Batch = tuple[Tensor, ...]
Net = TypeVar("Net", bound=nn.Module)
LossFn = Callable[[Net, Any, torch.Generator], Tensor]  # the batch has as many tensors as the data: a Batch
OnStep = Callable[[int, nn.Module, nn.Module], None]


@dataclass(frozen=True)
class TrainConfig:
    """All that decides a run, apart from the network, the loss and the data.

    Attributes:
        steps: number of optimizer steps; not used where `max_seconds` is given.
        batch_size: rows per step, over all devices together.
        optimizer: ``"adamw"`` (Loshchilov & Hutter 2019) or ``"muon"`` (see `muon.Muon`; fewer steps for convolutions).
        lr, betas, weight_decay: AdamW's; the decay is on every trained parameter. Muon takes lr and betas, no decay.
        warmup_steps: the learning rate rises linearly over this many steps.
        schedule: ``"cosine"`` from `lr` down to `min_lr_ratio` x lr, or ``"constant"``.
        min_lr_ratio: the learning rate at the end of the cosine, as a fraction of `lr`.
        grad_clip: largest norm of the gradient over all parameters together; None: no clipping.
        ema_decay: decay of the moving average of the weights, or None. In step s = 0, 1, ... the decay is
            min(ema_decay, (1 + s) / (10 + s)), so that the average forgets the untrained weights quickly.
        seed: of the data order and of the generator that `loss_fn` gets.
        compile: ``torch.compile`` the network's ``forward``. Not worth it on two cores: a DiT's step took 0.84 of the time, a
            UNet's 1.0 to 1.15, after 20 to 200 s of compiling (`course bench compile`, which measures a GPU as well).
        channels_last: keep images and convolution weights in NHWC memory order (faster convolutions).
        save_every: steps between writes of the resume file, where a path is given.
        log_every: steps between two checks of the losses (for the progress line and for NaN). A check waits for the GPU.
        max_seconds: train for this long instead of for `steps`; the schedule then follows the fraction of time spent, so that
            such a run is not repeatable bit for bit. For comparisons at equal time.
        progress: draw a progress line on stdout.
        devices, nodes: number of GPUs (on a CPU: of processes) in each machine, and number of machines; each takes its own rows
            of the batch. More than one needs a script or `course train` (it is started once for each), not a notebook.
        strategy: how Fabric joins them. ``"ddp"`` (what ``"auto"`` takes): each holds the full network. ``"fsdp"``: each holds
            a part of its weights, gradients, optimizer state and average (see `course_lib.training.fsdp`), for a network that
            does not fit on one device; with AdamW, and no fp16. Both compute the same, up to rounding.
        shards: parts of a batch, each with random numbers of its own; a multiple of the number of devices;
            None means one for each. A run of 8 shards is the same, up to rounding, on 1, 2, 4 or 8 devices, and can be resumed on
            any of them; a device with several shards takes them one after the other.
    """

    steps: int = 1000
    batch_size: int = 128
    optimizer: str = "adamw"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup_steps: int = 50
    schedule: str = "cosine"
    min_lr_ratio: float = 0.0
    grad_clip: float | None = 1.0
    ema_decay: float | None = 0.999
    seed: int = 0
    compile: bool = False
    channels_last: bool = False
    save_every: int = 500
    log_every: int = 20
    max_seconds: float | None = None
    progress: bool = True
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    shards: int | None = None

    def __post_init__(self) -> None:
        self._require(isinstance(self.betas, Sequence), "betas", "two numbers")
        object.__setattr__(self, "betas", tuple(self.betas))
        for name in ("steps", "batch_size", "save_every", "log_every", "devices", "nodes"):
            check_integer(f"TrainConfig.{name}", getattr(self, name), at_least=1)
        for name in ("compile", "channels_last", "progress"):
            check_flag(f"TrainConfig.{name}", getattr(self, name))
        check_integer("TrainConfig.seed", self.seed, MIN_SEED, MAX_SEED)
        check_integer("TrainConfig.warmup_steps", self.warmup_steps, at_least=0)
        check_number("TrainConfig.lr", self.lr, above=0)
        check_number("TrainConfig.weight_decay", self.weight_decay, at_least=0)
        check_number("TrainConfig.min_lr_ratio", self.min_lr_ratio, at_least=0, at_most=1)
        self._require(len(self.betas) == 2, "betas", "two numbers")
        for beta in self.betas:
            check_number("TrainConfig.betas", beta, at_least=0, below=1)
        if self.grad_clip is not None:
            check_number("TrainConfig.grad_clip", self.grad_clip, above=0)
        if self.ema_decay is not None:
            check_number("TrainConfig.ema_decay", self.ema_decay, at_least=0, below=1)
        if self.max_seconds is not None:
            check_number("TrainConfig.max_seconds", self.max_seconds, above=0)
        if self.shards is not None:
            check_integer("TrainConfig.shards", self.shards, at_least=1)
        check_choice("TrainConfig.optimizer", self.optimizer, ("adamw", "muon"))
        check_choice("TrainConfig.schedule", self.schedule, ("cosine", "constant"))
        check_choice("TrainConfig.strategy", self.strategy, ("auto", "ddp", "fsdp"))
        self._require_what_fits_together()

    def _require_what_fits_together(self) -> None:
        muon = self.optimizer == "muon"
        self._require(not (muon and self.weight_decay), "weight_decay", "0 with Muon, which has none")
        self._require(not (muon and self.strategy == "fsdp"), "strategy", "'ddp' with Muon, which needs full matrices")
        self._require(self.batch_size % self.world_size == 0, "batch_size", "a multiple of devices")
        self._require(self.num_shards % self.world_size == 0, "shards", "a multiple of devices")
        self._require(self.batch_size % self.num_shards == 0, "batch_size", "a multiple of shards")
        timed = self.max_seconds is not None and self.world_size > 1  # clocks differ, and GPUs that stop apart hang
        self._require(not timed, "max_seconds", "None on several devices: give steps")

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            raise ValueError(f"TrainConfig.{name} is {getattr(self, name)!r}, expected {expected}")

    @property
    def world_size(self) -> int:
        """Devices of all nodes together."""
        return self.devices * self.nodes

    @property
    def num_shards(self) -> int:
        """Into how many shards a batch is divided."""
        return self.world_size if self.shards is None else self.shards

    def lr_at(self, step: int, fraction: float) -> float:
        """Learning rate of step `step` = 0, 1, ... when `fraction` (0 to 1) of the run is over."""
        check_integer("step", step, at_least=0)
        check_number("fraction", fraction, at_least=0, at_most=1)
        rising = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "constant":
            return self.lr * rising
        return self.lr * rising * (self.min_lr_ratio + (1 - self.min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * fraction)))


@dataclass
class TrainResult(Generic[Net]):
    """What `train` returns.

    Attributes:
        net: the trained network itself, in eval mode, on the device.
        ema: a copy with the averaged weights, in eval mode; `net` itself where ``config.ema_decay`` is None.
        losses: float32 [steps] on the CPU; ``losses[k - 1]`` belongs to step k.
        seconds: time spent in the loop, over all parts of an interrupted run, start-up excluded.
        images_per_second: rows per second, steps x batch_size / seconds.
        steps: steps taken.
    """

    net: Net
    ema: Net
    losses: Tensor
    seconds: float
    images_per_second: float
    steps: int

    def __str__(self) -> str:
        return f"{self.steps:,} steps in {self.seconds:,.1f} s, loss {float(self.losses[-100:].mean()):.4g} at the end"


class DivergenceError(ValueError):
    """The loss is no longer a finite number; or it is, but the weights after the step are not.

    Attributes:
        step: the first step (from 1) with such a loss, or the last step.
        losses: all losses up to the check that found it, float32 on the CPU.
    """

    def __init__(self, step: int, losses: Tensor, precision: str) -> None:
        self.step, self.losses = step, losses
        value = float(losses[step - 1])
        became = f"the loss became {value}" if not math.isfinite(value) else "weights became NaN or infinite"
        fp16 = " fp16 overflow (try COURSE_PRECISION=fp32);" if precision == "16-mixed" else ""
        before = f" (it was {float(losses[step - 2]):.4g} one step before)" if step > 1 else ""
        super().__init__(
            f"{became} at step {step}{before}. Likely causes: a learning rate that is too large (divide "
            f"lr by 3, or lengthen warmup_steps);{fp16} input that holds NaN or is far outside [-1, 1]; a log, a square "
            "root or a division in the loss that meets 0; exp of an unbounded log-variance (clamp it)."
        )
