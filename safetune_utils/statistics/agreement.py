"""How far raters and instruments agree: Cohen's κ, Krippendorff's α, and a share corrected for an
instrument's errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from statsmodels.stats.inter_rater import cohens_kappa

from safetune_utils.statistics.resampling import (
    AGREEMENT_RESAMPLES,
    Estimate,
    crossed_means,
    draw_counts,
    draw_indices,
    prompts_by_seeds,
    ratio_or_nan,
    seeds_to_draw,
    with_percentiles,
)


class Reliability(NamedTuple):
    """How far raters agree beyond chance: 1 is full agreement, 0 is chance; ``nan`` where undefined, and
    ``note`` says why.

    ``agreed`` is the observed agreement, between 0 and 1, and ``n`` the rows that at least two rated.
    """

    value: float
    low: float
    high: float
    agreed: float
    n: int
    note: str


def cohen_kappa(counts: np.ndarray, *, answers: Sequence[str]) -> Reliability:
    """Cohen's κ of two raters.

    Args:
        counts: how many rows got each pair of answers: the first rater's down, the second's across.
        answers: the answers in words, in that order.

    Returns:
        Reliability: between -1 and 1, with the large-sample 95 % interval, cut to -1 and 1. Sources: Cohen
            (1960) and
        Fleiss, Cohen and Everitt (1969), as in statsmodels.
    """
    nan, n = float("nan"), int(counts.sum())
    if n == 0:
        return Reliability(nan, nan, nan, nan, 0, "no row was decided by both")
    agreed = float(np.trace(counts) / n)
    if n in np.diag(counts):
        answer = answers[int(np.argmax(np.diag(counts)))]
        return Reliability(
            nan,
            nan,
            nan,
            agreed,
            n,
            f"both gave every row the answer {answer!r}, so chance alone would agree as well: κ is undefined",
        )
    with np.errstate(invalid="ignore"):
        result = cohens_kappa(counts)
    # At full agreement, full disagreement, or where one rater never varies, the formula gives an interval of
    # no width. It would read as certainty and is only the end of what the formula can say.
    if not result.std_kappa > 1e-6:
        return Reliability(
            float(result.kappa),
            nan,
            nan,
            agreed,
            n,
            "the large-sample interval has no width here, so none is given",
        )
    return Reliability(
        float(result.kappa),
        max(-1.0, float(result.kappa_low)),
        min(1.0, float(result.kappa_upp)),
        agreed,
        n,
        "",
    )


def kappa_from_margins(first: Sequence[int], second: Sequence[int], *, agreed: int) -> Reliability:
    """Cohen's κ of two raters of whom only is known how often each gave each answer, and on how many rows
    they agreed.

    Args:
        first, second: counts of each answer, in one order, over the same rows.
        agreed: rows on which both gave the same answer.

    Returns:
        Reliability: with the 95 % interval of Cohen (1960), which needs no more than this; where all cells
            are known that of
        :func:`cohen_kappa` is better. ``nan`` where chance alone would always agree.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    n = int(a.sum())
    observed, by_chance = agreed / n, float((a * b).sum()) / n**2
    if by_chance == 1:
        return Reliability(
            float("nan"),
            float("nan"),
            float("nan"),
            observed,
            n,
            "both gave one answer only, so chance alone would agree as well: κ is undefined",
        )
    value = (observed - by_chance) / (1 - by_chance)
    margin = 1.959964 * np.sqrt(observed * (1 - observed) / n) / (1 - by_chance)
    return Reliability(
        value, max(-1.0, float(value - margin)), min(1.0, float(value + margin)), observed, n, ""
    )


def krippendorff_alpha(ratings: pd.DataFrame) -> Reliability:
    """Krippendorff's α for nominal answers of any number of raters, some of which may be missing.

    Args:
        ratings: one row an item, one column a rater; a missing rating is missing. Items with fewer than two
            count nowhere.

    Returns:
        Reliability: at most 1, with a 95 % percentile bootstrap over items (seeded). Source: Krippendorff,
            Computing
        Krippendorff's Alpha-Reliability (2011), whose observed and expected coincidences are summed item by
        item here.
    """
    nan = float("nan")
    codes, answers = pd.factorize(ratings.to_numpy(dtype=object).ravel())
    codes = codes.reshape(ratings.shape)
    counts = (codes[:, :, None] == np.arange(len(answers))).sum(axis=1)  # items × answers
    counts = counts[counts.sum(axis=1) >= 2]
    n, raters = len(counts), counts.sum(axis=1)
    if n == 0:
        return Reliability(nan, nan, nan, nan, 0, "no item was rated by two")
    matches = (counts * (counts - 1)).sum(axis=1) / (raters - 1)
    items = np.column_stack([matches, raters, counts])

    def alpha(sums: np.ndarray) -> np.ndarray:
        matched, rated, each = sums[:, 0], sums[:, 1], sums[:, 2:]
        with np.errstate(invalid="ignore"):  # one answer only: 0 / 0
            return 1 - (rated - 1) * (rated - matched) / (rated**2 - (each**2).sum(axis=1))

    value, agreed = float(alpha(items.sum(axis=0, keepdims=True))[0]), float(matches.sum() / raters.sum())
    if np.isnan(value):
        only = answers[int(counts.sum(axis=0).argmax())]
        return Reliability(
            nan,
            nan,
            nan,
            agreed,
            n,
            f"every rating is {only!r}, so chance alone would agree as well: α is undefined",
        )
    values = alpha(draw_counts(n) @ items)
    defined = values[~np.isnan(values)]
    if np.ptp(defined) < 1e-9:
        return Reliability(
            value, nan, nan, agreed, n, "the bootstrap has no width here, so no interval is given"
        )
    low, high = np.quantile(defined, (0.025, 0.975))
    left_out = 1 - len(defined) / len(values)
    note = (
        f"{left_out:.1%} of the resamples held one answer only and are left out of the interval"
        if left_out > 0
        else ""
    )
    return Reliability(value, float(low), float(high), agreed, n, note)


class Agreement(NamedTuple):
    """How an instrument's yes or no agrees with people's, each figure with a bootstrap interval over rows.

    ``accuracy``, ``precision`` and ``recall`` (of people's yes) are between 0 and 1; ``kappa`` is Cohen's, 1
    for full agreement and 0 for that of chance. ``nan`` where there is nothing to divide by.
    """

    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    kappa: Estimate
    n: int


def agreement(
    people: pd.Series | np.ndarray,
    instrument: pd.Series | np.ndarray,
    *,
    clusters: pd.Series | np.ndarray | None = None,
) -> Agreement:
    """Compare an instrument's yes or no with people's, row by row.

    Args:
        people, instrument: booleans of one length.
        clusters: what rows have in common, such as the prompt that several models answered; whole clusters
            are drawn.
    """
    said, found = np.asarray(people, bool), np.asarray(instrument, bool)
    counts = np.stack([said & found, ~said & found, said & ~found, ~said & ~found], axis=1).astype(float)
    if clusters is not None:
        counts = pd.DataFrame(counts).groupby(np.asarray(clusters)).sum().to_numpy()
    draws = draw_indices(len(counts))
    resampled = np.stack([counts[draw].sum(axis=0) for draw in draws])
    return Agreement(
        *(
            with_percentiles(figure, counts.sum(axis=0), resampled)
            for figure in (_accuracy, _precision, _recall, _kappa)
        ),
        n=len(said),
    )


def case_counts(people: np.ndarray, instrument: np.ndarray) -> dict[str, int]:
    """How often each of the four cases of two yes or no occurs."""
    said, found = np.asarray(people, bool), np.asarray(instrument, bool)
    return {
        "both": int((said & found).sum()), "instrument_alone": int((~said & found).sum()),
        "people_alone": int((said & ~found).sum()), "neither": int((~said & ~found).sum()),
    }  # fmt: skip


def corrected_share(
    values: pd.Series,
    *,
    people: np.ndarray,
    instrument: np.ndarray,
    clusters: pd.Series | None = None,
    seeds: pd.Series | None = None,
) -> Estimate:
    """The share that people would find, from what an imperfect instrument found.

    Both errors of the instrument are estimated on rows that people labelled; the interval carries the
    sampling of those rows and of the scored ones. It holds where the instrument errs here as it did there.

    Args:
        values: the instrument's yes or no on the rows of interest; missing ones are left out.
        people, instrument: booleans on the labelled rows.
        clusters, seeds: as for :func:`share`; prompts, and seeds where there are several, are drawn then, not
            answers.

    Returns:
        Estimate: cut to 0 to 1; ``nan`` where the instrument does no better than chance. Source: Rogan and
            Gladen
        (1978). The interval draws the labelled rows anew (bootstrap). The measured share is drawn as for
        :func:`share` where there are several seeds, else from Jeffreys' posterior of as many prompts as there
        are, for a bootstrap of rows that are all alike would have no width.
    """
    scored = values.dropna().astype(float)
    table = prompts_by_seeds(scored, clusters, seeds)
    found = (scored if clusters is None else scored.groupby(clusters.loc[scored.index]).mean()).to_numpy()
    said, seen = np.asarray(people, bool), np.asarray(instrument, bool)
    rng = np.random.default_rng(0)

    def corrected(measured: float, said: np.ndarray, seen: np.ndarray) -> float:
        if np.isnan(measured) or not said.any() or said.all():
            return float("nan")
        sensitivity, false_alarms = seen[said].mean(), seen[~said].mean()
        if sensitivity <= false_alarms:
            return float("nan")
        return float(np.clip((measured - false_alarms) / (sensitivity - false_alarms), 0, 1))

    estimate = corrected(found.mean() if len(found) else float("nan"), said, seen)
    if np.isnan(estimate):
        return Estimate(estimate, estimate, estimate)
    drawn = []
    measured = (
        crossed_means(table)
        if seeds_to_draw(table)
        else rng.beta(found.sum() + 0.5, (1 - found).sum() + 0.5, AGREEMENT_RESAMPLES)
    )
    for share in measured[:AGREEMENT_RESAMPLES]:
        labelled = rng.integers(0, len(said), len(said))
        drawn.append(corrected(share, said[labelled], seen[labelled]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])  # the estimate is a number, so most draws are
    # Where nothing or everything was found, the estimate is the end of what can be drawn.
    return Estimate(estimate, min(estimate, float(low)), max(estimate, float(high)))


# Each takes counts of shape (n, 4): both yes, instrument alone, people alone, both no.


def _accuracy(counts: np.ndarray) -> np.ndarray:
    return ratio_or_nan(counts[:, 0] + counts[:, 3], counts.sum(axis=1))


def _precision(counts: np.ndarray) -> np.ndarray:
    return ratio_or_nan(counts[:, 0], counts[:, 0] + counts[:, 1])


def _recall(counts: np.ndarray) -> np.ndarray:
    return ratio_or_nan(counts[:, 0], counts[:, 0] + counts[:, 2])


def _kappa(counts: np.ndarray) -> np.ndarray:
    n = counts.sum(axis=1)
    people, instrument = (
        ratio_or_nan(counts[:, 0] + counts[:, 2], n),
        ratio_or_nan(counts[:, 0] + counts[:, 1], n),
    )
    by_chance = people * instrument + (1 - people) * (1 - instrument)
    return ratio_or_nan(_accuracy(counts) - by_chance, 1 - by_chance)
