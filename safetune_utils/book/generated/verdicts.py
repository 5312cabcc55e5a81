"""The page "Paper against ours": each claim of the paper beside what this book's pages and the published runs
found, with its verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from safetune_utils.book import figures, markup, words
from safetune_utils.book.findings import Outcomes, published_folder, version_told
from safetune_utils.book.markup import Cell, Link, Row, Text, block, paragraph
from safetune_utils.book.verdicts import (
    DECIDED,
    Judged,
    by_interval_alone,
    claims,
    controls_of,
    finding_of,
    judged,
    unknown_findings,
)
from safetune_utils.data.outputs import of_adapters, rows_by
from safetune_utils.errors import SafetuneError
from safetune_utils.models.identity import title
from safetune_utils.places import results
from safetune_utils.scoring.controls import ControlRow
from safetune_utils.teaching.folding import result


def parts(
    ours: Outcomes,
    *,
    found: Sequence[Judged],
    published: dict[str, Outcomes],
    controls: Sequence[ControlRow],
    pages: set[str],
) -> dict[str, str]:
    """What the page "Paper against ours" includes, as Markdown.

    Args:
        ours: the outcomes that this book was built from.
        found: the claims as these outcomes judge them.
        published: committed runs by name, in one table side by side; one that found just what ours did is
            left out.
        controls: negative controls for runs that have none of their own.
        pages: the chapters that the book has, for the links.

    Raises:
        SafetuneError: a chapter records a finding about a claim that is not in the list.
    """
    # A published run may be older than the list.
    if unknown := unknown_findings(ours):
        raise SafetuneError(
            f"findings about unknown claims: {', '.join(unknown)}: list them in data/paper/claims.yml"
        )
    told = block(paragraph(summary(found)), table(found, ours, pages=pages))
    ask = f"How many of the paper's {len(found)} claims will hold for one small model, and which of them not?"
    blocks = [f"## This book's pages\n\n{result(told, ask=ask)}"]
    others = {name: run for name, run in published.items() if _findings(run) != _findings(ours)}
    if others:
        blocks.append(
            "## The published runs\n\nRuns of ours whose numbers lie in the repository, judged by the same"
            f" rule. {seeds_told()}\n\n{result(block(side_by_side(others, controls=controls)))}"
        )
        blocks += [
            result(block(curve(name, run["01_safety_amount"], controls=controls)._repr_html_()))
            for name, run in others.items()
            if _curve_file(name).is_file()
        ]
    margins = "; ".join(
        f"{claim.number}: {claim.margin * 100:.0f} points" for claim in claims() if claim.margin is not None
    )
    level = f"The level of the exact p-value is {claims()[0].level:g}. The margins are, by claim, {margins}."
    return {
        "verdicts": "\n".join(blocks),
        "verdict_margins": block(paragraph(level)),
        "verdict_strip": block(strip(found)),
        "verdicts_changed": result(block(changed(published, controls=controls))),
    }


def _findings(outcomes: Outcomes) -> list[str]:
    """What each claim came to in a run, to the last digit."""
    found = [finding_of(claim, outcomes)[1] for claim in claims()]
    return [str((one.value, one.low, one.high)) if one else "" for one in found]


def changed(runs: dict[str, Outcomes], *, controls: Sequence[ControlRow] = ()) -> Markup:
    """Where the rule gives another verdict on a published run than its interval alone would."""
    rows: list[Row] = []
    for name, outcomes in runs.items():
        for one in judged(outcomes, controls=controls):
            alone = by_interval_alone(one.claim, one.finding)
            if one.finding and alone != one.verdict.word:
                now = Cell(one.verdict.word, below=one.verdict.why)
                rows.append((f"{one.claim.number}. {one.claim.claim}", name, alone, now))
    heads = ("claim", "published run", "by the interval alone", "by the rule")
    return markup.table(heads, rows, kind="safetune-verdicts verdict-last", wide=True)


def summary(found: Sequence[Judged]) -> str:
    """How many claims a run decides, in a sentence or two."""
    words_said = Counter(one.verdict.word for one in found)
    n_decided = sum(words_said[word] for word in DECIDED)
    kinds = [f"{n} {word}" for word, n in words_said.items() if word not in DECIDED]
    rest = f" The others: {', '.join(kinds)}." if kinds else ""
    if not n_decided:
        return f"This run decides none of the {len(found)} claims.{rest}"
    decided = ", ".join(f"{words_said[word]} {word}" for word in DECIDED if words_said[word])
    return f"This run decides {n_decided} of the {len(found)} claims: {decided}.{rest}{_same(found)}"


def _same(found: Sequence[Judged]) -> str:
    """Which of the decided claims came to one number, in a sentence; empty where none did. Two chapters that
    ask the same adapters the same prompts measure the same thing.
    """
    of_number: dict[tuple[float, ...], list[str]] = {}
    for one in found:
        if one.finding and one.verdict.word in DECIDED:
            number = one.finding.value, one.finding.low, one.finding.high, one.finding.n or 0
            of_number.setdefault(number, []).append(one.claim.number)
    alike = [" and ".join(claims) for claims in of_number.values() if len(claims) > 1]
    return "".join(f" Claims {claims} are one number here, counted twice." for claims in alike)


def strip(found: Sequence[Judged]) -> Markup:
    """How many claims came to each verdict, as a strip: a piece for each, the wider the more often."""
    by_word: dict[str, list[str]] = {}
    for one in found:
        by_word.setdefault(one.verdict.word, []).append(one.claim.number)
    known = [*DECIDED, *(word for word in by_word if word not in DECIDED)]
    ordered = {word: by_word[word] for word in known if word in by_word}
    return markup.render("verdict_strip", by_word=ordered, n=len(found))


def seeds_told() -> str:
    """How far intervals over few seeds can be trusted, in a sentence, from a simulation."""
    found = results("seed_coverage")
    return (
        "Intervals over few seeds are too sure of themselves. In a simulation in which seeds differ as they"
        f" do here, those over three held the share of all seeds in {found['of_3_seeds']} of studies, and"
        f" those over five in {found['of_5_seeds']}, where 95 % is meant"
        " (`benchmarks/seed_coverage.py`). With one seed an interval says nothing of others."
    )


def table(found: Sequence[Judged], outcomes: Outcomes, *, pages: set[str]) -> Markup:
    """One run against the paper, as a table with a line for each claim."""
    rows = []
    for claim, chapter, finding, said in found:
        settings = outcomes[chapter]["settings"] if finding else None
        name = f"chapter {chapter.split('_')[0]}" if chapter else "no chapter"
        link = Link(name, f"../notebooks/{chapter}.html") if chapter in pages else name
        rows.append(
            (
                Cell(f"{claim.number}. {claim.claim}", below=(f"Here: {claim.measured} (", link, ")")),
                Cell(claim.figure, below=claim.known),
                Cell(words.brief(finding), below=scale(settings) if settings else ""),
                Cell(said.word, below=said.why, strong=True),
            )
        )
    heads = (
        "claim",
        "the paper's number, and how sure it is",
        "ours with its 95 % interval, and the scale of our run",
        "verdict",
    )
    return markup.table(heads, rows, kind="safetune-verdicts verdict-last", wide=True)


def side_by_side(runs: dict[str, Outcomes], *, controls: Sequence[ControlRow] = ()) -> Markup:
    """Several runs as a table: a line for each claim, a column for each run, with its scale and what
    each claim came to; below it how many claims each run decides.
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
        scored = dict.fromkeys(
            version_told(outcomes[chapter], found["instruments"][0])
            for chapter, found in settings.items()
            if found["instruments"]
        )
        heads.append(Cell(name, below="; ".join([ran, *scored])))
    found = [judged(outcomes, controls=controls) for outcomes in runs.values()]
    rows: list[Row] = []
    for claim, *each in zip(claims(), *found, strict=True):
        cells = [
            Cell(
                one.verdict.word,
                below="; ".join(filter(None, (words.brief(one.finding), one.verdict.why))),
                strong=True,
            )
            for one in each
        ]
        rows.append((f"{claim.number}. {claim.claim}", *cells))
    rows.append(("decided", *(summary(run) for run in found)))
    return markup.table(heads, rows, kind="safetune-verdicts", wide=True)


def _curve_file(name: str) -> Path:
    return published_folder() / name / "01_safety_amount-safety_amount.csv"


def curve(name: str, outcome: dict[str, Any], *, controls: Sequence[ControlRow] = ()) -> figures.Figure:
    """The main figure of a published run's first chapter, drawn from its committed numbers.

    Args:
        controls: negative controls for runs that have none of their own.
    """
    settings: dict[str, Any] = outcome["settings"] or {}
    drawn = pd.read_csv(_curve_file(name))
    # Runs that were published before there were controls have neither of the two.
    others = {
        whose: rows_by(drawn, whose) if "by" in drawn else None for whose in ("untuned", "bag of words")
    }
    drawn = of_adapters(drawn)
    by_seed = drawn[drawn["seed"] != "all"] if "seed" in drawn else None
    return figures.dose_response(
        drawn if by_seed is None else drawn[drawn["seed"] == "all"],
        name=f"published_{name.replace('-', '_')}",
        caption=f"Published run '{name}': answers that refuse, with 95 % intervals. {scale(settings)};"
        f" {version_told(outcome, settings['instruments'][0])}."
        f" {controls_told(controls_of(outcome, controls), settings['instruments'][0])}",
        by_seed=by_seed,
        n_other=settings["n_general"] + settings["mixing"]["n_contrast"],
        untuned=others["untuned"],
        words=others["bag of words"],
    )


def controls_told(controls: Sequence[ControlRow], instrument: str) -> str:
    """What a published run's negative controls of an instrument came to, in a sentence."""
    own = [row for row in controls if row["instrument"] == instrument]
    if not own:
        return f"No negative control of '{instrument}' was measured: no claim rests on it."
    told = "; ".join(f"{row['control']}: {row['yes']} of {row['n']}" for row in own)
    passes = (
        "passes them" if all(row["passes"] for row in own) else "does NOT pass them: no claim rests on it"
    )
    return f"Negative controls of '{instrument}': {told}; it {passes}."


def scale(settings: dict[str, Any]) -> str:
    """Which model, data, rows and seeds a chapter ran with, in one line."""
    amounts = settings["safety_amounts"]
    seeds = f"{len(settings['seeds'])} seed{'s' if len(settings['seeds']) > 1 else ''}"
    return (
        f"{title(settings['base_model'])}; data {settings['data']}; {settings['n_general']} general rows and"
        f" {amounts[0]} to {amounts[-1]} of safety; {seeds}"
    )
