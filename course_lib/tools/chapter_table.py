"""The README's table of notebooks: title, question, a first reader's minutes, and how long each one runs, on which machine."""

import json
from pathlib import Path

from course_lib.storage.atomic import write_atomically
from course_lib.storage.paths import ROOT
from course_lib.tools import reading_time
from course_lib.tools.build_notebooks import FOLDER, Built, assemble, sources

README = ROOT / "README.md"
TIMINGS = "timings.json"
DEVICES = {"cpu": "on a CPU", "cuda": "on a GPU"}
BEGIN, END = "<!-- chapters: written by `course notebooks` -->", "<!-- end of chapters -->"


def read_timings(folder: Path = FOLDER) -> dict[str, dict]:
    """What `record` has stored: {notebook: {device type: {"seconds": …, "machine": …}}}."""
    path = folder / TIMINGS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def record(built: Built, device: str, machine: str, folder: Path = FOLDER, readme: Path = README) -> None:
    """Store the seconds of a build and the machine on which it ran, and update the README's table of chapters.

    device: the device's type, "cpu" or "cuda". machine: the line that describes it, as the notebook's first cell prints it.
    """
    timings = read_timings(folder)
    timings.setdefault(built.name, {})[device] = {"seconds": round(built.seconds), "machine": machine}
    write_atomically(folder / TIMINGS, (json.dumps(timings, indent=1, sort_keys=True) + "\n").encode())
    write_atomically(readme, with_table(readme.read_text(encoding="utf-8"), folder).encode())


def with_table(text: str, folder: Path = FOLDER) -> str:
    """Return ``text`` (a README) with the table of chapters between its two markers; ValueError when they are missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"the README needs the line {BEGIN!r} and, below it, {END!r}: the table goes between them")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table(folder)}\n{END}{rest.split(END)[1]}"


def table(folder: Path = FOLDER) -> str:
    """Return a Markdown table of the notebooks: title, question, minutes in all and of running, and below it the machines."""
    timings = read_timings(folder)
    runs_on = [f"runs {device}" for device in DEVICES.values()]
    lines = [
        f"| notebook | the question | read, write and run | {' | '.join(runs_on)} |",
        f"|---|---|---|{'---|' * len(DEVICES)}",
    ]
    machines: dict[str, list[str]] = {}
    for source in sources(folder=folder):
        text = assemble(source).cells[0].source.splitlines()
        title = next((line[2:] for line in text if line.startswith("# ")), source.stem)
        question = " ".join(line[2:] for line in text if line.startswith("> "))
        runs = timings.get(source.stem, {})
        for run in runs.values():
            machines.setdefault(run["machine"], []).append(source.stem[:2])
        times = [f"{runs[device]['seconds'] / 60:.1f} min" if device in runs else "not yet measured" for device in DEVICES]
        minutes = _minutes(folder / f"{source.stem}.ipynb", runs.get("cpu", {}).get("seconds", 0))
        lines.append(f"| [{title}]({folder.name}/{source.stem}.ipynb) | {question} | {minutes} | {' | '.join(times)} |")
    for machine, numbers in sorted(machines.items()):
        lines += ["", f"Measured on {machine}: notebooks {', '.join(numbers)}."]
    return "\n".join(lines)


def _minutes(path: Path, seconds: float) -> str:
    """A first reader's minutes, as `reading_time` counts them."""
    return f"{reading_time.measure(path, seconds).minutes:.0f} min" if path.exists() else "not yet measured"
