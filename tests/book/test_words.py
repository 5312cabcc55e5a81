"""Numbers in words."""

from __future__ import annotations

import pytest

from safetune_utils import statistics
from safetune_utils.book import words
from safetune_utils.book.words import question_forms
from safetune_utils.study.design import state


def test_a_change_in_words_follows_its_interval() -> None:
    assert (
        words.change(statistics.Difference(0.45, 0.36, 0.54, 0.0, 98))
        == "rises by 45 points (+36 to +54 points on 98 prompts)"
    )
    assert words.change(statistics.Difference(-0.1, -0.2, -0.05, 0.0, 9)).startswith("falls by 10 points")
    assert words.change(statistics.Difference(0.02, -0.01, 0.05, 0.5, 98)).startswith(
        "shows no change outside the noise"
    )
    assert (
        words.change(statistics.Difference(-0.126, -0.2, -0.004, 0.0, 66), unit="nats", of="answers")
        == "falls by 0.126 nats (-0.200 to -0.004 nats on 66 answers)"
    )
    assert (
        words.change(statistics.Difference(float("nan"), float("nan"), float("nan"), float("nan"), 0))
        == "was not measured"
    )


@pytest.mark.parametrize(
    ("safety_format", "words"),
    [("instruction", "none"), ("question", "8 as their authors wrote them"), ("mixed", "4 as their")],
)
def test_a_mix_says_where_its_question_forms_come_from(safety_format: str, words: str) -> None:
    study = state(prompt_sets=[], preset="smoke", safety_amounts=[8], safety_format=safety_format)
    assert question_forms(study).startswith(words)


@pytest.mark.usefixtures("mirror")
def test_rewritten_question_forms_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safetune_utils.data.paper._red_team_questions", dict)
    study = state(
        prompt_sets=[], preset="smoke", data="paper-sample", safety_amounts=[8], safety_format="question"
    )
    assert question_forms(study) == "8 rewritten from the instruction by rule"
