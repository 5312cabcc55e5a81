"""The page on power: which claims of the paper some number of prompts could decide at all."""

from __future__ import annotations

import math
from collections.abc import Mapping

from safetune_utils import data, statistics
from safetune_utils.book.findings import Outcomes
from safetune_utils.book.markup import Cell, Row, Text, block, paragraph, table
from safetune_utils.book.verdicts import Claim, claims, finding_of
from safetune_utils.data import PROMPT_SETS

# Prompts that change by chance in each direction, for the likelihood that little change is shown.
_FLIPS = 0.02


def parts(ours: Outcomes, *, published: Mapping[str, Outcomes]) -> dict[str, str]:
    """What the page includes, as Markdown.

    Args:
        ours: the outcomes that this book was built from.
        published: committed runs by name; one with the prompts of a column that is there already has none.
    """
    found = claims()
    columns = {
        "the embedded prompts": [_n_embedded(claim) for claim in found],
        "this book's pages": _n_of(ours),
    }
    for name, run in published.items():
        sizes = _n_of(run)
        if not any(_says_no_more(sizes, shown) for shown in columns.values()):
            columns[f"published run '{name}'"] = sizes
    heads: list[Text | Cell] = ["claim", "what has to be seen", "prompts needed", *columns]
    rows: list[Row] = [
        (
            f"{claim.number}. {claim.claim}",
            _wanted(claim),
            Cell(str(claim.least_n), below=_against(claim)),
            *(could_show(claim, n) for n in sizes),
        )
        for claim, *sizes in zip(found, *columns.values(), strict=True)
    ]
    able = [claim.number for claim in found if _n_embedded(claim) >= claim.least_n]
    told = (
        f"The embedded prompts are enough for {len(able)} of the {len(found)} claims"
        f" ({', '.join(able) or 'none'}), as far as their number goes."
    )
    return {"power": block(paragraph(told), table(heads, rows, wide=True))}


def could_show(claim: Claim, n: int) -> Text | Cell:
    """What ``n`` prompts could show of a claim, in words."""
    if not n:
        return "not attempted"
    if claim.margin:
        reach, enough = statistics.least_margin(n), n >= claim.least_n
        chance = statistics.chance_within(n, claim.margin, flips=_FLIPS)
        below = f"{n}: without any change the interval reaches {_points(reach)}"
        if enough:
            below += f"; shown in {chance * 100:.0f} % of studies"
            below += f" if {_FLIPS * 100:.0f} % change each way by chance"
        return Cell(f"the margin {'can be shown' if enough else 'is out of reach'}", below=below)
    if claim.by == "readers":
        smallest = statistics.detectable_share(n, level=claim.level)
        shown = "no share" if math.isnan(smallest) else f"a share from {smallest * 100:.0f} %"
    else:
        smallest = statistics.detectable_difference(n, level=claim.level)
        shown = "no change" if math.isnan(smallest) else f"a change from {_points(smallest)}"
    return Cell(shown, below=f"{n}: {'enough' if n >= claim.least_n else 'too few'}")


def _wanted(claim: Claim) -> str:
    if claim.margin:
        return f"no more than {_points(claim.margin)} either way; against it {_points(claim.seen)}"
    return (
        f"a share of {claim.seen * 100:.0f} %"
        if claim.by == "readers"
        else f"a change of {_points(claim.seen)}"
    )


def _against(claim: Claim) -> str:
    return f"{claim.least_n_against} to refute it" if claim.least_n_against else ""


def _points(change: float) -> str:
    return f"{change * 100:.1f} points".replace(".0 ", " ")


def _n_of(run: Outcomes) -> list[int]:
    """How many prompts a run's finding about each claim rests on; 0 where there is none."""
    findings = [finding_of(claim, run)[1] for claim in claims()]
    return [one.n or 0 if one else 0 for one in findings]


def _says_no_more(sizes: list[int], shown: list[int]) -> bool:
    return all(n in (0, there) for n, there in zip(sizes, shown, strict=True))


def _n_embedded(claim: Claim) -> int:
    """How many prompts the embedded corpus has for a claim."""
    if claim.asked in PROMPT_SETS:
        return len(data.prompts("embedded", claim.asked))
    return len(data.corpus_rows(claim.asked))
