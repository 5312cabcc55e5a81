"""What a number of prompts can show: the smallest difference or share that is found four times in five."""

from __future__ import annotations

import numpy as np

# scipy takes a second to import, so the functions that test import it.

_LEVEL = 0.05  # of every test, two-sided
_POWER = 0.8  # of what is called detectable


def detectable_difference(n: int, *, back: float = 0.0) -> float:
    """The smallest paired difference of shares that a study of ``n`` prompts would find four times in five.

    The test is McNemar's exact one, two-sided at .05: it finds a change only if at least six prompts change,
    all in one direction.

    Args:
        n: prompts answered yes or no at both amounts.
        back: the share of prompts, 0 to 1, that change in the other direction; the higher it is, the harder
            the difference is to find.

    Returns:
        Between 0 and 1; ``nan`` where no difference is large enough. The power is summed over how many
        prompts change and how many of these change in each direction: a binomial within a binomial, as in
        Connor (1987), but exact.
    """
    from scipy.optimize import brentq
    from scipy.stats import binom

    changed = np.arange(n + 1)
    needed = binom.isf(_LEVEL / 2, changed, 0.5) + 1  # of so many changes, those in one direction

    def power(difference: float) -> float:
        one_way = difference + back
        found = binom.sf(needed - 1, changed, one_way / (one_way + back))
        return float((binom.pmf(changed, n, one_way + back) * found).sum())

    largest = 1 - 2 * back
    if largest <= 0 or power(largest) < _POWER:
        return float("nan")
    return float(brentq(lambda difference: power(difference) - _POWER, 1e-9, largest, xtol=1e-6))


def detectable_share(n: int, *, against: float = 0.5) -> float:
    """The smallest share above ``against`` that ``n`` rows would show to differ from it four times in five.

    The test is the exact binomial one, two-sided at .05 (half on either side).

    Args:
        n: rows, each with a yes or no.
        against: the share to compare with, 0 to 1.

    Returns:
        Between ``against`` and 1; ``nan`` where even a share of 1 would not be found to differ. Source: the
        binomial's tails, as in scipy.
    """
    from scipy.stats import beta, binom

    needed = int(binom.isf(_LEVEL / 2, n, against)) + 1
    # At least so many of n: the share at which that has the wanted probability is a quantile of the beta
    # distribution.
    return float(beta.ppf(_POWER, needed, n - needed + 1)) if needed <= n else float("nan")
