"""Shares, means and win rates: intervals against known values, prompts and seeds that are drawn anew."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from safetune_utils import statistics
from safetune_utils.statistics import (
    by_amount,
    means,
    paired_difference,
    per_prompt,
    share,
    summarise,
    win_rate,
)


def test_wilson_interval_of_a_known_case() -> None:
    # 15 of 148 successes is the worked example of Newcombe (1998), method 3: 0.0624 to 0.1605.
    result = share(pd.Series([True] * 15 + [False] * 133))
    assert result.low == pytest.approx(0.0624, abs=5e-4)
    assert result.high == pytest.approx(0.1605, abs=5e-4)
    assert (result.n, result.method) == (148, "Wilson")


def test_unscored_answers_are_counted_and_not_averaged() -> None:
    result = share(pd.Series([True, None, False, None], dtype=object))
    assert (result.value, result.n, result.n_unscored) == (0.5, 2, 2)
    nothing = share(pd.Series([None, None], dtype=object))
    assert math.isnan(nothing.value)
    assert nothing.n_unscored == 2


def test_answers_to_one_prompt_are_not_taken_for_independent() -> None:
    # Forty prompts whose five seeds all agree hold the information of forty answers, not of two hundred.
    prompts = pd.Series(np.repeat(np.arange(40), 5))
    values = (prompts % 2).astype(bool)
    clustered, naive = share(values, clusters=prompts), share(values)
    assert clustered.method == "bootstrap over prompts"
    assert clustered.high - clustered.low > 1.8 * (naive.high - naive.low)


def test_summarise_groups_and_keeps_every_set() -> None:
    responses = pd.DataFrame(
        {"prompt_set": ["a", "a", "b"], "prompt_id": ["1", "2", "1"], "refused": [True, False, True]}
    )
    table = summarise(responses, by=["prompt_set"])
    assert list(table["share"]) == [0.5, 1.0]
    assert list(table["n_scored"]) == [2, 1]


def test_the_interval_of_unequally_answered_prompts_is_around_the_share_of_answers() -> None:
    # One prompt with 90 answers, all true, and thirty with one each, all false: by prompts the mean is 3 %.
    values, clusters = (
        pd.Series([True] * 90 + [False] * 30),
        pd.Series(["often"] * 90 + [f"once {i}" for i in range(30)]),
    )
    found = share(values, clusters=clusters)
    assert found.value == 0.75
    assert found.low < 0.75 < found.high


def test_where_there_are_several_seeds_they_are_drawn_anew_as_prompts_are() -> None:
    rng = np.random.default_rng(5)
    # Training runs that lie further apart than a hundred prompts could put them.
    rates = {
        0: 0.09,
        1: 0.32,
        2: 0.27,
    }
    rows = [
        {
            "prompt_set": "m",
            "prompt_id": f"p{i}",
            "n_safety": n,
            "seed": seed,
            "refused": bool(rng.random() < rate * (n > 0)),
        }
        for i in range(100)
        for seed, rate in rates.items()
        for n in (0, 200)
    ]
    responses = pd.DataFrame(rows)
    by_run = summarise(responses, by=["n_safety", "seed"]).set_index(["n_safety", "seed"])["share"][200]
    (found,) = summarise(responses[responses["n_safety"] == 200], by=["prompt_set"]).itertuples()
    assert found.method == "bootstrap over prompts and seeds"
    assert found.share == pytest.approx(by_run.mean())
    assert found.low <= by_run.min() + 0.02
    assert found.high >= by_run.max() - 0.02
    prompts_only = share(responses[responses["n_safety"] == 200]["refused"], clusters=responses["prompt_id"])
    assert found.high - found.low > 2 * (prompts_only.high - prompts_only.low)
    # Paired by prompt and by seed: what all runs have in common at every amount drops out.
    before, after = (per_prompt(responses, prompt_set="m", n_safety=n) for n in (0, 200))
    assert paired_difference(before, after).low == pytest.approx(found.low, abs=0.01)
    more = after.copy()
    more.loc[[f"p{i}" for i in range(8)]] = 1.0
    shifted = paired_difference(after, more)
    assert shifted.high - shifted.low < 0.2
    (mean,) = statistics.means(
        responses[responses["n_safety"] == 200].assign(value=lambda rows: rows["refused"] * 1.0),
        by="n_safety",
        unit="prompt_id",
        value="value",
    ).itertuples()
    assert (mean.value, mean.low, mean.high, mean.n) == (
        pytest.approx(found.share),
        pytest.approx(found.low),
        pytest.approx(found.high),
        100,
    )
    # One seed alone is what it always was.
    one = responses[(responses["seed"] == 1) & (responses["n_safety"] == 200)]
    assert summarise(one, by=["prompt_set"])["method"].item() == "Wilson"
    # A corrected share is no surer than the measured one.
    never_errs = {"both": 50, "instrument_alone": 0, "people_alone": 0, "neither": 50}
    corrected = statistics.corrected_share(
        responses[responses["n_safety"] == 200]["refused"],
        labelled=[{"source": "one", **never_errs}],
        clusters=responses["prompt_id"],
        seeds=responses["seed"],
    )
    assert corrected.high - corrected.low == pytest.approx(found.high - found.low, abs=0.03)


def test_pairs_are_matched_by_prompt_and_seeds_are_averaged() -> None:
    responses = pd.DataFrame(
        {
            "prompt_set": "malicious",
            "n_safety": [0, 0, 0, 0],
            "seed": [0, 1, 0, 1],
            "prompt_id": ["a", "a", "b", "b"],
            "refused": pd.Series([True, False, None, True], dtype=object),
        }
    )
    found = per_prompt(responses, prompt_set="malicious", n_safety=0)
    assert found.loc["a"].to_dict() == {0: 1.0, 1: 0.0}
    assert found.mean(axis=1).to_dict() == {"a": 0.5, "b": 1.0}
    result = paired_difference(pd.Series({"a": 0.0, "b": 0.0}), pd.Series({"b": 1.0, "c": 1.0}))
    assert (result.n, result.value) == (1, 1.0)


def test_a_pair_names_the_other_s_id_or_is_a_name_of_both_and_seeds_are_averaged() -> None:
    one = pd.DataFrame({"prompt_id": ["a", "b", "c"], "pair": ["", "x", ""], "refused": [True, False, True]})
    two = pd.DataFrame(
        {
            "prompt_id": ["q", "q", "r", "s"],
            "pair": ["a", "a", "x", ""],
            "refused": pd.Series([True, False, True, None], dtype=object),
        }
    )
    assert statistics.per_request(one).mean(axis=1).to_dict() == {"a": 1.0, "x": 0.0, "c": 1.0}
    assert statistics.per_request(two).mean(axis=1).to_dict() == {"a": 0.5, "x": 1.0}
    assert statistics.paired_difference(statistics.per_request(one), statistics.per_request(two)).n == 2


def test_by_amount_lays_prompts_against_amounts_and_averages_seeds() -> None:
    responses = pd.DataFrame(
        {
            "prompt_set": "malicious",
            "n_safety": [0, 0, 9, 9, 9],
            "seed": [0, 1, 0, 1, 0],
            "prompt_id": ["a", "a", "a", "a", "b"],
            "refused": pd.Series([True, False, True, True, True], dtype=object),
        }
    )
    shares = by_amount(responses, prompt_set="malicious")
    assert shares.loc["a"].to_dict() == {0: 0.5, 9: 1.0}
    assert math.isnan(shares.loc["b", 0])


def test_a_mean_has_the_interval_of_its_units_however_often_each_was_measured() -> None:
    once = pd.DataFrame(
        {"n_safety": [5] * 8 + [0] * 2, "id": [*"abcdefgh", *"ab"], "x": [1.0, 2, 3, 4, 5, 6, 7, 8, 4, None]}
    )
    (small, large) = means(once, by="n_safety", unit="id", value="x").to_dict("records")
    assert (small["n"], small["value"]) == (1, 4.0)  # the missing one is left out
    assert pd.isna(small["low"])  # one unit says nothing of others
    assert (large["n"], large["value"]) == (8, 4.5)
    assert 2.5 < large["low"] < 3.5
    assert 5.5 < large["high"] < 6.5
    none = means(once.iloc[:0], by="n_safety", unit="id", value="x")
    assert list(none) == ["n_safety", "value", "low", "high", "n"]
    three_seeds = pd.concat([once] * 3)
    pd.testing.assert_frame_equal(
        means(three_seeds, by="n_safety", unit="id", value="x"),
        means(once, by="n_safety", unit="id", value="x"),
    )


def test_win_rate_counts_ties_as_halves_and_its_interval_is_right() -> None:
    # 30 wins, 10 ties, 20 losses: (30 + 5) / 60. The scores' variance is (30·1 + 10·0.25)/60 - (35/60)², over
    # 60 prompts.
    scores = pd.Series([1.0] * 30 + [0.5] * 10 + [0.0] * 20 + [None] * 4)
    result = win_rate(scores)
    assert result.value == pytest.approx(35 / 60)
    assert (result.n, result.n_unscored, result.method) == (60, 4, "bootstrap over prompts")
    error = math.sqrt((32.5 / 60 - (35 / 60) ** 2) / 60)
    assert (result.low, result.high) == pytest.approx(
        (35 / 60 - 1.96 * error, 35 / 60 + 1.96 * error), abs=0.01
    )
    assert result.standard_error == pytest.approx(error, rel=0.05)
    assert win_rate(scores) == result  # seeded
    none = win_rate(pd.Series([None, None], dtype=object))
    assert (none.n, none.n_unscored, none.method) == (0, 2, "none")
    assert math.isnan(none.value)


def test_win_rate_of_several_raters_weighs_judgements_and_draws_prompts() -> None:
    # Two raters who always agree hold no more than one of them.
    one = pd.Series([1.0] * 20 + [0.0] * 20)
    prompts = pd.Series(range(40))
    two = win_rate(
        pd.concat([one, one], ignore_index=True), clusters=pd.concat([prompts, prompts], ignore_index=True)
    )
    assert (two.low, two.high) == (win_rate(one).low, win_rate(one).high)
    assert two.standard_error == win_rate(one).standard_error
    # A prompt that only one rater judged weighs once: 2 wins of 3, and not the mean of 1 and 1/2.
    assert win_rate(pd.Series([1.0, 1.0, 0.0]), clusters=pd.Series(["p", "q", "q"])).value == pytest.approx(
        2 / 3
    )


@pytest.mark.parametrize(
    ("score", "low", "high"), [(1.0, 0.722, 1.0), (0.5, 0.237, 0.763), (0.0, 0.0, 0.278)]
)
def test_win_rate_is_not_certain_where_all_prompts_score_alike(score: float, low: float, high: float) -> None:
    # Wilson's interval for 10, 5 and 0 of 10.
    result = win_rate(pd.Series([score] * 10))
    # Nor where some prompts were judged more often.
    more = win_rate(pd.Series([score] * 11), clusters=pd.Series([0, *range(10)]))
    assert (more.low, more.high, more.method) == (result.low, result.high, "Wilson")
    assert (result.value, result.low, result.high) == pytest.approx((score, low, high), abs=1e-3)
    assert math.isnan(result.standard_error)
    assert result.method == "Wilson"


def test_a_share_is_held_against_one_half_by_the_exact_binomial_test() -> None:
    values = pd.Series([True] * 61 + [False] * 39 + [None], dtype=object)
    found = statistics.against_half(values)
    assert found.p_value == pytest.approx(scipy_stats.binomtest(61, 100).pvalue)
    assert replace(found, p_value=math.nan).as_data() == share(values).as_data()
    assert math.isnan(statistics.against_half(pd.Series([], dtype=object)).value)
