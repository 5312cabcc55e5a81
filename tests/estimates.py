"""Numbers with their intervals, made by hand."""

from __future__ import annotations

import math
from typing import Any

from safetune_utils.statistics import Estimate

MISSING = Estimate(value=math.nan, low=math.nan, high=math.nan, n=0, is_change=True)
UNSCORED = Estimate(value=math.nan, low=math.nan, high=math.nan, n=0, n_unscored=98, method="none")


def share(value: float, low: float, high: float, **more: Any) -> Estimate:
    return Estimate(value=value, low=low, high=high, **{"n": 98, "method": "Wilson"} | more)


def change(
    value: float, low: float, high: float, p_value: float = math.nan, n: int = 98, **more: Any
) -> Estimate:
    return Estimate(value=value, low=low, high=high, p_value=p_value, n=n, is_change=True, **more)
