"""The bootstrap: resamples of prompts, and of seeds where there are several, and intervals from them.

Every resample comes from a fixed random state, so that the same values always get the same interval.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

RESAMPLES = 5000
_AT_ONCE = 500  # resamples: bounds the memory for thousands of units


def all_alike(change: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a mean, between -1 and 1, whose ``n`` sampled values are all the same.

    Source: Clopper and Pearson (1934).
    """
    others = 1 - 0.025 ** (1 / n)  # the largest share of prompts that may differ from those sampled
    return max(-1.0, change - others * (1 + change)), min(1.0, change + others * (1 - change))


def resample(table: np.ndarray, *, state: int = 0) -> np.ndarray:
    """Sums of numbers over the units of resamples, in which units, and seeds, are drawn with replacement.

    A statistic of sums, such as a ratio or a κ, is worked out from what this gives, then its interval by
    :func:`percentiles`. Where there are several seeds, units and seeds are drawn anew, each apart from the
    other: the pigeonhole bootstrap of Owen (2007). With three seeds it says how much these differ, and little
    about others.

    Args:
        table: numbers to be added up, of shape (units, numbers) or (units, seeds, numbers).
        state: of the random numbers; another one for another sample.

    Returns:
        Of shape (``RESAMPLES``, numbers).
    """
    units, *seeds, n_numbers = table.shape
    flat = table.reshape(units, -1).astype(float)
    sums = np.concatenate([counts @ flat for counts in _draws(units, state=state)])
    if seeds in ([], [1]):
        return sums
    drawn = np.concatenate(list(_draws(seeds[0], state=state + 1)))
    return np.einsum("rs,rsk->rk", drawn, sums.reshape(RESAMPLES, seeds[0], n_numbers))


def _draws(n: int, *, state: int) -> Iterator[np.ndarray]:
    """How often each of ``n`` units is drawn in each resample: counts, resamples × units, in parts."""
    rng = np.random.default_rng(state)
    first = np.arange(_AT_ONCE)[:, None] * n
    for _ in range(RESAMPLES // _AT_ONCE):
        drawn = rng.integers(0, n, size=(_AT_ONCE, n))
        yield np.bincount((first + drawn).ravel(), minlength=_AT_ONCE * n).reshape(_AT_ONCE, n).astype(float)


def percentiles(resampled: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval from a statistic's values on resamples, of shape (resamples,).

    Resamples on which it is undefined are left out; ``nan`` where it is on all.
    """
    defined = resampled[~np.isnan(resampled)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, (0.025, 0.975))
    return float(low), float(high)


def ratio_or_nan(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """``above / below``, element by element; ``nan`` where ``below`` is 0."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)


def bootstrap_ratio(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """95 % interval of ``sum(above) / sum(below)``, by a bootstrap over rows, see :func:`resample`.

    With a ``below`` of 1 it is the interval of a mean; with token counts, that of a mean per token over texts
    of different lengths. Source: the percentile bootstrap of scipy, whose bounds it has where there is one
    seed.

    Args:
        above, below: one number a row, or rows × seeds, of the same shape.

    Returns:
        The lower and the upper bound; ``nan`` where there are fewer than two numbers.
    """
    if above.size < 2:
        return float("nan"), float("nan")
    return percentiles(ratio_or_nan(*resample(np.stack([above, below], axis=-1)).T))


def bootstrap_error(above: np.ndarray, below: np.ndarray) -> float:
    """The standard error of ``sum(above) / sum(below)``: the standard deviation over the resamples of
    :func:`bootstrap_ratio`; ``nan`` where there are fewer than two numbers.
    """
    if above.size < 2:
        return float("nan")
    return float(np.nanstd(ratio_or_nan(*resample(np.stack([above, below], axis=-1)).T), ddof=1))


def bootstrap_mean(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of a mean over prompts × seeds, ``nan`` where there is no value."""
    return bootstrap_ratio(np.nan_to_num(values), ~np.isnan(values))


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


def seeds_to_draw(values: np.ndarray) -> bool:
    """Whether the bootstrap draws seeds too: there are several, and the values, prompts × seeds, differ.

    Values that are all the same would give an interval of no width.
    """
    return values.shape[1] > 1 and bool(np.nanmax(values) > np.nanmin(values))
