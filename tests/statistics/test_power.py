"""What a study of a given size can detect."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from safetune_utils.statistics import (
    detectable_difference,
    detectable_share,
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
