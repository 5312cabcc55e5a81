"""The exact test of whether values go with the doses: each prompt's values are dealt anew among the doses, in
all ways there are.
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from functools import lru_cache

import numpy as np

from safetune_utils.statistics.resampling import RESAMPLES

# Averages over seeds are fractions with small denominators; other numbers are not counted out.
_LARGEST_DENOMINATOR = 60
_LARGEST_GRID = 2_000_000


def dealt_p_value(values: np.ndarray, doses: np.ndarray) -> float:
    """Whether values go with the doses, where each prompt has a value at every dose.

    Without an effect, each prompt's values could as well have fallen on its doses in any other order. The
    statistic is the sum of all values times their doses. Its distribution over all orders of all prompts is
    worked out exactly: for one prompt by counting, and over prompts by convolution. With two doses it is the
    sign-flipping test of the paired differences, and for yes or no McNemar's exact test.

    Args:
        values: of shape (prompts, doses).
        doses: one number a column.

    Returns:
        Two-sided: twice the smaller tail, at most 1. Exact for yes or no and for averages of these over
        seeds. Numbers that are no fractions with a small denominator, such as losses, cannot be counted out:
        then it is that of 5,000 random orders, at least .0004 (``scipy.stats.permutation_test``, fixed random
        state), or of all where they are fewer. Source: Mantel (1963); Fisher (1935) for the paired
        differences.
    """
    grid, steps = _whole(values), _whole(doses)
    if grid is None or steps is None or len(values) * int(np.ptp(grid)) * int(np.ptp(steps)) > _LARGEST_GRID:
        return _random_orders(values, doses)
    grid, steps = grid - grid.min(axis=1, keepdims=True), steps - steps.min()
    # One entry for each total from 0 on.
    chances = np.ones(1)
    for row, prompts in Counter(tuple(sorted(row)) for row in grid.tolist()).items():
        ways = _dealt(row, tuple(steps.tolist()))
        all_ways = sum(ways.values())
        for _ in range(prompts):
            wider = np.zeros(len(chances) + max(ways))
            for total, n in ways.items():
                wider[total : total + len(chances)] += chances * (n / all_ways)
            chances = wider
    found = int((grid * steps).sum())
    return float(min(1.0, 2 * min(chances[: found + 1].sum(), chances[found:].sum())))


def _whole(numbers: np.ndarray) -> np.ndarray | None:
    """The numbers as whole ones, divided by their largest common measure; ``None`` where there is none."""
    parts = {x: Fraction(float(x)).limit_denominator(_LARGEST_DENOMINATOR) for x in np.unique(numbers)}
    if any(abs(float(part) - x) > 1e-9 for x, part in parts.items()):
        return None
    below = math.lcm(*(part.denominator for part in parts.values()))
    whole = {x: int(part * below) for x, part in parts.items()}
    measure = math.gcd(*whole.values()) or 1
    return np.vectorize(lambda x: whole[x] // measure, otypes=[int])(numbers)


@lru_cache(maxsize=4096)
def _dealt(values: tuple[int, ...], doses: tuple[int, ...]) -> dict[int, int]:
    """In how many orders of the values, put to the doses, each sum of values times doses comes about."""
    if not doses:
        return {0: 1}
    found: Counter[int] = Counter()
    for value in set(values):
        first = values.index(value)
        for total, ways in _dealt(values[:first] + values[first + 1 :], doses[1:]).items():
            found[total + value * doses[0]] += ways
    return dict(found)


def _random_orders(values: np.ndarray, doses: np.ndarray) -> float:
    from scipy import stats as scipy_stats

    def total(*columns: np.ndarray, axis: int) -> np.ndarray:
        return sum(dose * column.sum(axis=axis) for dose, column in zip(doses, columns, strict=True))

    if len(values) < 2:
        return 1.0
    test = scipy_stats.permutation_test(
        tuple(values.T),
        total,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)
