"""Numbers in words."""

from __future__ import annotations

import pytest

from safetune_utils.book import words
from safetune_utils.statistics import Difference
from safetune_utils.study.design import state

NAN = float("nan")


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (Difference(0.45, 0.36, 0.54, 0.0, 98), "rises by 45 points (+36 to +54 points on 98 prompts)"),
        (Difference(-0.1, -0.2, -0.05, 0.0, 9), "falls by 10 points (-20 to -5 points on 9 prompts)"),
        (Difference(NAN, NAN, NAN, NAN, 0), "was not measured"),
    ],
)
def test_a_change_in_words_follows_its_interval(difference: Difference, said: str) -> None:
    assert words.change(difference) == said


def test_a_change_whose_interval_holds_zero_is_no_change_and_a_unit_has_its_own_digits() -> None:
    unclear = words.change(Difference(0.02, -0.01, 0.05, 0.5, 98))
    assert unclear.startswith("shows no change outside the noise")
    nats = words.change(Difference(-0.126, -0.2, -0.004, 0.0, 66), unit="nats", of="answers")
    assert nats == "falls by 0.126 nats (-0.200 to -0.004 nats on 66 answers)"


def test_p_values_in_words() -> None:
    assert [words.p_value(p) for p in (0.0004, 0.034, NAN)] == ["below 0.001", "0.034", "not tested"]


@pytest.mark.parametrize(
    ("safety_format", "said"),
    [("instruction", "none"), ("question", "8 as their authors wrote them"), ("mixed", "4 as their")],
)
def test_a_mix_says_where_its_question_forms_come_from(safety_format: str, said: str) -> None:
    study = state(prompt_sets=[], preset="smoke", safety_amounts=[8], safety_format=safety_format)
    assert words.question_forms(study).startswith(said)


@pytest.mark.usefixtures("mirror")
def test_rewritten_question_forms_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safetune_utils.data.paper._red_team_questions", dict)
    study = state(
        prompt_sets=[], preset="smoke", data="paper-sample", safety_amounts=[8], safety_format="question"
    )
    assert words.question_forms(study) == "8 rewritten from the instruction by rule"
