"""Numbers only: shares, changes, agreement, power.

What is used where, and why, is in ``book/statistics.md``.
"""

from safetune_utils.statistics.agreement import (
    Agreement,
    Reliability,
    SourceCounts,
    agreement,
    case_counts,
    cohen_kappa,
    corrected_share,
    kappa_from_margins,
    krippendorff_alpha,
)
from safetune_utils.statistics.changes import (
    Trend,
    change_between,
    flat_from,
    holm,
    independent_difference,
    paired_difference,
    trend_test,
)
from safetune_utils.statistics.estimate import Estimate
from safetune_utils.statistics.power import (
    chance_within,
    detectable_difference,
    detectable_share,
    least_for_difference,
    least_for_margin,
    least_for_share,
    least_margin,
)
from safetune_utils.statistics.resampling import bootstrap_ratio
from safetune_utils.statistics.shares import (
    against_half,
    by_amount,
    by_seed,
    means,
    per_prompt,
    per_request,
    share,
    share_at,
    share_in,
    share_of,
    summarise,
    win_rate,
)
from safetune_utils.statistics.trade_offs import TradeOff, trade_offs

__all__ = [
    "Agreement",
    "Estimate",
    "Reliability",
    "SourceCounts",
    "TradeOff",
    "Trend",
    "against_half",
    "agreement",
    "bootstrap_ratio",
    "by_amount",
    "by_seed",
    "case_counts",
    "chance_within",
    "change_between",
    "cohen_kappa",
    "corrected_share",
    "detectable_difference",
    "detectable_share",
    "flat_from",
    "holm",
    "independent_difference",
    "kappa_from_margins",
    "krippendorff_alpha",
    "least_for_difference",
    "least_for_margin",
    "least_for_share",
    "least_margin",
    "means",
    "paired_difference",
    "per_prompt",
    "per_request",
    "share",
    "share_at",
    "share_in",
    "share_of",
    "summarise",
    "trade_offs",
    "trend_test",
    "win_rate",
]
