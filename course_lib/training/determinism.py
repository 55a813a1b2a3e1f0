"""What makes a training run repeatable: data order and random numbers that depend on (seed, step) alone, and an
interrupt that waits for the end of a step."""

import hashlib
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from functools import lru_cache

import torch
from torch import Tensor, nn

from course_lib.training.config import TrainConfig


class BatchSampler:
    """Which rows a step sees: a stream of epochs, each a permutation of 0 .. n-1 that depends on (seed, epoch) alone."""

    def __init__(self, n: int, batch_size: int, seed: int, device: torch.device | str = "cpu") -> None:
        self.n, self.batch_size = n, batch_size

        @lru_cache(maxsize=2)
        def epoch(number: int) -> Tensor:
            # Made on the CPU, so that the order is the same on every device; one copy to it for each epoch.
            generator = torch.Generator().manual_seed(derive_seed(seed, "epoch", number))
            return torch.randperm(n, generator=generator).to(device, non_blocking=True)

        self.epoch = epoch

    def rows(self, step: int) -> Tensor:
        """Return the row numbers of step `step` = 0, 1, ...: int64 [batch_size]."""
        number, start = divmod(step * self.batch_size, self.n)
        rows = self.epoch(number)[start : start + self.batch_size]
        missing = self.batch_size - len(rows)
        return torch.cat([rows, self.epoch(number + 1)[:missing]]) if missing else rows


def run_fingerprint(net: nn.Module, data: tuple[Tensor, ...], config: TrainConfig) -> dict[str, object]:
    """Return what must be equal for a run to be resumed: every setting that changes its result, the network and the data."""
    free = {"save_every", "log_every", "progress", "devices", "nodes", "strategy"}
    free |= {"steps"} if config.schedule == "constant" else set()
    run = {name: value for name, value in asdict(config).items() if name not in free} | {"shards": config.num_shards}
    shapes = repr([(name, tuple(value.shape)) for name, value in net.state_dict().items()])
    run["network"] = f"{type(net).__name__} {hashlib.sha256(shapes.encode()).hexdigest()[:8]}"
    digest = hashlib.sha256()
    for d in data:  # 64 rows, evenly spread, distinguish these data from others without reading all of them
        rows = d[torch.linspace(0, len(d) - 1, 64, device=d.device).long()].cpu().contiguous()
        digest.update(repr((d.shape, d.dtype)).encode() + rows.flatten().view(torch.uint8).numpy().tobytes())
    run["data"] = f"{len(data[0])} rows {digest.hexdigest()[:8]}"
    return run


def derive_seed(*key: object) -> int:
    """Return a 63-bit seed from any key: equal keys give equal seeds, all others unrelated ones."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1


def seed_globals(device: torch.device, seed: int) -> None:
    """Seed torch's global generators (which dropout uses) of the CPU and of `device`."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed visits every backend: 150 microseconds a step
    if device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def preserve_rng_state(device: torch.device) -> AbstractContextManager:
    """Return a context that restores the state of torch's global generators at its end."""
    return torch.random.fork_rng(devices=[device.index] if device.type == "cuda" else [])


@contextmanager
def defer_interrupt() -> Iterator[list[bool]]:
    """Let Ctrl-C fill the list instead of raising in the middle of a step; a second one raises KeyboardInterrupt at once."""
    pressed: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed  # Python delivers signals to the main thread only
        return

    def on_interrupt(*_: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
