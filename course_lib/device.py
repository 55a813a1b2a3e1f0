"""Where and how precisely to compute: one function decides the device, the precision and the threads.

    machine = find()          # the best device here; COURSE_DEVICE, COURSE_PRECISION, COURSE_THREADS override it
    print(machine)            # cpu (Intel(R) Xeon(R) Processor), bf16-mixed, 2 threads
    with machine.autocast():  # the forward pass of a network at that precision
        ...

What is chosen, and why: GPUs since 2020 have bf16, older ones (Colab's T4) have fp16 alone, which needs loss scaling;
on Apple's GPU we stay with fp32. A CPU gets bf16 only where it has it in hardware (AVX512-BF16 or AMX; others emulate
it) *and* where a matmul is really faster in it, which a thirtieth of a second shows: with AMX bf16 wins several times
over, but on the same chip inside a virtual machine that hides AMX, bf16 products were seen to take twice as long.
"""

import os
import platform
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

PRECISIONS = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16, "32-true": torch.float32}
_ALIASES = {"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}


@dataclass(frozen=True)
class Machine:
    """What `find` chose.

    Attributes:
        device: where tensors live, e.g. ``torch.device("cuda", 0)``.
        precision: ``"bf16-mixed"``, ``"16-mixed"`` (both: weights in fp32, autocast forward) or ``"32-true"``.
        threads: CPU threads for each operator.
        name: the processor's own name, for people.
    """

    device: torch.device
    precision: str
    threads: int
    name: str

    @property
    def dtype(self) -> torch.dtype:
        """The type that matmuls and convolutions compute in under `autocast`."""
        return PRECISIONS[self.precision]

    def autocast(self) -> AbstractContextManager:
        """Context in which matmuls and convolutions run at this precision; does nothing for ``"32-true"``."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def synchronize(self) -> None:
        """Wait until the device has done all that it was asked to do. Needed before a clock is read."""
        if self.device.type in ("cuda", "mps"):
            getattr(torch, self.device.type).synchronize()

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.device} ({self.name}), {self.precision}, {threads}"


def find(device: str | torch.device | None = None, precision: str | None = None, threads: int | None = None) -> Machine:
    """Choose device, precision and threads; each argument, or else its environment variable, overrides the choice.

    Args:
        device: ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"cpu"`` (COURSE_DEVICE). Default: the first that is here.
        precision: ``"bf16-mixed"``, ``"16-mixed"`` or ``"32-true"``, also ``"bf16"``, ``"fp16"``, ``"fp32"``
            (COURSE_PRECISION). Default: the fastest that the device has natively.
        threads: CPU threads per operator, at least 1 (COURSE_THREADS). Default: as torch has it now (all cores).
            Two processes that share the cores want 1 each: waiting threads spin. `course bench threads` on two cores, a training
            in images/s: 2,352 with one thread, 3,059 with two, 3,374 with two processes of one thread (``--devices 2``); and
            with another program on one core 2,321, 1,069 and 2,136.

    Raises:
        ValueError: an unknown or absent device, an unknown precision, fp16 off the GPU, or fewer than one thread.
    """
    wanted = threads if threads is not None else os.environ.get("COURSE_THREADS") or None
    if wanted is not None and _threads(wanted) != torch.get_num_threads():
        torch.set_num_threads(_threads(wanted))
    where = _device(device or os.environ.get("COURSE_DEVICE") or _best_device())
    how = _precision(precision or os.environ.get("COURSE_PRECISION") or _best_precision(where), where)
    return Machine(where, how, torch.get_num_threads(), _name(where))


def share_threads(processes: int) -> None:
    """Divide this machine's CPU threads among so many processes, which all call this: waiting threads spin (see `find`)."""
    if processes > 1:
        torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // processes)))


def is_main_process() -> bool:
    """Whether this is the one process of a run, or the first of several: who saves, and who speaks."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def matmul_rate(machine: Machine, n: int | None = None, seconds: float = 0.5) -> float:
    """FLOP/s of an [n, n] @ [n, n] matmul at the machine's precision: the best of repeated runs.

    The yardstick for a training step: 2 n^3 FLOPs for each product, operands already in the compute type.

    Args:
        machine: from `find`.
        n: matrix size; default 8192 on a CUDA device, 2048 elsewhere. Multiples of 64 suit every device.
        seconds: keep measuring for about so long.
    """
    n = n or (8192 if machine.device.type == "cuda" else 2048)
    generator = torch.Generator().manual_seed(0)  # not zeros: a GPU's clock depends on the numbers
    a, b = (torch.randn(n, n, generator=generator).to(machine.device, machine.dtype) for _ in range(2))
    torch.mm(a, b)  # warm-up: picks the kernel
    machine.synchronize()
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        torch.mm(a, b)
        machine.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _device(asked: str | torch.device) -> torch.device:
    usable = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    usable += ["mps"] * torch.backends.mps.is_available() + ["cpu"]
    try:
        found = torch.device(asked)
    except RuntimeError:
        found = None
    if found is not None and found.type == "cuda":
        found = torch.device("cuda", found.index or 0)  # with its index, so that it equals a tensor's device
    elif found is not None:
        found = torch.device(found.type)
    if str(found) not in usable:
        choices = ", ".join(usable)
        raise ValueError(f"device {str(asked)!r} is not here: choose one of {choices} (argument or COURSE_DEVICE)")
    return found


def _best_precision(device: torch.device) -> str:
    if device.type == "cuda":
        with torch.cuda.device(device):
            return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if device.type == "cpu" and cpu_has_bf16() and _cpu_bf16_pays() else "32-true"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 numbers in hardware (x86: AVX512-BF16 or AMX). Others only emulate it."""
    # torch asks the CPU itself, on every system; an ancient or foreign build without the question counts as "no".
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, question, bool)()) for question in questions)


@cache
def _cpu_bf16_pays() -> bool:
    """Whether a matmul is faster in bf16 than in fp32 here (it takes half as long or twice, not about as long)."""
    matrices = {dtype: torch.ones(512, 512, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    best = dict.fromkeys(matrices, float("inf"))
    for _ in range(6):  # in turns, so that another program's burst of work hits both
        for dtype, matrix in matrices.items():
            start = time.perf_counter()
            torch.mm(matrix, matrix)
            best[dtype] = min(best[dtype], time.perf_counter() - start)
    return best[torch.bfloat16] < best[torch.float32]


def _precision(asked: str, device: torch.device) -> str:
    found = _ALIASES.get(asked, asked)
    if found not in PRECISIONS:
        raise ValueError(f"precision {asked!r} is unknown: choose one of {', '.join(PRECISIONS)} (argument or COURSE_PRECISION)")
    if found == "16-mixed" and device.type != "cuda":
        raise ValueError(f"precision 16-mixed needs a CUDA device, not {device.type}: choose bf16-mixed or 32-true")
    return found


def _threads(asked: int | str) -> int:
    try:
        threads = int(asked)
    except ValueError:
        threads = 0
    if threads < 1:
        raise ValueError(f"threads {asked!r} is not a whole number of at least 1 (argument or COURSE_THREADS)")
    return threads


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")  # Linux; elsewhere platform knows the name
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or "unknown processor"
