"""JupyterLab for this workbook: served on this machine only, with its token, without outside connections, and without files in
the home folder.
"""

import json
import os
from pathlib import Path

from course_lib.storage.paths import ROOT

START_PAGE = "notebooks/00_start_here.ipynb"
JUPYTER_FILES = ROOT / "build" / "jupyter"
# Defaults: the user's choices in JupyterLab's Settings menu override them.
SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}

QUIET = (
    "--ServerApp.ip=127.0.0.1",
    "--LabApp.news_url=None",  # no news feed; `prepare` also declines JupyterLab's offer of one
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",  # the other manager asks a registry for its catalogue
    "--LanguageServerManager.autodetect=False",  # the search for language servers starts other programs, npm among them
    "--KernelManager.transport_encryption=auto",  # between server and kernels, for machines with several users
    "--ServerApp.kernel_websocket_connection_class=course_lib.tools.lab_connection.PromptConnection",  # sliders answer sooner
)


def environment(base: Path = JUPYTER_FILES) -> dict[str, str]:
    """Return variables that keep Jupyter's and IPython's files in ``base``, inside this workbook, and not in the home folder.

    A user's own kernels, start-up scripts and settings therefore cannot change what a notebook does here.
    """
    names = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    base.mkdir(parents=True, exist_ok=True)
    return {variable: str(base / folder) for variable, folder in names.items()}


def prepare(base: Path = JUPYTER_FILES) -> dict[str, str]:
    """Write JupyterLab's `SETTINGS`, and return the variables of `environment`."""
    variables = environment(base)
    defaults = Path(variables["JUPYTER_CONFIG_DIR"], "labconfig", "default_setting_overrides.json")
    defaults.parent.mkdir(parents=True, exist_ok=True)
    defaults.write_text(json.dumps(SETTINGS), encoding="utf-8")
    return variables


def arguments(extra: list[str]) -> list[str]:
    """Return JupyterLab's command line: our settings, except those in ``extra``, then ``extra``. Jupyter refuses duplicates."""
    # in a container people are root, and Jupyter would refuse to start
    root = ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    ours = [*QUIET, *root, f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{START_PAGE}"]
    given = {option.partition("=")[0] for option in extra}
    return [option for option in ours if option.partition("=")[0] not in given] + extra


def main(extra: list[str]) -> None:
    """Run JupyterLab at the start page until it is stopped (Ctrl-C).

    Raises FileNotFoundError when this package was installed without the notebooks.
    """
    if not (ROOT / START_PAGE).exists():
        raise FileNotFoundError(
            f"{START_PAGE} is not in {ROOT}: run this in a clone of the workbook, installed with `pip install -e .`"
        )
    os.environ.update(prepare())
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(argv=arguments(extra))
