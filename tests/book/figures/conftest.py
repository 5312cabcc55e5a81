"""Figures with the canvases that they were drawn on."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure as Canvas


@pytest.fixture
def canvases(monkeypatch: pytest.MonkeyPatch) -> list[Canvas]:
    """Every canvas that was drawn so far, one a panel."""
    drawn: list[Canvas] = []
    save = Canvas.savefig

    def noted(canvas: Canvas, *given: Any, **more: Any) -> None:
        drawn.append(canvas)
        save(canvas, *given, **more)

    monkeypatch.setattr(Canvas, "savefig", noted)
    return drawn
