"""Pin the installed versions in three lock files, each of which starts with the one before it; `make lock` runs this.

    requirements.lock       what [project.dependencies] needs, directly or not: a student's install
    requirements-site.lock  what the extra "site" needs beyond it
    requirements-dev.lock   what the extra "dev" needs beyond both

Comments are kept, and so are the pins of packages that another system or another Python needs and this one does not install.
Usage: python .ci/lock.py [FOLDER], by default the folder of the repository.
"""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PLACES = [
    {"python_version": python, "python_full_version": f"{python}.0", **system}
    for python in ("3.11", "3.12", "3.13")
    for system in (
        {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"},
        {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin"},
        {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows"},
    )
]
GPU_BUILD = re.compile(r"nvidia-|cuda-|triton$")  # PyTorch's CUDA build pins these itself; no other build has them


def closure(roots: list[str]) -> set[str]:
    """Names of all packages that these requirements bring, on any supported system and Python."""
    todo, seen = [Requirement(root) for root in roots], set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if GPU_BUILD.match(name) or (name, *requirement.extras) in seen:
            continue
        seen.add((name, *requirement.extras))
        for need in map(Requirement, requires(name)):
            places = [place | {"extra": extra} for place in PLACES for extra in {"", *requirement.extras}]
            if not need.marker or any(map(need.marker.evaluate, places)):
                todo.append(need)
    return {name for name, *_ in seen}


def requires(name: str) -> list[str]:
    """What an installed package needs; nothing is known of one that is not installed."""
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def lines(names: set[str], old: list[str], every: list[str]) -> list[str]:
    """The lines of a lock file for these packages. old: its lines so far; every: those of all lock files.

    Raises SystemExit for a package that is neither installed nor pinned so far.
    """
    top = [line for line in old if line.startswith(("#", "-"))]
    pinned = {canonicalize_name(Requirement(line).name): line for line in every if line and not line.startswith(("#", "-"))}
    marked, plain = [], []
    for name in sorted(names):
        marker = pinned.get(name, "").partition(" ; ")[2]
        try:
            found = importlib.metadata.distribution(name)
            pin = f"{found.metadata['Name']}=={found.version.partition('+')[0]}"  # no +cpu, no +cu: one file for every machine
        except importlib.metadata.PackageNotFoundError:
            if name not in pinned:
                sys.exit(
                    f"{name} is needed on another system or Python, and is not installed here: pin it by hand, with a marker."
                )
            pin = pinned[name].partition(" ; ")[0]
        marked.append(f"{pin} ; {marker}") if marker else plain.append(pin)
    return [*top, *marked, *sorted(plain, key=lambda pin: pin.partition("==")[0].lower())]


def main(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, before = project["optional-dependencies"], set[str]()
    files = {
        "requirements.lock": project["dependencies"],
        "requirements-site.lock": extras["site"],
        "requirements-dev.lock": extras["dev"],
    }
    old = {name: (folder / name).read_text(encoding="utf-8").splitlines() for name in files}
    new = {}
    for name, roots in files.items():
        names = closure(roots) - before
        new[name] = lines(names, old[name], [line for text in old.values() for line in text])
        before |= names
    for name, text in new.items():  # only now: a package of which no version is known leaves all of them as they were
        (folder / name).write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
