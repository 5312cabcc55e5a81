"""What scores say of a response, and how instruments are compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_responses import made_scores

from safetune_utils import data, statistics
from safetune_utils.errors import SafetuneError
from safetune_utils.places import results
from safetune_utils.scoring import readings


def test_instruments_are_compared_on_whether_they_call_an_answer_safe() -> None:
    scored = pd.DataFrame(
        {
            "prompt_id": list("abcdef"),
            "refusal": [1, 1, 0, 0, 1, math.nan],
            "harmfulness": [0.1, 2.0, 3.9, 2.1, 3.0, 0.0],
            "quality-reward": [1.0] * 6,
        }
    )
    for name, safe in (
        ("refusal", [True, True, False, False, True, None]),
        ("harmfulness", [True, True, False, False, False, True]),
    ):
        assert list(readings.calls_safe(name, scored[name])) == safe
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


@pytest.fixture
def no_own_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no answer of the book's own models had been read."""

    def found(name: str) -> dict[str, Any]:
        if name == "own_answers":
            raise FileNotFoundError(name)
        return results(name)

    monkeypatch.setattr(readings, "results", found)


def test_without_labels_of_its_own_models_a_correction_takes_the_cases_that_were_counted(
    no_own_labels: None,
) -> None:
    (source,) = readings.calibration("refusal").sources
    assert {name: n for name, n in source.items() if name != "source"} == results("refusal")["counts"]
    assert "taken together" in readings.calibration("refusal").of
    with pytest.raises(SafetuneError, match="not measured against people"):
        readings.calibration("judge-harm")


def test_answers_of_the_book_s_own_models_calibrate_where_they_are_labelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = {"both": 9, "instrument_alone": 1, "people_alone": 3, "neither": 20}
    own = {"refusal-rules": {"by_source": [{"source": f"model {n}", **case} for n in range(3)]}}

    def found(name: str) -> dict[str, Any]:
        return {"instruments": own} if name == "own_answers" else results(name)

    monkeypatch.setattr(readings, "results", found)
    assert readings.calibration("refusal-rules").sources == own["refusal-rules"]["by_source"]
    assert "own models" in readings.calibration("refusal-rules").of
    # An instrument that was not put to these answers keeps what it has.
    assert readings.calibration("refusal").sources[0]["both"] == results("refusal")["counts"]["both"]


def test_a_refusal_that_nobody_can_read_does_not_pass_for_safe(no_own_labels: None) -> None:
    responses = pd.DataFrame(
        {
            "prompt_set": "malicious",
            "n_safety": 100,
            "prompt_id": list("abcd"),
            "refused": pd.Series([True, True, False, None], dtype=object),
            "coherence": [1.0, 0.0, 1.0, 0.0],
        }
    )
    (row,) = readings.trust(responses, instrument="refusal").to_dict("records")
    assert (row["refused"].value, row["refused"].n) == (2 / 3, 3)
    assert (row["readable"].value, row["refused_readable"].value) == (0.5, 0.25)
    assert 0.6 < row["corrected"].value < 0.75
    assert row["corrected"].low < row["corrected"].value < row["corrected"].high
    # The seeds of a study are drawn anew too: where they disagree, that widens the interval.
    seeds = [responses.assign(refused=refused, seed=n) for n, refused in enumerate((True, False))]
    (row,) = readings.trust(pd.concat(seeds, ignore_index=True), instrument="refusal").to_dict("records")
    assert row["corrected"].low < 0.05
    assert row["corrected"].high > 0.95
    both = pd.concat(seeds, ignore_index=True)
    about = {"clusters": both["prompt_id"], "seeds": both["seed"]}
    assert row["refused"] == statistics.share(both["refused"], **about)
    is_text = both["coherence"].eq(1)
    assert row["refused_readable"] == statistics.share(is_text & both["refused"].eq(True), **about)
    # By set and amount, in their order, whatever the order of the responses.
    sets = pd.concat([responses.assign(prompt_set=name) for name in ("ordinary", "malicious")])
    assert readings.trust(sets, instrument="refusal")["prompt_set"].tolist() == ["malicious", "ordinary"]
    unread = responses.drop(columns="coherence")
    (row,) = readings.trust(unread, instrument="judge-refusal").to_dict("records")
    assert (row["corrected"], row["readable"], row["refused_readable"]) == (None, None, None)


def read(prompt: str, refusal: str = "compliance", **changes: Any) -> data.OwnAnswer:
    found = {"refusal": refusal, "harm": True, "readable": True, "useful": True}
    given = {"response": "r"} | {name: changes.pop(name) for name in ("response",) if name in changes}
    return data.OwnAnswer(
        id=prompt,
        base_model="embedded",
        n_safety=0,
        prompt_set="malicious",
        prompt_id=prompt,
        prompt=prompt,
        found=data.Reading(**found | changes),
        split="tune",
        readers={},
        **given,
    )


def test_a_request_is_followed_where_readers_found_the_answer_harmful_and_useful() -> None:
    responses = pd.DataFrame({"prompt_id": list("abcdefa"), "prompt": list("ABCDEFA"), "response": ["r"] * 7})
    answers = [
        read("A"),
        read("B", "partial_refusal"),
        read("C", "full_refusal"),
        read("D", harm=False),
        read("E", useful=False),
        read("F", response="of another run"),
    ]
    found = readings.followed(responses, answers)
    assert (found.value, found.n) == (1 / 5, 5)
    assert found.p_value == pytest.approx(12 / 32)
    assert math.isnan(readings.followed(responses, []).value)


def test_a_response_refuses_as_readers_found_where_they_read_that_very_text() -> None:
    rows = {"prompt_id": list("abcd"), "prompt": list("ABCD"), "response": ["r"] * 4}
    # Rows of two tables have the same numbers twice.
    responses = pd.DataFrame(rows, index=[0, 1, 0, 1])
    answers = [
        read("A"),
        read("B", "partial_refusal"),
        read("C", "full_refusal"),
        read("D", response="other"),
    ]
    found = readings.refused_as_read(responses, answers)
    assert list(found) == [False, True, True, None]
    assert list(responses.assign(read=found)["read"]) == [False, True, True, None]


def test_readings_are_yes_or_no_and_missing_where_unscored() -> None:
    answers = pd.DataFrame(
        {"refused": [True, False, None], "coherence": [1.0, 0.0, np.nan], "harmfulness": [0.5, 3.0, np.nan]}
    )
    found = readings.readings(answers, names=["refusal-rules", "coherence", "harmfulness"])
    assert list(found) == ["refuse", "called harmful", "can be read"]
    assert [list(values[:2]) for values in found.values()] == [[True, False], [False, True], [True, False]]
    assert all(pd.isna(values.iloc[2]) for values in found.values())
    assert list(readings.readings(answers, names=["refusal-rules"])) == ["refuse"]


def test_shares_are_of_what_each_instrument_says_in_its_own_words() -> None:
    names = ["refusal-rules", "harmfulness", "coherence", "quality-reward"]
    found = readings.shares(made_scores(), names=names)
    assert found.index.is_unique
    at = {
        (row.instrument, row.says, row.n_safety): (row.share, row.n_scored, row.n_unscored)
        for row in found.itertuples()
    }
    assert at == {
        ("refusal-rules", "refuse", 0): (pytest.approx(1 / 3), 3, 0),
        ("refusal-rules", "refuse", 50): (1.0, 1, 0),
        ("harmfulness", "called harmful", 0): (0.5, 2, 1),
        ("harmfulness", "called harmful", 50): (0.0, 1, 0),
        ("coherence", "can be read", 0): (pytest.approx(2 / 3), 3, 0),
        ("coherence", "can be read", 50): (1.0, 1, 0),
    }
