"""Chromium for the tests in a browser: Debian's package `chromium`, or Google's Chrome; nothing is downloaded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium(home: Path) -> Iterator[Browser]:
    """A browser without a window, whose home is this folder."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, env={**os.environ, "HOME": str(home)})
        yield browser
        browser.close()
