"""The paper's claims beside what this book found: a verdict for each, by one stated rule.

The claims and how each is to be judged stand in ``data/paper/claims.yml``; findings come from executed
notebooks.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from safetune_utils.book import figures, markup, words
from safetune_utils.book.chapters import chapters
from safetune_utils.book.findings import Outcomes, published_folder
from safetune_utils.book.markup import Cell, Link, Row, Text, block, paragraph
from safetune_utils.errors import SafetuneError
from safetune_utils.models.identity import title
from safetune_utils.places import data_folder
from safetune_utils.statistics import Estimate


class Claim(BaseModel):
    """One claim of the paper, and how our finding about it is judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    number: str
    claim: str
    measured: str
    expects: Literal["above", "below", "little_change"]
    margin: float | None = None
    figure: str = ""
    known: str
    same_measure: bool
    value: float | None = None

    @model_validator(mode="after")
    def _judgeable(self) -> Claim:
        if (self.expects == "little_change") != (self.margin is not None):
            raise ValueError("a margin belongs to little_change, and little_change needs one")
        if self.same_measure and self.value is None:
            raise ValueError("same_measure needs the paper's value")
        return self


def claims() -> list[Claim]:
    """The claims in the order of the page.

    Raises:
        SafetuneError: an entry is not whole, or two have one id.
    """
    path = data_folder() / "paper" / "claims.yml"
    try:
        found = [Claim(**entry) for entry in yaml.safe_load(path.read_text("utf-8"))["claims"]]
    except ValidationError as error:
        fault = error.errors()[0]
        raise SafetuneError(f"{path.name}: {'.'.join(map(str, fault['loc']))} {fault['msg']}") from None
    if len({claim.id for claim in found}) < len(found):
        raise SafetuneError(f"{path.name}: two claims have one id")
    return found


def verdict(claim: Claim, finding: Estimate | None) -> str:
    """What a finding says of a claim, by its 95 % interval alone.

    A difference is held against 0 and a share against one half. The claim *holds* where the whole interval
    lies on the claimed side or, for a claim of little change, within the claim's margin; it is *contradicted*
    where the whole interval lies on the other side, or outside the margin.

    Args:
        finding: ``None`` where there is none.

    Returns:
        ``not attempted`` without a finding that could be measured; ``opposite direction`` where the claim is
        contradicted; ``not seen at this scale`` where the interval leaves it open; ``reproduced`` where it
        holds, our measure is the paper's and its figure lies within our interval; else ``same direction``.
    """
    if finding is None or math.isnan(finding.low):
        return "not attempted"
    low, high, even = finding.low, finding.high, finding.even
    if claim.expects == "above":
        holds, contradicted = low > even, high < even
    elif claim.expects == "below":
        holds, contradicted = high < even, low > even
    else:
        margin = claim.margin or 0.0
        holds = even - margin <= low and high <= even + margin
        contradicted = high < even - margin or low > even + margin
    if contradicted:
        return "opposite direction"
    if not holds:
        return "not seen at this scale"
    same = claim.same_measure and claim.value is not None and low <= claim.value <= high
    return "reproduced" if same else "same direction"


def finding_of(claim: Claim, outcomes: Outcomes) -> tuple[str, Estimate | None]:
    """The chapter that recorded a finding about a claim, and the finding; the claim's own chapter and
    ``None`` where none did.

    Raises:
        SafetuneError: two chapters recorded one.
    """
    found = [
        (chapter, outcome["numbers"][f"claim_{claim.id}"])
        for chapter, outcome in outcomes.items()
        if f"claim_{claim.id}" in outcome["numbers"]
    ]
    if len(found) > 1:
        raise SafetuneError(
            f"two chapters record a finding about '{claim.id}': {', '.join(chapter for chapter, _ in found)}"
        )
    return found[0] if found else (_chapter_of(claim), None)


def _chapter_of(claim: Claim) -> str:
    """The chapter that would record a finding about a claim; empty where none says so."""
    return next((chapter.name for chapter in chapters() if claim.id in chapter.claims), "")


def _findings(outcomes: Outcomes) -> list[str]:
    """What each claim came to in a run, to the last digit."""
    found = [finding_of(claim, outcomes)[1] for claim in claims()]
    return [str((one.value, one.low, one.high)) if one else "" for one in found]


def unknown_findings(outcomes: Outcomes) -> list[str]:
    """Claims that a chapter records a finding about, and that are not in the list."""
    known = {f"claim_{claim.id}" for claim in claims()}
    return sorted(
        {name for outcome in outcomes.values() for name in outcome["numbers"] if name.startswith("claim_")}
        - known
    )


def parts(ours: Outcomes, *, published: dict[str, Outcomes], pages: set[str]) -> dict[str, str]:
    """What the page "Paper against ours" includes, as Markdown.

    Args:
        ours: the outcomes that this book was built from.
        published: committed runs by name, in one table side by side; one that found just what ours did is
            left out.
        pages: the chapters that the book has, for the links.

    Raises:
        SafetuneError: a chapter records a finding about a claim that is not in the list.
    """
    for outcomes in (ours, *published.values()):
        if unknown := unknown_findings(outcomes):
            raise SafetuneError(
                f"findings about unknown claims: {', '.join(unknown)}: list them in data/paper/claims.yml"
            )
    blocks = [f"## This book's pages\n\n{block(table(ours, pages=pages))}"]
    others = {name: run for name, run in published.items() if _findings(run) != _findings(ours)}
    if others:
        blocks.append(
            "## The published runs\n\nRuns of ours whose numbers lie in the repository, judged by the same"
            f" rule.\n\n{block(side_by_side(others))}"
        )
        blocks += [
            curve(name, run["01_safety_amount"]["settings"])
            for name, run in others.items()
            if _curve_file(name).is_file()
        ]
    margins = "; ".join(
        f"{claim.number}: {claim.margin * 100:.0f} points" for claim in claims() if claim.margin is not None
    )
    return {
        "verdicts": "\n".join(blocks),
        "verdict_margins": block(paragraph(f"The margins are, by claim, {margins}.")),
    }


def table(outcomes: Outcomes, *, pages: set[str]) -> Markup:
    """One run against the paper, as a table with a line for each claim."""
    rows = []
    for claim in claims():
        chapter, finding = finding_of(claim, outcomes)
        settings = outcomes[chapter]["settings"] if finding else None
        name = f"chapter {chapter.split('_')[0]}" if chapter else "no chapter"
        link = Link(name, f"../notebooks/{chapter}.html") if chapter in pages else name
        rows.append(
            (
                Cell(f"{claim.number}. {claim.claim}", below=(f"Here: {claim.measured} (", link, ")")),
                Cell(claim.figure, below=claim.known),
                Cell(words.brief(finding), below=scale(settings) if settings else ""),
                Cell(verdict(claim, finding), strong=True),
            )
        )
    heads = (
        "claim",
        "the paper's figure, and how sure it is",
        "ours with its 95 % interval, and the scale of our run",
        "verdict",
    )
    return markup.table(heads, rows, kind="safetune-verdicts", wide=True)


def side_by_side(runs: dict[str, Outcomes]) -> Markup:
    """Several runs as a table: a line for each claim, a column for each run, with its scale and what
    each claim came to.
    """
    heads: list[Text | Cell] = ["claim"]
    for name, outcomes in runs.items():
        settings = {
            chapter: outcome["settings"]
            for chapter, outcome in outcomes.items()
            if "safety_amounts" in (outcome["settings"] or {})
        }
        scales = {chapter: scale(found).rsplit("; ", 1) for chapter, found in settings.items()}
        ran = "; or ".join(dict.fromkeys(what for what, _ in scales.values()))
        for seeds, n in Counter(seeds for _, seeds in scales.values()).most_common():
            where = ", ".join(
                chapter.split("_")[0] for chapter, (_, found) in scales.items() if found == seeds
            )
            ran += f"; {seeds}" + (f" in chapter{'s' if n > 1 else ''} {where}" if n < len(scales) else "")
        heads.append(Cell(name, below=ran))
    rows: list[Row] = []
    for claim in claims():
        found = [finding_of(claim, outcomes)[1] for outcomes in runs.values()]
        cells = [Cell(verdict(claim, one), below=words.brief(one), strong=True) for one in found]
        rows.append((f"{claim.number}. {claim.claim}", *cells))
    return markup.table(heads, rows, kind="safetune-verdicts", wide=True)


def _curve_file(name: str) -> Path:
    return published_folder() / name / "01_safety_amount-safety_amount.csv"


def curve(name: str, settings: dict[str, Any]) -> str:
    """The main figure of a published run, drawn from its committed numbers."""
    drawn = pd.read_csv(_curve_file(name))
    by_seed = drawn[drawn["seed"] != "all"] if "seed" in drawn else None
    figure = figures.dose_response(
        drawn if by_seed is None else drawn[drawn["seed"] == "all"],
        name=f"published_{name.replace('-', '_')}",
        caption=f"Published run '{name}': answers that refuse, with 95 % intervals. {scale(settings)}.",
        by_seed=by_seed,
        n_other=settings["n_general"] + settings["mixing"]["n_contrast"],
    )
    return block(figure._repr_html_())


def scale(settings: dict[str, Any]) -> str:
    """Which model, data, rows and seeds a chapter ran with, in one line."""
    amounts = settings["safety_amounts"]
    seeds = f"{len(settings['seeds'])} seed{'s' if len(settings['seeds']) > 1 else ''}"
    return (
        f"{title(settings['base_model'])}; data {settings['data']}; {settings['n_general']} general rows and"
        f" {amounts[0]} to {amounts[-1]} of safety; {seeds}"
    )
