"""One score as a line of a file."""

from __future__ import annotations

from safetune_utils.scoring.score import Score


def test_a_line_is_a_value_or_the_reason_why_there_is_none() -> None:
    assert Score(1.0, "full_refusal", "declines", {"x": 0.5}).line() == {
        "value": 1.0,
        "label": "full_refusal",
        "reason": "declines",
        "parts": {"x": 0.5},
    }
    assert Score(0.0).line() == {"value": 0.0}
    assert Score(None, reason="no words").line() == {"unscored": "no words"}
