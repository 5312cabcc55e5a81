"""Differences and trends: what changes with the amount of safety data, and whether it is more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from safetune_utils.statistics.estimate import Estimate
from safetune_utils.statistics.exact import dealt_p_value
from safetune_utils.statistics.resampling import all_alike, bootstrap_mean
from safetune_utils.statistics.shares import by_seed, per_request


class Trend(NamedTuple):
    """Whether a share changes with the dose, such as the number of safety rows.

    Attributes:
        slope: the change of the share for one more unit of dose, on a straight line.
        p_value: two-sided.
        n_prompts: prompts that were scored at every dose.

    Slope and p-value are ``nan`` where there is nothing to test.
    """

    slope: float
    p_value: float
    n_prompts: int


def paired_difference(first: pd.Series | pd.DataFrame, second: pd.Series | pd.DataFrame) -> Estimate:
    """How much the share of true values, or the mean of a number, grows from ``first`` to ``second`` on the
    same prompts.

    Args:
        first, second: values indexed by prompt id, or tables with one row a prompt and one column a seed, as
            from :func:`~safetune_utils.statistics.shares.by_seed`; what is missing on either side is left
            out.

    Returns:
        Estimate: second minus first, of the pairs that were scored on both sides, above 0 where the second is
        larger, with a 95 % percentile bootstrap over prompts, and over seeds where there are several (Owen,
        2007), and a two-sided p-value. The p-value is about these training runs only. For yes or no it
        is McNemar's exact one; for averages over seeds it is that of the sign-flipping test, of which
        McNemar's is a special case, see
        :func:`~safetune_utils.statistics.exact.dealt_p_value`. Where all prompts change alike the bootstrap
        has no width, which would look like certainty; then the interval is the exact binomial one, which
        allows for prompts that were not sampled (Clopper and Pearson, 1934), and ``nan`` where the values are
        no shares.
    """
    one, two = (side.to_frame("") if isinstance(side, pd.Series) else side for side in (first, second))
    one, two = one.astype(float).align(two.astype(float), join="inner")
    one, two = one.where(two.notna()), two.where(one.notna())
    both = pd.concat([one.mean(axis=1), two.mean(axis=1)], axis=1, keys=["first", "second"]).dropna()
    if both.empty:
        return Estimate(value=math.nan, low=math.nan, high=math.nan, n=0, is_change=True)
    delta = (both["second"] - both["first"]).to_numpy()
    each = (two - one).loc[both.index].dropna(axis=1, how="all").to_numpy()
    if np.nanmax(each) > np.nanmin(each):
        low, high = bootstrap_mean(each)
    else:
        shares = both.ge(0).all(axis=None) and both.le(1).all(axis=None)
        low, high = all_alike(float(delta[0]), len(delta)) if shares else (float("nan"), float("nan"))
    p_value = dealt_p_value(both.to_numpy(), np.array([0.0, 1.0]))
    return Estimate(
        value=float(delta.mean()), low=low, high=high, n=len(both), is_change=True, p_value=p_value
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are.

    Source: Holm (1979), as in statsmodels. It is valid whether or not the tests depend on each other.

    Args:
        p_values: 0 to 1; ``nan`` for a missing one, which is not counted.

    Returns:
        The corrected ones, 0 to 1, in the same order; missing ones stay ``nan``.
    """
    given = np.asarray(p_values, float)
    there = ~np.isnan(given)
    if there.any():
        from statsmodels.stats.multitest import multipletests

        given[there] = multipletests(given[there], method="holm")[1]
    return given.tolist()


def trend_test(shares: pd.DataFrame) -> Trend:
    """Test whether a share changes with the dose, where the same prompts were answered at every dose.

    Within each prompt the values are dealt anew among the doses, which are exchangeable if there is no
    effect; the statistic is the sum over prompts of the values times the doses. That is Mantel's test for
    trend with each prompt as a stratum, exact. With two doses and yes or no, which takes one seed, it is the
    exact test of McNemar. The Cochran–Armitage test would treat the answers to one prompt as independent, and
    a logistic regression has no estimate where a share is 0 or 1.

    Args:
        shares: one row a prompt, one column a dose whose name is its number, as from
            :func:`~safetune_utils.statistics.shares.by_amount`; rows with a missing value are left out.

    Returns:
        Trend: with the p-value of :func:`~safetune_utils.statistics.exact.dealt_p_value`. Source: Mantel
        (1963).
    """
    whole = shares.dropna().astype(float)
    doses = np.array([float(dose) for dose in whole.columns])
    if len(whole) < 2 or len(doses) < 2:
        return Trend(float("nan"), float("nan"), len(whole))
    weights = (doses - doses.mean()) / ((doses - doses.mean()) ** 2).sum()
    slope = float((whole.mean().to_numpy() * weights).sum())
    return Trend(slope, dealt_p_value(whole.to_numpy(), doses), len(whole))


def flat_from(shares: pd.DataFrame) -> int | None:
    """The smallest dose from which on no paired difference to the largest dose is seen.

    "Not seen" is not "none": with few prompts only large differences are seen, and the curve seems to flatten
    early. See :func:`~safetune_utils.statistics.power.detectable_difference`.

    Args:
        shares: one row a prompt, one column a dose whose name is its number.

    Returns:
        A column's name, the largest dose itself where all others differ from it; ``None`` where no prompt was
        scored at the largest dose.
    """
    *smaller, largest = sorted(shares.columns)
    if shares[largest].isna().all():
        return None
    flat = largest
    for dose in reversed(smaller):
        difference = paired_difference(shares[dose], shares[largest])
        if difference.n == 0 or difference.direction != "not seen":
            break
        flat = dose
    return int(flat)


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """Second minus first, for two numbers from separate samples, with a 95 % interval from both intervals.

    Each bound combines the distances from each number to the bound that matters, so intervals that are not
    symmetric, such as Wilson's, keep their shape. Where both samples have the same prompts, the two numbers
    vary together, and the interval is too wide rather than too narrow. Source: Newcombe (1998), method 10, in
    the general form of Zou and Donner (2008).
    """
    difference = second.value - first.value
    down = np.hypot(second.value - second.low, first.high - first.value)
    up = np.hypot(second.high - second.value, first.value - first.low)
    return Estimate(
        value=difference,
        low=float(difference - down),
        high=float(difference + up),
        unit=first.unit,
        is_change=True,
    )


def change_between(
    table: pd.DataFrame,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    *,
    value: str = "refused",
    unit: Literal["prompt", "request"] = "prompt",
    **same: Any,
) -> Estimate:
    """How much ``value`` grows from one group of rows to another, paired by prompt, and by seed where there
    are several.

    Args:
        table: one row a measurement, with ``prompt_id``, ``value``, and ``seed`` where there are several.
        first, second: the value that each group's rows have, by column: ``{"n_safety": 0}`` and
            ``{"n_safety": 200}``.
        value: a column of booleans or numbers; missing ones are left out.
        unit: ``request`` pairs two forms of one request, see
            :func:`~safetune_utils.statistics.shares.per_request`.
        **same: what both groups have in common, by column: ``prompt_set="malicious"``.

    Returns:
        Second minus first, as :func:`~safetune_utils.statistics.changes.paired_difference` gives it;
        ``n`` is 0 where the groups have no prompt in common.
    """
    sides = [_rows(table, {**same, **group}) for group in (first, second)]
    values = [
        per_request(rows, value=value) if unit == "request" else by_seed(rows, value=value) for rows in sides
    ]
    return paired_difference(values[0], values[1])


def _rows(table: pd.DataFrame, places: Mapping[str, Any]) -> pd.DataFrame:
    for column, wanted in places.items():
        table = table[table[column] == wanted]
    return table
