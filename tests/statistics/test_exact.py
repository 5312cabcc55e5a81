"""The exact test by dealing anew, against counting all ways out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar

from safetune_utils.statistics import exact
from safetune_utils.statistics.exact import dealt_p_value


def counted_out(values: np.ndarray, doses: np.ndarray) -> float:
    """Every order of every prompt's values, one after the other."""
    orders = [list(itertools.permutations(row)) for row in values]
    found = (values * doses).sum()
    totals = np.array([(np.array(one) * doses).sum() for one in itertools.product(*orders)])
    tails = (totals <= found + 1e-9).mean(), (totals >= found - 1e-9).mean()
    return float(min(1.0, 2 * min(tails)))


@pytest.mark.parametrize(
    ("doses", "values"),
    [
        ([0, 50, 200], [[0, 0, 1], [0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 1]]),
        ([0, 25, 50, 100], [[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1]]),
        # Averages over three seeds, one of them missing once.
        ([0, 50, 200], [[0, 1 / 3, 1], [0, 2 / 3, 2 / 3], [0, 0.5, 1], [1 / 3, 0, 1 / 3]]),
        ([0, 7], [[0, 1], [1 / 3, 2 / 3], [1, 2 / 3], [0, 0], [0, 1 / 3]]),
        # A falling line, doses that are no whole numbers, values below 0.
        ([0.5, 1.25, 3], [[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]]),
        ([1, 2, 3], [[-1, 2, 0], [3, 1, 3], [2, 2, 2]]),
    ],
)
def test_the_p_value_is_that_of_all_orders_counted_out(doses: list[float], values: list[list[float]]) -> None:
    given = np.array(values, float), np.array(doses, float)
    assert dealt_p_value(*given) == pytest.approx(counted_out(*given), abs=1e-12)


def test_random_orders_came_to_another_p_value_where_the_exact_one_is_known() -> None:
    # Six of 40 prompts refuse once, five of them at the largest of three amounts and one at the middle one.
    # Of the 3 to the 6th ways to place these refusals, one is more extreme and six are alike: 7 of 729.
    values, doses = np.zeros((40, 3)), np.array([0.0, 50.0, 200.0])
    values[:5, 2] = values[5, 1] = 1
    assert dealt_p_value(values, doses) == pytest.approx(14 / 729, abs=1e-12)  # .0192
    assert abs(exact._random_orders(values, doses) - 14 / 729) > 1e-4


def test_two_doses_and_yes_or_no_are_mcnemars_test_and_averages_are_not() -> None:
    values = np.repeat([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [30, 12, 60], axis=0)
    p_value = mcnemar([[0, 30], [12, 0]], exact=True).pvalue
    assert dealt_p_value(values, np.array([0.0, 25.0])) == pytest.approx(p_value)
    # Three seeds: the same prompts gain, by a third or by all; the sizes count too.
    values[:30, 1] = np.tile([1 / 3, 1.0], 15)
    assert abs(dealt_p_value(values, np.array([0.0, 25.0])) - p_value) > 1e-4


def test_a_p_value_may_be_far_below_what_random_orders_can_show() -> None:
    values = np.tile([0.0, 1.0], (98, 1))
    assert dealt_p_value(values, np.array([0.0, 200.0])) == pytest.approx(2 * 0.5**98)
    five = np.tile([0.0, 0.0, 0.0, 1.0, 1.0], (98, 1))
    assert dealt_p_value(five, np.array([0.0, 25.0, 50.0, 100.0, 200.0])) == pytest.approx(2 * 0.1**98)


def test_numbers_that_are_no_fractions_take_random_orders() -> None:
    losses = np.random.default_rng(0).normal((0.0, 0.3), size=(60, 2))
    test = scipy_stats.ttest_rel(losses[:, 1], losses[:, 0])
    assert dealt_p_value(losses, np.array([0.0, 1.0])) == pytest.approx(test.pvalue, abs=0.02)
    # Too fine a grid to be counted out, but within what random orders allow.
    doses = np.array([0.0, 1.0, 49_999.0])
    fine = np.tile([0.0, 1 / 3, 1.0], (60, 1))
    assert dealt_p_value(fine, doses) == pytest.approx(2 / 5001, rel=1e-6)
