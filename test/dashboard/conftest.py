"""A page with two robots; test/conftest.py has a real Chromium for it."""
from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest
from page_kit import Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A page with two robots, not started yet."""
    page = Served(tmp_path, ["duckie", "yanberbot"])
    yield page
    page.stop()
