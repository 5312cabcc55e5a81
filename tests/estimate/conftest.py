"""A CPU of round numbers, and a machine that has neither data nor models."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetune_utils.estimate.hardware import Hardware


@pytest.fixture(scope="session")
def cpu() -> Hardware:
    return Hardware(name="a CPU", kind="cpu", half=1.0, fp32=0.5, memory=16, bandwidth=20)


@pytest.fixture
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither outside data nor a converted model, so that tokens are assumed."""
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SAFETUNE_MIRROR", raising=False)
