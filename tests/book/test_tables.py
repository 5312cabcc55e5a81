"""Tables: their numbers, their CSV, and untrusted text in them is inert."""

from __future__ import annotations

import base64
import re

import pandas as pd
import pytest
from estimates import MISSING, change
from made_responses import NASTY, made_matrix, made_responses, made_scores

from safetune_utils.book import tables
from safetune_utils.scoring import readings
from safetune_utils.study import mixes
from safetune_utils.study.design import state


def test_a_table_is_inert() -> None:
    page = tables.table([(NASTY, NASTY)], caption=NASTY).data
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_the_trend_in_words() -> None:
    text = re.sub(r"<[^>]+>", "|", tables.trend_table(made_responses()).data)
    # Twenty prompts, none refused at 0 and all at 50; of 20, eight or nine must change for the test to see it
    # four times in five.
    assert re.search(
        r"malicious requests\|+20\|+rises\|+below 0.001\|+below 0.001\|+not seen up to 50\|+3\d points", text
    )
    still = re.sub(r"<[^>]+>", "|", tables.trend_table(made_responses(refused=False)).data)
    assert re.search(r"20\|+not seen\|+1.000\|+1.000\|+from 0 on \(no change seen\)", still)
    few = made_responses(refused=False)
    assert "none: too few prompts" in tables.trend_table(few[few["prompt_id"].isin(["p0", "p1"])]).data
    assert "one amount only" in tables.trend_table(few[few["n_safety"] == 0]).data


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
    }
    page = tables.tally_table(pd.DataFrame([row, row | {"chose_a": float("nan")}]), caption="C.").data
    assert "<script" not in page
    assert "Win rates are of &#x27;tuned&#x27;" in page
    assert "tuned better</th><th scope='col'>untuned better" in page
    assert "<td>47</td><td>0</td><td>2</td><td>1</td><td>50</td><td>97 (93–100)</td><td>no side</td>" in page


def test_a_table_holds_its_numbers_as_csv() -> None:
    page = tables.table([("a", 0.123456), ("b, c", "<i>")], caption="Some <b>numbers</b>.").data
    ((name, csv),) = re.findall(r'<a download="([^"]+)" href="data:text/csv;base64,([^"]+)"', page)
    assert name == "some_b_numbers_b.csv"
    assert base64.b64decode(csv).decode().splitlines() == [",value", "a,0.123456", '"b, c",<i>']


def test_the_matrix_shows_each_share_with_interval_and_n_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = state(prompt_sets=["malicious", "malicious_questions"], preset="smoke")
    monkeypatch.setattr(mixes, "leaks", lambda _: {"malicious": ["p1"]})
    matrix = made_matrix()
    page = tables.transfer_table(matrix, [study, study], what="answers that refuse").data
    body = page.split("<tbody>")[1]
    assert body.index("questions") < body.index("none")  # the order of the rows is that of the table
    low, high = matrix.set_index(["trained", "prompt_set"]).loc[("questions", "malicious"), ["low", "high"]]
    first, second = body.split("</tr>")[0].split("</td>")[:2]
    assert f"50 <small>({low * 100:.0f}–{high * 100:.0f})</small><br><small>n = 10</small>" in first
    assert "100 <small>" in second
    assert "trained on word for word: 1 of malicious requests" in page


def test_comparisons_are_corrected_together_and_what_is_not_paired_says_so() -> None:
    differences = {
        "a": change(0.5, 0.2, 0.8, 0.01, n=9),
        "b": change(-0.1, -0.3, 0.1, 0.3, n=9),
        "c": MISSING,
    }
    page = tables.comparisons(differences, caption="c").data
    assert "<td>+50</td><td>+20 to +80</td><td>9</td><td>0.020</td>" in page
    assert "<td>-10</td><td>-30 to +10</td><td>9</td><td>0.300</td>" in page
    assert "not paired" in page


def test_shares_of_several_instruments_stand_by_what_they_say_and_by_amount() -> None:
    found = readings.shares(made_scores(), names=["refusal-rules", "harmfulness"])
    text = re.sub(r"<[^>]+>", "|", tables.instrument_table(found).data)
    assert re.search(
        r"malicious requests\|+called harmful \(harmfulness\)\|+1\|+50 \(9–91\)\|+0 \(0–79\)", text
    )


def test_an_agreement_that_was_not_measured_says_why() -> None:
    page = tables.agreement_table(pd.DataFrame(), why_not="Safe-RLHF-mini is not on the mirror").data
    assert "Not measured here: Safe-RLHF-mini" in page
