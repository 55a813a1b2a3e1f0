"""For the tests and for nbval alike: Jupyter's files stay out of the home folder, and where there is no GPU a test that
needs one says so.
"""

import os

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


# With --dist loadgroup a group runs in order in one process. Chapters 4 and 5 load what chapters 3 and 4 train and save, and the
# browser opens a notebook where nbval has executed it.
CHAIN = ("03", "04", "05")


def group_of(notebook: str) -> str:
    return "chapters 3 to 5" if notebook.startswith(CHAIN) else notebook


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.notebooks)
            item.add_marker(pytest.mark.xdist_group(group_of(item.path.stem)))
        elif item.get_closest_marker("processes"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        elif item.get_closest_marker("browser") and (callspec := getattr(item, "callspec", None)):
            item.add_marker(pytest.mark.xdist_group(group_of(callspec.params.get("notebook", "none"))))
    skip_without_gpu([item for item in items if item.get_closest_marker("gpu")])


def skip_without_gpu(gpu_tests: list[pytest.Item]) -> None:
    if not gpu_tests:
        return
    import torch  # only now: most runs of a single test file do not need it

    if not torch.cuda.is_available():
        for item in gpu_tests:
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
