"""For the tests and for nbval alike: Jupyter's files stay out of the home folder, and where there is no GPU a test that
needs one says so.
"""

import os
import re
import sys

import pytest

from course_lib.tools import lab

collect_ignore = ["tests/submissions"]  # programs that attack the machine on which they run

os.environ.update(lab.environment())  # before nbval or a build starts its first kernel


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--in-jupyterlab", action="store_true", help="nbval's kernels run in the JupyterLab of the browser tests")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--in-jupyterlab"):
        import lab_kernels

        lab_kernels.install()
        config.add_cleanup(lab_kernels.close)


# Chapters 4 and 5 and notebooks 9 to 13 load what chapters 3 and 4 train and save, and the browser opens a notebook where nbval
# has executed it: what belongs together runs in order in one process.
CHAIN = ("03", "04", "05", "09", "10", "11", "12", "13")
LONG_FILES = ("test_solved_homework.py", "test_homework.py")  # each executes five notebooks, one after another


def scope_of(nodeid: str) -> str:
    """The tests with which a test shares a process: those of its notebook, or else those of its file."""
    notebook = re.search(r"\b(\d\d_\w+?)(?:\.ipynb|[\]-])", nodeid)
    if not notebook:
        return nodeid.partition("::")[0]
    return "chapters 3 to 5" if notebook[1].startswith(CHAIN) else notebook[1]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    if not config.getoption("--in-jupyterlab"):
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByNotebook(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return ByNotebook(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--in-jupyterlab"):  # the longest first, so that no process works alone at the end
        items.sort(key=lambda item: (scope_of(item.nodeid) != "chapters 3 to 5", item.path.name not in LONG_FILES))
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.notebooks)
        if sys.platform == "win32" and item.get_closest_marker("posix"):
            item.add_marker(pytest.mark.skip(reason="Windows has no signals, limits or shell scripts of this kind"))
    skip_without_gpu([item for item in items if item.get_closest_marker("gpu")])


def skip_without_gpu(gpu_tests: list[pytest.Item]) -> None:
    if not gpu_tests:
        return
    import torch  # only now: most runs of a single test file do not need it

    if not torch.cuda.is_available():
        for item in gpu_tests:
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
