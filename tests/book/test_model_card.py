"""The card of an adapter: what was measured is told from any form of scores, and what is none is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetune_utils.book import model_card
from safetune_utils.errors import SafetuneError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", "value,unscored\n1.0,\n0.0,\n,empty\n"),
        ("s.jsonl", '{"value": 1.0}\n{"value": 0.0}\n{"value": null, "unscored": "empty"}\n'),
    ],
)
def test_scores_are_told_alike_in_every_form(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert model_card._measured(tmp_path / name).startswith("50 % (")


@pytest.mark.parametrize("value", ['"high"', "Infinity", "[1]", "null", "{}"])
def test_what_is_no_score_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "s.jsonl").write_text(f'{{"value": 1.0}}\n{{"value": {value}}}\n')
    with pytest.raises(SafetuneError, match="holds no scores"):
        model_card._measured(tmp_path / "s.jsonl")
