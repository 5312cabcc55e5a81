"""Numbers that the prose of a page names, and findings about the paper's claims."""

from __future__ import annotations

from typing import Any

from IPython.display import display

from safetune_utils.book.words import said
from safetune_utils.statistics import Estimate


def glue(**values: Any) -> None:
    """Record values so that the prose of the page can name them with ``{glue:text}``.

    The form is papermill's record form, which myst-nb reads; outside a book this shows nothing. A number with
    its interval is recorded as such too, so that another run's can be laid beside it.
    """
    for name, value in values.items():
        metadata: dict[str, Any] = {"scrapbook": {"name": name, "mime_prefix": _GLUE, "has_prefix": True}}
        if isinstance(value, Estimate):
            metadata["safetune"] = {"number": value.as_data()}
        display({f"{_GLUE}text/plain": said(value)}, metadata=metadata, raw=True)


def finding(claim: str, value: Estimate) -> None:
    """Record what a page found about a claim of the paper, for the page that lays the paper beside the book.

    Args:
        claim: an id from ``data/paper/claims.yml``.
        value: the paired difference or the share that the claim is judged by.
    """
    glue(**{f"claim_{claim}": value})


_GLUE = "application/papermill.record/"
