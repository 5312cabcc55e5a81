"""Intervals and paired differences for shares of answers, trends over the dose, win rates, and how far raters and instruments agree.

Shares are between 0 and 1. Every interval is a 95 % interval. An effect whose interval holds zero is "not seen".
What is used where and why stands in ``book/statistics.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats as _scipy_stats
from scipy.optimize import brentq
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

_RESAMPLES = 5000
_AGREEMENT_RESAMPLES = 2000
_LEVEL = 0.05  # of every test, two-sided
_POWER = 0.8  # of what is called detectable


class Share(NamedTuple):
    """A share of scored answers with its interval; ``nan`` where nothing was scored."""

    share: float
    low: float
    high: float
    n_scored: int
    n_unscored: int
    method: str


class Difference(NamedTuple):
    """A paired difference, second minus first, on the same prompts: of shares, then between -1 and 1, or of means."""

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
    """Whether a share moves with the dose: ``slope`` is the change of the share for one more unit of dose, on a straight line.

    ``p_value`` is two-sided; ``n_prompts`` counts the prompts that were scored at every dose. ``nan`` where there is nothing to test.
    """

    slope: float
    p_value: float
    n_prompts: int


class Reliability(NamedTuple):
    """How far raters agree beyond chance: 1 is full agreement, 0 is chance; ``nan`` where undefined, and ``note`` says why.

    ``agreed`` is the observed agreement, between 0 and 1, and ``n`` the rows that at least two rated.
    """

    value: float
    low: float
    high: float
    agreed: float
    n: int
    note: str


def share(values: pd.Series, *, clusters: pd.Series | None = None, seeds: pd.Series | None = None) -> Share:
    """Share of true values with a 95 % interval.

    Args:
        values: booleans, with missing entries for unscored answers; they count in ``n_unscored`` only.
        clusters: prompt ids. Where a prompt was answered more than once, the interval comes from a bootstrap over
            prompts, because answers to one prompt are not independent; else it is Wilson's.
        seeds: which training run gave each answer. Where there are several, the bootstrap draws the runs anew too,
            because answers of one run are not independent either.

    Returns:
        Share: between 0 and 1. Sources: Wilson (1927) as in statsmodels; percentile bootstrap as in scipy; drawing both
        prompts and runs: Owen (2007).
    """
    scored = values.dropna().astype(float)
    n, n_unscored = len(scored), int(values.isna().sum())
    if n == 0:
        return Share(float("nan"), float("nan"), float("nan"), 0, n_unscored, "none")
    mean = float(scored.mean())
    table = _prompts_by_seeds(scored, clusters, seeds)
    if _seeds_to_draw(table):
        return Share(mean, *_bootstrap_crossed(table), n, n_unscored, "bootstrap over prompts and seeds")
    if clusters is not None:
        answers = scored.groupby(clusters.loc[scored.index])
        per_prompt, n_answers = answers.mean(), answers.size()
        if len(per_prompt) < n and per_prompt.nunique() > 1:
            alike = n_answers.nunique() == 1
            low, high = _bootstrap_mean(per_prompt.to_numpy()) if alike else bootstrap_ratio(answers.sum().to_numpy(), n_answers.to_numpy())
            return Share(mean, low, high, n, n_unscored, "bootstrap over prompts")
        n_independent = len(per_prompt)
    else:
        n_independent = n
    low, high = proportion_confint(mean * n_independent, n_independent, method="wilson")
    return Share(mean, float(low), float(high), n, n_unscored, "Wilson")


def summarise(answers: pd.DataFrame, *, by: list[str], value: str = "refused") -> pd.DataFrame:
    """One row per group: the share of answers for which ``value`` is true, with its interval.

    Args:
        answers: the tidy table of a study, one row an answer, with columns ``prompt_id`` and ``value``, and ``seed`` where there are several.
        by: columns to group by, for instance ``["prompt_set", "n_safety"]``.
        value: a boolean column, missing where the answer is unscored.

    Returns:
        The ``by`` columns and ``share, low, high`` (0 to 1), ``n_scored, n_unscored, method``.
    """
    rows = []
    for key, group in answers.groupby(by, sort=True, observed=True):
        result = share(group[value], clusters=group["prompt_id"], seeds=group.get("seed"))
        rows.append(dict(zip(by, key, strict=True)) | result._asdict())
    return pd.DataFrame(rows, columns=[*by, *Share._fields])


def means(table: pd.DataFrame, *, by: str, unit: str, value: str) -> pd.DataFrame:
    """One row per group: the mean of a number, with its 95 % interval.

    Args:
        table: one row a measurement, with the columns named below, and ``seed`` where there are several; missing values
            are left out.
        by: column to group by, for instance ``n_safety``.
        unit: column that says what was measured, such as a prompt's id; measurements of one with several seeds are
            averaged first.
        value: column of numbers.

    Returns:
        ``by, value, low, high, n``; the interval is a seeded percentile bootstrap over units, and over seeds where there
        are several.
    """
    rows = []
    for key, group in table.dropna(subset=[value]).groupby(by, sort=True):
        values = by_seed(group, value=value, unit=unit)
        per_unit = values.mean(axis=1).to_numpy()
        low, high = _bootstrap_crossed(values.to_numpy()) if values.shape[1] > 1 else bootstrap_ratio(per_unit, np.ones(len(per_unit)))
        rows.append({by: key, "value": float(per_unit.mean()), "low": low, "high": high, "n": len(per_unit)})
    return pd.DataFrame(rows, columns=[by, "value", "low", "high", "n"])


def by_seed(answers: pd.DataFrame, *, value: str = "refused", unit: str = "prompt_id") -> pd.DataFrame:
    """The values of each prompt, one row a prompt, one column a seed; what is unscored is missing.

    Args:
        answers: rows of a study's table, of one kind of adapter; without a column ``seed``, all are of one.
        value: a column of booleans or numbers.
        unit: the column that names the rows of the result.
    """
    rows = answers.dropna(subset=[value])
    rows = rows.assign(**{value: rows[value].astype(float), "seed": rows.get("seed", 0)})
    return rows.pivot_table(index=unit, columns="seed", values=value, aggfunc="mean")


def per_prompt(answers: pd.DataFrame, *, prompt_set: str, n_safety: int, value: str = "refused") -> pd.DataFrame:
    """For one prompt set and amount, ``value`` by prompt and seed, as :func:`by_seed` gives it."""
    return by_seed(answers[(answers["prompt_set"] == prompt_set) & (answers["n_safety"] == n_safety)], value=value)


def per_request(answers: pd.DataFrame, *, value: str = "refused") -> pd.DataFrame:
    """``value`` by request and seed, as :func:`by_seed` gives it, so that two forms of one request meet under one name.

    A request's name is its ``pair`` where it has one, else its ``prompt_id``: two prompt sets ask the same thing in two
    forms where both give it the same id, or where one names the other's id, or a name of both, as its pair.

    Args:
        answers: rows of a study's table, of one prompt set and one kind of adapter.
        value: a boolean column, missing where the answer is unscored; those are left out.
    """
    return by_seed(answers.assign(request=answers["pair"].where(answers["pair"] != "", answers["prompt_id"])), value=value, unit="request")


def paired_difference(first: pd.Series | pd.DataFrame, second: pd.Series | pd.DataFrame) -> Difference:
    """How much the share of true values, or the mean of a number, grows from ``first`` to ``second`` on the same prompts.

    Args:
        first, second: values indexed by prompt id, or tables with one column a seed, as from :func:`by_seed`; what is
            missing on either side is left out.

    Returns:
        Difference: percentile bootstrap over prompts, and over seeds where there are several (Owen, 2007); and a
        two-sided p-value that speaks of these training runs only: McNemar's exact one for yes or no; for averages over
        seeds that of the test it is a case of, which gives each prompt's difference a random sign (scipy). Where all
        prompts change alike the bootstrap has no width, which would read as certainty; then the interval is what the
        exact binomial one leaves to prompts that were not drawn, and ``nan`` where the values are no shares.
    """
    one, two = (side.to_frame("") if isinstance(side, pd.Series) else side for side in (first, second))
    one, two = one.astype(float).align(two.astype(float), join="inner")
    one, two = one.where(two.notna()), two.where(one.notna())
    both = pd.concat([one.mean(axis=1), two.mean(axis=1)], axis=1, keys=["first", "second"]).dropna()
    if both.empty:
        return Difference(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    delta = (both["second"] - both["first"]).to_numpy()
    each = (two - one).loc[both.index].dropna(axis=1, how="all").to_numpy()
    if _seeds_to_draw(each):
        low, high = _bootstrap_crossed(each)
    elif np.ptp(delta) > 0:
        low, high = _bootstrap_mean(delta)
    else:
        shares = both.ge(0).all(axis=None) and both.le(1).all(axis=None)
        low, high = _all_alike(float(delta[0]), len(delta)) if shares else (float("nan"), float("nan"))
    if len(delta) == 1 or both.isin([0.0, 1.0]).all(axis=None):
        gained, lost = int((delta > 0).sum()), int((delta < 0).sum())
        p_value = float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue) if gained + lost else 1.0
    else:
        test = _scipy_stats.permutation_test(
            (delta,), np.mean, permutation_type="samples", vectorized=True, n_resamples=_RESAMPLES, rng=np.random.default_rng(0)
        )
        p_value = float(test.pvalue)
    return Difference(float(delta.mean()), low, high, p_value, len(both))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are, in the order given; missing ones stay missing and do not count.

    Source: Holm (1979), as in statsmodels. It holds whether or not the tests depend on each other.
    """
    given = np.asarray(p_values, float)
    there = ~np.isnan(given)
    if there.any():
        given[there] = multipletests(given[there], method="holm")[1]
    return given.tolist()


def by_amount(answers: pd.DataFrame, *, prompt_set: str, value: str = "refused") -> pd.DataFrame:
    """For one prompt set, the mean of ``value`` over seeds: one row a prompt, one column an amount; missing where unscored."""
    amounts = sorted(answers["n_safety"].unique())
    return pd.DataFrame({n: per_prompt(answers, prompt_set=prompt_set, n_safety=n, value=value).mean(axis=1) for n in amounts})


def trend_test(shares: pd.DataFrame) -> Trend:
    """Does the share move with the dose, where the same prompts were answered at every dose?

    Within each prompt the values are dealt anew among the doses, which under no effect are exchangeable; the statistic is
    the sum over prompts of the values times the doses. That is Mantel's test for trend with each prompt as a stratum,
    by permutation. With two doses and yes or no it is the exact test of McNemar. The Cochran–Armitage test would take a
    prompt's answers for independent, and a logistic regression has no estimate where a share is 0 or 1.

    Args:
        shares: one row a prompt, one column a dose whose name is its number, as from :func:`by_amount`; rows with a
            missing value are left out.

    Returns:
        Trend: the p-value is exact where the ways to deal are few, else from 5,000 random ones (seeded), so at least
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
        tuple(whole.to_numpy().T), slope, permutation_type="samples", vectorized=True, n_resamples=_RESAMPLES, rng=np.random.default_rng(0)
    )
    return Trend(float(result.statistic), float(result.pvalue), len(whole))


def flat_from(shares: pd.DataFrame) -> int | None:
    """The smallest dose from which on no paired difference to the largest dose is seen; the largest itself where all differ.

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


def detectable_difference(n: int, *, back: float = 0.0) -> float:
    """The smallest paired difference of shares that a study of ``n`` prompts would find four times in five.

    By McNemar's exact test, two-sided at .05: it is certain of a change only if at least six prompts change, all one way.

    Args:
        n: prompts answered yes or no at both amounts.
        back: the share of prompts, 0 to 1, that change against the difference; the more, the harder it is to see.

    Returns:
        Between 0 and 1; ``nan`` where no difference is large enough. The power is summed over how many prompts change
        and how many of these go each way: binomial in a binomial, as in Connor (1987), but exact.
    """
    changed = np.arange(n + 1)
    needed = _scipy_stats.binom.isf(_LEVEL / 2, changed, 0.5) + 1  # of so many changes, those one way

    def power(difference: float) -> float:
        one_way = difference + back
        found = _scipy_stats.binom.sf(needed - 1, changed, one_way / (one_way + back))
        return float((_scipy_stats.binom.pmf(changed, n, one_way + back) * found).sum())

    largest = 1 - 2 * back
    if largest <= 0 or power(largest) < _POWER:
        return float("nan")
    return float(brentq(lambda difference: power(difference) - _POWER, 1e-9, largest, xtol=1e-6))


def detectable_share(n: int, *, against: float = 0.5) -> float:
    """The smallest share above ``against`` that a study of ``n`` rows would tell from it four times in five.

    By the exact binomial test, two-sided at .05 (half on either side).

    Returns:
        Between ``against`` and 1; ``nan`` where even a share of 1 would not be told from it. Source: the binomial's tails, as in scipy.
    """
    needed = int(_scipy_stats.binom.isf(_LEVEL / 2, n, against)) + 1
    # At least so many of n: the share at which that has the wanted probability is a quantile of the beta distribution.
    return float(_scipy_stats.beta.ppf(_POWER, needed, n - needed + 1)) if needed <= n else float("nan")


def win_rate(scores: pd.Series, *, clusters: pd.Series | None = None) -> Share:
    """Wins and half the ties, over all comparisons, with a 95 % interval.

    Args:
        scores: 1 for a win, 0.5 for a tie, 0 for a loss; missing ones count in ``n_unscored`` only.
        clusters: prompt ids, where several raters compared the same two answers: their scores are not independent. Else
            each score is a prompt of its own.

    Returns:
        Share: between 0 and 1, 0.5 is even. The interval is a percentile bootstrap over prompts (seeded); where all
        prompts score alike that has no width, and it is Wilson's on the number of prompts, which for ties is too wide
        rather than too narrow: nothing between 0 and 1 varies more than wins and losses of the same mean.
    """
    scored, n_unscored = scores.dropna().astype(float), int(scores.isna().sum())
    n = len(scored)
    if n == 0:
        return Share(float("nan"), float("nan"), float("nan"), 0, n_unscored, "none")
    rate = float(scored.mean())
    prompts = scored.groupby(np.arange(n) if clusters is None else clusters.loc[scored.index].to_numpy())
    sums, sizes = prompts.sum().to_numpy(), prompts.size().to_numpy()
    if np.ptp(sums / sizes) == 0:
        low, high = proportion_confint(rate * len(sums), len(sums), method="wilson")
        return Share(rate, float(low), float(high), n, n_unscored, "Wilson")
    drawn = _drawn(len(sums))
    low, high = np.quantile((drawn @ sums) / (drawn @ sizes), (0.025, 0.975))
    return Share(rate, float(low), float(high), n, n_unscored, "bootstrap over prompts")


def cohen_kappa(counts: np.ndarray, *, answers: Sequence[str]) -> Reliability:
    """Cohen's κ of two raters.

    Args:
        counts: how many rows got each pair of answers: the first rater's down, the second's across.
        answers: the answers in words, in that order.

    Returns:
        Reliability: between -1 and 1, with the large-sample 95 % interval, cut to -1 and 1. Sources: Cohen (1960) and
        Fleiss, Cohen and Everitt (1969), as in statsmodels.
    """
    nan, n = float("nan"), int(counts.sum())
    if n == 0:
        return Reliability(nan, nan, nan, nan, 0, "no row was decided by both")
    agreed = float(np.trace(counts) / n)
    if n in np.diag(counts):
        answer = answers[int(np.argmax(np.diag(counts)))]
        return Reliability(nan, nan, nan, agreed, n, f"both gave every row the answer {answer!r}, so chance alone would agree as well: κ is undefined")
    with np.errstate(invalid="ignore"):
        result = cohens_kappa(counts)
    # At full agreement, full disagreement, or where one rater never varies, the formula gives an interval of no width.
    # It would read as certainty and is only the end of what the formula can say.
    if not result.std_kappa > 1e-6:
        return Reliability(float(result.kappa), nan, nan, agreed, n, "the large-sample interval has no width here, so none is given")
    return Reliability(float(result.kappa), max(-1.0, float(result.kappa_low)), min(1.0, float(result.kappa_upp)), agreed, n, "")


def kappa_from_margins(first: Sequence[int], second: Sequence[int], *, agreed: int) -> Reliability:
    """Cohen's κ of two raters of whom only is known how often each gave each answer, and on how many rows they agreed.

    Args:
        first, second: counts of each answer, in one order, over the same rows.
        agreed: rows on which both gave the same answer.

    Returns:
        Reliability: with the 95 % interval of Cohen (1960), which needs no more than this; where all cells are known that of
        :func:`cohen_kappa` is better. ``nan`` where chance alone would always agree.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    n = int(a.sum())
    observed, by_chance = agreed / n, float((a * b).sum()) / n**2
    if by_chance == 1:
        return Reliability(
            float("nan"), float("nan"), float("nan"), observed, n, "both gave one answer only, so chance alone would agree as well: κ is undefined"
        )
    value = (observed - by_chance) / (1 - by_chance)
    margin = 1.959964 * np.sqrt(observed * (1 - observed) / n) / (1 - by_chance)
    return Reliability(value, max(-1.0, float(value - margin)), min(1.0, float(value + margin)), observed, n, "")


def krippendorff_alpha(ratings: pd.DataFrame) -> Reliability:
    """Krippendorff's α for nominal answers of any number of raters, some of which may be missing.

    Args:
        ratings: one row an item, one column a rater; a missing rating is missing. Items with fewer than two count nowhere.

    Returns:
        Reliability: at most 1, with a 95 % percentile bootstrap over items (seeded). Source: Krippendorff, Computing
        Krippendorff's Alpha-Reliability (2011), whose observed and expected coincidences are summed item by item here.
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
        return Reliability(nan, nan, nan, agreed, n, f"every rating is {only!r}, so chance alone would agree as well: α is undefined")
    values = alpha(_drawn(n) @ items)
    defined = values[~np.isnan(values)]
    if np.ptp(defined) < 1e-9:
        return Reliability(value, nan, nan, agreed, n, "the bootstrap has no width here, so no interval is given")
    low, high = np.quantile(defined, (0.025, 0.975))
    left_out = 1 - len(defined) / len(values)
    note = f"{left_out:.1%} of the resamples held one answer only and are left out of the interval" if left_out > 0 else ""
    return Reliability(value, float(low), float(high), agreed, n, note)


def _all_alike(change: float, n: int) -> tuple[float, float]:
    """Bounds of a mean between -1 and 1 of which ``n`` draws were all the same (Clopper and Pearson, 1934)."""
    others = 1 - 0.025 ** (1 / n)  # the largest share of prompts that may be unlike those drawn
    return max(-1.0, change - others * (1 + change)), min(1.0, change + others * (1 - change))


def _drawn(n: int) -> np.ndarray:
    """How often each of ``n`` units is drawn in each resample of a bootstrap."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)


def _prompts_by_seeds(values: pd.Series, prompts: pd.Series | None, seeds: pd.Series | None) -> np.ndarray:
    """Values in prompts × seeds, ``nan`` where there is none; one column where prompts or seeds are not told."""
    if prompts is None or seeds is None:
        return values.to_numpy()[:, None]
    return values.groupby([prompts.loc[values.index], seeds.loc[values.index]]).mean().unstack().to_numpy()


def _crossed_means(values: np.ndarray) -> np.ndarray:
    """Means of resamples of values, prompts × seeds, in which both prompts and seeds are drawn anew; ``nan`` in a resample without any.

    Source: Owen (2007), the pigeonhole bootstrap. With three seeds it says how far these lie apart, and little of others.
    """
    there = ~np.isnan(values)
    n_seeds = values.shape[1]
    prompts = _drawn(len(values))
    seeds = np.random.default_rng(1).multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=_RESAMPLES)
    sums = ((prompts @ np.where(there, values, 0.0)) * seeds).sum(axis=1)
    return _ratio(sums, ((prompts @ there) * seeds).sum(axis=1))


def _bootstrap_crossed(values: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(_crossed_means(values), (0.025, 0.975))
    return float(low), float(high)


def _seeds_to_draw(values: np.ndarray) -> bool:
    """Whether values, prompts × seeds, have several seeds and are not all alike, which would give an interval of no width."""
    return values.shape[1] > 1 and bool(np.nanmax(values) > np.nanmin(values))


def _bootstrap_mean(values: np.ndarray) -> tuple[float, float]:
    result = _scipy_stats.bootstrap((values,), np.mean, n_resamples=_RESAMPLES, method="percentile", rng=np.random.default_rng(0))
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


class Estimate(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """Second less first, for two figures from samples of their own, with a 95 % interval from both intervals.

    Each bound combines the distances from each figure to the bound that matters, so intervals that are not symmetric, such
    as Wilson's, keep their shape. Where the two samples share their prompts the figures vary together, and the interval is
    too wide rather than too narrow. Source: Newcombe (1998), method 10, in the general form of Zou and Donner (2008).
    """
    difference = second.value - first.value
    down = np.hypot(second.value - second.low, first.high - first.value)
    up = np.hypot(second.high - second.value, first.value - first.low)
    return Estimate(difference, float(difference - down), float(difference + up))


class Agreement(NamedTuple):
    """How an instrument's yes or no agrees with people's, each figure with a bootstrap interval over rows.

    ``accuracy``, ``precision`` and ``recall`` (of people's yes) are between 0 and 1; ``kappa`` is Cohen's, 1 for full
    agreement and 0 for that of chance. ``nan`` where there is nothing to divide by.
    """

    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    kappa: Estimate
    n: int


def agreement(people: pd.Series | np.ndarray, instrument: pd.Series | np.ndarray, *, clusters: pd.Series | np.ndarray | None = None) -> Agreement:
    """Compare an instrument's yes or no with people's, row by row.

    Args:
        people, instrument: booleans of one length.
        clusters: what rows have in common, such as the prompt that several models answered; whole clusters are drawn.
    """
    said, found = np.asarray(people, bool), np.asarray(instrument, bool)
    counts = np.stack([said & found, ~said & found, said & ~found, ~said & ~found], axis=1).astype(float)
    if clusters is not None:
        counts = pd.DataFrame(counts).groupby(np.asarray(clusters)).sum().to_numpy()
    draws = _draws(len(counts))
    resampled = np.stack([counts[draw].sum(axis=0) for draw in draws])
    return Agreement(*(_with_percentiles(figure, counts.sum(axis=0), resampled) for figure in (_accuracy, _precision, _recall, _kappa)), n=len(said))


def case_counts(people: np.ndarray, instrument: np.ndarray) -> dict[str, int]:
    """How often each of the four cases of two yes or no occurs."""
    said, found = np.asarray(people, bool), np.asarray(instrument, bool)
    return {
        "both": int((said & found).sum()), "instrument_alone": int((~said & found).sum()),
        "people_alone": int((said & ~found).sum()), "neither": int((~said & ~found).sum()),
    }  # fmt: skip


def corrected_share(
    values: pd.Series, *, people: np.ndarray, instrument: np.ndarray, clusters: pd.Series | None = None, seeds: pd.Series | None = None
) -> Estimate:
    """The share that people would find, from what an imperfect instrument found.

    Both errors of the instrument are estimated on rows that people labelled; the interval carries the sampling of
    those rows and of the scored ones. It holds where the instrument errs here as it did there.

    Args:
        values: the instrument's yes or no on the rows of interest; missing ones are left out.
        people, instrument: booleans on the labelled rows.
        clusters, seeds: as for :func:`share`; prompts, and seeds where there are several, are drawn then, not answers.

    Returns:
        Estimate: cut to 0 to 1; ``nan`` where the instrument does no better than chance. Source: Rogan and Gladen
        (1978). The interval draws the labelled rows anew (bootstrap). The measured share is drawn as for :func:`share`
        where there are several seeds, else from Jeffreys' posterior of as many prompts as there are, for a bootstrap of
        rows that are all alike would have no width.
    """
    scored = values.dropna().astype(float)
    table = _prompts_by_seeds(scored, clusters, seeds)
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
    measured = _crossed_means(table) if _seeds_to_draw(table) else rng.beta(found.sum() + 0.5, (1 - found).sum() + 0.5, _AGREEMENT_RESAMPLES)
    for share in measured[:_AGREEMENT_RESAMPLES]:
        labelled = rng.integers(0, len(said), len(said))
        drawn.append(corrected(share, said[labelled], seen[labelled]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])  # the estimate is a number, so most draws are
    # Where nothing or everything was found, the estimate is the end of what can be drawn.
    return Estimate(estimate, min(estimate, float(low)), max(estimate, float(high)))


def _draws(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, n, size=(_AGREEMENT_RESAMPLES, n))


def _with_percentiles(figure: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, resampled: np.ndarray) -> Estimate:
    drawn = figure(resampled)
    low, high = np.percentile(drawn[~np.isnan(drawn)], [2.5, 97.5]) if not np.isnan(drawn).all() else (np.nan, np.nan)
    return Estimate(float(figure(counts[None])[0]), float(low), float(high))


# Each takes counts of shape (n, 4): both yes, instrument alone, people alone, both no.


def _accuracy(counts: np.ndarray) -> np.ndarray:
    return _ratio(counts[:, 0] + counts[:, 3], counts.sum(axis=1))


def _precision(counts: np.ndarray) -> np.ndarray:
    return _ratio(counts[:, 0], counts[:, 0] + counts[:, 1])


def _recall(counts: np.ndarray) -> np.ndarray:
    return _ratio(counts[:, 0], counts[:, 0] + counts[:, 2])


def _kappa(counts: np.ndarray) -> np.ndarray:
    n = counts.sum(axis=1)
    people, instrument = _ratio(counts[:, 0] + counts[:, 2], n), _ratio(counts[:, 0] + counts[:, 1], n)
    by_chance = people * instrument + (1 - people) * (1 - instrument)
    return _ratio(_accuracy(counts) - by_chance, 1 - by_chance)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)


def bootstrap_ratio(numerators: np.ndarray, denominators: np.ndarray) -> tuple[float, float]:
    """95 % interval of ``sum(numerators) / sum(denominators)``, drawing rows with replacement.

    With denominators of one it is the interval of a mean; with token counts, that of a mean per token over texts of
    unlike length. Percentile bootstrap as in scipy, seeded; ``nan`` where there are fewer than two rows.
    """
    if len(numerators) < 2:
        return float("nan"), float("nan")

    def ratio(above: np.ndarray, below: np.ndarray, axis: int) -> np.ndarray:
        return above.sum(axis=axis) / below.sum(axis=axis)

    result = _scipy_stats.bootstrap(
        (numerators, denominators), ratio, paired=True, vectorized=True, n_resamples=_RESAMPLES, batch=500, method="percentile", rng=np.random.default_rng(0)
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
