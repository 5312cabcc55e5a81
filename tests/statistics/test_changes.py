"""Paired differences, trends over the dose and corrections for many tests, against known values."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar

from safetune_utils import statistics
from safetune_utils.statistics import (
    flat_from,
    holm,
    paired_difference,
    share,
    trend_test,
)


def test_paired_difference_sees_a_real_change_and_no_change() -> None:
    ids = [f"p{i}" for i in range(60)]
    none, half = pd.Series([0.0] * 60, index=ids), pd.Series([0.0, 1.0] * 30, index=ids)
    rise = paired_difference(none, half)
    assert (rise.direction, rise.value, rise.n) == ("rises", 0.5, 60)
    assert rise.p_value < 1e-6
    assert paired_difference(half, none).direction == "falls"
    # As many gained as lost: the shares are equal, and nothing is seen.
    swapped = pd.Series([1.0, 0.0] * 30, index=ids)
    assert paired_difference(half, swapped).direction == "not seen"


def test_no_change_on_few_prompts_is_not_certainty() -> None:
    def unchanged(n: int) -> statistics.Estimate:
        return paired_difference(pd.Series([0.0] * n), pd.Series([0.0] * n))

    # None of 98 differs: by the exact binomial interval up to 3.7 % of all prompts could (0.025 ** (1 / 98)
    # is 0.963).
    none = unchanged(98)
    assert (none.value, none.low, none.high) == pytest.approx((0.0, -0.0369, 0.0369), abs=1e-4)
    assert unchanged(6).high == pytest.approx(0.459, abs=1e-3)
    all_rise = paired_difference(pd.Series([0.0] * 20), pd.Series([1.0] * 20))
    assert (all_rise.high, all_rise.direction) == (1.0, "rises")
    assert 0.6 < all_rise.low < 0.7
    all_fall = paired_difference(pd.Series([1.0] * 20), pd.Series([0.0] * 20))
    assert (all_fall.low, all_fall.high) == (-all_rise.high, -all_rise.low)
    assert paired_difference(pd.Series([0.0]), pd.Series([1.0])).direction == "not seen"


def test_without_a_pair_there_is_no_number() -> None:
    apart = paired_difference(pd.Series({"a": 1.0}), pd.Series({"b": 0.0}))
    assert np.isnan([apart.value, apart.low, apart.high]).all()
    assert (apart.n, apart.is_change) == (0, True)


def test_one_pair_or_numbers_that_change_alike_are_no_certainty() -> None:
    one = paired_difference(pd.Series({"a": 2.5}), pd.Series({"a": 2.3}))
    assert (one.n, one.p_value, one.direction) == (1, 1.0, "not seen")
    assert math.isnan(one.low)
    halves = paired_difference(
        pd.DataFrame({0: {"a": 0.0}, 1: {"a": 0.0}}), pd.DataFrame({0: {"a": 1.0}, 1: {"a": 0.0}})
    )
    assert (halves.n, halves.value, halves.direction) == (1, 0.5, "not seen")
    alike = paired_difference(pd.Series([2.5, 3.5]), pd.Series([2.25, 3.25]))
    assert (alike.value, alike.direction) == (-0.25, "not seen")


def test_the_p_value_of_averages_is_that_of_mcnemar_where_they_are_yes_or_no() -> None:
    rng = np.random.default_rng(3)
    before, after = (
        pd.Series(rng.random(14) < 0.3).astype(float),
        pd.Series(rng.random(14) < 0.8).astype(float),
    )
    gained, lost = int((after > before).sum()), int((after < before).sum())
    exact = mcnemar([[0, gained], [lost, 0]], exact=True).pvalue
    assert statistics.paired_difference(before, after).p_value == pytest.approx(exact)
    # Halving every value keeps the signs and the order of the sums, and takes the other way to the same
    # answer.
    assert statistics.paired_difference(before / 2, after / 2).p_value == pytest.approx(exact, abs=0.02)
    alike = pd.Series([0.5] * 10)
    assert statistics.paired_difference(alike, alike).p_value == 1.0


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
    two = trend_test(pd.DataFrame({0: [1.0, 1.0], 16: [0.0, 0.0]}))  # the least that can be tested
    assert two.p_value == 0.5


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


def test_holm_corrects_for_those_that_are_there() -> None:
    # Holm's own steps: the smallest times 3, the next times 2, never falling, never above 1.
    found = statistics.holm([0.04, 0.01, math.nan, 0.9])
    assert found[:2] == pytest.approx([0.08, 0.03])
    assert math.isnan(found[2])
    assert found[3] == pytest.approx(0.9)
    assert all(math.isnan(p) for p in statistics.holm([math.nan]))
    assert statistics.holm([]) == []


def test_two_runs_differ_by_what_their_intervals_allow() -> None:
    # Newcombe (1998), interval estimation for the difference between independent proportions, example (a): 56
    # of 70 less 48 of 80 by method 10 is 0.0524 to 0.3339.
    sides = [share(pd.Series([True] * yes + [False] * (n - yes))) for yes, n in ((48, 80), (56, 70))]
    found = statistics.independent_difference(*sides)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    losses = [replace(side, unit="nats") for side in sides]
    assert statistics.independent_difference(*losses).unit == "nats"
