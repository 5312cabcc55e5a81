"""One score as a line of a file."""

from __future__ import annotations

import pytest

from safetune_utils.scoring.score import Score, has_words


def test_a_line_is_a_value_or_the_reason_why_there_is_none() -> None:
    assert Score(1.0, "full_refusal", "declines", {"x": 0.5}).line() == {
        "value": 1.0,
        "label": "full_refusal",
        "reason": "declines",
        "parts": {"x": 0.5},
    }
    assert Score(0.0).line() == {"value": 0.0}
    assert Score(None, reason="no words").line() == {"unscored": "no words"}


@pytest.mark.parametrize(("response", "has"), [("", False), (" 42! \n", False), ("é", True), ("4 x", True)])
def test_an_answer_has_words_where_it_holds_a_letter(response: str, has: bool) -> None:
    assert has_words(response) is has
