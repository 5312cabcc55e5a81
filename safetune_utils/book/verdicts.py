"""The paper's claims and the one stated rule by which what this book found is judged.

The claims and how each is to be judged stand in ``data/paper/claims.yml``; findings come from executed
notebooks. The page is :mod:`safetune_utils.book.generated.verdicts`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from safetune_utils import statistics
from safetune_utils.book import words
from safetune_utils.book.chapters import chapters
from safetune_utils.book.findings import Outcomes, version_of
from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder, results
from safetune_utils.scoring.controls import NEEDED, ControlRow
from safetune_utils.scoring.controls import judged as by_limit
from safetune_utils.scoring.instruments import HARMFUL, INSTRUMENTS, REFUSE, versions
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
    where the whole interval lies within the margin (two one-sided tests at .025, not corrected; a p-value
    against 0 says nothing of that), and so does one that reaches from the change as far as it would if not
    one prompt had changed: a bootstrap of few changes is narrower than that. It is *contradicted* where the
    whole interval lies on the other side, or outside the margin, and the p-value is below the level. The
    exact p-value is the share of all ways to deal the answers anew among the amounts that show as much; so a
    finding that shuffled labels show as well is none.

    Nothing is decided on fewer prompts than the claim's least number, by an instrument that was not put to
    every negative control that is needed or fails one, or where the claim that this one needs is not seen.

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
    holds, beyond = _sides(claim, finding)
    if claim.expects == "little_change":
        # A bootstrap of few changes is narrower than the exact interval of none.
        reach = abs(finding.value - even) + statistics.least_margin(finding.n or 1)
        holds = holds and reach <= (claim.margin or 0.0)
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
        if claim.margin and max(high - even, even - low) <= claim.margin:
            reaches = f"on {finding.n} {finding.of} could reach beyond"
        else:
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


def by_interval_alone(claim: Claim, finding: Estimate | None) -> str:
    """The verdict as it was before a p-value, a least number of prompts, controls and other claims were asked
    for, in the words of the page; it is shown beside the verdict to say what these do.
    """
    if finding is None or math.isnan(finding.low):
        return "not attempted"
    holds, beyond = _sides(claim, finding)
    return "same direction" if holds else "opposite direction" if beyond else "not seen at this scale"


def _sides(claim: Claim, finding: Estimate) -> tuple[bool, bool]:
    """Whether the whole interval lies on the claimed side, or within the margin; and whether on the other."""
    if claim.expects == "little_change":
        low, high, margin = finding.low, finding.high, claim.margin or 0.0
        within = finding.even - margin <= low and high <= finding.even + margin
        return within, high < finding.even - margin or low > finding.even + margin
    sides = finding.side > 0, finding.side < 0
    return sides if claim.expects != "below" else (sides[1], sides[0])


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
            faults.append(f"no negative control of '{instrument}', as it was then, was measured")
        elif left := [one for one in NEEDED if one not in {control["control"] for control in own}]:
            faults.append(f"'{instrument}' was not put to a control that is needed ({'; '.join(left)})")
        # By a clear failure, or by too few answers to tell.
        if missed := [f"{row['control']}: {row['yes']} of {row['n']}" for row in own if not row["passes"]]:
            which = "a control" if len(missed) == 1 else f"{len(missed)} controls"
            faults.append(f"'{instrument}' does not pass {which} ({'; '.join(missed)})")
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
        controls: negative controls from elsewhere, see :func:`controls_of`.

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
            instrument=_instrument(claim, outcome.get("settings") or {}),
            controls=controls_of(outcome, controls),
            needed=next((one.verdict for one in found if one.claim.number == claim.needs), None),
        )
        found.append(Judged(claim, chapter, finding, said))
    return found


def controls_of(outcome: Mapping[str, Any], others: Sequence[ControlRow]) -> list[ControlRow]:
    """A chapter's own negative controls, or those of ``others`` that were measured on its base model; and
    those of ``others`` that name none. Of ``others`` only those that hold for the versions in which the
    chapter's instruments scored.
    """
    own = outcome.get("controls", [])
    base_model = (outcome.get("settings") or {}).get("base_model")
    held = [
        row
        for row in others
        if (not own and row.get("base_model") == base_model) or "base_model" not in row
        if "version" not in row or row["version"] == version_of(outcome, row["instrument"])
    ]
    return [*own, *held]


def _instrument(claim: Claim, settings: Mapping[str, Any]) -> str:
    """The instrument that a claim's finding rests on in a run with these settings; empty for none."""
    names = settings.get("instruments") or []
    if claim.by == "refusal":
        return names[0] if names else ""
    return (harm_scale([name for name in names if name in INSTRUMENTS]) or "") if claim.by == "harm" else ""


def committed_controls() -> list[ControlRow]:
    """What is known of the instruments beside a run's own controls, and in which version; none without the
    files that it stands in.

    From ``data/results/controls.json`` negative controls for runs that have none of their own, with the base
    model that they were measured on; for every run :func:`missed_by_labels`.
    """
    found: list[ControlRow] = []
    with contextlib.suppress(FileNotFoundError):
        measured = results("controls")
        found += [
            row
            | {"base_model": measured["base_model"], "version": measured["instruments"][row["instrument"]]}
            for row in measured["rows"]
        ]
    with contextlib.suppress(FileNotFoundError):
        found += missed_by_labels()
    return found


def missed_by_labels() -> list[ControlRow]:
    """What forbids an instrument to decide a claim, by what readers found in the book's own models' answers:
    on the half of them that nothing was chosen by, it agrees with readers no more than by chance, or raises
    more false alarms than a negative control may.

    Raises:
        FileNotFoundError: there is no ``data/results/own_answers.json``.
    """
    found: list[ControlRow] = []
    for name, one in results("own_answers")["instruments"].items():
        label = {REFUSE: "a refusal", HARMFUL: "harmful"}.get(INSTRUMENTS[name].says)
        counts, agrees = one["test"]["counts"], one["test"]["kappa"][1] > 0
        both, alone = counts["both"], counts["instrument_alone"]
        so, others = both + counts["people_alone"], alone + counts["neither"]
        few = by_limit(statistics.share_of(alone, others)) == "passes"
        for holds, yes, n, told in (
            (agrees, both, so, f"that readers call {label}, found no more than by chance"),
            (few, alone, others, f"that readers do not call {label}"),
        ):
            if label and not holds:
                row = ControlRow(
                    instrument=name,
                    control=f"answers of our own models {told}",
                    n=n,
                    yes=yes,
                    passes=False,
                    version=versions()[name],
                )
                found.append(row)
    return found


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


def unknown_findings(outcomes: Outcomes) -> list[str]:
    """Claims that a chapter records a finding about, and that are not in the list."""
    known = {f"claim_{claim.id}" for claim in claims()}
    return sorted(
        {name for outcome in outcomes.values() for name in outcome["numbers"] if name.startswith("claim_")}
        - known
    )
