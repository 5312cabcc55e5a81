"""Intervals and differences against known values and known properties."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from safetune_utils import stats
from safetune_utils.stats import agreement, cohen_kappa, corrected_share, krippendorff_alpha, means, paired_difference, per_prompt, share, summarise, win_rate


def test_wilson_interval_of_a_known_case() -> None:
    # 15 of 148 successes is the worked example of Newcombe (1998), method 3: 0.0624 to 0.1605.
    result = share(pd.Series([True] * 15 + [False] * 133))
    assert result.low == pytest.approx(0.0624, abs=5e-4)
    assert result.high == pytest.approx(0.1605, abs=5e-4)
    assert (result.n_scored, result.method) == (148, "Wilson")


def test_unscored_answers_are_counted_and_not_averaged() -> None:
    result = share(pd.Series([True, None, False, None], dtype=object))
    assert (result.share, result.n_scored, result.n_unscored) == (0.5, 2, 2)
    nothing = share(pd.Series([None, None], dtype=object))
    assert math.isnan(nothing.share)
    assert nothing.n_unscored == 2


def test_answers_to_one_prompt_are_not_taken_for_independent() -> None:
    # Forty prompts whose five seeds all agree hold the information of forty answers, not of two hundred.
    prompts = pd.Series(np.repeat(np.arange(40), 5))
    values = (prompts % 2).astype(bool)
    clustered, naive = share(values, clusters=prompts), share(values)
    assert clustered.method == "bootstrap over prompts"
    assert clustered.high - clustered.low > 1.8 * (naive.high - naive.low)


def test_summarise_groups_and_keeps_every_set() -> None:
    answers = pd.DataFrame({"prompt_set": ["a", "a", "b"], "prompt_id": ["1", "2", "1"], "refused": [True, False, True]})
    table = summarise(answers, by=["prompt_set"])
    assert list(table["share"]) == [0.5, 1.0]
    assert list(table["n_scored"]) == [2, 1]


def test_paired_difference_sees_a_real_change_and_no_change() -> None:
    ids = [f"p{i}" for i in range(60)]
    none, half = pd.Series([0.0] * 60, index=ids), pd.Series([0.0, 1.0] * 30, index=ids)
    rise = paired_difference(none, half)
    assert (rise.direction, rise.difference, rise.n_pairs) == ("rises", 0.5, 60)
    assert rise.p_value < 1e-6
    assert paired_difference(half, none).direction == "falls"
    # As many gained as lost: the shares are equal, and nothing is seen.
    swapped = pd.Series([1.0, 0.0] * 30, index=ids)
    assert paired_difference(half, swapped).direction == "not seen"


def test_the_interval_of_unequally_answered_prompts_is_around_the_share_of_answers() -> None:
    # One prompt with 90 answers, all true, and thirty with one each, all false: by prompts the mean is 3 %.
    values, clusters = pd.Series([True] * 90 + [False] * 30), pd.Series(["often"] * 90 + [f"once {i}" for i in range(30)])
    found = share(values, clusters=clusters)
    assert found.share == 0.75
    assert found.low < 0.75 < found.high


def test_no_change_on_few_prompts_is_not_certainty() -> None:
    def unchanged(n: int) -> stats.Difference:
        return paired_difference(pd.Series([0.0] * n), pd.Series([0.0] * n))

    # None of 98 differs: by the exact binomial interval up to 3.7 % of all prompts could (0.025 ** (1 / 98) is 0.963).
    assert unchanged(98)[:3] == (0.0, pytest.approx(-0.0369, abs=1e-4), pytest.approx(0.0369, abs=1e-4))
    assert unchanged(6).high == pytest.approx(0.459, abs=1e-3)
    all_rise = paired_difference(pd.Series([0.0] * 20), pd.Series([1.0] * 20))
    assert (all_rise.high, all_rise.direction) == (1.0, "rises")
    assert 0.6 < all_rise.low < 0.7
    assert paired_difference(pd.Series([0.0]), pd.Series([1.0])).direction == "not seen"


def test_pairs_are_matched_by_prompt_and_seeds_are_averaged() -> None:
    answers = pd.DataFrame(
        {
            "prompt_set": "malicious", "n_safety": [0, 0, 0, 0], "seed": [0, 1, 0, 1],
            "prompt_id": ["a", "a", "b", "b"], "refused": pd.Series([True, False, None, True], dtype=object),
        }
    )  # fmt: skip
    assert per_prompt(answers, prompt_set="malicious", n_safety=0).to_dict() == {"a": 0.5, "b": 1.0}
    result = paired_difference(pd.Series({"a": 0.0, "b": 0.0}), pd.Series({"b": 1.0, "c": 1.0}))
    assert (result.n_pairs, result.difference) == (1, 1.0)


def test_agreement_is_that_of_scikit_learn_and_its_intervals_hold_it() -> None:
    rng = np.random.default_rng(1)
    people = rng.random(300) < 0.3
    instrument = np.where(rng.random(300) < 0.9, people, ~people)
    found = agreement(people, instrument)
    expected = (
        metrics.accuracy_score(people, instrument), metrics.precision_score(people, instrument),
        metrics.recall_score(people, instrument), metrics.cohen_kappa_score(people, instrument),
    )  # fmt: skip
    for estimate, value in zip(found[:4], expected, strict=True):
        assert estimate.value == pytest.approx(value)
        assert estimate.low < value < estimate.high
    assert found.n == 300
    # Rows that always come in threes tell a third as much.
    threes = agreement(np.repeat(people, 3), np.repeat(instrument, 3), clusters=np.repeat(np.arange(300), 3))
    alone = agreement(np.repeat(people, 3), np.repeat(instrument, 3))
    assert threes.kappa.high - threes.kappa.low == pytest.approx(found.kappa.high - found.kappa.low)
    assert alone.kappa.high - alone.kappa.low < 0.7 * (threes.kappa.high - threes.kappa.low)


@pytest.mark.filterwarnings("error")
def test_an_instrument_that_never_says_yes_has_no_precision_and_no_warning() -> None:
    found = agreement([True, False, True], [False, False, False])
    assert np.isnan(found.precision).all()
    assert (found.recall.value, found.kappa.value) == pytest.approx((0, 0))


def test_a_share_is_corrected_for_the_instruments_errors() -> None:
    people = np.repeat([True, False], [100, 100])
    instrument = np.concatenate([np.repeat([True, False], [80, 20]), np.repeat([True, False], [10, 90])])  # finds .8, and .1 too many
    measured = pd.Series(np.repeat([1.0, 0.0, np.nan], [45, 55, 7]))
    corrected = corrected_share(measured, people=people, instrument=instrument)
    assert corrected.value == pytest.approx((0.45 - 0.1) / (0.8 - 0.1))
    plain = share(measured)
    assert corrected.high - corrected.low > plain.high - plain.low  # the instrument's own uncertainty is in it
    assert corrected_share(pd.Series([0.0] * 50), people=people, instrument=instrument).value == 0
    assert np.isnan(corrected_share(measured, people=people, instrument=~instrument).value)


def test_win_rate_counts_ties_as_halves_and_its_interval_is_right() -> None:
    # 30 wins, 10 ties, 20 losses: (30 + 5) / 60. The scores' variance is (30·1 + 10·0.25)/60 - (35/60)², over 60 prompts.
    scores = pd.Series([1.0] * 30 + [0.5] * 10 + [0.0] * 20 + [None] * 4)
    result = win_rate(scores)
    assert result.share == pytest.approx(35 / 60)
    assert (result.n_scored, result.n_unscored, result.method) == (60, 4, "bootstrap over prompts")
    error = math.sqrt((32.5 / 60 - (35 / 60) ** 2) / 60)
    assert (result.low, result.high) == pytest.approx((35 / 60 - 1.96 * error, 35 / 60 + 1.96 * error), abs=0.01)
    assert win_rate(scores) == result  # seeded
    assert math.isnan(win_rate(pd.Series([None, None], dtype=object)).share)


def test_win_rate_of_several_raters_weighs_judgements_and_draws_prompts() -> None:
    # Two raters who always agree hold no more than one of them.
    one = pd.Series([1.0] * 20 + [0.0] * 20)
    prompts = pd.Series(range(40))
    two = win_rate(pd.concat([one, one], ignore_index=True), clusters=pd.concat([prompts, prompts], ignore_index=True))
    assert (two.low, two.high) == (win_rate(one).low, win_rate(one).high)
    # A prompt that only one rater judged weighs once: 2 wins of 3, and not the mean of 1 and 1/2.
    assert win_rate(pd.Series([1.0, 1.0, 0.0]), clusters=pd.Series(["p", "q", "q"])).share == pytest.approx(2 / 3)


@pytest.mark.parametrize(("score", "low", "high"), [(1.0, 0.722, 1.0), (0.5, 0.237, 0.763), (0.0, 0.0, 0.278)])
def test_win_rate_is_not_certain_where_all_prompts_score_alike(score: float, low: float, high: float) -> None:
    # Wilson's interval for 10, 5 and 0 of 10.
    result = win_rate(pd.Series([score] * 10))
    assert (result.share, result.low, result.high) == pytest.approx((score, low, high), abs=1e-3)
    assert result.method == "Wilson"


def test_kappa_of_the_published_example_of_its_interval() -> None:
    # Fleiss, Cohen and Everitt (1969): two clinicians, three diagnoses, 200 patients; κ = .429, variance .002885.
    counts = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
    result = cohen_kappa(counts, answers=("one", "two", "three"))
    assert result.value == pytest.approx(0.429, abs=5e-4)
    error = math.sqrt(0.002885)
    assert (result.low, result.high) == pytest.approx((0.42857 - 1.96 * error, 0.42857 + 1.96 * error), abs=1e-3)
    assert (result.agreed, result.n, result.note) == (0.7, 200, "")


@pytest.mark.parametrize(
    ("lines", "alpha", "n"),
    [
        (["0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"], 0.095, 10),
        (["a a b b d c c c e d d a", "b a b b b c c c e d d d"], 0.692, 12),
        (["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."], 0.743, 11),
    ],
)
def test_alpha_of_the_published_examples(lines: list[str], alpha: float, n: int) -> None:
    # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), A, B and C: two raters and two answers, two raters
    # and five answers, four raters with ratings missing (the last item has one rating and counts nowhere).
    ratings = pd.DataFrame([line.split() for line in lines]).T.replace({".": None})
    result = krippendorff_alpha(ratings)
    assert result.value == pytest.approx(alpha, abs=5e-4)
    assert result.n == n
    assert result.low < result.value < result.high <= 1
    assert krippendorff_alpha(ratings) == result  # seeded


def test_alpha_interval_holds_what_many_samples_give() -> None:
    # Two raters who give the same one of three answers with probability 0.7 and else any by chance: α is 0.7, and the
    # spread of an estimate from 80 items is about √(0.8 · 0.2 / 80) / (2/3).
    rng, inside, widths = np.random.default_rng(1), 0, []
    for _ in range(60):
        first, chance = rng.integers(3, size=80), rng.integers(3, size=80)
        result = krippendorff_alpha(pd.DataFrame({"a": first, "b": np.where(rng.random(80) < 0.7, first, chance)}))
        inside += result.low < 0.7 < result.high
        widths.append(result.high - result.low)
    assert inside >= 52
    assert np.mean(widths) == pytest.approx(2 * 1.96 * math.sqrt(0.8 * 0.2 / 80) / (2 / 3), rel=0.1)


def test_alpha_where_it_or_its_interval_is_undefined() -> None:
    alike = krippendorff_alpha(pd.DataFrame({"a": ["x", "x", "y"], "b": ["x", "x", None]}))
    assert math.isnan(alike.value)
    assert (alike.agreed, alike.n) == (1.0, 2)
    assert "every rating is 'x'" in alike.note
    full = krippendorff_alpha(pd.DataFrame({"a": ["x", "y"] * 5, "b": ["x", "y"] * 5}))
    assert full.value == 1.0
    assert math.isnan(full.low)
    assert "no width" in full.note
    assert krippendorff_alpha(pd.DataFrame({"a": ["x", None], "b": [None, "y"]})).note == "no item was rated by two"
    rare = krippendorff_alpha(pd.DataFrame({"a": ["x"] * 9 + ["y"], "b": ["x"] * 10}))
    assert "left out of the interval" in rare.note


def test_a_mean_has_the_interval_of_its_units_however_often_each_was_measured() -> None:
    once = pd.DataFrame({"n_safety": [5] * 8 + [0] * 2, "id": [*"abcdefgh", *"ab"], "x": [1.0, 2, 3, 4, 5, 6, 7, 8, 4, None]})
    (small, large) = means(once, by="n_safety", unit="id", value="x").to_dict("records")
    assert (small["n"], small["value"]) == (1, 4.0)  # the missing one is left out
    assert pd.isna(small["low"])  # one unit says nothing of others
    assert (large["n"], large["value"]) == (8, 4.5)
    assert 2.5 < large["low"] < 3.5
    assert 5.5 < large["high"] < 6.5
    three_seeds = pd.concat([once] * 3)
    pd.testing.assert_frame_equal(means(three_seeds, by="n_safety", unit="id", value="x"), means(once, by="n_safety", unit="id", value="x"))


def test_two_runs_differ_by_what_their_intervals_allow() -> None:
    # Newcombe (1998), interval estimation for the difference between independent proportions, example (a): 56 of 70 less
    # 48 of 80 by method 10 is 0.0524 to 0.3339.
    sides = [share(pd.Series([True] * yes + [False] * (n - yes))) for yes, n in ((48, 80), (56, 70))]
    found = stats.independent_difference(*(stats.Estimate(side.share, side.low, side.high) for side in sides))
    assert found == (pytest.approx(0.2), pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))
