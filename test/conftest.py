"""A real Chromium, where there is one, for every page that people look at."""
from __future__ import annotations

import os
import shutil
from typing import Any, Iterator

import pytest

BROWSERS = ("chromium-headless-shell", "chromium")


@pytest.fixture(scope="module")  # while it lives, an event loop runs in this thread: no other test may meet it
def chromium() -> Iterator[Any]:
    """A real browser; the tests that need one are skipped, with the reason, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: ./run setup")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is installed")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()
