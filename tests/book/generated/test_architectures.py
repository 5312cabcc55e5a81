"""The page on models shows every architecture that is tried, and all of them are right."""

from __future__ import annotations

import json

import architectures as tried
import pytest

from safetune_utils import places
from safetune_utils.book.generated import architectures


def test_every_architecture_stands_in_the_table_and_is_right_or_refused() -> None:
    found = places.results("architectures")
    assert [row["architecture"] for row in found["rows"]] == list(tried.NAMES)
    assert len(found["rows"]) >= 30
    for row in found["rows"]:
        assert (row["answers"]["greedy"], row["answers"]["batch"]) == (found["prompts"],) * 2, row
        assert row["training"]["loss"] < 1e-5, row
        assert row["training"]["gradient"] < 1e-5, row
        assert row["adapter"]["difference"] < 1e-5, row
        assert row["save_and_load"] == 0, row
        # What transformers itself cannot do is refused: beams whose states cannot be put in another order.
        assert row["beams"].get("difference", 0.0) < 1e-5, row
        assert ("error" in row["beams"]) == (row["architecture"] == "rwkv"), row
    table = architectures.parts()["architectures"]
    assert all(f">{name}<" in table for name in tried.NAMES)
    assert "transformers, one prompt at a time" in table
    assert "0e+00" not in table


def test_a_row_that_failed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    found = places.results("architectures")
    failed = json.loads(json.dumps(found))
    failed["rows"][0]["training"] = {"error": "ValueError: <no> such thing"}
    monkeypatch.setattr(places, "results", lambda name: failed)
    table = architectures.parts()["architectures"]
    assert "refused" in table
    assert "ValueError: &lt;no&gt; such thing" in table
