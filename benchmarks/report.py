"""The results of the benchmarks: stored as JSON, part by part, and written as ``benchmarks/RESULTS.md``."""

import json
import platform
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from course_lib.device import Machine
from course_lib.storage import atomic
from course_lib.storage.paths import ROOT

FOLDER = ROOT / "benchmarks"
PACKAGES = ("torch", "diffusers", "denoising-diffusion-pytorch", "lightning-fabric", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python, the system, and the packages that are compared."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def store(part: str, found: dict, machine: Machine, folder: Path = FOLDER) -> Path:
    """Store one part's figures with the machine they come from, and update RESULTS.md."""
    file = folder / f"{file_stem(machine)}.json"
    every = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    every[part] = {"machine": str(machine), "torch": torch.__version__, "versions": versions(), "found": found}
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_atomically(file, (json.dumps(every, indent=1, ensure_ascii=False) + "\n").encode())
    atomic.write_atomically(folder / "RESULTS.md", write(folder).encode())
    return folder / "RESULTS.md"


def file_stem(machine: Machine) -> str:
    """The name of the file with a machine's figures: its processor's name and its precision."""
    return re.sub(r"[^a-z0-9]+", "-", f"{machine.name} {machine.precision}".lower().replace("(r)", "")).strip("-")


def write(folder: Path = FOLDER) -> str:
    """Return the text of RESULTS.md from every stored part."""
    lines = [
        "# What it costs, and how fast it is",
        "",
        "Written by `make bench`; do not edit. Each machine has a section. Libraries are timed in turns (A B C A B C …); figures",
        "are medians, with the fastest and slowest round in brackets. *Fraction of matmul* is the FLOPs (matmuls, attention",
        "and convolutions; the rest is not counted) per second, divided by the machine's own matmul rate, measured in the",
        "same run.",
        "",
    ]
    for file in sorted(folder.glob("*.json")):
        lines += [f"## {file.stem}", ""]
        every, previous = json.loads(file.read_text(encoding="utf-8")), ""
        for part, stored in sorted(every.items(), key=lambda one: list(TABLES).index(one[0])):
            packages = ", ".join(f"{name} {number}" for name, number in stored["versions"].items())
            if (where := f"{stored['machine']}; {packages}.") != previous:
                lines += [where, ""]
            previous = where
            lines += [f"### {part}", "", *TABLES[part](stored["found"]), ""]
    return "\n".join(lines)


def table(head: list[str], rows: list[list[object]]) -> list[str]:
    """Return the lines of a Markdown table; numbers get three significant digits."""
    body = [head, ["---"] * len(head), *([_text(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(row) + " |" for row in body]


def _text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _matmul(found: dict) -> list[str]:
    return table(["precision", "GFLOP/s"], [[name, rate] for name, rate in found.items()])


def _steps(found: dict) -> list[str]:
    rows = []
    for plan, lines in found["comparisons"].items():
        ours = next(line for line in lines if line["network"] == "ours")["images_per_second"]
        for line in lines:
            middle, low, high = line["milliseconds"]
            faster = "" if line["network"] == "ours" else f"{ours / line['images_per_second']:.1f}×"
            rows.append([
                plan, line["network"], f"{line['parameters']:,}", f"{middle:.0f} ({low:.0f} to {high:.0f})",
                line["images_per_second"], line["gflop"], f"{line['share_of_matmul']:.0%}", faster,
            ])  # fmt: skip
    head = ["training step", "network", "parameters", "ms", "images/s", "GFLOP", "fraction of matmul", "ours is faster by"]
    vae = found["vae"]
    return [
        f"Matmul in the same run: {found['matmul_gflops']:,.0f} GFLOP/s. Chapter 3's VAE trains at "
        f"{vae['images_per_second']:,.0f} images/s, {vae['share_of_matmul']:.0%} of it.", "", *table(head, rows),
    ]  # fmt: skip


def _overhead(found: dict) -> list[str]:
    rows = [[name, f["microseconds_per_step"], f"{f['share_of_a_step']:.2%}"] for name, f in found.items()]
    return table(["sampler without its network", "µs per step", "fraction of a guided step"], rows)


def _samples(found: dict) -> list[str]:
    ours = found["ours"]["images_per_second"]
    rows = [
        [name, f"{f['images_per_second']:,.1f} ({f['low']:,.1f} to {f['high']:,.1f})", f"{ours / f['images_per_second']:.1f}×"]
        for name, f in found.items()
    ]
    return table(["guided samples, 20 steps, decoded", "images/s", "ours is faster by"], rows)


def _throughput(found: dict) -> list[str]:
    return table(["what", "images/s"], [[name, rate] for name, rate in found.items()])


def _threads(found: dict) -> list[str]:
    return table(["training of the latent denoiser", "images/s"], [[name, rate] for name, rate in found.items()])


def _growth(found: dict) -> list[str]:
    rows = []
    for name, law in found.items():
        points = ", ".join(f"{size:,}: {_text(1e3 * s)} ms" for size, s in zip(law["sizes"], law["seconds"], strict=True))
        if "peak_mib" in law:
            points += "; memory " + ", ".join(f"{mib:,.0f} MiB" for mib in law["peak_mib"])
        rows.append([name, points, f"{law['exponent']:.2f}"])
    return table(["what grows", "cost", "exponent"], rows)


def _quality(found: dict) -> list[str]:
    rows = []
    for name in ("ours", "diffusers", "lucidrains"):
        rows += [[name, f"{seconds:.0f}", distance] for seconds, distance in found.get(name, [])]
    note = f"{found['samples']} samples each; as many real training images are at {_text(found['floor'])} from the test images."
    return [note, "", *table(["recipe", "seconds of training", "Fréchet distance"], rows)]


def _roofline(found: dict) -> list[str]:
    rows = [
        [name, b["gflop"], b["mib"], 1e3 * b["seconds"], 1e3 * b["least"], b["bound"], f"{b['least'] / b['seconds']:.0%}"]
        for name, b in found["blocks"].items()
    ]
    head = ["block, batch 128, forward and backward", "GFLOP", "MiB", "ms", "ms at least", "bound by", "reached"]
    return [
        f"Matmul {found['matmul_gflops']:,.0f} GFLOP/s, memory {found['gigabytes_per_second']:,.0f} GB/s. At least: the FLOPs at "
        "the one rate or the bytes at the other, whichever takes longer (Williams et al. 2009), with all intermediate values of "
        "a block in the caches.", "", *table(head, rows),
    ]  # fmt: skip


def _ways(head: str) -> Callable[[dict], list[str]]:
    """Return a function that writes milliseconds as a table: a row for each case, a column for each way, and the speed-up."""

    def write(found: dict) -> list[str]:
        names = list(next(iter(found.values())))
        rows = [
            [case, *(1e3 * took[name] for name in names), f"{took[names[0]] / took[names[1]]:.2g}×"]
            for case, took in found.items()
        ]
        return table([head, *(f"{name}, ms" for name in names), f"{names[1]} is faster by"], rows)

    return write


def _memory(found: dict) -> list[str]:
    return table(["what", "peak MiB"], [[name, f"{mib:,.0f}"] for name, mib in found.items()])


def _gpu(found: dict) -> list[str]:
    dit = [[way, d["images_per_second"], f"{d['share_of_matmul']:.0%}"] for way, d in found["dit"].items()]
    flagship = found["flagship"]
    return [
        f"Matmul at the same precision: {found['matmul_tflops']:,.0f} TFLOP/s.", "",
        *table(["training DiT-B/2 on 4×32×32", "images/s", "fraction of matmul"], dit), "",
        *_ways("guided sampling, 20 steps")(found["graphs"]), "",
        f"10,000 guided Teddies at 64×64: {found['10,000 Teddies']:,.1f} s. The Teddies' denoiser trained again: "
        f"{flagship['seconds']:,.0f} s, with a prompt adherence of {flagship['prompt adherence']:.0%} (shipped weights: "
        f"{flagship['prompt adherence, shipped']:.0%}).",
    ]  # fmt: skip


def _records(found: dict) -> list[str]:
    reached = ", ".join(
        f"distance {float(target):g} in {seconds:.0f} s" if seconds else f"distance {float(target):g} not reached"
        for target, seconds in found["reached"].items()
    )
    rows = [[run["seconds"], run["frechet"], run["kid"], run["near copies"]] for run in found["runs"]]
    head = ["seconds of training", "Fréchet distance", "KID", "as near to a training image as 1 % of new ones"]
    floor = found["runs"][-1]["floor"]
    return [f"{reached}. {found['samples']:,} samples each; as many real images are at {floor:.2f}.", "", *table(head, rows)]


TABLES = {  # in this order on the page
    "matmul": _matmul,
    "roofline": _roofline,
    "steps": _steps,
    "attention": _ways("attention, forward and backward"),
    "guidance": _ways("a guided step, by number of images"),
    "compile": _ways("training step"),
    "overhead": _overhead,
    "samples": _samples,
    "throughput": _throughput,
    "threads": _threads,
    "memory": _memory,
    "growth": _growth,
    "gpu": _gpu,
    "quality": _quality,
    "records": _records,
}
