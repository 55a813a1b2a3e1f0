"""What a program prints and logs: nothing that an old console, a pipe or a log may lack a letter for, and no advice in red."""

import contextlib
import logging
import sys
from collections.abc import Iterator


def say(text: str) -> None:
    """Print `text` on stdout, with "?" for what stdout cannot encode."""
    print(encodable(text), flush=True)


def encodable(text: str) -> str:
    """Return the text with "?" for what stdout cannot encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)


@contextlib.contextmanager
def logs_errors_alone(package: str) -> Iterator[None]:
    """In this block a package logs errors and nothing else: notebooks show what it writes to stderr in red."""
    logger = logging.getLogger(package)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
