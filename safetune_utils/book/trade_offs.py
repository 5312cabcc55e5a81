"""Trade-offs between wanted and unwanted refusals: as a table, as advice, and how many are only noise.

The rule by which they are judged is :class:`safetune_utils.statistics.trade_offs.TradeOff`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython.display import HTML

from safetune_utils.book import words
from safetune_utils.book.tables import table
from safetune_utils.statistics import Estimate, TradeOff
from safetune_utils.statistics.trade_offs import Verdict

# A variant, and the one that it is compared with.
Pair = tuple[str, str]

_ADVICE: dict[Verdict, str] = {
    "better": "better by this rule: it gained on one axis and no loss was seen on the other",
    "worse": "worse by this rule: it lost on one axis and no gain was seen on the other",
    "refuses more of both": "a trade: more wanted refusals and more unwanted ones",
    "refuses less of both": "a trade: fewer refusals, wanted and unwanted",
    "no difference seen": "no reason to prefer it: no difference was seen on either axis",
}


def trade_off_table(
    found: Mapping[Pair, TradeOff], *, wanted: str, unwanted: str, controls: str = ""
) -> HTML:
    """One row a pair: both changes in points, each with its interval and corrected p-value, and the verdict.

    Args:
        found: as :func:`safetune_utils.statistics.trade_offs.trade_offs` gives it, by pair.
        wanted, unwanted: short names of what is asked on each axis, for the head of the table.
        controls: what the negative controls came to, last in the caption.
    """
    caption = (
        "Differences in refusals, in points, on the same prompts, with 95 % intervals "
        f"(bootstrap over prompts) and p-values corrected for their number. {controls}"
    ).strip()
    rows = [
        (*pair, *_cells(one.wanted, one.p_wanted), *_cells(one.unwanted, one.p_unwanted), one.verdict)
        for pair, one in found.items()
    ]
    axes = (f"{wanted} (wanted)", "p", f"{unwanted} (unwanted)", "p ")
    return table(rows, caption=caption, columns=("variant", "against", *axes, "verdict"))


def advice(found: Mapping[Pair, TradeOff], pair: Pair) -> str:
    """What the verdict on a pair says to somebody who has to choose; a pair that was not compared says so."""
    return _ADVICE[found[pair].verdict] if pair in found else "not run on this data"


def changes(found: Mapping[Pair, TradeOff], pair: Pair) -> tuple[Estimate | str, Estimate | str]:
    """Both changes of a pair, of the wanted refusals and of the unwanted ones, or words in their place.

    They go by their own intervals, so they are less strict than the verdict.
    """
    if pair not in found:
        return "was not measured", "was not measured"
    return found[pair].wanted, found[pair].unwanted


def noise(found: Mapping[Pair, TradeOff]) -> dict[str, Any]:
    """How many of the changes are inside the noise, as values for :func:`safetune_utils.book.prose.record`.

    Returns:
        ``n_compared``: changes that were measured, two a pair at most; ``n_noise``: those of them that were
        not seen; ``mostly_noise``: how many that is, in words; ``half_width``: how far an interval reaches to
        either side, in points, the median over the changes.
    """
    signed = [
        (change, sign)
        for one in found.values()
        for change, sign in zip((one.wanted, one.unwanted), one.signs, strict=True)
    ]
    measured = [(change, sign) for change, sign in signed if change.n]
    n_noise = sum(sign == 0 for _, sign in measured)
    widths = pd.Series([change.high - change.low for change, _ in measured], dtype=float)
    widths = widths[widths > 0]
    mostly = "most of them" if 2 * n_noise > len(measured) else "not most of them"
    return {
        "n_compared": len(measured),
        "n_noise": n_noise,
        "mostly_noise": "all of them" if n_noise == len(measured) else mostly,
        "half_width": "unknown" if widths.empty else f"{widths.median() * 50:.0f} points",
    }


def _cells(change: Estimate, p_value: float) -> tuple[str, str]:
    if change.n == 0:
        return "not measured", ""
    size, low, high = (f"{100 * value:+.0f}" for value in (change.value, change.low, change.high))
    return f"{size} ({low} to {high})", words.p_value(p_value)
