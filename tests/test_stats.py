"""Intervals and differences against known values and known properties."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar

from safetune_utils import statistics
from safetune_utils.statistics import (
    agreement,
    by_amount,
    cohen_kappa,
    corrected_share,
    detectable_difference,
    detectable_share,
    flat_from,
    holm,
    kappa_from_margins,
    krippendorff_alpha,
    means,
    paired_difference,
    per_prompt,
    share,
    summarise,
    trend_test,
    win_rate,
)


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
    responses = pd.DataFrame(
        {"prompt_set": ["a", "a", "b"], "prompt_id": ["1", "2", "1"], "refused": [True, False, True]}
    )
    table = summarise(responses, by=["prompt_set"])
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
    values, clusters = (
        pd.Series([True] * 90 + [False] * 30),
        pd.Series(["often"] * 90 + [f"once {i}" for i in range(30)]),
    )
    found = share(values, clusters=clusters)
    assert found.share == 0.75
    assert found.low < 0.75 < found.high


def test_no_change_on_few_prompts_is_not_certainty() -> None:
    def unchanged(n: int) -> statistics.Difference:
        return paired_difference(pd.Series([0.0] * n), pd.Series([0.0] * n))

    # None of 98 differs: by the exact binomial interval up to 3.7 % of all prompts could (0.025 ** (1 / 98)
    # is 0.963).
    assert unchanged(98)[:3] == (0.0, pytest.approx(-0.0369, abs=1e-4), pytest.approx(0.0369, abs=1e-4))
    assert unchanged(6).high == pytest.approx(0.459, abs=1e-3)
    all_rise = paired_difference(pd.Series([0.0] * 20), pd.Series([1.0] * 20))
    assert (all_rise.high, all_rise.direction) == (1.0, "rises")
    assert 0.6 < all_rise.low < 0.7
    assert paired_difference(pd.Series([0.0]), pd.Series([1.0])).direction == "not seen"


def test_where_there_are_several_seeds_they_are_drawn_anew_as_prompts_are() -> None:
    rng = np.random.default_rng(5)
    rates = {
        0: 0.09,
        1: 0.32,
        2: 0.27,
    }  # training runs that lie further apart than a hundred prompts could put them
    rows = [
        {"prompt_set": "m", "prompt_id": f"p{i}", "n_safety": n, "seed": seed, "refused": bool(rng.random() < rate * (n > 0))}
        for i in range(100) for seed, rate in rates.items() for n in (0, 200)
    ]  # fmt: skip
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
    people = np.array([True] * 50 + [False] * 50)
    corrected = statistics.corrected_share(
        responses[responses["n_safety"] == 200]["refused"],
        people=people,
        instrument=people,
        clusters=responses["prompt_id"],
        seeds=responses["seed"],
    )
    assert corrected.high - corrected.low == pytest.approx(found.high - found.low, abs=0.03)


def test_one_pair_or_numbers_that_change_alike_are_no_certainty() -> None:
    one = paired_difference(pd.Series({"a": 2.5}), pd.Series({"a": 2.3}))
    assert (one.n_pairs, one.p_value, one.direction) == (1, 1.0, "not seen")
    assert math.isnan(one.low)
    halves = paired_difference(
        pd.DataFrame({0: {"a": 0.0}, 1: {"a": 0.0}}), pd.DataFrame({0: {"a": 1.0}, 1: {"a": 0.0}})
    )
    assert (halves.n_pairs, halves.difference, halves.direction) == (1, 0.5, "not seen")
    alike = paired_difference(pd.Series([2.5, 3.5]), pd.Series([2.25, 3.25]))
    assert (alike.difference, alike.direction) == (-0.25, "not seen")


def test_pairs_are_matched_by_prompt_and_seeds_are_averaged() -> None:
    responses = pd.DataFrame(
        {
            "prompt_set": "malicious", "n_safety": [0, 0, 0, 0], "seed": [0, 1, 0, 1],
            "prompt_id": ["a", "a", "b", "b"], "refused": pd.Series([True, False, None, True], dtype=object),
        }
    )  # fmt: skip
    found = per_prompt(responses, prompt_set="malicious", n_safety=0)
    assert found.loc["a"].to_dict() == {0: 1.0, 1: 0.0}
    assert found.mean(axis=1).to_dict() == {"a": 0.5, "b": 1.0}
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
    instrument = np.concatenate(
        [np.repeat([True, False], [80, 20]), np.repeat([True, False], [10, 90])]
    )  # finds .8, and .1 too many
    measured = pd.Series(np.repeat([1.0, 0.0, np.nan], [45, 55, 7]))
    corrected = corrected_share(measured, people=people, instrument=instrument)
    assert corrected.value == pytest.approx((0.45 - 0.1) / (0.8 - 0.1))
    plain = share(measured)
    assert (
        corrected.high - corrected.low > plain.high - plain.low
    )  # the instrument's own uncertainty is in it
    none = corrected_share(
        pd.Series([0.0] * 6), people=people, instrument=np.where(people, instrument, False)
    )
    assert none.value == none.low == 0
    assert 0.2 < none.high < 0.6  # six answers without a refusal do not show that there is none
    assert np.isnan(corrected_share(measured, people=people, instrument=~instrument).value)


def test_win_rate_counts_ties_as_halves_and_its_interval_is_right() -> None:
    # 30 wins, 10 ties, 20 losses: (30 + 5) / 60. The scores' variance is (30·1 + 10·0.25)/60 - (35/60)², over
    # 60 prompts.
    scores = pd.Series([1.0] * 30 + [0.5] * 10 + [0.0] * 20 + [None] * 4)
    result = win_rate(scores)
    assert result.share == pytest.approx(35 / 60)
    assert (result.n_scored, result.n_unscored, result.method) == (60, 4, "bootstrap over prompts")
    error = math.sqrt((32.5 / 60 - (35 / 60) ** 2) / 60)
    assert (result.low, result.high) == pytest.approx(
        (35 / 60 - 1.96 * error, 35 / 60 + 1.96 * error), abs=0.01
    )
    assert win_rate(scores) == result  # seeded
    assert math.isnan(win_rate(pd.Series([None, None], dtype=object)).share)


def test_win_rate_of_several_raters_weighs_judgements_and_draws_prompts() -> None:
    # Two raters who always agree hold no more than one of them.
    one = pd.Series([1.0] * 20 + [0.0] * 20)
    prompts = pd.Series(range(40))
    two = win_rate(
        pd.concat([one, one], ignore_index=True), clusters=pd.concat([prompts, prompts], ignore_index=True)
    )
    assert (two.low, two.high) == (win_rate(one).low, win_rate(one).high)
    # A prompt that only one rater judged weighs once: 2 wins of 3, and not the mean of 1 and 1/2.
    assert win_rate(pd.Series([1.0, 1.0, 0.0]), clusters=pd.Series(["p", "q", "q"])).share == pytest.approx(
        2 / 3
    )


@pytest.mark.parametrize(
    ("score", "low", "high"), [(1.0, 0.722, 1.0), (0.5, 0.237, 0.763), (0.0, 0.0, 0.278)]
)
def test_win_rate_is_not_certain_where_all_prompts_score_alike(score: float, low: float, high: float) -> None:
    # Wilson's interval for 10, 5 and 0 of 10.
    result = win_rate(pd.Series([score] * 10))
    assert (result.share, result.low, result.high) == pytest.approx((score, low, high), abs=1e-3)
    assert result.method == "Wilson"


def test_kappa_of_the_published_example_of_its_interval() -> None:
    # Fleiss, Cohen and Everitt (1969): two clinicians, three diagnoses, 200 patients; κ = .429, variance
    # .002885.
    counts = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
    result = cohen_kappa(counts, responses=("one", "two", "three"))
    assert result.value == pytest.approx(0.429, abs=5e-4)
    error = math.sqrt(0.002885)
    assert (result.low, result.high) == pytest.approx(
        (0.42857 - 1.96 * error, 0.42857 + 1.96 * error), abs=1e-3
    )
    assert (result.agreed, result.n, result.note) == (0.7, 200, "")


@pytest.mark.parametrize(
    ("lines", "alpha", "n"),
    [
        (["0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"], 0.095, 10),
        (["a a b b d c c c e d d a", "b a b b b c c c e d d d"], 0.692, 12),
        (
            [
                "1 2 3 3 2 1 4 1 2 . . .",
                "1 2 3 3 2 2 4 1 2 5 . 3",
                ". 3 3 3 2 3 4 2 2 5 1 .",
                "1 2 3 3 2 4 4 1 2 5 1 .",
            ],
            0.743,
            11,
        ),
    ],
)
def test_alpha_of_the_published_examples(lines: list[str], alpha: float, n: int) -> None:
    # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), A, B and C: two raters and two answers,
    # two raters and five answers, four raters with ratings missing (the last item has one rating and counts
    # nowhere).
    ratings = pd.DataFrame([line.split() for line in lines]).T.replace({".": None})
    result = krippendorff_alpha(ratings)
    assert result.value == pytest.approx(alpha, abs=5e-4)
    assert result.n == n
    assert result.low < result.value < result.high <= 1
    assert krippendorff_alpha(ratings) == result  # seeded


def test_alpha_interval_holds_what_many_samples_give() -> None:
    # Two raters who give the same one of three answers with probability 0.7 and else any by chance: α is 0.7,
    # and the spread of an estimate from 80 items is about √(0.8 · 0.2 / 80) / (2/3).
    rng, inside, widths = np.random.default_rng(1), 0, []
    for _ in range(60):
        first, chance = rng.integers(3, size=80), rng.integers(3, size=80)
        result = krippendorff_alpha(
            pd.DataFrame({"a": first, "b": np.where(rng.random(80) < 0.7, first, chance)})
        )
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
    assert (
        krippendorff_alpha(pd.DataFrame({"a": ["x", None], "b": [None, "y"]})).note
        == "no item was rated by two"
    )
    rare = krippendorff_alpha(pd.DataFrame({"a": ["x"] * 9 + ["y"], "b": ["x"] * 10}))
    assert "left out of the interval" in rare.note


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
    three_seeds = pd.concat([once] * 3)
    pd.testing.assert_frame_equal(
        means(three_seeds, by="n_safety", unit="id", value="x"),
        means(once, by="n_safety", unit="id", value="x"),
    )


# ---- the dose


def test_the_trend_test_of_two_amounts_is_the_exact_one_of_mcnemar() -> None:
    shares = pd.DataFrame({0: [0.0] * 11 + [1.0], 50: [1.0] * 8 + [0.0] * 4})
    result = trend_test(shares)
    assert result.p_value == pytest.approx(mcnemar([[0, 8], [1, 0]], exact=True).pvalue)
    assert (result.slope, result.n_prompts) == (pytest.approx(7 / 12 / 50), 12)


def test_the_trend_test_of_ranks_is_that_of_page() -> None:
    # Ranks within each row make the statistic Page's L; his exact test is one-sided, ours two-sided.
    ranks = np.array([[1, 3, 2], [1, 2, 3], [2, 1, 3], [3, 1, 2]])
    page = scipy_stats.page_trend_test(ranks, method="exact")
    assert trend_test(pd.DataFrame(ranks, columns=[1, 2, 3])).p_value == pytest.approx(2 * page.pvalue)


def test_the_trend_test_is_mantels_and_counts_whole_prompts_only() -> None:
    rng = np.random.default_rng(0)
    shares = pd.DataFrame(
        (rng.random((98, 5)) < np.linspace(0.1, 0.22, 5)).astype(float), columns=[0, 25, 50, 100, 200]
    )
    # Mantel (1963): the sum of scores times values over its standard deviation, prompt by prompt.
    scores, values = np.array(shares.columns, float) - 75, shares.to_numpy()
    variance = (
        ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) * (scores @ scores) / 4
    ).sum()
    expected = 2 * scipy_stats.norm.sf(abs((values @ scores).sum()) / math.sqrt(variance))
    result = trend_test(shares)
    assert 0.01 < expected < 0.5
    assert result.p_value == pytest.approx(expected, abs=0.02)
    assert trend_test(shares) == result  # seeded
    assert trend_test(pd.concat([shares, pd.DataFrame({0: [1.0]})], ignore_index=True)) == result
    assert trend_test(-shares).slope == pytest.approx(-result.slope)


def test_no_trend_where_nothing_changes_or_nothing_can_be_tested() -> None:
    assert trend_test(pd.DataFrame({0: [1.0] * 6, 16: [1.0] * 6})).p_value == 1
    assert math.isnan(trend_test(pd.DataFrame({0: [1.0] * 6})).p_value)
    assert math.isnan(trend_test(pd.DataFrame({0: [1.0], 16: [0.0]})).p_value)


def test_by_amount_lays_prompts_against_amounts_and_averages_seeds() -> None:
    responses = pd.DataFrame(
        {
            "prompt_set": "malicious", "n_safety": [0, 0, 9, 9, 9], "seed": [0, 1, 0, 1, 0], "prompt_id": ["a", "a", "a", "a", "b"],
            "refused": pd.Series([True, False, True, True, True], dtype=object),
        }
    )  # fmt: skip
    shares = by_amount(responses, prompt_set="malicious")
    assert shares.loc["a"].to_dict() == {0: 0.5, 9: 1.0}
    assert math.isnan(shares.loc["b", 0])


def test_a_curve_is_flat_from_where_on_no_difference_to_the_largest_amount_is_seen() -> None:
    def curve(*refused: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                amount: [1.0] * n + [0.0] * (40 - n)
                for amount, n in zip((0, 25, 100, 200), refused, strict=True)
            }
        )

    assert flat_from(curve(0, 10, 30, 31)) == 100
    assert flat_from(curve(0, 10, 20, 40)) == 200
    assert flat_from(curve(5, 5, 5, 5)) == 0
    # An amount that by chance lies at the last one's height, before the curve dips, is not where it levels
    # off.
    assert flat_from(curve(0, 30, 10, 30)) == 200
    assert flat_from(curve(0, 10, 30, 31).assign(**{"200": None}).rename(columns={"200": 300})) is None


def test_holm_of_a_known_case_and_missing_ones_do_not_count() -> None:
    # Holm (1979): the smallest times 4, the next times 3 …, and never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, float("nan"), 0.03]) == pytest.approx([0.04, float("nan"), 0.04], nan_ok=True)
    assert all(math.isnan(p) for p in holm([float("nan")]))


def test_the_detectable_difference_of_known_cases() -> None:
    assert math.isnan(detectable_difference(5))  # five changes, all one way: p = .0625
    assert detectable_difference(6) == pytest.approx(0.8 ** (1 / 6), abs=1e-5)  # all six must change
    # Connor (1987), for the size of a study; he takes the normal for the binomial, and so asks for somewhat
    # fewer.
    for n, back in ((200, 0.05), (400, 0.1)):
        difference = detectable_difference(n, back=back)
        change = difference + 2 * back
        needed = (
            1.959964 * math.sqrt(change) + 0.841621 * math.sqrt(change - difference**2)
        ) ** 2 / difference**2
        assert 0.9 * n < needed < n


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    rng, n, back = np.random.default_rng(3), 66, 0.04
    difference = detectable_difference(n, back=back)
    kinds = rng.multinomial(n, [difference + back, back, 1 - difference - 2 * back], size=4000)
    found = [
        scipy_stats.binomtest(int(gained), int(gained + lost)).pvalue < 0.05
        for gained, lost, _ in kinds
        if gained > lost
    ]
    assert sum(found) / 4000 == pytest.approx(0.8, abs=0.02)


def test_the_detectable_share_of_known_cases() -> None:
    assert math.isnan(detectable_share(5))
    assert detectable_share(6) == pytest.approx(0.8 ** (1 / 6))
    # 61 of 100 is the least that the exact test tells from one half.
    assert scipy_stats.binom.sf(60, 100, detectable_share(100)) == pytest.approx(0.8)
    assert scipy_stats.binomtest(61, 100).pvalue < 0.05 < scipy_stats.binomtest(60, 100).pvalue


def test_kappa_from_margins_is_that_of_the_whole_table() -> None:
    counts = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
    whole = cohen_kappa(counts, responses=("one", "two", "three"))
    result = kappa_from_margins(counts.sum(axis=1), counts.sum(axis=0), agreed=140)
    assert (result.value, result.agreed, result.n) == (pytest.approx(whole.value), 0.7, 200)
    # Cohen (1960): the root of p(1 - p)/n over 1 - chance, here .0324/.525.
    assert (result.high - result.low) / 2 / 1.96 == pytest.approx(
        math.sqrt(0.7 * 0.3 / 200) / 0.525, abs=1e-4
    )
    assert math.isnan(kappa_from_margins([9, 0], [9, 0], agreed=9).value)


def test_two_runs_differ_by_what_their_intervals_allow() -> None:
    # Newcombe (1998), interval estimation for the difference between independent proportions, example (a): 56
    # of 70 less 48 of 80 by method 10 is 0.0524 to 0.3339.
    sides = [share(pd.Series([True] * yes + [False] * (n - yes))) for yes, n in ((48, 80), (56, 70))]
    found = statistics.independent_difference(
        *(statistics.Estimate(side.share, side.low, side.high) for side in sides)
    )
    assert found == (pytest.approx(0.2), pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))
