"""Fair timing: measure alternatives in turns, and report medians with their range."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from course_lib.device import Machine


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median of several, the fastest and the slowest."""

    seconds: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{1e3 * self.seconds:.1f} ms ({1e3 * self.low:.1f} to {1e3 * self.high:.1f})"


def interleaved(
    runs: Mapping[str, Callable[[], object]], machine: Machine, repeats: int = 7, warm_up: int = 2
) -> dict[str, Timing]:
    """Time several things in turns, A B C A B C …; the first ``warm_up`` rounds do not count.

    Raises ValueError for fewer than one counted round.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}, but at least one round must count.")
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warm_up + repeats):
        for name, run in runs.items():
            machine.synchronize()
            began = time.perf_counter()
            run()
            machine.synchronize()
            if turn >= warm_up:
                times[name].append(time.perf_counter() - began)
    return {name: Timing(statistics.median(t), min(t), max(t)) for name, t in times.items()}
