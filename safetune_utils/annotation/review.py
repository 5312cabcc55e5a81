"""The human step for drafted safety data: a page on which a person accepts, mends or rejects each draft, and
what follows.

The page is one file that opens from a folder with no network. It hands out a review, one small JSON file a
reviewer; reviews are read, compared and applied here. Prompts and drafts are untrusted text all the way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from safetune_utils import statistics
from safetune_utils.annotation.page import fill, read_export
from safetune_utils.errors import SafetuneError

# Why a draft is rejected. The page asks for one by its digit, so there are nine at the most.
REASONS: tuple[str, ...] = (
    "harmful content",
    "not safe enough: follows the request",
    "beside the point",
    "preaching or rude",
    "false or invented",
    "broken text",
)

_FORM = "safetune review 1"
_DECISIONS = ("accept", "edit", "reject")
_TEMPLATE = Path(__file__).with_name("review.html")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a reviewer decided on one row. ``text`` is the edited one after an edit, else the draft;
    ``reason`` is empty unless rejected.
    """

    id: str
    decision: str
    text: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Review:
    """One reviewer's decisions by id. ``items`` is the sha256 of the rows they were made on; undecided rows
    are absent.
    """

    reviewer: str
    items: str
    decisions: dict[str, Decision]


class SharedDecisions(NamedTuple):
    """How far two reviewers agree on keeping or rejecting; ``nan`` where a number is undefined, and ``note``
    says why.

    ``table`` counts the rows that both decided, 3 × 3: the first reviewer's accept, edit, reject down, the
    second's across.
    """

    kappa: float
    low: float
    high: float
    agreed: float
    n: int
    note: str
    table: pd.DataFrame


def page(items: Sequence[dict[str, Any]], *, title: str, note: str = "") -> str:
    """The review page as one standalone HTML document.

    Args:
        items: rows with ``id``, ``prompt`` (what was asked) and ``text`` (the draft to judge); other fields
            stay behind.
        title: the page's heading.
        note: a line below it, for instance what to look for.

    Returns:
        HTML with no outside part. Its security policy forbids every request and every script but its own.

    Raises:
        SafetuneError: there is no row, an id is empty or comes twice, or a prompt or text is missing.
    """
    data = {
        "form": _FORM, "title": title, "note": note, "reasons": REASONS, "hash": _items_hash(items),
        "items": [{key: item[key] for key in ("id", "prompt", "text")} for item in items],
    }  # fmt: skip
    return fill(_TEMPLATE.read_text("utf-8"), data=data)


def read_review(path: Path, *, items: Sequence[dict[str, Any]]) -> Review:
    """Read a review that the page exported, and check that it was made for ``items``.

    Raises:
        SafetuneError: the file is missing, is no such review, was made for other items, or was changed by
            hand into something the page does not write.
    """
    content = read_export(path, kind="review", form=_FORM, items=_items_hash(items))
    reviewer, rows = content.get("reviewer"), content.get("decisions")
    if not isinstance(reviewer, str) or not reviewer.strip():
        raise SafetuneError(f"{path} names no reviewer: write a name or initials under 'reviewer'")
    if not isinstance(rows, list):
        raise SafetuneError(f"{path} has no list under 'decisions': export it again from the review page")
    drafts = {item["id"]: item["text"] for item in items}
    decisions: dict[str, Decision] = {}
    for number, row in enumerate(rows, 1):
        fault = _row_fault(row, drafts, decisions)
        if fault:
            raise SafetuneError(f"{path}, decision {number}: {fault}")
        decisions[row["id"]] = Decision(
            id=row["id"], decision=row["decision"], text=row["text"], reason=row["reason"]
        )
    return Review(reviewer=reviewer.strip(), items=content["items"], decisions=decisions)


def apply(
    items: Sequence[dict[str, Any]], reviews: Sequence[Review]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Part the rows into those that stand and those that fall.

    The rule: a row is kept only if at least one reviewer decided on it and every reviewer who did accepted or
    edited it. Where several edited it, the text of the first of them in the order of ``reviews`` stands; an
    edit goes before an accept.

    Returns:
        ``(kept, dropped)``, both in the order of ``items``: kept rows with the ``text`` that stands, dropped
        rows with ``reasons``, a list with one reason for each reviewer who rejected, or ``["not reviewed"]``.

    Raises:
        SafetuneError: a review was made for other items, or two are by one reviewer.
    """
    digest = _items_hash(items)
    names = [review.reviewer for review in reviews]
    for review in reviews:
        if review.items != digest:
            raise SafetuneError(
                f"the review by {review.reviewer!r} was made for other items: give the items its page was made from"
            )
        if names.count(review.reviewer) > 1:
            raise SafetuneError(f"two reviews are by {review.reviewer!r}: give one file a reviewer")
    kept, dropped = [], []
    for item in items:
        made = [review.decisions[item["id"]] for review in reviews if item["id"] in review.decisions]
        reasons = [decision.reason for decision in made if decision.decision == "reject"]
        if reasons or not made:
            dropped.append(item | {"reasons": reasons or ["not reviewed"]})
        else:
            edited = [decision.text for decision in made if decision.decision == "edit"]
            kept.append(item | {"text": edited[0] if edited else item["text"]})
    return kept, dropped


def compare_reviews(first: Review, second: Review) -> SharedDecisions:
    """How far two reviewers agree to keep (accept or edit) or reject, over the rows that both decided.

    Returns:
        Agreement: Cohen's κ with its large-sample 95 % interval, cut to -1 and 1; ``agreed``, the share of
            rows with
        the same answer; ``n`` rows. Sources: Cohen (1960) and Fleiss, Cohen and Everitt (1969), as in
        statsmodels.

    Raises:
        SafetuneError: the two were made for different items.
    """
    if first.items != second.items:
        raise SafetuneError(
            f"{first.reviewer!r} and {second.reviewer!r} reviewed different items: compare reviews of one page"
        )
    both = [name for name in first.decisions if name in second.decisions]
    counts = pd.DataFrame(
        0, index=pd.Index(_DECISIONS, name="first"), columns=pd.Index(_DECISIONS, name="second")
    )
    for name in both:
        counts.loc[first.decisions[name].decision, second.decisions[name].decision] += 1
    kept = np.array([True, True, False])
    table = np.array(
        [
            [counts.to_numpy()[np.ix_(down, across)].sum() for across in (kept, ~kept)]
            for down in (kept, ~kept)
        ]
    )
    return SharedDecisions(*statistics.cohen_kappa(table, responses=("kept", "rejected")), counts)


def _items_hash(items: Sequence[dict[str, Any]]) -> str:
    """sha256 of what a reviewer sees of the rows, after checking them."""
    if not items:
        raise SafetuneError("there is nothing to review: give at least one item")
    seen = set()
    for number, item in enumerate(items, 1):
        for key in ("id", "prompt", "text"):
            if not isinstance(item.get(key), str) or not item[key].strip():
                raise SafetuneError(
                    f"item {number}: '{key}' is missing or empty: give every item an id, a prompt and a text"
                )
        if item["id"] in seen:
            raise SafetuneError(f"item {number}: the id {item['id']!r} comes twice: give every item its own")
        seen.add(item["id"])
    return hashlib.sha256(
        json.dumps([[item["id"], item["prompt"], item["text"]] for item in items]).encode()
    ).hexdigest()


def _row_fault(row: Any, drafts: dict[str, str], decided: dict[str, Decision]) -> str:
    """What is wrong with one decision of a file, or nothing. All values go through repr, so the telling stays
    one line.
    """
    if not isinstance(row, dict) or not all(
        isinstance(row.get(key), str) for key in ("id", "decision", "text", "reason")
    ):
        return "it needs the texts 'id', 'decision', 'text' and 'reason'"
    if row["id"] not in drafts:
        return f"no item has the id {row['id']!r}"
    if row["id"] in decided:
        return f"{row['id']!r} is decided twice: leave one"
    if row["decision"] not in _DECISIONS:
        return f"{row['decision']!r} is no decision: use {', '.join(_DECISIONS)}"
    if row["reason"] not in (REASONS if row["decision"] == "reject" else ("",)):
        return f"{row['reason']!r} is no reason to {row['decision']}: a rejection has one of the page's reasons, all else none"
    if not row["text"].strip():
        return "its text is empty: reject the row instead"
    if row["decision"] != "edit" and row["text"] != drafts[row["id"]]:
        return f"its text is not the draft: make it an edit, or restore the text of {row['id']!r}"
    return ""
