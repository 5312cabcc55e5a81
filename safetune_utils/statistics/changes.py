"""Paired differences and trends: what changes with the amount of safety data, and whether that is more than
noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats as _scipy_stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from safetune_utils.statistics.resampling import (
    RESAMPLES,
    Estimate,
    all_alike,
    bootstrap_crossed,
    bootstrap_mean,
    seeds_to_draw,
)


class Difference(NamedTuple):
    """A paired difference, second minus first, on the same prompts: of shares, then between -1 and 1, or of
    means.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n_pairs: int

    @property
    def direction(self) -> str:
        """``rises``, ``falls`` or ``not seen`` (the interval holds zero)."""
        if self.low > 0:
            return "rises"
        if self.high < 0:
            return "falls"
        return "not seen"


class Trend(NamedTuple):
    """Whether a share moves with the dose: ``slope`` is the change of the share for one more unit of dose, on
    a straight line.

    ``p_value`` is two-sided; ``n_prompts`` counts the prompts that were scored at every dose. ``nan`` where
    there is nothing to test.
    """

    slope: float
    p_value: float
    n_prompts: int


def paired_difference(first: pd.Series | pd.DataFrame, second: pd.Series | pd.DataFrame) -> Difference:
    """How much the share of true values, or the mean of a number, grows from ``first`` to ``second`` on the
    same prompts.

    Args:
        first, second: values indexed by prompt id, or tables with one column a seed, as from :func:`by_seed`;
            what is missing on either side is left out.

    Returns:
        Difference: percentile bootstrap over prompts, and over seeds where there are several (Owen, 2007);
            and a
        two-sided p-value that speaks of these training runs only: McNemar's exact one for yes or no; for
        averages over seeds that of the test it is a case of, which gives each prompt's difference a random
        sign (scipy). Where all prompts change alike the bootstrap has no width, which would read as
        certainty; then the interval is what the exact binomial one leaves to prompts that were not drawn, and
        ``nan`` where the values are no shares.
    """
    one, two = (side.to_frame("") if isinstance(side, pd.Series) else side for side in (first, second))
    one, two = one.astype(float).align(two.astype(float), join="inner")
    one, two = one.where(two.notna()), two.where(one.notna())
    both = pd.concat([one.mean(axis=1), two.mean(axis=1)], axis=1, keys=["first", "second"]).dropna()
    if both.empty:
        return Difference(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    delta = (both["second"] - both["first"]).to_numpy()
    each = (two - one).loc[both.index].dropna(axis=1, how="all").to_numpy()
    if seeds_to_draw(each):
        low, high = bootstrap_crossed(each)
    elif np.ptp(delta) > 0:
        low, high = bootstrap_mean(delta)
    else:
        shares = both.ge(0).all(axis=None) and both.le(1).all(axis=None)
        low, high = all_alike(float(delta[0]), len(delta)) if shares else (float("nan"), float("nan"))
    if len(delta) == 1 or both.isin([0.0, 1.0]).all(axis=None):
        gained, lost = int((delta > 0).sum()), int((delta < 0).sum())
        p_value = float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue) if gained + lost else 1.0
    else:
        test = _scipy_stats.permutation_test(
            (delta,),
            np.mean,
            permutation_type="samples",
            vectorized=True,
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(0),
        )
        p_value = float(test.pvalue)
    return Difference(float(delta.mean()), low, high, p_value, len(both))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are, in the order given; missing ones stay missing and do not
    count.

    Source: Holm (1979), as in statsmodels. It holds whether or not the tests depend on each other.
    """
    given = np.asarray(p_values, float)
    there = ~np.isnan(given)
    if there.any():
        given[there] = multipletests(given[there], method="holm")[1]
    return given.tolist()


def trend_test(shares: pd.DataFrame) -> Trend:
    """Does the share move with the dose, where the same prompts were answered at every dose?

    Within each prompt the values are dealt anew among the doses, which under no effect are exchangeable; the
    statistic is the sum over prompts of the values times the doses. That is Mantel's test for trend with each
    prompt as a stratum, by permutation. With two doses and yes or no it is the exact test of McNemar. The
    Cochran–Armitage test would take a prompt's answers for independent, and a logistic regression has no
    estimate where a share is 0 or 1.

    Args:
        shares: one row a prompt, one column a dose whose name is its number, as from :func:`by_amount`; rows
            with a missing value are left out.

    Returns:
        Trend: the p-value is exact where the ways to deal are few, else from 5,000 random ones (seeded), so
            at least
        .0004. Sources: Mantel (1963); ``scipy.stats.permutation_test`` with ``permutation_type="samples"``.
    """
    whole = shares.dropna().astype(float)
    doses = np.array([float(dose) for dose in whole.columns])
    if len(whole) < 2 or len(doses) < 2:
        return Trend(float("nan"), float("nan"), len(whole))
    weights = (doses - doses.mean()) / ((doses - doses.mean()) ** 2).sum()

    def slope(*columns: np.ndarray, axis: int) -> np.ndarray:
        return sum(weight * column.mean(axis=axis) for weight, column in zip(weights, columns, strict=True))

    result = _scipy_stats.permutation_test(
        tuple(whole.to_numpy().T),
        slope,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return Trend(float(result.statistic), float(result.pvalue), len(whole))


def flat_from(shares: pd.DataFrame) -> int | None:
    """The smallest dose from which on no paired difference to the largest dose is seen; the largest itself
    where all differ.

    "Not seen" is not "none": with few prompts little can be seen, and the curve seems to flatten early. See
    :func:`detectable_difference`.

    Args:
        shares: as for :func:`trend_test`.

    Returns:
        A column's name, or ``None`` where no prompt was scored at the largest dose.
    """
    *smaller, largest = sorted(shares.columns)
    if shares[largest].isna().all():
        return None
    flat = largest
    for dose in reversed(smaller):
        difference = paired_difference(shares[dose], shares[largest])
        if difference.n_pairs == 0 or difference.direction != "not seen":
            break
        flat = dose
    return int(flat)


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """Second less first, for two figures from samples of their own, with a 95 % interval from both intervals.

    Each bound combines the distances from each figure to the bound that matters, so intervals that are not
    symmetric, such as Wilson's, keep their shape. Where the two samples share their prompts the figures vary
    together, and the interval is too wide rather than too narrow. Source: Newcombe (1998), method 10, in the
    general form of Zou and Donner (2008).
    """
    difference = second.value - first.value
    down = np.hypot(second.value - second.low, first.high - first.value)
    up = np.hypot(second.high - second.value, first.value - first.low)
    return Estimate(difference, float(difference - down), float(difference + up))
