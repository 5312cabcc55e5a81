"""The misbehaving server, for each test anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from local_server import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Server() as running:
        yield running
        running.gate.set()
        running.shutdown()
