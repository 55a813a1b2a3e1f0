"""JupyterLab for this workbook: on this machine only, with its token, silent towards the outside, and leaving the
home folder alone.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_PAGE = "notebooks/00_start_here.ipynb"

QUIET = (
    "--ServerApp.ip=127.0.0.1",
    "--LabApp.news_url=None",  # no news feed, and no question whether one is wanted
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",  # the other manager asks a registry for its catalogue
    "--LanguageServerManager.autodetect=False",  # the search for language servers starts other programs, npm among them
    "--KernelManager.transport_encryption=auto",  # between server and kernels, for machines with several users
)


def environment() -> dict[str, str]:
    """Variables that keep Jupyter's and IPython's files in ``build/jupyter`` of this workbook, not in the home folder.

    A user's own kernels, start-up scripts and settings therefore cannot change what a notebook does here.
    """
    base = ROOT / "build" / "jupyter"
    names = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    base.mkdir(parents=True, exist_ok=True)
    return {variable: str(base / folder) for variable, folder in names.items()}


def arguments(extra: list[str]) -> list[str]:
    """JupyterLab's command line: our settings first, so that ``extra`` (for example ``--no-browser``) wins."""
    # in a container people are root, and Jupyter would refuse to start
    root = ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    return [*QUIET, *root, f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{START_PAGE}", *extra]


def main(extra: list[str]) -> None:
    """Run JupyterLab at the start page until it is stopped (Ctrl-C).

    Raises FileNotFoundError when this package was installed without the notebooks beside it.
    """
    if not (ROOT / START_PAGE).exists():
        raise FileNotFoundError(
            f"{START_PAGE} is not in {ROOT}: run this in a clone of the workbook, installed with `pip install -e .`"
        )
    os.environ.update(environment())
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(argv=arguments(extra))
