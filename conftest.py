"""For the tests and for nbval alike: Jupyter's files stay out of the home folder, and where there is no GPU a test that
needs one says so.
"""

import os

import pytest

from course_lib.tools import lab

collect_ignore = ["tests/submissions"]  # programs that attack the machine on which they run

os.environ.update(lab.environment())  # before nbval or a build starts its first kernel


# With --dist loadgroup a group runs in order in one process. Chapters 4 and 5 load what chapters 3 and 4 train and save.
CHAIN = ("03", "04", "05")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            group = "chapters 3 to 5" if item.path.name.startswith(CHAIN) else item.path.stem
            item.add_marker(pytest.mark.xdist_group(group))
            item.add_marker(pytest.mark.notebooks)
    skip_without_gpu([item for item in items if item.get_closest_marker("gpu")])


def skip_without_gpu(gpu_tests: list[pytest.Item]) -> None:
    if not gpu_tests:
        return
    import torch  # only now: most runs of a single test file need not pay for it

    if not torch.cuda.is_available():
        for item in gpu_tests:
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
