"""Notebooks from their sources: ``notebooks/source/NN_name.py`` (py:percent text, which people edit) is executed from a
clean kernel into ``notebooks/NN_name.ipynb`` (which readers open). A notebook is written atomically: the new one or the old one.
"""

import hashlib
import importlib
import operator
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from course_lib.notebook import claims
from course_lib.storage.atomic import write_atomically
from course_lib.storage.paths import ROOT
from course_lib.tools.lab import environment

FOLDER = ROOT / "notebooks"
CELL_TIMEOUT = 900  # seconds: long enough for a slow laptop, but a hung cell is stopped
MAX_BYTES = 2_000_000  # larger files are slow to open, and code hosts do not render them
MAX_LINES = 25  # lines in one code cell; what needs more belongs in the package
# Tags of Jupyter Book and its like, and JupyterLab's own name for each: shown on request. Running a cell shows its outputs.
COLLAPSED = {"hide-input": "source_hidden", "hide-output": "outputs_hidden"}
STORED_METADATA = ("tags", "jupyter", "editable", "deletable", "nbgrader")
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},  # no version: it differs between machines
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|Users|root|tmp|private)/\w|\b[A-Z]:\\Users")
# What `claims.source` displays: name and file of a block, then its code.
DISPLAYED_SOURCE = re.compile(r"`(?P<name>[\w.]+)` in `(?P<file>course_lib/[\w/]+\.py)`\n\n```python\n(?P<code>.*)```\Z", re.S)
ANSI = re.compile(r"\x1b\[[0-9;]*m")  # colours of a traceback


class NotebookError(ValueError):
    """A notebook that does not run cleanly, or a stored one that differs from its source."""


@dataclass(frozen=True)
class Built:
    """Measurements of one build: seconds from a fresh kernel to the last cell and to the first picture, and file size."""

    name: str
    seconds: float
    first_picture: float | None
    size: int

    def __str__(self) -> str:
        picture = f", first picture after {self.first_picture:.1f} s" if self.first_picture else ""
        return f"{self.name}: {self.seconds:.0f} s{picture}, {self.size / 1e6:.2f} MB"


class ThisInterpreter(AsyncKernelManager):
    """Start kernels of the running interpreter: with no folders to look in, "python3" can be nothing else."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])


def sources(names: list[str] | None = None, folder: Path = FOLDER) -> list[Path]:
    """The sources in reading order; ``names`` picks some of them, as ``03_vae`` or simply ``3``.

    Raises ValueError for a name that matches none.
    """
    every = sorted((folder / "source").glob("[0-9]*.py"))
    chosen = set()
    for name in names or []:
        stem = Path(name).stem
        found = [p for p in every if p.stem == stem or p.stem.split("_")[0] == stem.zfill(2)]
        if not found:
            raise ValueError(f"there is no notebook {name!r}; choose from {', '.join(p.stem for p in every)}")
        chosen.update(found)
    return sorted(chosen) if names else every


def assemble(source: Path, change: Callable[[NotebookNode], None] | None = None) -> NotebookNode:
    """Return the notebook that ``source`` describes, without outputs.

    A cell's id is a hash of the notebook's name and the cell's own text: the same on every build, and unmoved by what
    is written before or after the cell. change: edits each cell in place, after its id was made.
    """
    seen: dict[str, int] = {}
    cells = []
    for cell in jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent").cells:
        text = f"{source.stem}\n{cell.cell_type}\n{cell.source}"
        seen[text] = seen.get(text, 0) + 1
        if change is not None:
            change(cell)
        new = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        metadata = {k: v for k, v in cell.metadata.items() if k in STORED_METADATA}
        collapsed = {COLLAPSED[tag]: True for tag in metadata.get("tags", []) if tag in COLLAPSED}
        if collapsed:
            metadata["jupyter"] = {**metadata.get("jupyter", {}), **collapsed}
        name = hashlib.sha256(f"{text}\n{seen[text]}".encode()).hexdigest()[:12]
        cells.append(new(cell.source, id=name, metadata=metadata))
    return nbformat.v4.new_notebook(cells=cells, metadata=METADATA)


def _is_picture(data: dict[str, str]) -> bool:
    """Whether an output is an image, or HTML with one, as ``viz.Picture`` shows itself."""
    return "<img" in data.get("text/html", "") or any(mime.startswith("image/") for mime in data)


def execute(nb: NotebookNode, folder: Path = FOLDER, timeout: int = CELL_TIMEOUT) -> tuple[float, float | None]:
    """Run every cell of ``nb``, in place, in a fresh kernel whose working directory is ``folder``.

    Returns the seconds until the end and until the first picture (None where there is none).
    Raises NotebookError when a cell fails, or runs longer than ``timeout`` seconds.
    """
    pictures: list[float] = []

    def after_cell(cell: NotebookNode, **_: object) -> None:
        if any(_is_picture(out.get("data", {})) for out in cell.outputs):
            pictures.append(time.perf_counter() - start)

    client = NotebookClient(
        nb,
        kernel_manager_class=ThisInterpreter,
        timeout=timeout,
        record_timing=False,
        coalesce_streams=True,
        on_cell_executed=after_cell,
    )
    start = time.perf_counter()
    try:
        client.execute(cwd=str(folder), env={**os.environ, **environment()}, transport_encryption="auto")
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise NotebookError(f"code cell {client.code_cells_executed} did not finish.\n{error}") from error
    seconds = time.perf_counter() - start
    return seconds, pictures[0] if pictures else None


def tidy(nb: NotebookNode) -> None:
    """Remove, in place, what would differ from build to build or show nothing to a reader.

    A stored widget view shows "model not found" until its cell is run, so it is removed together with its placeholder text; the
    still picture that a widget's cell also displays remains.
    """
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if not _is_widget_alone(out)]
            for out in cell.outputs:
                out.get("data", {}).pop(WIDGET_VIEW, None)
    nb.metadata = nbformat.from_dict(METADATA)


def _is_widget_alone(out: NotebookNode) -> bool:
    """Whether an output is a widget's view with nothing but its placeholder text."""
    data = out.get("data", {})
    return WIDGET_VIEW in data and set(data) <= {WIDGET_VIEW, "text/plain"}


def _texts(cell: NotebookNode) -> list[str]:
    """Everything in a cell that a person reads: its source and its textual outputs (not the bytes of pictures)."""
    texts = [cell.source]
    for out in cell.get("outputs", []):
        texts += [out["text"]] if "text" in out else []
        texts += [str(value) for mime, value in out.get("data", {}).items() if mime.startswith("text/")]
        texts += out.get("traceback", [])
    return texts


def faults(nb: NotebookNode) -> list[str]:
    """Describe what is wrong with an executed notebook, one sentence for each fault."""
    found = []
    code = [c for c in nb.cells if c.cell_type == "code"]
    if empty := [number for number, cell in enumerate(code, 1) if not cell.source.strip()]:
        found.append(f"code cell {empty[0]} is empty")
    elif [c.execution_count for c in code] != list(range(1, len(code) + 1)):
        found.append("its cells were not executed once each, in order, from a clean kernel")
    if "widgets" in nb.metadata:
        found.append("it stores widgets' state")
    for number, cell in enumerate(code, 1):
        outputs = [out.get("name", out.output_type) for out in cell.outputs]
        if "error" in outputs:
            found.append(f"the output of code cell {number} is an error")
        if "stderr" in outputs:
            text = next(out.text for out in cell.outputs if out.get("name") == "stderr")
            found.append(f"code cell {number} printed to stderr: {text.strip()[:200]!r}")
        if (lines := len(cell.source.splitlines())) > MAX_LINES:
            found.append(f"code cell {number} has {lines} lines, at most {MAX_LINES} are allowed")
    for number, cell in enumerate(nb.cells, 1):
        if any(str(ROOT) in text or MACHINE_PATH.search(text) for text in _texts(cell)):
            found.append(f"cell {number} names a path that exists on one machine only")
    return found


def hidden_faults(nb: NotebookNode) -> list[str]:
    """Find errors inside Output widgets, which the cells' own outputs do not show. Call it before ``tidy``."""
    stored = nb.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    outputs = [out for model in stored.get("state", {}).values() for out in model["state"].get("outputs", [])]
    failed = [out for out in outputs if out.get("output_type") == "error" or out.get("name") == "stderr"]
    return [f"a widget's callback failed: {out.get('evalue') or out.get('text')}" for out in failed]


def build(source: Path, timeout: int = CELL_TIMEOUT) -> Built:
    """Execute one source into the notebook next to its folder: ``source/03_vae.py`` into ``03_vae.ipynb``.

    Raises NotebookError as `execute_to` does.
    """
    return execute_to(assemble(source), source.parent.parent / f"{source.stem}.ipynb", timeout)


def execute_to(nb: NotebookNode, path: Path, timeout: int = CELL_TIMEOUT) -> Built:
    """Execute ``nb`` in the folder of ``path`` and write it there atomically.

    Raises NotebookError, and leaves the stored notebook alone, when a cell fails, prints to stderr, or the notebook
    would break one of the rules of ``faults``.
    """
    try:
        seconds, first_picture = execute(nb, path.parent, timeout)
    except NotebookError as error:
        plain = ANSI.sub("", str(error))
        raise NotebookError(f"{path.stem} was not written: {plain}") from error
    found = hidden_faults(nb)
    tidy(nb)
    found += faults(nb)
    nbformat.validate(nb)
    text = nbformat.writes(nb) + "\n"
    if (size := len(text.encode())) > MAX_BYTES:
        found.append(f"it would be {size / 1e6:.1f} MB, at most {MAX_BYTES / 1e6:.0f} MB are allowed")
    if found:
        raise NotebookError(f"{path.stem} was not written: " + "; ".join(found))
    write_atomically(path, text.encode())
    return Built(path.stem, seconds, first_picture, size)


def shape(nb: NotebookNode) -> list[tuple]:
    """The parts of a notebook that come from its source: type, text, tags and id of each cell."""
    return [(c.cell_type, c.source, c.metadata.get("tags", []), c.id) for c in nb.cells]


def differences(path: Path, source: Path, expected: NotebookNode, command: str, place: str = "") -> list[str]:
    """Describe how a stored notebook differs from ``expected``, the one that its source makes, and which rules it breaks.

    One sentence for each. command: builds the notebook again. place: its folder among the notebooks, such as ``"homework/"``.
    """
    name, again = place + path.name, f"run `{command}`"
    if not path.exists():
        return [f"{name} is missing: {again}"]
    problems, stored = [], nbformat.read(path, as_version=4)
    if shape(stored) != shape(expected):
        problems.append(f"{name} differs from its source, source/{place}{source.name}: {again}")
    problems += [f"{name} shows an old source of {block}: {again}" for block in stale_sources(stored)]
    if path.stat().st_size > MAX_BYTES:
        problems.append(f"{name} is larger than {MAX_BYTES / 1e6:.0f} MB")
    return problems + [f"{name}: {fault}" for fault in faults(stored)]


def stale_sources(nb: NotebookNode) -> list[str]:
    """Name the library blocks whose displayed source (`claims.source`) is out of date."""
    stale = []
    for cell in nb.cells:
        for out in cell.get("outputs", []):
            shown = DISPLAYED_SOURCE.match(out.get("data", {}).get("text/markdown", ""))
            if shown and shown["code"] not in _current_sources(shown["file"], shown["name"]):
                stale.append(f"{shown['name']} in {shown['file']}")
    return stale


def _current_sources(file: str, name: str) -> list[str]:
    """Today's source of one block of the library, with and without its docstring; empty where it is gone."""
    try:
        block = operator.attrgetter(name)(importlib.import_module(file.removesuffix(".py").replace("/", ".")))
    except (ImportError, AttributeError):
        return []
    return [claims.source_text(block, docstring) for docstring in (True, False)]


def check(names: list[str] | None = None, folder: Path = FOLDER) -> list[str]:
    """Compare the stored notebooks with their sources without executing anything. One sentence for each difference.

    Compared are every cell's type, text, tags and id, and the sources of library blocks that the outputs display; other outputs
    are read only for the rules of ``faults``.
    """
    problems = []
    for source in sources(names, folder):
        name = source.stem
        problems += differences(folder / f"{name}.ipynb", source, assemble(source), f"course notebooks {name}")
    if not names:
        known = {source.stem for source in sources(folder=folder)}
        orphans = sorted(p.name for p in folder.glob("*.ipynb") if p.stem not in known)
        problems += [f"{name} has no source in {folder.name}/source" for name in orphans]
    return problems
