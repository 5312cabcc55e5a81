"""Tables: their numbers, their CSV, and untrusted text in them is inert."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from estimates import MISSING, change
from html_tables import csv_of, parsed, rows_of
from made_responses import NASTY, made_matrix, made_responses, made_scores

from safetune_utils import statistics
from safetune_utils.book import figures, tables
from safetune_utils.scoring import readings
from safetune_utils.study import mixes
from safetune_utils.study.design import sets_there, state
from safetune_utils.study.run import run


def test_a_table_is_inert() -> None:
    page = tables.table([(NASTY, NASTY)], caption=NASTY).data
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.slow
def test_a_prompt_set_of_ones_own_is_in_the_tables_and_drawn_under_its_name(
    base: Path, tmp_path: Path
) -> None:
    own = tmp_path / "desk.csv"
    own.write_text("prompt\nWhere is the atlas?\nWho has the key?\n", "utf-8")
    given = {"preset": "smoke", "base_model": str(base), "own_prompt_sets": {"desk": {"file": str(own)}}}
    given["own_prompt_sets"]["desk"]["a_refusal_is"] = "unwanted"
    study = state(prompt_sets=["ordinary", "desk"], instruments=["refusal-rules"], **given)
    assert sets_there(given)[-2:] == ["ordinary", "desk"]
    responses = run(study)
    curve = statistics.summarise(responses, by=["prompt_set", "n_safety"])
    (row,) = [row for row in rows_of(tables.share_table(curve, study).data) if row[0].startswith("desk")]
    assert row[:3] == ["desk desk.csv", "unwanted", "2"]
    figure = figures.dose_response(curve, name="own", caption="c")
    assert "desk: " in figure.alt
    assert "desk" in tables.trend_table(responses).data


def test_the_trend_in_words() -> None:
    (row,) = rows_of(tables.trend_table(made_responses()).data)[1:]
    # Twenty prompts, none refused at 0 and all at 50; of 20, eight or nine must change for the test to see it
    # four times in five.
    assert row[:-1] == [
        "malicious requests",
        "20",
        "rises",
        "below 0.001",
        "below 0.001",
        "not seen up to 50",
    ]
    assert re.fullmatch(r"3\d points", row[-1])
    (still,) = rows_of(tables.trend_table(made_responses(refused=False)).data)[1:]
    assert still[1:-1] == ["20", "not seen", "1.000", "1.000", "from 0 on (no change seen)"]
    few = made_responses(refused=False)
    assert "none: too few prompts" in tables.trend_table(few[few["prompt_id"].isin(["p0", "p1"])]).data
    assert "one amount only" in tables.trend_table(few[few["n_safety"] == 0]).data


def test_a_trend_is_judged_by_the_p_that_is_corrected_for_all_prompt_sets() -> None:
    # Six of twenty prompts change, all one way: McNemar's exact p is .031, and by Holm .062 for two sets.
    one = made_responses()
    one["refused"] &= one["prompt_id"].isin([f"p{i}" for i in range(6)])
    other = made_responses(refused=False, prompt_set="ordinary")
    text = re.sub(r"<[^>]+>", "|", tables.trend_table(pd.concat([one, other], ignore_index=True)).data)
    assert re.search(r"malicious requests\|+20\|+not seen\|+0.03\d\|+0.06\d\|", text)
    alone = re.sub(r"<[^>]+>", "|", tables.trend_table(one).data)
    assert re.search(r"malicious requests\|+20\|+rises\|+0.03\d\|+0.03\d\|", alone)


def test_a_tally_in_a_table_says_whose_win_rate_it_is() -> None:
    row = {
        "prompt_set": "malicious",
        "annotator": NASTY,
        "first": "tuned",
        "second": "untuned",
        "first_better": 47,
        "second_better": 0,
        "equally_good": 2,
        "equally_bad": 1,
        "n": 50,
        "win_rate": 0.97,
        "low": 0.93,
        "high": 1.0,
        "standard_error": 0.016,
    }
    page = tables.tally_table(pd.DataFrame([row, row | {"chose_a": float("nan")}]), caption="C.").data
    assert "<script" not in page
    assert "Win rates are of 'tuned'" in parsed(page).caption.get_text()
    head, _, row = rows_of(page)
    assert head[2:4] == ["tuned better", "untuned better"]
    assert row[2:] == ["47", "0", "2", "1", "50", "97 (93–100; s.e. 1.6)", "no side"]


def test_a_table_holds_its_numbers_as_csv() -> None:
    page = tables.table([("a", 0.123456), ("b, c", "<i>")], caption="Some <b>numbers</b>.").data
    assert parsed(page).select_one("a[download]")["download"] == "some_b_numbers_b.csv"
    assert csv_of(page) == [["", "value"], ["a", "0.123456"], ["b, c", "<i>"]]


def test_the_matrix_shows_each_share_with_interval_and_n_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = state(prompt_sets=["malicious", "malicious_questions"], preset="smoke")
    monkeypatch.setattr(mixes, "leaks", lambda _: {"malicious": ["p1"]})
    matrix = made_matrix()
    page = tables.transfer_table(matrix, [study, study], what="answers that refuse").data
    _, first, *others = rows_of(page)
    assert [first[0], *(row[0] for row in others)] == ["questions", "none"]  # the order is that of the table
    low, high = matrix.set_index(["trained", "prompt_set"]).loc[("questions", "malicious"), ["low", "high"]]
    assert first[1] == f"50 ({low * 100:.0f}–{high * 100:.0f}) n = 10"
    assert first[2].startswith("100")
    assert "trained on word for word: 1 of malicious requests" in page


def test_comparisons_are_corrected_together_and_what_is_not_paired_says_so() -> None:
    differences = {
        "a": change(0.5, 0.2, 0.8, 0.01, n=9),
        "b": change(-0.1, -0.3, 0.1, 0.3, n=9),
        "c": MISSING,
    }
    page = tables.comparisons(differences, caption="c").data
    assert rows_of(page)[1:] == [
        ["a", "+50", "+20 to +80", "9", "0.020"],
        ["b", "-10", "-30 to +10", "9", "0.300"],
        ["c", "not paired", "", "0", ""],
    ]


def test_shares_of_several_instruments_stand_by_what_they_say_and_by_amount() -> None:
    found = readings.shares(made_scores(), names=["refusal-rules", "harmfulness"])
    rows = rows_of(tables.instrument_table(found).data)
    assert ["malicious requests", "called harmful (harmfulness)", "1", "50 (9–91)", "0 (0–79)"] in rows


def test_an_agreement_that_was_not_measured_says_why() -> None:
    page = tables.agreement_table(pd.DataFrame(), why_not="Safe-RLHF-mini is not on the mirror").data
    assert "Not measured here: Safe-RLHF-mini" in page
