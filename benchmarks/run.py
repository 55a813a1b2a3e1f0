"""The parts of the benchmark, run one after another; each is stored when it is done."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import choices, gpu, growth, memory, quality, records, report, roofline, sampling, steps, throughput
from course_lib import device as devices
from course_lib.device import Machine

PARTS: dict[str, Callable[[Machine], dict]] = {
    "matmul": throughput.matmul,
    "roofline": roofline.measure,
    "steps": steps.measure,
    "attention": choices.attention,
    "guidance": choices.guidance,
    "compile": choices.compiled,
    "overhead": sampling.overhead,
    "samples": sampling.guided_samples,
    "throughput": throughput.measure,
    "threads": lambda machine: throughput.threads(),
    "memory": memory.measure,
    "growth": growth.measure,
    "gpu": gpu.measure,
    "quality": quality.measure,
    "records": records.measure,
}


def parts_for(machine: Machine) -> list[str]:
    """The parts that this machine supports: without a GPU all but "gpu", and with one all but "threads", which concerns a CPU."""
    without = "threads" if machine.device.type == "cuda" else "gpu"
    return [part for part in PARTS if part != without]


def run(parts: Sequence[str] | None = None, out: Path | None = None) -> Path:
    """Measure these parts, or all that the machine supports, and write RESULTS.md. Raises ValueError for an unknown part."""
    if unknown := [part for part in parts or () if part not in PARTS]:
        raise ValueError(f"there is no part {unknown[0]!r}; choose from {', '.join(PARTS)}")
    machine = devices.find()
    print(machine)
    folder = out or report.FOLDER
    for part in parts or parts_for(machine):
        print(f"{part} …", flush=True)
        report.store(part, PARTS[part](machine), machine, folder)
    return folder / "RESULTS.md"
