"""The parts of the benchmark, run one after the other; each is stored when it is done."""

from collections.abc import Callable, Sequence
from pathlib import Path

from course_lib import device as devices
from course_lib.bench import growth, quality, report, sampling, steps, throughput
from course_lib.device import Machine

PARTS: dict[str, Callable[[Machine], dict]] = {
    "matmul": throughput.matmul,
    "steps": steps.measure,
    "overhead": sampling.overhead,
    "samples": sampling.guided_samples,
    "throughput": throughput.measure,
    "threads": lambda machine: throughput.threads(),
    "growth": growth.measure,
    "quality": quality.measure,
}


def run(parts: Sequence[str], out: Path | None = None) -> Path:
    """Measure these parts and write RESULTS.md. Raises ValueError for a part that there is not."""
    if unknown := [part for part in parts if part not in PARTS]:
        raise ValueError(f"there is no part {unknown[0]!r}; choose from {', '.join(PARTS)}")
    machine = devices.find()
    print(machine)
    folder = out or report.FOLDER
    for part in parts:
        print(f"{part} …", flush=True)
        report.keep(part, PARTS[part](machine), machine, folder)
    return folder / "RESULTS.md"
