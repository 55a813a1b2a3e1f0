"""Printing that no character can end: an old console, a pipe or a log may lack a letter or a check mark."""

import sys


def say(text: str) -> None:
    """Print `text` on stdout, with "?" for what stdout cannot encode."""
    print(encodable(text), flush=True)


def encodable(text: str) -> str:
    """Return the text with "?" for what stdout cannot encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)
