"""The line of negative controls under every figure and table of harm or refusals, and the table of them all.

What is controlled, and what counts as failing, is told in :mod:`safetune_utils.scoring.controls` and
:mod:`safetune_utils.study.controls`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from IPython.display import HTML

from safetune_utils import statistics
from safetune_utils.book import tables
from safetune_utils.book.prose import record_controls
from safetune_utils.book.verdicts import missed_by_labels
from safetune_utils.book.words import in_per_cent, percent
from safetune_utils.data import set_entry
from safetune_utils.scoring.controls import CONTROL_SETS, MOST, UPPER_MOST, Control, failing
from safetune_utils.scoring.controls import rows as control_rows
from safetune_utils.scoring.instruments import INSTRUMENTS, REFUSE
from safetune_utils.study.bag_of_words import would_refuse
from safetune_utils.study.controls import controlled, measured
from safetune_utils.study.study import Study

_RESTS = "no claim rests on it"


def line(study: Study, *instruments: str, tuned: bool = True) -> str:
    """What the negative controls of a study's instruments came to, in one line for a caption.

    Args:
        study: one that was run, with ``controls``.
        *instruments: by default the study's first, the one that says what a refusal is; those that the study
            does not have are passed over. Of one instrument all its controls with a limit are told; of
            several, whether each passes, and what it fails.
        tuned: whether the answers of the study's adapters are among the controls.
    """
    if not study.controls:
        return f"This data has nothing to control the instruments by: {_RESTS.replace('it', 'them')}."
    names = [name for name in instruments if name in study.settings.instruments]
    names = names or [study.settings.instruments[0]]
    found = measured(study, tuned=tuned)
    if len(names) > 1:
        judged = "; ".join(_judged(name, found) for name in names if INSTRUMENTS[name].says)
        return f"Negative controls: {judged}."
    name = names[0]
    if name not in controlled(study):
        return f"Negative controls: {_judged(name, found)}."
    told = _told([one for one in found if one.instrument == name and one.limited])
    said = f"Negative controls, answers {_of(name)} by '{name}': {told}; {_result(name, found)}."
    return f"{said}{_of_adapters(name, found) + _words(study) if INSTRUMENTS[name].says == REFUSE else ''}"


def result(study: Study, name: str) -> str:
    """Whether an instrument passes the negative controls of a study that was run with them, in words that
    follow its name: "passes its controls".
    """
    return _result(name, measured(study))


def _of(name: str) -> str:
    says = INSTRUMENTS[name].says
    return says if says.startswith("called") else f"that {says}"


def _told(controls: Sequence[Control]) -> str:
    """The shares of some controls, those of the same answers together."""
    groups: dict[str, list[str]] = {}
    for one in controls:
        whose, _, asked = one.control.partition(", ")
        share = percent(one.found.value)
        groups.setdefault(f"{whose}:" if asked else whose, []).append(f"{asked} {share}".strip())
    return "; ".join(f"{whose} {', '.join(shares)}" for whose, shares in groups.items())


def _judged(name: str, controls: Sequence[Control]) -> str:
    """Whether an instrument passes its controls, and what it does not pass."""
    mine = [one for one in controls if one.instrument == name]
    failed = [one for one in mine if one.verdict == "fails"]
    return f"'{name}' {_result(name, controls)}" + (f" ({_told(failed)})" if failed else "")


def _result(name: str, controls: Sequence[Control]) -> str:
    """Whether an instrument passes its controls, in words that follow its name."""
    mine = [one for one in controls if one.instrument == name]
    if not mine:
        return f"asks a server, and has none here: {_RESTS}"
    if any(one.verdict == "fails" for one in mine):
        return f"FAILS its controls (at most {percent(MOST)} is allowed): {_RESTS}"
    if name in failing(controls):
        return f"has too few answers to tell: {_RESTS}"
    if name in {row["instrument"] for row in missed_by_labels()}:
        return f"passes its controls, but errs too often by readers of our own models' answers: {_RESTS}"
    return "passes its controls"


def _of_adapters(name: str, controls: Sequence[Control]) -> str:
    """What an instrument of refusals says of the study's own answers to ordinary instructions."""
    asked = f" safety examples, {set_entry('ordinary').title}"
    shares = [
        f"{percent(one.found.value)} at {one.control.removesuffix(asked)}"
        for one in controls
        if one.instrument == name and one.control.endswith(asked)
    ]
    if not shares:
        return ""
    return f" Of the adapters' answers to ordinary instructions, which may truly refuse: {', '.join(shares)}."


def _words(study: Study) -> str:
    """What a bag of words would refuse at the largest amount, of the sets that are controlled."""
    n = study.settings.safety_amounts[-1]
    shares = _bag_of_words(study).query("n_safety == @n")
    shares = shares[shares["prompt_set"].isin(CONTROL_SETS)]
    if not n or shares.empty:
        return ""
    told = " and ".join(
        f"{percent(row['share'])} of {set_entry(row['prompt_set']).title}"
        for row in shares.to_dict("records")
    )
    return f" A bag of words, which sees the request alone, would refuse {told} at {n}."


def _bag_of_words(study: Study) -> pd.DataFrame:
    return statistics.summarise(would_refuse(study), by=["prompt_set", "n_safety"])


def table(study: Study, *instruments: str, tuned: bool = True) -> HTML:
    """Every negative control of a study's instruments, and what a bag of words would refuse, as a table. The
    controls are kept for the verdicts on what the page finds, too.

    Args:
        study: one that was run, with ``controls``.
        *instruments: by default all of the study.
        tuned: whether its adapters are part of it: their answers, and the bag of words on their mixes.
    """
    found = [
        one for one in measured(study, tuned=tuned) if one.instrument in (instruments or controlled(study))
    ]
    record_controls(control_rows(found))
    rows: list[tuple[object, ...]] = [
        (one.instrument, one.control, in_per_cent(one.found), f"{one.yes} of {one.found.n}", one.verdict)
        for one in found
    ]
    for row in [] if not tuned else _bag_of_words(study).to_dict("records"):
        share = statistics.share_in(row)
        asked = f"{row['n_safety']} safety examples, {set_entry(row['prompt_set']).title}"
        yes = f"{round(share.value * (share.n or 0))} of {share.n}"
        rows.append(("bag of words", asked, in_per_cent(share), yes, "no limit"))
    caption = (
        "What each instrument says of answers in which it should find nothing, in per cent with 95 %"
        f" intervals. If there is a limit, it passes if it says yes to at most {percent(MOST)} and the"
        f" interval ends by {percent(UPPER_MOST)}, and fails if the whole interval is above {percent(MOST)}."
        " On an instrument that does not pass all its controls no claim rests."
    )
    if tuned:
        caption += (
            " The bag of words learned which instructions of the mix are safety instructions, and sees no"
            " answer: for what it refuses too, the words of the request are enough."
        )
    columns = ("instrument", "whose answers", "says yes", "answers", "result")
    return tables.table(rows, caption=caption, columns=columns)
