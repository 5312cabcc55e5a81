"""Numbers in words, for sentences and cells: shares, changes, trends, p-values."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pandas as pd

from safetune_utils import statistics
from safetune_utils.book.glue import measured, worded
from safetune_utils.models.base_model import title
from safetune_utils.statistics import Difference, Estimate, Share, Trend
from safetune_utils.study.mixes import safety_rows
from safetune_utils.study.study import Study


def run_by(study: Study) -> str:
    """One phrase for the welcome page: which model, on what, with which preset and how many seeds."""
    s = study.settings
    seeds = "one seed" if len(s.seeds) == 1 else f"{len(s.seeds)} seeds"
    return f"{title(s.base_model)} with the preset {s.preset}, {s.n_general} general examples and {seeds}"


def question_forms(study: Study) -> str:
    """How the question forms that a study trains on came to be, in words, from the rows of its first mix."""
    origins = Counter(
        row.question_origin
        for row in safety_rows(study, study.runs[0])
        if row.question and row.instruction == row.question
    )
    words = {
        "": "as their authors wrote them",
        "rewritten": "rewritten from the instruction by rule",
        "red-team attempts": "found in the red-team attempts",
    }
    return ", ".join(f"{n} {words[origin]}" for origin, n in origins.most_common()) or "none"


def levels_off(shares: pd.DataFrame) -> str:
    """Where a curve levels off, in words; ``shares`` as from
    :func:`safetune_utils.statistics.shares.by_amount`.
    """
    doses = [int(dose) for dose in shares.columns]
    smallest, largest = min(doses), max(doses)
    start = statistics.flat_from(shares)
    if start is None:
        return "not measured"
    if smallest == largest:
        return "not to be told from one amount"
    if start == largest:
        return f"not seen up to {largest}"
    return f"from {start} on" + (" (no change seen)" if start == smallest else "")


def detectable(shares: pd.DataFrame) -> str:
    """The smallest change that the prompts would show, in words; as many are taken to change against it as
    did here.
    """
    changes = (shares[shares.columns.max()] - shares[shares.columns.min()]).dropna()
    back = min(changes.clip(lower=0).mean(), -changes.clip(upper=0).mean()) if len(changes) else 0.0
    smallest = statistics.detectable_difference(len(changes), back=back)
    return "none: too few prompts" if math.isnan(smallest) else f"{smallest * 100:.0f} points"


def percent(value: float) -> str:
    """A share from 0 to 1 in words: ``12 %``; ``not scored`` for a missing one."""
    return "not scored" if math.isnan(value) else f"{value * 100:.0f} %"


def with_interval(row: Any) -> str:
    """A share with its interval and n in words: ``12 % (7 to 20 %, n = 98)``."""
    number = measured(Share(row["share"], row["low"], row["high"], row["n_scored"], n_unscored=0, method=""))
    if pd.isna(row["share"]):
        return worded("not scored", number)
    bounds = f"{row['low'] * 100:.0f} to {row['high'] * 100:.0f} %, n = {int(row['n_scored'])}"
    return worded(f"{percent(row['share'])} ({bounds})", number)


def share_of(curve: pd.DataFrame, *, missing: str = "(not in this data)", **place: Any) -> str:
    """One share of a table, with its interval and n in words: ``12 % (7 to 20 %, n = 98)``.

    Args:
        curve: from :func:`safetune_utils.statistics.shares.summarise`.
        missing: the words where the table has no such row.
        **place: what tells the row, by column: ``prompt_set="malicious", n_safety=100``.
    """
    for column, wanted in place.items():
        curve = curve[curve[column] == wanted]
    return missing if curve.empty else with_interval(curve.iloc[0])


def win_rate(row: pd.Series) -> str:
    """A win rate of a tally with its interval and the judgements that it counts."""
    return with_interval(
        {"share": row["win_rate"], "low": row["low"], "high": row["high"], "n_scored": row["n"]}
    )


def estimated(value: Estimate) -> str:
    """An estimated share with its interval: ``12 % (7 to 20 %)``."""
    words = (
        "not to be told"
        if pd.isna(value.value)
        else f"{percent(value.value)} ({value.low * 100:.0f} to {value.high * 100:.0f} %)"
    )
    return worded(words, measured(value))


def kappa(value: float, low: float, high: float) -> str:
    """An agreement beyond chance with its interval: ``0.82 (0.71 to 0.93)``."""
    if math.isnan(value):
        return "not known"
    return f"{value:.2f}" + ("" if math.isnan(low) else f" ({low:.2f} to {high:.2f})")


def change(difference: Difference, *, unit: str = "points", of: str = "prompts") -> str:
    """A paired difference in words, for a sentence: ``rises by 45 points (36 to 54)`` and the like.

    Args:
        unit: ``points`` for shares, which are told in hundredths; any other unit is told as it was measured.
        of: what the pairs are.
    """
    number = measured(difference) | ({} if unit == "points" else {"unit": unit})
    return worded(_change_words(difference, unit=unit, of=of), number)


def _change_words(difference: Difference, *, unit: str, of: str) -> str:
    if difference.n_pairs == 0:
        return "was not measured"
    scale, digits = (100, 0) if unit == "points" else (1, 3 if unit == "nats" else 2)
    if math.isnan(difference.low):
        return f"was measured on {difference.n_pairs} {of} only, too few to tell"
    low, high = (signed(value, scale=scale, digits=digits) for value in (difference.low, difference.high))
    bounds = f"({low} to {high} {unit} on {difference.n_pairs} {of})"
    if difference.direction == "not seen":
        return f"shows no change outside the noise {bounds}"
    return f"{difference.direction} by {abs(difference.difference) * scale:.{digits}f} {unit} {bounds}"


def p_value(value: float) -> str:
    """A p-value in a cell: ``0.034``, ``below 0.001``."""
    if math.isnan(value):
        return "not tested"
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def trend_word(trend: Trend, p: float) -> str:
    """Whether a share moves with the amount, in one word; ``p`` is the corrected p-value."""
    if math.isnan(p):
        return "not tested"
    return "not seen" if p >= 0.05 else "rises" if trend.slope > 0 else "falls"


def signed(value: float, *, scale: int = 100, digits: int = 0) -> str:
    """A difference in a cell, in points by default: ``+12``, ``-3``, ``0``."""
    rounded = round(value * scale, digits)
    return f"{rounded:+.{digits}f}" if rounded else "0"


def interval_only(value: Share | Estimate | None) -> str:
    """A share in a cell, in per cent with its interval: ``12 (7–20)``."""
    if value is None:
        return "not measured"
    if math.isnan(value[0]):
        return "not to be told"
    return f"{value[0] * 100:.0f} ({value.low * 100:.0f}–{value.high * 100:.0f})"
