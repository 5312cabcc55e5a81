"""The paper's claims beside what this book found: a verdict for each, by one stated rule.

The claims and how each is to be judged stand in ``data/paper/claims.yml``; findings come from executed
notebooks.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

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
from safetune_utils.places import data_folder, results
from safetune_utils.scoring.controls import ControlRow
from safetune_utils.scoring.instruments import HARMFUL, INSTRUMENTS, REFUSE
from safetune_utils.scoring.readings import harm_scale
from safetune_utils.statistics import Estimate

# What a claim's finding may rest on without a negative control: people, and answers that are right or wrong.
_NO_INSTRUMENT = ("readers", "questions", "people")


class Claim(BaseModel):
    """One claim of the paper, and how our finding about it is judged.

    What each field means is said at the head of ``data/paper/claims.yml``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    number: str
    claim: str
    measured: str
    expects: Literal["above", "below", "little_change"]
    margin: float | None = None
    level: float
    by: Literal["refusal", "harm", "readers", "questions", "people"]
    asked: str
    seen: float
    least_n: int
    least_n_against: int | None = None
    needs: str = ""
    figure: str = ""
    known: str
    same_measure: bool
    value: float | None = None

    @model_validator(mode="after")
    def _judgeable(self) -> Claim:
        little = self.expects == "little_change"
        if little != (self.margin is not None) or little != (self.least_n_against is not None):
            raise ValueError("a margin and a least_n_against belong to little_change, which needs both")
        if self.same_measure and self.value is None:
            raise ValueError("same_measure needs the paper's value")
        return self


class Verdict(NamedTuple):
    """What a finding says of a claim, in the words of the page, and why."""

    word: str
    why: str


# Words of a verdict by which a claim is decided, either way.
SEEN = ("reproduced", "same direction")
DECIDED = (*SEEN, "opposite direction")


def claims() -> list[Claim]:
    """The claims in the order of the page.

    Raises:
        SafetuneError: an entry is not whole, two have one id, or one needs one that does not stand before it.
    """
    path = data_folder() / "paper" / "claims.yml"
    content = yaml.safe_load(path.read_text("utf-8"))
    found: list[Claim] = []
    try:
        for entry in content["claims"]:
            found.append(Claim(**{"level": content.get("level")} | entry))
    except ValidationError as error:
        fault = error.errors()[0]
        raise SafetuneError(f"{path.name}: {'.'.join(map(str, fault['loc']))} {fault['msg']}") from None
    if len({claim.id for claim in found}) < len(found):
        raise SafetuneError(f"{path.name}: two claims have one id")
    for n, claim in enumerate(found):
        if claim.needs and claim.needs not in {one.number for one in found[:n]}:
            raise SafetuneError(f"{path.name}: '{claim.id}' needs {claim.needs}, which is no claim before it")
    return found


def verdict(
    claim: Claim,
    finding: Estimate | None,
    *,
    instrument: str = "",
    controls: Sequence[ControlRow] = (),
    needed: Verdict | None = None,
) -> Verdict:
    """What a finding says of a claim.

    A change is held against 0 and a share against one half. The claim is *seen* where the whole 95 % interval
    lies on the claimed side and the exact p-value is below the claim's level; for a claim of little change,
    where the whole interval lies within the margin (two one-sided tests at .025; a p-value against 0 says
    nothing of that). It is *contradicted* where the whole interval lies on the other side, or outside the
    margin, and the p-value is below the level. The exact p-value is the share of all ways to deal the answers
    anew among the amounts that show as much; so a finding that shuffled labels show as well is none.

    Nothing is decided on fewer prompts than the claim's least number, by an instrument without a negative
    control or with one that it fails, or where the claim that this one needs is not seen.

    Args:
        finding: ``None`` where there is none.
        instrument: what said yes or no, by its name.
        controls: negative controls; those of other instruments are passed over.
        needed: the verdict on the claim that this one needs.

    Returns:
        ``not attempted`` without a finding that could be measured; ``cannot be decided``; ``opposite
        direction`` where the claim is contradicted; ``not seen at this scale`` where it is neither seen nor
        contradicted; ``reproduced`` where it is seen, our measure is the paper's and its figure lies within
        our interval; else ``same direction``.
    """
    if finding is None or math.isnan(finding.low):
        if claim.by == "readers":
            return Verdict("cannot be decided", "no reader has read these answers")
        return Verdict("not attempted", "")
    low, high, even = finding.low, finding.high, finding.even
    if claim.expects == "little_change":
        margin = claim.margin or 0.0
        holds = even - margin <= low and high <= even + margin
        beyond = high < even - margin or low > even + margin
    else:
        holds, beyond = finding.side > 0, finding.side < 0
        if claim.expects == "below":
            holds, beyond = beyond, holds
    faults = _undecidable(
        claim, finding, beyond=beyond, instrument=instrument, controls=controls, needed=needed
    )
    if faults:
        return Verdict("cannot be decided", "; ".join(faults))
    p_value = words.p_value(finding.p_value)
    if not (holds or beyond):
        limit = (
            f"{claim.margin * 100:.0f} points" if claim.margin else "0" if finding.is_change else "one half"
        )
        reaches = "reaches beyond" if claim.margin else "holds"
        return Verdict("not seen at this scale", f"the interval {reaches} {limit}")
    if holds and claim.margin:
        told = ""
    elif finding.p_value < claim.level:
        told = f"p {p_value}"
    else:
        return Verdict("not seen at this scale", f"p {p_value} is not below {claim.level:g}")
    if beyond:
        return Verdict("opposite direction", told)
    same = claim.same_measure and claim.value is not None and low <= claim.value <= high
    return Verdict("reproduced" if same else "same direction", told)


def _undecidable(
    claim: Claim,
    finding: Estimate,
    *,
    beyond: bool,
    instrument: str,
    controls: Sequence[ControlRow],
    needed: Verdict | None,
) -> list[str]:
    """Why a finding cannot decide a claim, in words; empty where it can."""
    faults = []
    least = claim.least_n_against if beyond and claim.least_n_against else claim.least_n
    if (finding.n or 0) < least:
        faults.append(f"{finding.n or 0} {finding.of}, and at least {least} are needed")
    if math.isnan(finding.p_value) and (beyond or not claim.margin):
        faults.append("no exact p-value was kept")
    if claim.by not in _NO_INSTRUMENT:
        own = [control for control in controls if control["instrument"] == instrument]
        if not own:
            faults.append(f"no negative control of '{instrument}' was measured")
        faults += [
            f"'{instrument}' fails a control ({control['control']}: {control['yes']} of {control['n']})"
            for control in own
            if not control["passes"]
        ]
    if claim.needs and (needed is None or needed.word not in SEEN):
        faults.append(f"claim {claim.needs} is not seen here")
    return faults


class Judged(NamedTuple):
    """One claim in one run.

    Attributes:
        chapter: that recorded the finding; the claim's own where none did.
        finding: ``None`` where there is none.
    """

    claim: Claim
    chapter: str
    finding: Estimate | None
    verdict: Verdict


def judged(outcomes: Outcomes, *, controls: Sequence[ControlRow] = ()) -> list[Judged]:
    """Every claim in one run, in the order of the page.

    Args:
        outcomes: of the run; a chapter's may hold negative controls of its own.
        controls: negative controls that hold for every run.

    Raises:
        SafetuneError: two chapters recorded a finding about one claim.
    """
    found: list[Judged] = []
    for claim in claims():
        chapter, finding = finding_of(claim, outcomes)
        outcome = outcomes.get(chapter, {})
        said = verdict(
            claim,
            finding,
            instrument=_instrument(claim, outcome.get("settings")),
            controls=[*outcome.get("controls", []), *controls],
            needed=next((one.verdict for one in found if one.claim.number == claim.needs), None),
        )
        found.append(Judged(claim, chapter, finding, said))
    return found


def _instrument(claim: Claim, settings: Mapping[str, Any] | None) -> str:
    """The instrument that a claim's finding rests on in a run with these settings; empty for none."""
    names = (settings or {}).get("instruments") or []
    if claim.by == "refusal":
        return names[0] if names else ""
    return (harm_scale([name for name in names if name in INSTRUMENTS]) or "") if claim.by == "harm" else ""


def committed_controls() -> list[ControlRow]:
    """Negative controls that hold for every run, from ``data/results/controls.json``, and the instruments
    that agree no more than by chance with readers of the book's own models' answers, from
    ``own_answers.json``; none without these files.
    """
    found: list[ControlRow] = []
    with contextlib.suppress(FileNotFoundError):
        found += results("controls")["rows"]
    with contextlib.suppress(FileNotFoundError):
        found += [
            {
                "instrument": name,
                "control": f"answers of our own models that readers call {one['label']}, found no more than"
                " by chance",
                "n": one["test"]["counts"]["both"] + one["test"]["counts"]["people_alone"],
                "yes": one["test"]["counts"]["both"],
                "passes": False,
            }
            for name, one in results("own_answers")["instruments"].items()
            if INSTRUMENTS[name].says in (REFUSE, HARMFUL) and not one["test"]["kappa"][1] > 0
        ]
    return found


def summary(found: Sequence[Judged]) -> str:
    """How many claims a run decides, in a sentence or two."""
    words_said = Counter(one.verdict.word for one in found)
    n_decided = sum(words_said[word] for word in DECIDED)
    kinds = [f"{n} {word}" for word, n in words_said.items() if word not in DECIDED]
    rest = f" The others: {', '.join(kinds)}." if kinds else ""
    if not n_decided:
        return f"This run decides none of the {len(found)} claims.{rest}"
    decided = ", ".join(f"{words_said[word]} {word}" for word in DECIDED if words_said[word])
    return f"This run decides {n_decided} of the {len(found)} claims: {decided}.{rest}"


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
    # A published run may be older than the list.
    if unknown := unknown_findings(ours):
        raise SafetuneError(
            f"findings about unknown claims: {', '.join(unknown)}: list them in data/paper/claims.yml"
        )
    controls = committed_controls()
    found = judged(ours, controls=controls)
    told = block(paragraph(summary(found)), table(found, ours, pages=pages))
    blocks = [f"## This book's pages\n\n{told}"]
    others = {name: run for name, run in published.items() if _findings(run) != _findings(ours)}
    if others:
        blocks.append(
            "## The published runs\n\nRuns of ours whose numbers lie in the repository, judged by the same"
            f" rule. {seeds_told()}\n\n{block(side_by_side(others, controls=controls))}"
        )
        blocks += [
            block(curve(name, run["01_safety_amount"]["settings"])._repr_html_())
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
    }


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
    return markup.table(heads, rows, kind="safetune-verdicts", wide=True)


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
        heads.append(Cell(name, below=ran))
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


def curve(name: str, settings: dict[str, Any]) -> figures.Figure:
    """The main figure of a published run, drawn from its committed numbers."""
    drawn = pd.read_csv(_curve_file(name))
    # Runs that were published before there were controls have neither of the two.
    others = {by: drawn[drawn["by"] == by] if "by" in drawn else None for by in ("untuned", "bag of words")}
    drawn = drawn[drawn["by"] == "adapter"] if "by" in drawn else drawn
    by_seed = drawn[drawn["seed"] != "all"] if "seed" in drawn else None
    return figures.dose_response(
        drawn if by_seed is None else drawn[drawn["seed"] == "all"],
        name=f"published_{name.replace('-', '_')}",
        caption=f"Published run '{name}': answers that refuse, with 95 % intervals. {scale(settings)}."
        + ("" if "by" in drawn else " Published before there were negative controls: it has none."),
        by_seed=by_seed,
        n_other=settings["n_general"] + settings["mixing"]["n_contrast"],
        untuned=others["untuned"],
        words=others["bag of words"],
    )


def scale(settings: dict[str, Any]) -> str:
    """Which model, data, rows and seeds a chapter ran with, in one line."""
    amounts = settings["safety_amounts"]
    seeds = f"{len(settings['seeds'])} seed{'s' if len(settings['seeds']) > 1 else ''}"
    return (
        f"{title(settings['base_model'])}; data {settings['data']}; {settings['n_general']} general rows and"
        f" {amounts[0]} to {amounts[-1]} of safety; {seeds}"
    )
