"""The instruments by name: their cards, one shape for all, and how they are compared."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

from safetune_utils.book import tables
from safetune_utils.book.generated import instruments
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import instruments, readings
from safetune_utils.scoring.score import Score
from safetune_utils.study.design import state
from safetune_utils.study.study import Study

OFFLINE = ["refusal", "coherence"]


@pytest.mark.parametrize("name", OFFLINE)
def test_instruments_share_one_shape(name: str) -> None:
    found = instruments.score(name, ["a", "b"], ["I can't help with that.", "..."])
    assert len(found) == 2
    assert all(isinstance(one, Score) for one in found)
    assert found[1].value in (None, 0)  # no words: unscored, or no text at all


def test_a_line_is_a_value_or_the_reason_why_there_is_none() -> None:
    assert Score(1.0, "full_refusal", "declines", {"x": 0.5}).line() == {
        "value": 1.0,
        "label": "full_refusal",
        "reason": "declines",
        "parts": {"x": 0.5},
    }
    assert Score(0.0).line() == {"value": 0.0}
    assert Score(None, reason="no words").line() == {"unscored": "no words"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("refusals", {}, "choose from refusal"),
        ("refusal", {"base_url": "http://127.0.0.1:1/v1"}, "asks no server: leave base_url away"),
        ("judge-harm", {"model": "m"}, "both base_url and model"),
    ],
)
def test_what_cannot_be_scored_is_one_line(name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(SafetuneError, match=message):
        instruments.score(name, ["a"], ["b"], **options)


def test_every_instrument_has_its_card_on_the_page() -> None:
    page = instruments.cards()
    for name, card in instruments.INSTRUMENTS.items():
        text = page.split(f"`{name}`\n")[1].split("\n\n")[0].lower()
        assert all(
            part and part.lower() in text
            for part in (card.measures, card.values, card.model, card.biases, card.needs)
        )


def test_what_was_measured_stands_on_the_page() -> None:
    parts = instruments.parts()
    assert parts["refusal_agreement"].count("\n| ") >= 5
    assert 'alt="Calibration plot' in parts["harmfulness_agreement"]


def test_instruments_are_compared_on_whether_they_call_an_answer_safe() -> None:
    scored = pd.DataFrame(
        {
            "prompt_id": list("abcdef"),
            "refusal": [1, 1, 0, 0, 1, math.nan],
            "harmfulness": [0.1, 2.0, 3.9, 2.1, 3.0, 0.0],
            "quality-reward": [1.0] * 6,
        }
    )
    assert list(readings.calls_safe("refusal", scored["refusal"])) == [True, True, False, False, True, None]
    assert list(readings.calls_safe("harmfulness", scored["harmfulness"])) == [
        True,
        True,
        False,
        False,
        False,
        True,
    ]
    (row,) = readings.pairwise(scored, names=["refusal", "harmfulness"]).itertuples()
    assert row.n == 5
    assert row.kappa == pytest.approx(1 - 0.2 / (1 - (0.6 * 0.4 + 0.4 * 0.6)))
    with pytest.raises(SafetuneError, match="leave it out"):
        readings.pairwise(scored, names=["refusal", "quality-reward"])


def test_a_comparison_leaves_out_what_does_not_call_an_answer_safe_and_needs_two() -> None:
    assert readings.that_call_safe(["refusal-rules", "coherence", "harmfulness"]) == [
        "refusal-rules",
        "harmfulness",
    ]
    with pytest.raises(SafetuneError, match="needs two instruments"):
        readings.that_call_safe(["refusal-rules", "coherence"])


def test_the_cases_that_a_correction_needs_are_those_that_were_counted() -> None:
    counts = readings.labelled_counts("refusal")
    assert len(counts["people"]) == len(counts["instrument"]) == 1350
    assert np.mean(counts["people"] == counts["instrument"]) > 0.9
    with pytest.raises(SafetuneError, match="not measured against people"):
        readings.labelled_counts("judge-harm")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["refusals"], "unknown instrument 'refusals'"),
        (["harmfulness"], "put one of refusal"),
        (["refusal", "refusal"], "only once"),
    ],
)
def test_a_study_asks_for_instruments_that_there_are(names: list[str], message: str) -> None:
    with pytest.raises(SafetuneError, match=message):
        state(prompt_sets=["ordinary"], preset="smoke", instruments=names)


def test_a_refusal_that_nobody_can_read_does_not_pass_for_safe() -> None:
    responses = pd.DataFrame(
        {
            "prompt_set": "malicious", "n_safety": 100, "prompt_id": list("abcd"),
            "refused": pd.Series([True, True, False, None], dtype=object), "coherence": [1.0, 0.0, 1.0, 0.0],
        }
    )  # fmt: skip
    (row,) = readings.trust(responses, instrument="refusal").to_dict("records")
    assert (row["refused"].share, row["refused"].n_scored) == (2 / 3, 3)
    assert (row["readable"].share, row["refused_readable"].share) == (0.5, 0.25)
    assert 0.6 < row["corrected"].value < 0.75
    assert row["corrected"].low < row["corrected"].value < row["corrected"].high
    (row,) = readings.trust(responses.drop(columns="coherence"), instrument="judge-refusal").to_dict("records")
    assert (row["corrected"], row["readable"], row["refused_readable"]) == (None, None, None)


def test_every_instrument_has_a_version_that_its_kept_scores_are_known_by() -> None:
    assert all(card.version() for card in instruments.INSTRUMENTS.values())


def test_what_needs_nothing_is_at_hand_and_says_its_shares_in_its_own_words() -> None:
    assert instruments.at_hand() == ["refusal-rules", "refusal", "harmfulness", "coherence"]
    responses = pd.DataFrame(
        {
            "prompt_set": "malicious", "n_safety": [0, 0, 0, 50], "prompt_id": ["a", "b", "c", "a"],
            "refusal-rules": [0, 1, 0, 1], "harmfulness": [3.0, 0.5, None, 1.9], "coherence": [1, 0, 1, 1], "quality-reward": [0.1, 0.2, 0.3, 0.4],
        }
    )  # fmt: skip
    found = readings.shares(responses, names=["refusal-rules", "harmfulness", "coherence", "quality-reward"])
    at = {
        (row.instrument, row.says, row.n_safety): (row.share, row.n_scored, row.n_unscored)
        for row in found.itertuples()
    }
    assert at == {
        ("refusal-rules", "refuse", 0): (pytest.approx(1 / 3), 3, 0), ("refusal-rules", "refuse", 50): (1.0, 1, 0),
        ("harmfulness", "called harmful", 0): (0.5, 2, 1), ("harmfulness", "called harmful", 50): (0.0, 1, 0),
        ("coherence", "can be read", 0): (pytest.approx(2 / 3), 3, 0), ("coherence", "can be read", 50): (1.0, 1, 0),
    }  # fmt: skip
    text = re.sub(r"<[^>]+>", "|", tables.instrument_table(found).data)
    assert re.search(
        r"malicious requests\|+called harmful \(harmfulness\)\|+1\|+50 \(9–91\)\|+0 \(0–79\)", text
    )
