"""Chromium for the tests in a browser: Debian's package `chromium`, or Google's Chrome; nothing is downloaded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BUSY = 2 * os.cpu_count()  # load average above which other programs use the cores, so that an answer may be late


@contextmanager
def chromium(home: Path) -> Iterator[Browser]:
    """A browser without a window, whose home is this folder."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, env={**os.environ, "HOME": str(home)})
        yield browser
        browser.close()
