"""The human step for drafted safety data: a page on which a person accepts, edits or rejects each draft, and
what follows from that.

The page is one file that opens from a folder without network. It exports a review, one small JSON file for
each reviewer; reviews are read, compared and applied here. Prompts and drafts are never trusted: they are
shown as text only.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
import pandas as pd

from safetune_utils import statistics
from safetune_utils.annotation.page import fill, read_export, template
from safetune_utils.errors import SafetuneError

# Why a draft is rejected. The page asks for one by its digit, so there can be at most nine.
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


class ReviewItem(TypedDict):
    """A draft to review: its id, what was asked (``prompt``), and the draft itself (``text``)."""

    id: str
    prompt: str
    text: str


class DroppedItem(ReviewItem):
    """A draft that is not kept: one reason for each reviewer who rejected it, or ``["not reviewed"]``."""

    reasons: list[str]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a reviewer decided on one row.

    Attributes:
        id: of the row.
        decision: ``accept``, ``edit`` or ``reject``.
        text: the edited text after an edit, else the draft.
        reason: one of :data:`REASONS` after a rejection, else empty.
    """

    id: str
    decision: str
    text: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Review:
    """One reviewer's decisions.

    Attributes:
        reviewer: a name or initials.
        items: sha256 of the rows that were reviewed.
        decisions: by the row's id; rows without a decision are absent.
    """

    reviewer: str
    items: str
    decisions: dict[str, Decision]


class SharedDecisions(NamedTuple):
    """How far two reviewers agree to keep a row or to reject it.

    Attributes:
        kappa: Cohen's κ; 1 is full agreement, 0 is that of chance.
        low, high: its large-sample 95 % interval, cut to -1 and 1.
        agreed: the share of rows with the same answer, 0 to 1.
        n: rows on which both decided.
        note: why a number is ``nan``; empty where none is.
        table: how many of these rows got each pair of decisions, 3 × 3 (accept, edit, reject): rows are the
            first reviewer's decisions, columns the second's.
    """

    kappa: float
    low: float
    high: float
    agreed: float
    n: int
    note: str
    table: pd.DataFrame


def page(items: Sequence[ReviewItem], *, title: str, note: str = "") -> str:
    """The review page as one standalone HTML document.

    Args:
        items: the drafts; fields beyond those of :class:`ReviewItem` do not go into the page.
        title: the page's heading.
        note: a line below it, for instance what to look for.

    Returns:
        HTML that needs no other file. Its security policy forbids every request and every script except its
        own.

    Raises:
        SafetuneError: there is no row, an id is empty or occurs twice, or a prompt or text is missing.
    """
    data = {
        "form": _FORM,
        "title": title,
        "note": note,
        "reasons": REASONS,
        "hash": items_hash(items),
        "items": [{"id": item["id"], "prompt": item["prompt"], "text": item["text"]} for item in items],
    }
    return fill(template("review"), data=data)


def check_review(path: Path) -> None:
    """Check that a file is a review, before it is known what was reviewed.

    Raises:
        SafetuneError: it is missing or is none.
    """
    read_export(path, kind="review", form=_FORM)


def read_review(path: Path, *, items: Sequence[ReviewItem]) -> Review:
    """Read a review that the page exported, and check that it was made for ``items``.

    Args:
        path: the JSON file.
        items: as for :func:`page`.

    Raises:
        SafetuneError: the file is missing, is no such review, was made for other items, or was changed by
            hand into something that the page does not write.
    """
    content = read_export(path, kind="review", form=_FORM, items=items_hash(items))
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
    items: Sequence[ReviewItem], reviews: Sequence[Review]
) -> tuple[list[ReviewItem], list[DroppedItem]]:
    """Split the rows into those that are kept and those that are dropped.

    The rule: a row is kept only if at least one reviewer decided on it, and every reviewer who did accepted
    or edited it. If one edited it, that text is kept and not the draft; if several did, the text of the first
    of them in the order of ``reviews``.

    Returns:
        ``(kept, dropped)``, both in the order of ``items``: kept rows with the ``text`` that is kept, dropped
        rows with their ``reasons``.

    Raises:
        SafetuneError: a review was made for other items, or two are by one reviewer.
    """
    digest = items_hash(items)
    names = [review.reviewer for review in reviews]
    for review in reviews:
        if review.items != digest:
            raise SafetuneError(
                f"the review by {review.reviewer!r} was made for other items: give the items its page was "
                "made from"
            )
        if names.count(review.reviewer) > 1:
            raise SafetuneError(f"two reviews are by {review.reviewer!r}: give one file a reviewer")
    kept: list[ReviewItem] = []
    dropped: list[DroppedItem] = []
    for item in items:
        made = [review.decisions[item["id"]] for review in reviews if item["id"] in review.decisions]
        reasons = [decision.reason for decision in made if decision.decision == "reject"]
        if reasons or not made:
            dropped.append({**item, "reasons": reasons or ["not reviewed"]})
        else:
            edited = [decision.text for decision in made if decision.decision == "edit"]
            kept.append({**item, "text": edited[0] if edited else item["text"]})
    return kept, dropped


def compare_reviews(first: Review, second: Review) -> SharedDecisions:
    """How far two reviewers agree to keep (accept or edit) or to reject, over the rows on which both decided.

    Returns:
        SharedDecisions: with Cohen's κ. Sources: Cohen (1960) and Fleiss, Cohen and Everitt (1969), as in
        statsmodels.

    Raises:
        SafetuneError: the two were made for different items.
    """
    if first.items != second.items:
        raise SafetuneError(
            f"{first.reviewer!r} and {second.reviewer!r} reviewed different items: compare reviews of one "
            "page"
        )
    found = Counter(
        (decision.decision, second.decisions[name].decision)
        for name, decision in first.decisions.items()
        if name in second.decisions
    )
    counts = pd.DataFrame(
        [[found[one, other] for other in _DECISIONS] for one in _DECISIONS],
        index=pd.Index(_DECISIONS, name="first"),
        columns=pd.Index(_DECISIONS, name="second"),
    )
    kept = np.array([True, True, False])
    table = np.array(
        [
            [counts.to_numpy()[np.ix_(down, across)].sum() for across in (kept, ~kept)]
            for down in (kept, ~kept)
        ]
    )
    return SharedDecisions(*statistics.cohen_kappa(table, answers=("kept", "rejected")), counts)


def items_hash(items: Sequence[ReviewItem]) -> str:
    """sha256, in hexadecimal, of what a reviewer sees of the rows, in their order.

    Raises:
        SafetuneError: there is no row, an id is empty or occurs twice, or a prompt or text is missing.
    """
    if not items:
        raise SafetuneError("there is nothing to review: give at least one item")
    seen = set()
    for number, item in enumerate(items, 1):
        for key in ("id", "prompt", "text"):
            value = item.get(key)
            if not isinstance(value, str) or not value.strip():
                raise SafetuneError(
                    f"item {number}: '{key}' is missing or empty: give every item an id, a prompt and a text"
                )
        if item["id"] in seen:
            raise SafetuneError(f"item {number}: the id {item['id']!r} comes twice: give every item its own")
        seen.add(item["id"])
    return hashlib.sha256(
        json.dumps([[item["id"], item["prompt"], item["text"]] for item in items]).encode()
    ).hexdigest()


def _row_fault(row: object, drafts: dict[str, str], decided: dict[str, Decision]) -> str:
    """What is wrong with one decision of a file; empty where nothing is.

    All values are written with ``repr``, so that the message stays on one line.
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
        return (
            f"{row['reason']!r} is no reason to {row['decision']}: a rejection has one of the page's reasons,"
            " all else none"
        )
    if not row["text"].strip():
        return "its text is empty: reject the row instead"
    if row["decision"] != "edit" and row["text"] != drafts[row["id"]]:
        return f"its text is not the draft: make it an edit, or restore the text of {row['id']!r}"
    return ""
