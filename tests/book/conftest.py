"""Chapter 1, and an executed copy of it that was made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from estimates import share
from executed_copy import executed

from safetune_utils.book import parameters


@pytest.fixture(scope="session")
def source() -> Path:
    return parameters.find("01")


@pytest.fixture
def copy(tmp_path: Path, source: Path) -> Path:
    return executed(tmp_path / "executed", source, malicious=share(0.5, 0.4, 0.6))
