"""The one exception for mistakes that a person can correct."""

from __future__ import annotations


class SafetuneError(Exception):
    """Wrong input, reported in one line that says what is wrong and how to correct it.

    The command line prints it without a traceback and exits with status 2; the notebooks show it as it is.
    """
