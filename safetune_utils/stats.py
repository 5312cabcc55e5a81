"""Intervals and paired differences for shares of answers.

Shares are between 0 and 1. Every interval is a 95 % interval. An effect whose interval holds zero is "not seen".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats as _scipy_stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

_RESAMPLES = 5000


class Share(NamedTuple):
    """A share of scored answers with its interval; ``nan`` where nothing was scored."""

    share: float
    low: float
    high: float
    n_scored: int
    n_unscored: int
    method: str


class Difference(NamedTuple):
    """A paired difference of shares, between -1 and 1: second minus first, on the same prompts."""

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


def share(values: pd.Series, *, clusters: pd.Series | None = None) -> Share:
    """Share of true values with a 95 % interval.

    Args:
        values: booleans, with missing entries for unscored answers; they count in ``n_unscored`` only.
        clusters: prompt ids. Where a prompt was answered more than once (several seeds), the interval comes from a
            bootstrap over prompts, because answers to one prompt are not independent; else it is Wilson's.

    Returns:
        Share: between 0 and 1. Sources: Wilson (1927) as in statsmodels; percentile bootstrap as in scipy.
    """
    scored = values.dropna().astype(float)
    n, n_unscored = len(scored), int(values.isna().sum())
    if n == 0:
        return Share(float("nan"), float("nan"), float("nan"), 0, n_unscored, "none")
    mean = float(scored.mean())
    if clusters is not None:
        per_prompt = scored.groupby(clusters.loc[scored.index]).mean()
        if len(per_prompt) < n and per_prompt.nunique() > 1:
            # Prompts weigh alike; with every prompt answered equally often this is the plain share.
            low, high = _bootstrap_mean(per_prompt.to_numpy())
            return Share(mean, low, high, n, n_unscored, "bootstrap over prompts")
        n_independent = len(per_prompt)
    else:
        n_independent = n
    low, high = proportion_confint(mean * n_independent, n_independent, method="wilson")
    return Share(mean, float(low), float(high), n, n_unscored, "Wilson")


def summarise(answers: pd.DataFrame, *, by: list[str], value: str = "refused") -> pd.DataFrame:
    """One row per group: the share of answers for which ``value`` is true, with its interval.

    Args:
        answers: the tidy table of a study, one row an answer, with columns ``prompt_id`` and ``value``.
        by: columns to group by, for instance ``["prompt_set", "n_safety"]``.
        value: a boolean column, missing where the answer is unscored.

    Returns:
        The ``by`` columns and ``share, low, high`` (0 to 1), ``n_scored, n_unscored, method``.
    """
    rows = []
    for key, group in answers.groupby(by, sort=True, observed=True):
        result = share(group[value], clusters=group["prompt_id"])
        rows.append(dict(zip(by, key, strict=True)) | result._asdict())
    return pd.DataFrame(rows, columns=[*by, *Share._fields])


def per_prompt(answers: pd.DataFrame, *, prompt_set: str, n_safety: int, value: str = "refused") -> pd.Series:
    """For one prompt set and amount, the mean of ``value`` over seeds, indexed by prompt id; unscored ones are left out."""
    rows = answers[(answers["prompt_set"] == prompt_set) & (answers["n_safety"] == n_safety)].dropna(subset=[value])
    return rows[value].astype(float).groupby(rows["prompt_id"]).mean()


def paired_difference(first: pd.Series, second: pd.Series) -> Difference:
    """How much the share of true values grows from ``first`` to ``second`` on the same prompts.

    Args:
        first, second: shares indexed by prompt id, as from :func:`per_prompt`; ids that are missing on either side
            are left out.

    Returns:
        Difference: percentile bootstrap over prompts, and the exact McNemar p-value (two-sided; ``nan`` where the
        values are averages over seeds and not yes or no).
    """
    both = pd.concat([first, second], axis=1, keys=["first", "second"]).dropna().astype(float)
    if both.empty:
        return Difference(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    delta = (both["second"] - both["first"]).to_numpy()
    low, high = _bootstrap_mean(delta) if np.ptp(delta) > 0 else (float(delta[0]), float(delta[0]))
    p_value = float("nan")
    if both.isin([0.0, 1.0]).all(axis=None):
        gained, lost = int((delta > 0).sum()), int((delta < 0).sum())
        p_value = float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue) if gained + lost else 1.0
    return Difference(float(delta.mean()), low, high, p_value, len(both))


def _bootstrap_mean(values: np.ndarray) -> tuple[float, float]:
    result = _scipy_stats.bootstrap((values,), np.mean, n_resamples=_RESAMPLES, method="percentile", rng=np.random.default_rng(0))
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
