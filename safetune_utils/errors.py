"""The one exception for mistakes that a person can correct, and words for its messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SafetuneError(Exception):
    """Wrong input, reported in one line that says what is wrong and how to correct it.

    The command line prints it without a traceback and exits with status 2; the notebooks show it as it is.
    """


def first_line(error: BaseException) -> str:
    """What another library's error says first: its first line with words, or else its type's name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or ``None`` where none is near.

    Source: difflib's similarity, at least .6.
    """
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str) -> str:
    """How to correct an unknown word: ``did you mean '…'?``, or where none is near ``otherwise`` and all
    known words.
    """
    names = list(known)
    near = closest(word, names)
    return f"did you mean '{near}'?" if near else f"{otherwise} {', '.join(names)}"
