"""nbval's kernels in the JupyterLab of the browser tests, so that each notebook runs once, and its sliders are tried in that run.

With `pytest --in-jupyterlab` nbval executes each notebook, cell by cell, in a kernel of a JupyterLab server. The kernel is left
running; the outputs that nbval saw are saved as the notebook's, and the browser test opens the page on them.
"""

import json
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lab_page
import nbformat
import nbval.plugin
from jupyter_client import BlockingKernelClient
from lab_page import Server
from nbformat.sign import NotebookNotary
from nbval.kernel import RunningKernel

from course_lib.storage import paths

_open = ExitStack()  # what ends with the process: the server and its folder
_servers: list[Server] = []
_executed: set[str] = set()


def server() -> Server:
    """The server of this process, started at the first call; `close` ends it."""
    if not _servers:
        folder = Path(_open.enter_context(tempfile.TemporaryDirectory(prefix="jupyterlab-")))
        _servers.append(_open.enter_context(lab_page.server(folder, paths.runs_dir())))
    return _servers[0]


def close() -> None:
    """End the server and all its kernels."""
    _open.close()
    _servers.clear()
    _executed.clear()


def is_executed(name: str) -> bool:
    """Return whether nbval has executed this notebook and left its kernel running."""
    return name in _executed


class _ServerKernel:
    """A kernel of the server, with the methods of a kernel manager that nbval uses."""

    kernel_spec = SimpleNamespace(language="python")

    def __init__(self, server: Server, notebook: str) -> None:
        self.server = server
        body = {"path": f"notebooks/{notebook}.ipynb", "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
        self.id = self._request("POST", "sessions", body)["kernel"]["id"]

    def client(self) -> BlockingKernelClient:
        client = BlockingKernelClient()
        client.load_connection_file(str(self.server.jupyter / "runtime" / f"kernel-{self.id}.json"))
        return client

    def is_alive(self) -> bool:
        return self.id in {kernel["id"] for kernel in self._request("GET", "kernels")}

    def interrupt_kernel(self) -> None:
        self._request("POST", f"kernels/{self.id}/interrupt")

    def _request(self, method: str, path: str, body: dict | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.server.url}api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.server.token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=lab_page.PATIENCE) as reply:
            text = reply.read()
        return json.loads(text) if text else None


class LabKernel(RunningKernel):
    """nbval's kernel, started by the server for a notebook and left running at the end."""

    def __init__(self, notebook: str, startup_timeout: int) -> None:
        self.km = _ServerKernel(server(), notebook)
        self.kc = self.km.client()
        self.kc.start_channels()
        self.kc.wait_for_ready(timeout=startup_timeout)
        self._ensure_iopub_up()

    def stop(self) -> None:
        self.kc.stop_channels()
        del self.km


def install() -> None:
    """Let nbval start its kernels on the server, and save the outputs of each notebook at its end."""
    teardown = nbval.plugin.IPyNbFile.teardown

    def setup(self: nbval.plugin.IPyNbFile) -> None:
        self.kernel = LabKernel(self.path.stem, self.config.option.nbval_kernel_startup_timeout)
        self.setup_sanitize_files()

    def save_and_teardown(self: nbval.plugin.IPyNbFile) -> None:
        teardown(self)
        _save(self)

    nbval.plugin.IPyNbFile.setup = setup
    nbval.plugin.IPyNbFile.teardown = save_and_teardown


def _save(file: nbval.plugin.IPyNbFile) -> None:
    """Write the executed notebook where the page opens it, and sign it: JupyterLab shows widgets of a trusted notebook only."""
    outputs = {item.cell.id: item.test_outputs or [] for item in file.session.items if item.parent is file}
    notebook = nbformat.read(file.path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = outputs.get(cell.id, [])
    nbformat.write(notebook, server().root / "notebooks" / file.path.name)
    NotebookNotary(data_dir=str(server().jupyter / "data")).sign(notebook)
    _executed.add(file.path.stem)
