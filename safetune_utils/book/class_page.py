"""What a class found in a preference study, as one page: the contested pairs first, then the win rates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from safetune_utils.annotation import tallies
from safetune_utils.annotation.preference import KINDS, Annotation, PairItem
from safetune_utils.book import words
from safetune_utils.book.content_policy import with_policy
from safetune_utils.book.markup import render

# Contested pairs that are shown; a class talks about two or three.
SHOWN = 10
_OUTCOMES = {"A": "A better", "B": "B better", "equally_good": "equally good", "equally_bad": "equally bad"}


def together(tally: pd.DataFrame) -> pd.DataFrame:
    """The rows of a tally that are of all people, or all models, together; all where nobody is pooled."""
    pooled = tally[tally["annotator"].str.match(rf"all \d+ ({'|'.join(KINDS.values())})$")]
    return tally if pooled.empty else pooled


def page(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> str:
    """One HTML file that needs no other and asks no network.

    It does not say whose an answer of a contested pair is, so that a class can talk about it first.

    Raises:
        SafetuneError: there is no annotation, one was made for other items, or two are by one annotator.
    """
    by_id = {item.id: item for item in items}
    contested = tallies.contested(annotations, items).head(SHOWN)
    markup = render(
        "class",
        people=_how_many(annotations),
        pairs=len(items),
        agreement=_agreement(annotations, items),
        contested=[_contested(row, by_id[row["id"]]) for row in contested.to_dict("records")],
        first=items[0].first_name,
        second=items[0].second_name,
        rates=[
            row | {"rate": words.said(tallies.rate_of(row))}
            for row in together(tallies.tally(annotations, items)).to_dict("records")
        ],
    )
    return with_policy(
        markup, "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )


def _how_many(annotations: Sequence[Annotation]) -> str:
    counts = {kind: sum(one.kind == kind for one in annotations) for kind in KINDS}
    said = [f"{n} {kind if n == 1 else KINDS[kind]}" for kind, n in counts.items() if n]
    return " and ".join(said)


def _agreement(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> str:
    if sum(one.kind == "person" for one in annotations) < 2:
        return ""
    table = tallies.annotator_agreement(
        [one for one in annotations if one.kind == "person"], items, pairwise=False
    )
    row = table[table["measure"] == "Krippendorff's α"].iloc[0]
    return (
        f"Their agreement, Krippendorff's α, is {row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f}): 1"
        " is full agreement, 0 is that of chance."
    )


def _contested(row: Mapping[Hashable, object], item: PairItem) -> dict[str, str]:
    """A pair as the page shows it: by its sides, as the class saw them."""
    sides = {"A": "first", "B": "second"} if item.first_is_a else {"A": "second", "B": "first"}
    votes = [f"{row[sides.get(name, name)]} {said}" for name, said in _OUTCOMES.items()]
    return {
        "prompt": item.prompt,
        "differ": f"{100 * float(str(row['differ'])):.0f} %",
        "votes": ", ".join(votes),
        "a": item.a,
        "b": item.b,
    }
