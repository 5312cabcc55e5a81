"""Numbers in words."""

from __future__ import annotations

import pytest
from estimates import MISSING, change, share

from safetune_utils.book import words
from safetune_utils.statistics import Estimate
from safetune_utils.study.design import state

NAN = float("nan")


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (change(0.45, 0.36, 0.54, 0.0, n=98), "rises by 45 points (+36 to +54 points on 98 prompts)"),
        (change(-0.1, -0.2, -0.05, 0.0, n=9), "falls by 10 points (-20 to -5 points on 9 prompts)"),
        (MISSING, "was not measured"),
    ],
)
def test_a_change_in_words_follows_its_interval(difference: Estimate, said: str) -> None:
    assert words.said(difference) == said


def test_a_change_whose_interval_holds_zero_is_no_change_and_a_unit_has_its_own_digits() -> None:
    unclear = words.said(change(0.02, -0.01, 0.05, 0.5, n=98))
    assert unclear.startswith("shows no change outside the noise")
    nats = words.said(change(-0.126, -0.2, -0.004, 0.0, n=66, unit="nats", of="answers"))
    assert nats == "falls by 0.126 nats (-0.200 to -0.004 nats on 66 answers)"


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (share(0.122, 0.07, 0.2), "12 % (7 to 20 %, n = 98)"),
        (share(0.122, 0.07, 0.2, n=None), "12 % (7 to 20 %)"),
        (share(NAN, NAN, NAN, n=0), "not scored"),
        (share(NAN, NAN, NAN, n=None), "not known"),
        (share(0.816, 0.714, 0.926, unit="κ"), "0.82 (0.71 to 0.93, n = 98)"),
        (share(1.0, NAN, NAN, unit="κ"), "1.00"),
        (share(NAN, NAN, NAN, unit="κ"), "not known"),
        (None, "(not in this data)"),
        (7, "7"),
    ],
)
def test_a_level_in_words(level: Estimate | int | None, said: str) -> None:
    assert words.said(level) == said


def test_a_number_in_a_cell_is_told_in_its_own_unit() -> None:
    assert words.brief(change(0.45, 0.354, 0.546)) == "+45 points (+35 to +55, n = 98)"
    assert words.brief(change(0.0, -0.004, 0.004)) == "0 points (0 to 0, n = 98)"
    tokens = change(2.5, 1.0, 4.0, unit="tokens")
    assert words.brief(tokens) == "+2.50 tokens (+1.00 to +4.00, n = 98)"
    assert words.brief(share(0.9, 0.85, 0.95)) == "90 % (85 to 95 %, n = 98)"
    assert words.brief(MISSING) == words.brief(None) == ""


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


def test_erosion_is_told_as_the_instrument_counts_and_as_readers_do() -> None:
    fell, open_ = change(-0.07, -0.1, -0.05), change(-0.01, -0.05, 0.02)
    assert words.erosion(fell, n_safety=0).endswith("took refusals away, as this instrument counts them.")
    assert "it is not seen" in words.erosion(open_, n_safety=0)
    assert words.erosion_as_read(fell).endswith("): the model's safety eroded.")
    assert words.erosion_as_read(open_).endswith("): that the model's safety eroded is not seen.")
    assert words.erosion_as_read(MISSING).startswith("No reader has read these answers")
