"""Answers that people labelled, in parts for training and testing."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetune_utils import data


def test_no_question_is_in_two_parts(mirror: Path) -> None:
    parts = data.split_by_prompt(data.harm_pairs())
    asked = {name: {" ".join(row.prompt.lower().split()) for row in rows} for name, rows in parts.items()}
    assert sum(map(len, asked.values())) == len(set.union(*asked.values()))
    assert {name: round(len(rows) / 4000, 2) for name, rows in parts.items()} == pytest.approx(
        {"train": 0.72, "validation": 0.08, "test": 0.2}, abs=0.03
    )
