"""The bootstrap, against scipy's and against variances that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from safetune_utils.statistics.resampling import (
    RESAMPLES,
    bootstrap_mean,
    bootstrap_ratio,
    percentiles,
    resample,
    seeds_to_draw,
)

RNG = np.random.default_rng(2)
ABOVE, BELOW = RNG.normal(3, 1, 40), RNG.integers(1, 9, 40).astype(float)


def test_without_seeds_the_bounds_are_those_of_scipy() -> None:
    expected = scipy_stats.bootstrap(
        (ABOVE, BELOW),
        lambda above, below, axis: above.sum(axis=axis) / below.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert bootstrap_ratio(ABOVE, BELOW) == pytest.approx((expected.low, expected.high))
    mean = scipy_stats.bootstrap(
        (ABOVE,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert bootstrap_mean(ABOVE[:, None]) == pytest.approx((mean.low, mean.high))


def test_prompts_and_seeds_are_drawn_apart_from_each_other() -> None:
    # Owen (2007): where prompts and seeds add up, the variance of the resampled mean is that of the prompts
    # over their number plus that of the seeds over theirs.
    prompts, seeds = RNG.normal(0, 1, 60), np.array([-1.0, 0.0, 2.0])
    table = prompts[:, None] + seeds
    drawn = resample(np.stack([table, np.ones_like(table)], axis=-1))
    variance = (drawn[:, 0] / drawn[:, 1]).var()
    assert variance == pytest.approx(prompts.var() / 60 + seeds.var() / 3, rel=0.06)


def test_the_mean_leaves_out_what_is_missing() -> None:
    table = np.array([[1.0, np.nan], [0.0, 1.0], [np.nan, 0.0], [1.0, 1.0]])
    low, high = bootstrap_mean(table)
    assert 0 <= low < np.nanmean(table) < high <= 1


def test_seeds_that_all_gave_the_same_are_not_drawn_anew() -> None:
    assert not seeds_to_draw(np.ones((3, 2)))
    assert not seeds_to_draw(np.array([[1.0], [0.0]]))
    assert seeds_to_draw(np.array([[1.0, np.nan], [0.0, 1.0]]))


def test_percentiles_leave_out_what_is_undefined() -> None:
    assert percentiles(np.array([np.nan, *range(41)])) == (1.0, 39.0)
    assert all(map(math.isnan, percentiles(np.array([np.nan, np.nan]))))
    assert all(map(math.isnan, bootstrap_ratio(np.ones(1), np.ones(1))))


def test_another_state_is_another_sample() -> None:
    table = ABOVE[:, None]
    assert abs(np.corrcoef(resample(table)[:, 0], resample(table, state=2)[:, 0])[0, 1]) < 0.06
