"""What a study of a given size can detect."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from safetune_utils.statistics import (
    chance_within,
    detectable_difference,
    detectable_share,
    least_for_difference,
    least_for_margin,
    least_for_share,
    least_margin,
)


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


def test_the_least_number_of_prompts_is_the_first_that_finds_the_change() -> None:
    for change in (0.2, 0.41):
        n = least_for_difference(change, level=0.005)
        assert detectable_difference(n, level=0.005) <= change < detectable_difference(n - 1, level=0.005)
    n = least_for_share(0.71, level=0.005)
    assert detectable_share(n, level=0.005) <= 0.71 < detectable_share(n - 1, level=0.005)
    # At .005 nine changes, all one way, are the least: two halves to the ninth power are .0039.
    assert math.isnan(detectable_difference(8, level=0.005))
    assert least_for_difference(0.99, level=0.005) == 9


def test_no_change_at_all_shows_little_change_from_some_number_on() -> None:
    # Of n prompts that did not change, the share of all prompts that do is at most 1 - .025 to the power 1/n.
    assert least_margin(66) == pytest.approx(1 - 0.025 ** (1 / 66))
    assert (least_for_margin(0.05), least_for_margin(0.1)) == (72, 36)
    assert least_margin(71) > 0.05 > least_margin(72)


def test_the_chance_to_show_little_change_is_that_of_simulated_studies() -> None:
    rng, n, margin, flips = np.random.default_rng(5), 132, 0.05, 0.02
    kinds = rng.multinomial(n, [flips, flips, 1 - 2 * flips], size=20_000)
    change = (kinds[:, 0] - kinds[:, 1]) / n
    error = np.sqrt((kinds[:, 0] + kinds[:, 1]) / n - change**2) / math.sqrt(n)
    within = abs(change) + np.maximum(1.959964 * error, least_margin(n)) <= margin
    assert chance_within(n, margin, flips=flips) == pytest.approx(within.mean(), abs=0.01)
    assert chance_within(66, margin, flips=0.001) == 0  # out of reach
    assert chance_within(72, margin, flips=0.0001) > 0.98
