"""The bootstrap: resamples of prompts, and of seeds where there are several, and intervals from them.

Every resample comes from a fixed random state, so that the same values always get the same interval.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats as _scipy_stats

from safetune_utils.statistics.estimate import Estimate

RESAMPLES = 5000
AGREEMENT_RESAMPLES = 2000


def all_alike(change: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a mean, between -1 and 1, whose ``n`` sampled values are all the same.

    Source: Clopper and Pearson (1934).
    """
    others = 1 - 0.025 ** (1 / n)  # the largest share of prompts that may differ from those sampled
    return max(-1.0, change - others * (1 + change)), min(1.0, change + others * (1 - change))


def draw_counts(n: int) -> np.ndarray:
    """How often each of ``n`` units is drawn in each resample of a bootstrap: counts, resamples × units."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)


def prompts_by_seeds(values: pd.Series, prompts: pd.Series | None, seeds: pd.Series | None) -> np.ndarray:
    """Values as a table, prompts × seeds, ``nan`` where there is none.

    Args:
        values: numbers without missing ones.
        prompts, seeds: the prompt's id and the seed of each value, by the index of ``values``. Where one of
            them is ``None`` the result has one row a value, and one column.
    """
    if prompts is None or seeds is None:
        return values.to_numpy()[:, None]
    return values.groupby([prompts.loc[values.index], seeds.loc[values.index]]).mean().unstack().to_numpy()


def crossed_means(values: np.ndarray) -> np.ndarray:
    """Means of resamples in which both prompts and seeds are drawn with replacement.

    Source: Owen (2007), the pigeonhole bootstrap. With three seeds it says how much these differ, and little
    about others.

    Args:
        values: prompts × seeds, ``nan`` where there is none.

    Returns:
        One mean a resample; ``nan`` for a resample without values.
    """
    there = ~np.isnan(values)
    n_seeds = values.shape[1]
    prompts = draw_counts(len(values))
    seeds = np.random.default_rng(1).multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=RESAMPLES)
    sums = ((prompts @ np.where(there, values, 0.0)) * seeds).sum(axis=1)
    return ratio_or_nan(sums, ((prompts @ there) * seeds).sum(axis=1))


def bootstrap_crossed(values: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of a mean over prompts × seeds, see :func:`crossed_means`."""
    low, high = np.nanquantile(crossed_means(values), (0.025, 0.975))
    return float(low), float(high)


def seeds_to_draw(values: np.ndarray) -> bool:
    """Whether the bootstrap draws seeds too: there are several, and the values, prompts × seeds, differ.

    Values that are all the same would give an interval of no width.
    """
    return values.shape[1] > 1 and bool(np.nanmax(values) > np.nanmin(values))


def bootstrap_mean(values: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean, as in scipy; ``values`` has one entry a prompt."""
    result = _scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def draw_indices(n: int) -> np.ndarray:
    """Numbers of the rows, 0 to ``n - 1``, that each resample draws: resamples × ``n``."""
    return np.random.default_rng(0).integers(0, n, size=(AGREEMENT_RESAMPLES, n))


def with_percentiles(
    number: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, resampled: np.ndarray
) -> Estimate:
    """A number that is worked out from counts, with its 95 % percentile bootstrap interval.

    Args:
        number: takes counts of shape (n, cases) and gives n numbers, ``nan`` where undefined.
        counts: the observed ones, of shape (cases,).
        resampled: those of the resamples, of shape (resamples, cases).

    Returns:
        Estimate: resamples in which the number is undefined are left out of the interval.
    """
    drawn = number(resampled)
    low, high = (
        np.percentile(drawn[~np.isnan(drawn)], [2.5, 97.5]) if not np.isnan(drawn).all() else (np.nan, np.nan)
    )
    return Estimate(value=float(number(counts[None])[0]), low=float(low), high=float(high))


def ratio_or_nan(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """``above / below``, element by element; ``nan`` where ``below`` is 0."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)


def bootstrap_ratio(numerators: np.ndarray, denominators: np.ndarray) -> tuple[float, float]:
    """95 % interval of ``sum(numerators) / sum(denominators)``, by a bootstrap over rows.

    With denominators of 1 it is the interval of a mean; with token counts, that of a mean per token over
    texts of different lengths. Source: the percentile bootstrap of scipy.

    Args:
        numerators, denominators: one number a row, of the same length.

    Returns:
        The lower and the upper bound; ``nan`` where there are fewer than two rows.
    """
    if len(numerators) < 2:
        return float("nan"), float("nan")

    def ratio(above: np.ndarray, below: np.ndarray, axis: int) -> np.ndarray:
        return above.sum(axis=axis) / below.sum(axis=axis)

    result = _scipy_stats.bootstrap(
        (numerators, denominators),
        ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=500,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
