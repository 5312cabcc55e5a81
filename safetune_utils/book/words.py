"""Numbers in words, for sentences and cells: shares, changes, trends, p-values."""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd

from safetune_utils import statistics
from safetune_utils.models.identity import title
from safetune_utils.statistics import Estimate, Trend
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
        return "not known from one amount"
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


def said(value: object) -> str:
    """A value as a sentence says it: a number with its interval in words, for ``None`` that the data has it
    not, anything else as it is.
    """
    if value is None:
        return "(not in this data)"
    if not isinstance(value, Estimate):
        return str(value)
    return _change(value) if value.is_change else _level(value)


def _level(level: Estimate) -> str:
    if math.isnan(level.value):
        return "not scored" if level.unit == "share" and level.n is not None else "not known"
    scale, digits, sign = (100, 0, " %") if level.unit == "share" else (1, 2, "")
    value, low, high = (f"{number * scale:.{digits}f}" for number in (level.value, level.low, level.high))
    if math.isnan(level.low):
        return value + sign
    n = f", n = {level.n}" if level.unit in ("share", "κ") and level.n is not None else ""
    error = "" if math.isnan(level.standard_error) else f", s.e. {level.standard_error * scale:.1f}{sign}"
    return f"{value}{sign} ({low} to {high}{sign}{error}{n})"


def _change(change: Estimate) -> str:
    if change.n == 0:
        return "was not measured"
    if math.isnan(change.low):
        return f"was measured on {change.n} {change.of} only, too few to tell"
    unit, scale, digits = _scale(change.unit)
    low, high = (signed(value, scale=scale, digits=digits) for value in (change.low, change.high))
    bounds = f"({low} to {high} {unit} on {change.n} {change.of})"
    if change.direction == "not seen":
        return f"shows no change outside the noise {bounds}"
    return f"{change.direction} by {abs(change.value) * scale:.{digits}f} {unit} {bounds}"


def _scale(unit: str) -> tuple[str, int, int]:
    """How a change is told: the unit's name, what it is multiplied by, and its digits."""
    return ("points", 100, 0) if unit == "share" else (unit, 1, 3 if unit == "nats" else 2)


def brief(number: Estimate | None) -> str:
    """A number with its interval and n for a cell: ``+45 points (+36 to +54, n = 98)`` or ``92 % (85 to
    96 %, n = 98)``; empty where there is none.
    """
    if number is None or math.isnan(number.low):
        return ""
    n = "" if number.n is None else f", n = {number.n}"
    if number.unit != "share":
        sign = "+" if number.is_change else ""
        value, low, high = (f"{part:{sign}.2f}" for part in (number.value, number.low, number.high))
        return f"{value} {number.unit} ({low} to {high}{n})"
    if number.is_change:
        value, low, high = (signed(part) for part in (number.value, number.low, number.high))
        return f"{value} points ({low} to {high}{n})"
    return f"{number.value * 100:.0f} % ({number.low * 100:.0f} to {number.high * 100:.0f} %{n})"


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


def erosion(change: Estimate, *, n_safety: int) -> str:
    """What a change of refusals from the untuned model to the smallest amount says, as the instrument counts,
    in a sentence.
    """
    what = "Tuning on general examples alone" if n_safety == 0 else "Tuning"
    if not change.n or math.isnan(change.low):
        return "Whether tuning took refusals away was not measured."
    if change.direction == "falls":
        return f"{what} took refusals away, as this instrument counts them."
    if change.direction == "rises":
        return f"{what} added refusals."
    return f"{what} may have taken some refusals away; on these prompts it is not seen."


def erosion_as_read(change: Estimate) -> str:
    """What the same change says as readers of the same answers count refusals, in a sentence."""
    if not change.n or math.isnan(change.low):
        return "No reader has read these answers, so some of these refusals may be the instrument's mistakes."
    told = f"As readers count the same answers, the change is {brief(change)}"
    if change.direction == "falls":
        return f"{told}: the model's safety eroded."
    if change.direction == "rises":
        return f"{told}."
    return f"{told}: that the model's safety eroded is not seen."


def in_per_cent(value: Estimate | None) -> str:
    """A share in a cell, in per cent with its interval: ``12 (7–20)``, and ``12 (7–20; s.e. 3.1)`` where its
    standard error is known.
    """
    if value is None:
        return "not measured"
    if math.isnan(value.value):
        return "not known"
    error = "" if math.isnan(value.standard_error) else f"; s.e. {value.standard_error * 100:.1f}"
    return f"{value.value * 100:.0f} ({value.low * 100:.0f}–{value.high * 100:.0f}{error})"
