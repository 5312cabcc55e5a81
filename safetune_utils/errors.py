"""The one exception for mistakes a person can mend."""

from __future__ import annotations


class SafetuneError(Exception):
    """Bad input, told in one line that says what is wrong and names the mend.

    The command line prints it without a traceback and exits with status 2; the notebooks show it as it is.
    """
