"""Numbers that the prose of a page names, and findings about the paper's claims."""

from __future__ import annotations

import json
import math
from typing import Any

from IPython.display import display

from safetune_utils.statistics import Difference, Estimate, Share


class Worded(str):
    """A number in words that still holds the number: ``number`` is as :func:`measured` gives it."""

    number: dict[str, Any]


def glue(**values: Any) -> None:
    """Record values so that the prose of the page can name them with ``{glue:text}``.

    The form is papermill's record form, which myst-nb reads; outside a book this shows nothing. A
    :class:`Worded` value is recorded as a number too, so that another run's can be laid beside it.
    """
    for name, value in values.items():
        metadata: dict[str, Any] = {"scrapbook": {"name": name, "mime_prefix": _GLUE, "has_prefix": True}}
        if isinstance(value, Worded):
            metadata["safetune"] = {"number": value.number}
        display({f"{_GLUE}text/plain": str(value)}, metadata=metadata, raw=True)


def finding(claim: str, value: Difference | Share) -> None:
    """Record what a page found about a claim of the paper, for the page that lays the paper beside the book.

    Args:
        claim: an id from ``data/paper/claims.yml``.
        value: the paired difference or the share that the claim is judged by.
    """
    number = measured(value)
    glue(**{f"claim_{claim}": worded(json.dumps(number), number)})


def measured(value: Difference | Share | Estimate) -> dict[str, Any]:
    """A number with its interval as plain data: ``kind, n, value, low, high``, for a difference ``p_value``
    too; ``None`` where undefined.

    A ``unit`` stands beside them where the number is not a share, see
    :func:`safetune_utils.book.words.change`.
    """
    numbers = {"value": value[0], "low": value.low, "high": value.high}
    n = None
    if isinstance(value, Difference):
        n, numbers["p_value"] = int(value.n_pairs), value.p_value
    elif isinstance(value, Share):
        n = int(value.n_scored)
    return {"kind": type(value).__name__, "n": n} | {
        name: None if math.isnan(number) else float(number) for name, number in numbers.items()
    }


_GLUE = "application/papermill.record/"


def worded(text: str, number: dict[str, Any]) -> Worded:
    words = Worded(text)
    words.number = number
    return words
