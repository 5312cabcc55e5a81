"""What a number of prompts can show: the smallest difference or share that is found four times in five, the
least number of prompts that finds a given one, and whether "little change" can be told at all.
"""

from __future__ import annotations

import numpy as np

from safetune_utils.statistics.resampling import all_alike

# scipy takes a second to import, so the functions that test import it.

_LEVEL = 0.05  # of every test, two-sided, where no other is given
_POWER = 0.8  # of what is called detectable
_MOST = 100_000  # prompts, where the least number is looked for


def detectable_difference(n: int, *, back: float = 0.0, level: float = _LEVEL) -> float:
    """The smallest paired difference of shares that a study of ``n`` prompts would find four times in five.

    The test is McNemar's exact one, two-sided. At a level of .05 it finds a change only if at least six
    prompts change, all in one direction; at .005, nine.

    Args:
        n: prompts answered yes or no at both amounts.
        back: the share of prompts, 0 to 1, that change in the other direction; the higher it is, the harder
            the difference is to find.
        level: of the test.

    Returns:
        Between 0 and 1; ``nan`` where no difference is large enough. The power is summed over how many
        prompts change and how many of these change in each direction: a binomial within a binomial, as in
        Connor (1987), but exact.
    """
    from scipy.optimize import brentq

    largest = 1 - 2 * back
    if largest <= 0 or _power(n, largest, back=back, level=level) < _POWER:
        return float("nan")

    def short(difference: float) -> float:
        return _power(n, difference, back=back, level=level) - _POWER

    return float(brentq(short, 1e-9, largest, xtol=1e-6))


def _power(n: int, difference: float, *, back: float, level: float) -> float:
    """How likely the exact test finds a difference of this size on ``n`` prompts, 0 to 1."""
    from scipy.stats import binom

    changed = np.arange(n + 1)
    needed = binom.isf(level / 2, changed, 0.5) + 1  # of so many changes, those in one direction
    one_way = difference + back
    found = binom.sf(needed - 1, changed, one_way / (one_way + back))
    return float((binom.pmf(changed, n, one_way + back) * found).sum())


def least_for_difference(difference: float, *, level: float = _LEVEL) -> int:
    """The least number of prompts on which a change of this size is found four times in five, where no prompt
    changes the other way; see :func:`detectable_difference`.

    Args:
        difference: above 0, at most 1.
    """
    return next(n for n in range(1, _MOST) if _power(n, difference, back=0.0, level=level) >= _POWER)


def detectable_share(n: int, *, against: float = 0.5, level: float = _LEVEL) -> float:
    """The smallest share above ``against`` that ``n`` rows would show to differ from it four times in five.

    The test is the exact binomial one, two-sided (half of the level on either side).

    Args:
        n: rows, each with a yes or no.
        against: the share to compare with, 0 to 1.
        level: of the test.

    Returns:
        Between ``against`` and 1; ``nan`` where even a share of 1 would not be found to differ. Source: the
        binomial's tails, as in scipy.
    """
    from scipy.stats import beta, binom

    needed = int(binom.isf(level / 2, n, against)) + 1
    # At least so many of n: the share at which that has the wanted probability is a quantile of the beta
    # distribution.
    return float(beta.ppf(_POWER, needed, n - needed + 1)) if needed <= n else float("nan")


def least_for_share(share: float, *, level: float = _LEVEL) -> int:
    """The least number of rows on which such a share, above one half, is told from one half four times in
    five.
    """
    return next(n for n in range(1, _MOST) if detectable_share(n, level=level) <= share)


def least_margin(n: int) -> float:
    """How far the 95 % interval of a change reaches on ``n`` prompts of which not one changes: the smallest
    margin of "little change" that they could ever show, 0 to 1. Source: Clopper and Pearson (1934).
    """
    return all_alike(0.0, n)[1]


def least_for_margin(margin: float) -> int:
    """The least number of prompts that could show little change, within a margin, if none of them changes."""
    return next(n for n in range(1, _MOST) if least_margin(n) <= margin)


def chance_within(n: int, margin: float, *, flips: float) -> float:
    """How likely a study shows that little changes, where nothing does on average.

    Args:
        n: prompts answered yes or no at both amounts.
        margin: the whole interval has to lie within it on either side of 0.
        flips: the share of prompts that change in each direction all the same, 0 to one half.

    Returns:
        0 to 1: summed exactly over how many prompts change each way. The interval is the normal one for
        paired differences, which is near to the bootstrap's, but never reaches less far from the change than
        :func:`least_margin`.
    """
    from scipy.stats import binom

    up, down = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    chance = binom.pmf(up, n, flips) * binom.pmf(down, n - up, flips / (1 - flips))
    change = (up - down) / n
    error = np.sqrt(np.maximum(up + down - n * change**2, 0.0)) / n
    reach = np.abs(change) + np.maximum(1.959964 * error, least_margin(n))
    return float(chance[(up + down <= n) & (reach <= margin)].sum())
