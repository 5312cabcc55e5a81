"""Tallies of annotations: wins, agreement, and people apart from models."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pair_items import BLIND, ITEMS, PLAIN, PROMPTS, TUNED, annotated

from safetune_utils.annotation import preference, tallies
from safetune_utils.errors import SafetuneError

if TYPE_CHECKING:
    pass


def test_tally_counts_each_annotator_and_pools_people_apart_from_models() -> None:
    annotations = [
        annotated("A", "wwwgll"),
        annotated("B", "wwbg.."),
        annotated("judge", "lllll.", kind="model"),
    ]
    table = tallies.tally(annotations, ITEMS)
    counts = ["first_better", "second_better", "equally_good", "equally_bad", "n", "missing"]
    made = {
        (row["prompt_set"], row["annotator"], row["kind"]): [*row[counts], round(row["win_rate"], 4)]
        for _, row in table.iterrows()
    }
    assert made == {
        ("malicious", "A", "person"): [3, 0, 1, 0, 4, 0, 0.875],
        ("malicious", "B", "person"): [2, 0, 1, 1, 4, 0, 0.75],
        ("malicious", "judge", "model"): [0, 4, 0, 0, 4, 0, 0.0],
        ("malicious", "all 2 people", "person"): [5, 0, 2, 1, 8, 0, 0.8125],
        ("ordinary", "A", "person"): [0, 2, 0, 0, 2, 0, 0.0],
        ("ordinary", "B", "person"): [0, 0, 0, 0, 0, 2, pytest.approx(math.nan, nan_ok=True)],
        ("ordinary", "judge", "model"): [0, 1, 0, 0, 1, 1, 0.0],
        ("ordinary", "all 2 people", "person"): [0, 2, 0, 0, 2, 2, 0.0],
        ("all sets", "A", "person"): [3, 2, 1, 0, 6, 0, 0.5833],
        ("all sets", "B", "person"): [2, 0, 1, 1, 4, 2, 0.75],
        ("all sets", "judge", "model"): [0, 5, 0, 0, 5, 1, 0.0],
        ("all sets", "all 2 people", "person"): [5, 2, 2, 1, 10, 2, 0.65],
    }
    assert (
        (table["low"] <= table["win_rate"]) & (table["win_rate"] <= table["high"]) | table["win_rate"].isna()
    ).all()
    one_set = tallies.tally(annotations, preference.pairs(PROMPTS, TUNED, PLAIN, **BLIND))
    assert list(one_set["prompt_set"]) == ["prompts"] * 4  # no rows of all sets where there is one


def test_a_habit_of_one_side_is_seen() -> None:
    always_a = preference.from_judge(
        ["first" if item.first_is_a else "second" for item in ITEMS], ITEMS, name="lazy judge"
    )
    row = tallies.tally([always_a], ITEMS).iloc[-1]
    assert (row["chose_a"], row["win_rate"]) == (1.0, 0.5)


def test_a_judge_is_named_as_a_model_in_the_tally_and_in_its_file(tmp_path: Path) -> None:
    given = ["first", "second", None, "equally_good", "equally_bad", "first"]
    judge = preference.from_judge(given, ITEMS, name="judge-7b")
    assert judge.outcomes == {item.id: outcome for item, outcome in zip(ITEMS, given, strict=True) if outcome}
    assert set(tallies.tally([judge], ITEMS)["kind"]) == {"model"}
    path = tmp_path / "judge.json"
    preference.write_annotation(judge, path, items=ITEMS)
    content = json.loads(path.read_text("utf-8"))
    assert content["kind"] == "model"
    assert content["decisions"][0] == {"id": ITEMS[0].id, "choice": "A" if ITEMS[0].first_is_a else "B"}
    assert preference.read_annotation(path, items=ITEMS) == judge
    for outcomes, name, word in (
        (given[:5], "j", "6 items and 5 outcomes"),
        ([*given[:5], "A"], "j", "'A' is no outcome"),
        (given, " ", "no name"),
    ):
        with pytest.raises(SafetuneError, match=word):
            preference.from_judge(outcomes, ITEMS, name=name)


def test_agreement_of_two_people_and_a_model() -> None:
    # A and B agree on four of six, by chance on (4·4 + 1·1 + 1·1)/6 = 3: κ = (4 - 3)/(6 - 3). For α, of
    # twelve ratings 8 are wins, 2 losses, 2 ties, and 4 stand against another: 1 - 11·4/(144 - 64 - 4 - 4).
    annotations = [annotated("A", "wwwwlg"), annotated("B", "wwgwlw")]
    table = tallies.annotator_agreement(
        [*annotations, annotated("judge", "wwww..", kind="model")], ITEMS
    ).set_index("annotators")
    assert list(table.index) == ["A and B", "A and judge", "B and judge", "all 2 people", "all 3 annotators"]
    assert list(table["n"]) == [6, 4, 4, 6, 6]
    assert table.loc["A and B", ["measure", "value"]].tolist() == ["Cohen's κ", pytest.approx(1 / 3)]
    assert "κ is undefined" in table.loc["A and judge", "note"]
    assert table.loc["all 2 people", ["measure", "value"]].tolist() == [
        "Krippendorff's α",
        pytest.approx(1 - 44 / 72),
    ]
    assert "all 3 annotators" not in tallies.annotator_agreement(annotations, ITEMS)["annotators"].to_list()


def test_annotations_that_do_not_go_together() -> None:
    one = annotated("A", "w.....")
    for made, word in (
        ([], "no annotation"),
        ([one, one], "two annotations are by 'A'"),
        ([dataclasses.replace(one, study="0")], "other items"),
    ):
        with pytest.raises(SafetuneError, match=word):
            tallies.tally(made, ITEMS)
    with pytest.raises(SafetuneError, match="takes two annotations"):
        tallies.annotator_agreement([one], ITEMS)


def test_the_lead_is_people_s_and_of_one_set() -> None:
    # On the four malicious items A has two wins and two losses, B four wins: 6 of 8, so a lead of one half.
    given = [annotated("A", "wwllll"), annotated("B", "wwwwll"), annotated("judge", "llllll", kind="model")]
    lead = tallies.lead(given, ITEMS, prompt_set="malicious")
    assert (lead.value, lead.n) == (pytest.approx(0.5), 4)
    assert -1 <= lead.low < 0.5 < lead.high <= 1
    nobody = tallies.lead(given[2:], ITEMS, prompt_set="malicious")
    assert (nobody.n, nobody.direction) == (0, "not seen")


def test_contested_pairs_come_first_and_models_do_not_count() -> None:
    annotations = [
        annotated("A", "wwwg.l"),
        annotated("B", "wlbg..", kind="person"),
        annotated("C", "wwgg.l"),
        annotated("judge", "llllll", kind="model"),
    ]
    table = tallies.contested(annotations, ITEMS)
    found = [(row["prompt"], round(row["differ"], 2), row["n"]) for _, row in table.iterrows()]
    # All three differ on the third; one of three on the second: two of the three ways to take two of them.
    assert found == [
        ("Question 3?", 1.0, 3),
        ("Question 2?", 0.67, 3),
        ("Question 1?", 0.0, 3),
        ("Question 4?", 0.0, 3),
        ("Question 6?", 0.0, 2),
    ]
    assert list(table.loc[1, ["first", "second", "equally_good", "equally_bad"]]) == [2, 1, 0, 0]


def test_every_two_are_compared_only_if_asked() -> None:
    annotations = [annotated(name, "wwwgll") for name in "ABCDE"]
    assert len(tallies.annotator_agreement(annotations, ITEMS)) == 11
    assert list(tallies.annotator_agreement(annotations, ITEMS, pairwise=False)["annotators"]) == [
        "all 5 people"
    ]
