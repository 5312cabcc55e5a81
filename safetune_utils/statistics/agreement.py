"""How far raters and instruments agree: Cohen's κ and Krippendorff's α; and a share corrected for the errors
of an instrument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypedDict

import numpy as np
import pandas as pd

from safetune_utils.statistics.estimate import Estimate
from safetune_utils.statistics.resampling import (
    RESAMPLES,
    percentiles,
    prompts_by_seeds,
    ratio_or_nan,
    resample,
    seeds_to_draw,
)


class Reliability(NamedTuple):
    """How far raters agree beyond chance: 1 is full agreement, 0 is that of chance, below 0 is worse.

    Attributes:
        value: Cohen's κ or Krippendorff's α, at most 1; ``nan`` where it is undefined.
        low, high: its 95 % interval; ``nan`` where there is none.
        agreed: the observed agreement, 0 to 1.
        n: the rows that at least two rated.
        note: why a number is missing; empty where none is.
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
        counts: how many rows got each pair of answers, of shape (answers, answers): the first rater's answer
            is the row, the second's the column.
        answers: the answers in words, in the order of the rows and columns.

    Returns:
        Reliability: κ between -1 and 1, with the large-sample 95 % interval, cut to -1 and 1. Sources: Cohen
        (1960) and Fleiss, Cohen and Everitt (1969), as in statsmodels.
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
    from statsmodels.stats.inter_rater import cohens_kappa

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


def kappa_from_margins(
    first: Sequence[int] | np.ndarray, second: Sequence[int] | np.ndarray, *, agreed: int
) -> Reliability:
    """Cohen's κ of two raters where only two things are known: how often each rater gave each answer, and on
    how many rows they agreed.

    Args:
        first, second: counts of each answer, in the same order, over the same rows.
        agreed: rows on which both gave the same answer.

    Returns:
        Reliability: κ between -1 and 1, with the 95 % interval of Cohen (1960), which needs no more than
        this; where all cells are known, the interval of :func:`cohen_kappa` is better. ``nan`` where chance
        alone would always agree.
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
        ratings: one row an item, one column a rater; where a rater gave no rating, the entry is missing.
            Items with fewer than two ratings are left out.

    Returns:
        Reliability: α, at most 1, with a 95 % percentile bootstrap over items (fixed random state). Source:
        Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), whose observed and expected
        coincidences are summed item by item here.
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
    values = alpha(resample(items))
    defined = values[~np.isnan(values)]
    if np.ptp(defined) < 1e-9:
        return Reliability(
            value, nan, nan, agreed, n, "the bootstrap has no width here, so no interval is given"
        )
    left_out = 1 - len(defined) / len(values)
    note = (
        f"{left_out:.1%} of the resamples held one answer only and are left out of the interval"
        if left_out > 0
        else ""
    )
    return Reliability(value, *percentiles(values), agreed, n, note)


class Agreement(NamedTuple):
    """How an instrument's yes or no agrees with people's, each number with a bootstrap interval over rows.

    Attributes:
        accuracy, precision, recall: 0 to 1, higher is better; the last two are of people's yes.
        kappa: Cohen's κ; 1 is full agreement, 0 is that of chance.
        n: rows.

    A number is ``nan`` where there is nothing to divide by.
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
        people, instrument: booleans, one a row, of the same length.
        clusters: one a row: what rows have in common, such as the prompt that several models answered. The
            bootstrap then draws whole clusters, because rows of one cluster are not independent.

    Returns:
        Agreement: accuracy, precision, recall and Cohen's κ (1960), each with a 95 % percentile bootstrap
        interval (fixed random state).
    """
    said, found = np.asarray(people, bool), np.asarray(instrument, bool)
    counts = np.stack([said & found, ~said & found, said & ~found, ~said & ~found], axis=1).astype(float)
    if clusters is not None:
        counts = pd.DataFrame(counts).groupby(np.asarray(clusters)).sum().to_numpy()
    total, resampled = counts.sum(axis=0, keepdims=True), resample(counts)

    def estimate(number: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        low, high = percentiles(number(resampled))
        return Estimate(value=float(number(total)[0]), low=low, high=high)

    return Agreement(
        accuracy=estimate(_accuracy),
        precision=estimate(_precision),
        recall=estimate(_recall),
        kappa=estimate(_kappa),
        n=len(said),
    )


def case_counts(people: np.ndarray, instrument: np.ndarray) -> dict[str, int]:
    """How often each of the four cases of two yes or no occurs; of one source those of :class:`SourceCounts`.

    Args:
        people, instrument: booleans, one a row, of the same length.

    Returns:
        Rows by who said yes: ``both``, ``instrument_alone``, ``people_alone``, ``neither``.
    """
    said, found = np.asarray(people, bool), np.asarray(instrument, bool)
    return {
        "both": int((said & found).sum()),
        "instrument_alone": int((~said & found).sum()),
        "people_alone": int((said & ~found).sum()),
        "neither": int((~said & ~found).sum()),
    }


class SourceCounts(TypedDict):
    """How often each of the four cases occurred among one source's labelled rows: who said yes.

    A source is what may have errors of its own: a model that answered, a style, a set.
    """

    source: str
    both: int
    instrument_alone: int
    people_alone: int
    neither: int


def corrected_share(
    values: pd.Series,
    *,
    labelled: Sequence[SourceCounts],
    clusters: pd.Series | None = None,
    seeds: pd.Series | None = None,
) -> Estimate:
    """The share that people would find, estimated from what an imperfect instrument found.

    Both error rates of the instrument are estimated on rows that people labelled; the interval contains the
    uncertainty of those rows, of their sources and of the scored ones. It holds if the sources of the scored
    answers are of the kind of those of the labelled ones.

    Args:
        values: the instrument's yes or no on the rows of interest; missing ones are left out.
        labelled: the labelled rows, by source.
        clusters, seeds: as for :func:`~safetune_utils.statistics.shares.share`; then prompts are drawn, and
            seeds where there are several, not answers.

    Returns:
        Estimate: cut to 0 to 1; ``nan`` where the instrument is no better than chance. Source: Rogan and
        Gladen (1978), over the rows of all sources together. For the interval the sources are drawn anew, and
        the rows within each (a bootstrap in two stages; Davison and Hinkley, 1997, 3.8): an instrument that
        finds nine of ten refusals of one model and two of ten of another has no one error rate. With one
        source only its rows are drawn, and nothing is known of others. The measured share is resampled as in
        :func:`~safetune_utils.statistics.shares.share` where there are several seeds, else drawn from the
        Jeffreys posterior for the number of prompts, because a bootstrap of rows that are all the same would
        have no width.
    """
    scored = values.dropna().astype(float)
    table = prompts_by_seeds(scored, clusters, seeds)
    found = (scored if clusters is None else scored.groupby(clusters.loc[scored.index]).mean()).to_numpy()
    counts = np.array([[source[case] for case in _CASES] for source in labelled])
    counts = counts[counts.sum(axis=1) > 0]
    measured = np.array([found.mean() if len(found) else np.nan])
    estimate = float(_corrected(measured, counts.sum(axis=0, keepdims=True))[0])
    if np.isnan(estimate):
        return Estimate(value=estimate, low=estimate, high=estimate)
    if seeds_to_draw(table):
        drawn = ratio_or_nan(*resample(np.stack([np.nan_to_num(table), ~np.isnan(table)], axis=-1)).T)
    else:
        drawn = np.random.default_rng(0).beta(found.sum() + 0.5, (1 - found).sum() + 0.5, RESAMPLES)
    # The estimate is defined, so most of the draws are.
    low, high = percentiles(_corrected(drawn, _sources_drawn(counts)))
    # Where nothing or everything was found, the estimate lies at the end of the range and not inside it.
    return Estimate(value=estimate, low=min(estimate, low), high=max(estimate, high))


_CASES: tuple[Literal["both", "instrument_alone", "people_alone", "neither"], ...] = (
    "both",
    "instrument_alone",
    "people_alone",
    "neither",
)


def _sources_drawn(counts: np.ndarray) -> np.ndarray:
    """Resampled counts of the four cases, of shape (``RESAMPLES``, 4).

    Sources are drawn with replacement, and rows within each.

    Args:
        counts: of shape (sources, 4).
    """
    rng = np.random.default_rng(2)  # another state than the scored rows': the two samples are independent
    drawn = rng.integers(0, len(counts), size=(RESAMPLES, len(counts)))
    n_rows = counts.sum(axis=1)
    within = rng.multinomial(n_rows[drawn], (counts / n_rows[:, None])[drawn])
    return within.sum(axis=1)


def _corrected(measured: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Rogan and Gladen's estimate for each measured share, of shape (n,).

    Args:
        measured: 0 to 1, of shape (n,).
        labelled: counts of the four cases, of shape (n, 4).
    """
    both, instrument_alone, people_alone, neither = labelled.T.astype(float)
    sensitivity = ratio_or_nan(both, both + people_alone)
    false_alarms = ratio_or_nan(instrument_alone, instrument_alone + neither)
    better = np.where(sensitivity > false_alarms, sensitivity - false_alarms, np.nan)  # than chance
    return np.clip((measured - false_alarms) / better, 0, 1)


# Each takes counts of shape (n, 4), the cases both yes, instrument alone, people alone, both no, and gives n
# numbers.


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
