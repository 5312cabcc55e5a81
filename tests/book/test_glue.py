"""Numbers that the prose names are recorded as numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from safetune_utils import statistics
from safetune_utils.book import glue, words


def test_a_finding_is_recorded_as_numbers_and_an_undefined_one_as_null(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: dict[str, str] = {}
    monkeypatch.setattr(glue, "glue", lambda **values: shown.update(values))
    glue.finding("a", statistics.Difference(0.25, 0.125, 0.5, float("nan"), 40))
    glue.finding("b", statistics.Share(float("nan"), float("nan"), float("nan"), 0, 3, "none"))
    assert json.loads(shown["claim_a"]) == {
        "kind": "Difference",
        "n": 40,
        "value": 0.25,
        "low": 0.125,
        "high": 0.5,
        "p_value": None,
    }
    assert json.loads(shown["claim_b"]) == {"kind": "Share", "n": 0, "value": None, "low": None, "high": None}


def test_words_hold_their_number_for_other_runs_to_be_laid_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: dict[str, Any] = {}

    def display(data: dict[str, str], metadata: dict[str, Any], raw: bool) -> None:
        recorded[metadata["scrapbook"]["name"]] = metadata.get("safetune")

    monkeypatch.setattr(glue, "display", display)
    row = {"share": 0.25, "low": 0.125, "high": 0.5, "n_scored": 40}
    glue.glue(
        share=words.with_interval(row),
        change=words.change(statistics.Difference(0.5, 0.25, 0.75, 0.01, 8)),
        plain=3,
    )
    assert recorded["share"]["number"] == {"kind": "Share", "n": 40, "value": 0.25, "low": 0.125, "high": 0.5}
    assert recorded["change"]["number"] == {
        "kind": "Difference",
        "n": 8,
        "value": 0.5,
        "low": 0.25,
        "high": 0.75,
        "p_value": 0.01,
    }
    assert recorded["plain"] is None
    glue.glue(longer=words.change(statistics.Difference(2.5, 1.0, 4.0, 0.01, 8), unit="tokens"))
    assert recorded["longer"]["number"]["unit"] == "tokens"
