"""Device, precision and threads: one function chooses all three.

    machine = find()          # the best device here; COURSE_DEVICE, COURSE_PRECISION, COURSE_THREADS override it
    print(machine)            # cpu (Intel(R) Xeon(R) Processor), bf16-mixed, 2 threads
    with machine.autocast():  # the forward pass of a network at that precision
        ...

What is chosen, and why: GPUs since 2020 have bf16; older ones (Colab's T4) have only fp16, which needs loss scaling; on Apple's
GPU we use fp32. A CPU gets bf16 only if it has bf16 in hardware (AVX512-BF16 or AMX; others emulate it) *and* a matmul is really
faster in bf16, which is measured in a thirtieth of a second. With AMX, bf16 is several times as fast; on the same chip inside a
virtual machine that hides AMX, we have measured bf16 products that took twice as long.

Threads that wait for each other spin: with another program on one of two cores, two threads are less than half as fast as one.
So, unless a number was asked for, training (every two seconds) and sampling (before a batch) look how many cores other programs
keep busy, and use as many threads as are left (`leave_busy_cores`). Sums are then rounded in another order: where results must
repeat bit for bit, set COURSE_THREADS.
"""

import operator
import os
import platform
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
import torch

from course_lib.arguments import MAX_SIZE, check_integer, check_number

PRECISIONS = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16, "32-true": torch.float32}
MAX_THREADS = 1024  # far more make OpenMP end the process
LOOK_EVERY, SHORT_LOOK = 2.0, 0.1  # seconds
_ALIASES = {"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}


@dataclass(frozen=True)
class Machine:
    """The device, precision and threads that `find` chose.

    Attributes:
        device: where tensors live, e.g. ``torch.device("cuda", 0)``.
        precision: ``"bf16-mixed"``, ``"16-mixed"`` (both: weights in fp32, autocast forward) or ``"32-true"``.
        threads: CPU threads for each operator, at most: see `leave_busy_cores`.
        name: the processor's name, for display.
    """

    device: torch.device
    precision: str
    threads: int
    name: str

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which matmuls and convolutions compute under `autocast`."""
        return PRECISIONS[self.precision]

    def autocast(self) -> AbstractContextManager:
        """Return a context in which matmuls and convolutions run at this precision; it does nothing for ``"32-true"``."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def synchronize(self) -> None:
        """Wait until the device has finished all queued work. Needed before reading a clock."""
        if self.device.type in ("cuda", "mps"):
            getattr(torch, self.device.type).synchronize()

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.device} ({self.name}), {self.precision}, {threads}"


def find(device: str | torch.device | None = None, precision: str | None = None, threads: int | None = None) -> Machine:
    """Choose device, precision and threads; each argument, or else its environment variable, overrides the default.

    Args:
        device: ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"cpu"`` (COURSE_DEVICE). Default: the first available.
        precision: ``"bf16-mixed"``, ``"16-mixed"`` or ``"32-true"``, also ``"bf16"``, ``"fp16"``, ``"fp32"``
            (COURSE_PRECISION). Default: the fastest that the device supports natively.
        threads: CPU threads per operator, at least 1 (COURSE_THREADS). Default: torch's current setting (all cores), and fewer
            while other programs keep cores busy.
            Two processes that share the cores need 1 each, because waiting threads spin. `course bench threads` on two cores,
            training in images/s: 2,352 with one thread, 3,059 with two, 3,374 with two processes of one thread
            (``--devices 2``); with another program on one core 2,321, 1,069 and 2,136.

    Raises:
        ValueError: an unknown or absent device, an unknown precision, fp16 without a CUDA device, or fewer than one thread.
    """
    requested = threads if threads is not None else os.environ.get("COURSE_THREADS") or None
    if requested is None:
        most = _threads.choose()
    else:
        _threads.stop()
        if (most := _parse_threads(requested)) != torch.get_num_threads():
            torch.set_num_threads(most)
    chosen = _parse_device(device or os.environ.get("COURSE_DEVICE") or _best_device())
    precision = _parse_precision(precision or os.environ.get("COURSE_PRECISION") or _best_precision(chosen), chosen)
    return Machine(chosen, precision, most, _processor_name(chosen))


def share_threads(processes: int) -> None:
    """Divide the CPU threads of this machine among ``processes`` processes, each of which calls this (see `find` for why)."""
    if processes > 1:
        _threads.stop()
        torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // processes)))


@dataclass(frozen=True)
class _Look:
    """The time, and the seconds that all programs and this process have spent on the cores that this process may use."""

    at: float
    all: float
    own: float

    @classmethod
    def now(cls) -> "_Look":
        cores = psutil.cpu_times(percpu=True)
        spent = 0.0
        for core in (cores[i] for i in _own_cores() if i < len(cores)):
            idle = core.idle + getattr(core, "iowait", 0.0)
            twice = getattr(core, "guest", 0.0) + getattr(core, "guest_nice", 0.0)  # they are part of user and of nice
            spent += sum(core) - idle - twice
        return cls(time.monotonic(), spent, sum(psutil.Process().cpu_times()[:2]))


def _own_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class _Threads:
    """How many threads torch may use, while `find` chooses their number."""

    def __init__(self) -> None:
        self.most: int | None = None  # None: a number was asked for
        self.set = 0
        self.last: _Look | None = None
        self.process = 0

    def choose(self) -> int:
        """Choose from now on; the most that there may be."""
        now = torch.get_num_threads()
        if self.most is None or now != self.set:  # somebody else's number is the most that is allowed
            self.most = self.set = now
            self.last = None
        return self.most

    def stop(self) -> None:
        """Choose no longer, and give back what was left to others."""
        if self.most is not None and torch.get_num_threads() == self.set != self.most:
            torch.set_num_threads(self.most)
        self.most = None

    def adapt(self) -> None:
        now = time.monotonic()
        if self.most is None or torch.get_num_threads() != self.set or (self.last and now - self.last.at < LOOK_EVERY):
            return
        try:
            if not self.last or self.process != os.getpid() or now - self.last.at > 3 * LOOK_EVERY:  # the start of a run
                self.last, self.process = _Look.now(), os.getpid()
                time.sleep(SHORT_LOOK)
            before, self.last = self.last, _Look.now()
        except (psutil.Error, OSError):  # a system that does not tell: then as if no number could be chosen
            self.most = None
            return
        others = (self.last.all - before.all - (self.last.own - before.own)) / (self.last.at - before.at)  # in cores
        threads = max(1, min(self.most, round(self.most * (1 - others / len(_own_cores())))))
        if threads != self.set:
            torch.set_num_threads(threads)
            self.set = threads


_threads = _Threads()


def leave_busy_cores() -> None:
    """Use as many CPU threads as other programs leave cores free, at least one, unless a number was asked for.

    Call it in every step: it looks every two seconds, for a tenth of a second where it has not looked for long, and else returns
    at once. A limit of a container's CPU time is not seen: set COURSE_THREADS there.
    """
    _threads.adapt()


def is_main_process() -> bool:
    """Whether this is the only process of a run, or the first of several (rank 0): the one that saves and prints."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def matmul_rate(machine: Machine, n: int | None = None, seconds: float = 0.5) -> float:
    """Measure the FLOP/s of an [n, n] @ [n, n] matmul at the machine's precision: the best of repeated runs.

    It is what a training step is compared with: 2 n^3 FLOPs for each product, operands already in the compute dtype.

    Args:
        machine: from `find`.
        n: matrix size; default 8192 on a CUDA device, 2048 elsewhere. Multiples of 64 suit every device.
        seconds: how long to keep measuring, about.
    """
    if n is None:
        n = 8192 if machine.device.type == "cuda" else 2048
    n, seconds = check_integer("n", n, 1, MAX_SIZE), check_number("seconds", seconds, above=0, at_most=600)
    generator = torch.Generator().manual_seed(0)  # not zeros: a GPU's clock rate depends on the values
    a, b = (torch.randn(n, n, generator=generator).to(machine.device, machine.dtype) for _ in range(2))
    torch.mm(a, b)  # warm-up: picks the kernel
    machine.synchronize()
    best, start_of_all = float("inf"), time.perf_counter()
    while time.perf_counter() - start_of_all < seconds:
        start = time.perf_counter()
        torch.mm(a, b)
        machine.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _parse_device(requested: str | torch.device) -> torch.device:
    usable = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    usable += ["mps"] * torch.backends.mps.is_available() + ["cpu"]
    try:
        found = torch.device(requested)
    except RuntimeError:  # not a device of torch's at all
        found = None
    if found is not None:  # a GPU with its index, so that it equals a tensor's device
        found = torch.device("cuda", found.index or 0) if found.type == "cuda" else torch.device(found.type)
    if found is None or str(found) not in usable:
        choices = ", ".join(usable)
        raise ValueError(f"device {str(requested)!r} is not available: choose one of {choices} (argument or COURSE_DEVICE)")
    return found


def _best_precision(device: torch.device) -> str:
    if device.type == "cuda":
        with torch.cuda.device(device):
            return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if device.type == "cpu" and cpu_has_bf16() and _cpu_bf16_pays() else "32-true"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware (x86: AVX512-BF16 or AMX). Other CPUs only emulate it."""
    # torch asks the CPU itself, on every system; a torch build without one of these functions counts as "no".
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, check, bool)()) for check in checks)


@cache
def _cpu_bf16_pays() -> bool:
    """Whether a matmul is faster in bf16 than in fp32 here (it takes half as long or twice as long, nothing in between)."""
    matrices = {dtype: torch.ones(512, 512, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    best = dict.fromkeys(matrices, float("inf"))
    for _ in range(6):  # alternating, so that another program's burst of work slows both
        for dtype, matrix in matrices.items():
            start = time.perf_counter()
            torch.mm(matrix, matrix)
            best[dtype] = min(best[dtype], time.perf_counter() - start)
    return best[torch.bfloat16] < best[torch.float32]


def _parse_precision(requested: str, device: torch.device) -> str:
    found = _ALIASES.get(requested, requested)
    if found not in PRECISIONS:
        raise ValueError(
            f"precision {requested!r} is unknown: choose one of {', '.join(PRECISIONS)} (argument or COURSE_PRECISION)"
        )
    if found == "16-mixed" and device.type != "cuda":
        raise ValueError(f"precision 16-mixed needs a CUDA device, not {device.type}: choose bf16-mixed or 32-true")
    return found


def _parse_threads(requested: int | str) -> int:
    try:
        threads = int(requested) if isinstance(requested, str) else operator.index(requested)
    except (ValueError, TypeError):
        threads = 0
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads {requested!r} is not an integer from 1 to {MAX_THREADS} (argument or COURSE_THREADS)")
    return threads


def _processor_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")  # on Linux; elsewhere platform knows the name
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or "unknown processor"
