"""Numbers that the prose names are recorded as numbers."""

from __future__ import annotations

from typing import Any

import pytest
from estimates import UNSCORED, change, share

from safetune_utils.book import glue
from safetune_utils.statistics import Estimate


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def display(data: dict[str, str], metadata: dict[str, Any], raw: bool) -> None:
        found[metadata["scrapbook"]["name"]] = metadata.get("safetune")

    monkeypatch.setattr(glue, "display", display)
    return found


def test_a_number_is_recorded_as_one_and_other_values_are_not(recorded: dict[str, Any]) -> None:
    number = change(2.5, 1.0, 4.0, 0.01, n=8, unit="tokens")
    glue.glue(longer=number, plain=3)
    glue.finding("a", share(0.5, 0.4, 0.6))
    assert Estimate.from_data(recorded["longer"]["number"]) == number
    assert recorded["claim_a"]["number"] == share(0.5, 0.4, 0.6).as_data()
    assert recorded["plain"] is None
    glue.glue(none=UNSCORED)
    assert recorded["none"]["number"]["value"] is None
