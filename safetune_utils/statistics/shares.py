"""Shares of answers, means and win rates, each with its interval, and the tables that they come from.

Shares are between 0 and 1. Every interval is a 95 % interval. What is used where, and why, is in
``book/statistics.md``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from safetune_utils.statistics.estimate import Estimate
from safetune_utils.statistics.resampling import (
    bootstrap_error,
    bootstrap_mean,
    bootstrap_ratio,
    prompts_by_seeds,
    seeds_to_draw,
)


def share(
    values: pd.Series, *, clusters: pd.Series | None = None, seeds: pd.Series | None = None
) -> Estimate:
    """Share of true values with a 95 % interval.

    Args:
        values: booleans, one an answer, missing for an unscored one; those count in ``n_unscored`` only.
        clusters: prompt ids, by the index of ``values``. Where a prompt was answered more than once, the
            interval comes from a bootstrap over prompts, because answers to one prompt are not independent;
            else it is Wilson's.
        seeds: the training run that gave each answer, by the index of ``values``. Where there are several,
            the bootstrap draws runs too, because answers of one run are not independent either.

    Returns:
        Estimate: between 0 and 1. Sources: Wilson (1927) as in statsmodels; percentile bootstrap as in scipy;
        for drawing both prompts and runs, Owen (2007).
    """
    scored = values.dropna().astype(float)
    n, n_unscored = len(scored), int(values.isna().sum())
    if n == 0:
        return _none(n_unscored)
    mean = float(scored.mean())
    found = partial(Estimate, value=mean, n=n, n_unscored=n_unscored)
    table = prompts_by_seeds(scored, clusters, seeds)
    if seeds_to_draw(table):
        low, high = bootstrap_mean(table)
        return found(low=low, high=high, method="bootstrap over prompts and seeds")
    if clusters is not None:
        responses = scored.groupby(clusters.loc[scored.index])
        per_prompt = responses.mean()
        if len(per_prompt) < n and per_prompt.nunique() > 1:
            low, high = bootstrap_ratio(responses.sum().to_numpy(), responses.size().to_numpy())
            return found(low=low, high=high, method="bootstrap over prompts")
        n_independent = len(per_prompt)
    else:
        n_independent = n
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(mean * n_independent, n_independent, method="wilson")
    return found(low=float(low), high=float(high), method="Wilson")


def share_of(yes: int, n: int) -> Estimate:
    """:func:`share` of answers of which only the counts are known: ``yes`` of ``n``, no prompt twice."""
    return share(pd.Series([True] * yes + [False] * (n - yes), dtype=object))


def against_half(values: pd.Series) -> Estimate:
    """:func:`share` of answers to different prompts, with the exact two-sided p-value against one half.

    Args:
        values: booleans, one a prompt, missing for an unscored one.
    """
    from scipy import stats as scipy_stats

    found = share(values)
    if not found.n:
        return found
    p_value = scipy_stats.binomtest(int(values.dropna().astype(int).sum()), found.n).pvalue
    return replace(found, p_value=float(p_value))


def summarise(responses: pd.DataFrame, *, by: list[str], value: str = "refused") -> pd.DataFrame:
    """One row per group: the share of answers for which ``value`` is true, with its interval.

    Args:
        responses: the tidy table of a study, one row an answer, with columns ``prompt_id`` and ``value``, and
            ``seed`` where there are several.
        by: columns to group by, for instance ``["prompt_set", "n_safety"]``.
        value: a boolean column, missing where the answer is unscored.

    Returns:
        The ``by`` columns and ``share, low, high`` (0 to 1), ``n_scored, n_unscored, method``.
    """
    rows = []
    for key, group in responses.groupby(by, sort=True, observed=True):
        result = share(group[value], clusters=group["prompt_id"], seeds=group.get("seed"))
        cells = {column: getattr(result, name) for column, name in _COLUMNS.items()}
        rows.append(dict(zip(by, key, strict=True)) | cells)
    return pd.DataFrame(rows, columns=[*by, *_COLUMNS])


# A share in a table: the name of each column, and that of the number's field.
_COLUMNS = {
    "share": "value",
    "low": "low",
    "high": "high",
    "n_scored": "n",
    "n_unscored": "n_unscored",
    "method": "method",
}


def share_in(row: Mapping[Hashable, Any] | pd.Series) -> Estimate:
    """The share in one row of :func:`summarise`'s table."""
    cells = {field: row[column] for column, field in _COLUMNS.items()}
    return Estimate(**cells | {"n": int(cells["n"]), "n_unscored": int(cells["n_unscored"])})


def share_at(table: pd.DataFrame, **place: Any) -> Estimate | None:
    """One share of :func:`summarise`'s table, or ``None`` where it has no such row.

    Args:
        table: from :func:`summarise`.
        **place: what tells the row, by column: ``prompt_set="malicious", n_safety=100``.
    """
    for column, wanted in place.items():
        table = table[table[column] == wanted]
    return None if table.empty else share_in(table.iloc[0])


def _none(n_unscored: int) -> Estimate:
    nan = float("nan")
    return Estimate(value=nan, low=nan, high=nan, n=0, n_unscored=n_unscored, method="none")


def means(table: pd.DataFrame, *, by: str, unit: str, value: str) -> pd.DataFrame:
    """One row per group: the mean of a number, with its 95 % interval.

    Args:
        table: one row a measurement, with the columns named below, and ``seed`` where there are several;
            missing values are left out.
        by: column to group by, for instance ``n_safety``.
        unit: column that says what was measured, such as a prompt's id; measurements of one unit with several
            seeds are averaged first.
        value: column of numbers.

    Returns:
        ``by, value, low, high, n``, in the unit of ``value``; ``n`` counts units. The interval is a
        percentile bootstrap over units, and over seeds where there are several (fixed random state).
    """
    rows = []
    for key, group in table.dropna(subset=[value]).groupby(by, sort=True):
        values = by_seed(group, value=value, unit=unit)
        per_unit = values.mean(axis=1).to_numpy()
        low, high = bootstrap_mean(values.to_numpy())
        rows.append({by: key, "value": float(per_unit.mean()), "low": low, "high": high, "n": len(per_unit)})
    return pd.DataFrame(rows, columns=[by, "value", "low", "high", "n"])


def by_seed(responses: pd.DataFrame, *, value: str = "refused", unit: str = "prompt_id") -> pd.DataFrame:
    """The values of each prompt, as a table.

    Args:
        responses: rows of a study's table, of one kind of adapter; without a column ``seed``, all are of one
            seed.
        value: a column of booleans or numbers.
        unit: the column that names the rows of the result.

    Returns:
        One row a prompt, one column a seed; what is unscored is missing.
    """
    rows = responses.dropna(subset=[value])
    rows = rows.assign(**{value: rows[value].astype(float), "seed": rows.get("seed", 0)})
    return rows.pivot_table(index=unit, columns="seed", values=value, aggfunc="mean")


def per_prompt(
    responses: pd.DataFrame, *, prompt_set: str, n_safety: int, value: str = "refused"
) -> pd.DataFrame:
    """For one prompt set and amount of safety rows, ``value`` by prompt and seed, see :func:`by_seed`."""
    return by_seed(
        responses[(responses["prompt_set"] == prompt_set) & (responses["n_safety"] == n_safety)], value=value
    )


def per_request(responses: pd.DataFrame, *, value: str = "refused") -> pd.DataFrame:
    """``value`` by request and seed, as :func:`by_seed` gives it; two forms of one request get the same name.

    A request's name is its ``pair`` where it has one, else its ``prompt_id``. So two prompt sets ask the same
    thing in two forms where both give it the same id, where one has the other's id as its pair, or where both
    have the same pair.

    Args:
        responses: rows of a study's table, of one prompt set and one kind of adapter.
        value: a boolean column, missing where the answer is unscored; those are left out.

    Returns:
        One row a request, one column a seed.
    """
    return by_seed(
        responses.assign(request=responses["pair"].where(responses["pair"] != "", responses["prompt_id"])),
        value=value,
        unit="request",
    )


def by_amount(responses: pd.DataFrame, *, prompt_set: str, value: str = "refused") -> pd.DataFrame:
    """For one prompt set, the mean of ``value`` over seeds, as a table for
    :func:`~safetune_utils.statistics.changes.trend_test`.

    Returns:
        One row a prompt, one column an amount of safety rows (its name is the number); missing where
        unscored.
    """
    amounts = sorted(responses["n_safety"].unique())
    return pd.DataFrame(
        {
            n: per_prompt(responses, prompt_set=prompt_set, n_safety=n, value=value).mean(axis=1)
            for n in amounts
        }
    )


def win_rate(scores: pd.Series, *, clusters: pd.Series | None = None) -> Estimate:
    """Wins and half the ties, over all comparisons, with a 95 % interval.

    Args:
        scores: 1 for a win, 0.5 for a tie, 0 for a loss; missing ones count in ``n_unscored`` only.
        clusters: prompt ids, by the index of ``scores``, where several raters compared the same two answers:
            their scores are not independent. Without them each score is a prompt of its own.

    Returns:
        Estimate: between 0 and 1, 0.5 is even, higher is better for the first. The interval is a percentile
        bootstrap over prompts (fixed random state), and the standard error comes from the same resamples.
        Where all prompts have the same score neither would have any width; then there is no standard error,
        and the interval is Wilson's for the number of prompts, which for ties is too wide rather than too
        narrow, because no values between 0 and 1 vary more than wins and losses with the same mean.
    """
    scored, n_unscored = scores.dropna().astype(float), int(scores.isna().sum())
    n = len(scored)
    if n == 0:
        return _none(n_unscored)
    rate = float(scored.mean())
    found = partial(Estimate, value=rate, n=n, n_unscored=n_unscored)
    prompts = scored.groupby(np.arange(n) if clusters is None else clusters.loc[scored.index].to_numpy())
    sums, sizes = prompts.sum().to_numpy(), prompts.size().to_numpy()
    if np.ptp(sums / sizes) == 0:
        from statsmodels.stats.proportion import proportion_confint

        low, high = proportion_confint(rate * len(sums), len(sums), method="wilson")
        return found(low=float(low), high=float(high), method="Wilson")
    low, high = bootstrap_ratio(sums, sizes)
    error = bootstrap_error(sums, sizes)
    return found(low=low, high=high, standard_error=error, method="bootstrap over prompts")
