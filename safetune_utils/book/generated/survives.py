"""The page "What it survives": what ``benchmarks/faults.py`` tried, how often, and what came.

Everything is counted from ``data/results/faults.json``; what that file says was not tried, or does not have
at all, is told as not tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from safetune_utils import places
from safetune_utils.book.markup import Cell, Code, Row, block, paragraph, render, table

KINDS = {
    "kills": "a command is killed while it works",
    "disk": "the disk is full, a file too large, the store read-only",
    "clock": "the clock is set back or ahead",
    "memory": "there is too little memory",
    "damage": "a file that was stored is damaged",
    "processes": "several processes on one store or one output",
    "servers": "a server hangs, answers half or refuses for ever",
}
# What may come of a trial. Whatever else came of it is a fault.
CAME = ("the same bytes", "one line", "one line, then the same bytes")
_SIGNALS = ("KILL", "TERM", "INT", "HUP", "TWICE")
_NO_RESULT = "No result of kills is kept yet; `make faults ONLY=kills` makes it.\n"
_WORKS = {
    "alone": "a notebook, one adapter",
    "side by side": "a notebook, two adapters trained at once",
    "together": "one adapter, trained by two processes",
    "book": "a whole book, two chapters",
    "site": "the site of a book whose chapters are made",
}


def parts() -> dict[str, str]:
    """What the page includes, by name, as Markdown."""
    kinds: dict[str, Any] = places.results("faults")["kinds"]
    return {
        "survives_kinds": _kinds(kinds),
        "survives_kills": _kills(kinds),
        "survives_works": _works(kinds),
        "survives_trials": _trials(kinds),
        "survives_not_tried": _not_tried(kinds),
    }


def _kinds(kinds: Mapping[str, Any]) -> str:
    rows: list[Row] = []
    for kind, words in KINDS.items():
        if kind not in kinds:
            continue
        came = Counter(one["came"] for one in kinds[kind]["trials"])
        if unknown := came.keys() - set(CAME):
            raise ValueError(f"faults.json: a trial came to {unknown}, and the page has no column for it")
        rows.append(
            (
                words,
                len(kinds[kind]["trials"]),
                *(came[one] or "" for one in CAME),
                Cell(len(kinds[kind]["faults"]), strong=bool(kinds[kind]["faults"])),
            )
        )
    columns = ("what was done to it", "trials", *CAME, "wrong")
    wrong = [f"{KINDS[kind]}: {fault}" for kind in KINDS if kind in kinds for fault in kinds[kind]["faults"]]
    return block(
        table(columns, rows, wide=True), *(paragraph(f"Wrong: {one}") for one in wrong), *_how(kinds)
    )


def _how(kinds: Mapping[str, Any]) -> list[Markup]:
    """When and where the kinds were tried: a sentence for each sitting."""
    sittings: dict[tuple[str, ...], list[str]] = {}
    for kind, found in kinds.items():
        about = (
            found["started"][:10],
            found["machine"]["processor"],
            f"torch {found['versions']['torch']}",
            f"seed {found['seed']}",
        )
        sittings.setdefault(about, []).append(f"{kind} {max(1, round(found['seconds'] / 60))} min")
    return [paragraph(f"{', '.join(about)}: {', '.join(minutes)}.") for about, minutes in sittings.items()]


def _kills(kinds: Mapping[str, Any]) -> str:
    if "kills" not in kinds:
        return _NO_RESULT
    kills = [kill for trial in kinds["kills"]["trials"] for kill in trial["kills"]]
    counts = Counter((one["stage"], one["signal"]) for one in kills)
    stages = sorted({one["stage"] for one in kills}, key=lambda stage: (-_of(counts, stage), stage))
    rows: list[Row] = [
        (stage, *(counts[stage, one] or "" for one in _SIGNALS), _of(counts, stage)) for stage in stages
    ]
    total = [sum(counts[stage, one] for stage in stages) for one in _SIGNALS]
    rows.append((Cell("all", strong=True), *total, len(kills)))
    most = max((one["processes"] for one in kills), default=0)
    told = f"{len(kills)} kills; the command had up to {most} processes when it was killed."
    return block(table(("being made", *_SIGNALS, "all"), rows, wide=True), paragraph(told))


def _of(counts: Mapping[tuple[str, str], int], stage: str) -> int:
    return sum(n for (of, _), n in counts.items() if of == stage)


def _works(kinds: Mapping[str, Any]) -> str:
    if "kills" not in kinds:
        return ""
    runs = kinds["kills"]["trials"]
    rows: list[Row] = []
    for work, words in _WORKS.items():
        of_work = [len(trial["kills"]) for trial in runs if trial["what"] == work]
        rows.append((words, len(of_work), sum(of_work), max(of_work, default=0)))
    return block(table(("what was killed", "runs", "kills", "most kills of one run"), rows))


def _trials(kinds: Mapping[str, Any]) -> str:
    folds = []
    for kind, words in KINDS.items():
        if kind == "kills" or kind not in kinds:  # the kills have tables of their own
            continue
        rows: list[Row] = [
            (trial["what"], Cell(trial["came"], below=Code(trial["line"]) if trial["line"] else ""))
            for trial in kinds[kind]["trials"]
        ]
        body = table(("trial", "what came, and the line that was said"), rows, kind="safetune-lines")
        folds.append(render("more", summary=f"{words}: all {len(rows)} trials", body=body))
    return block(*folds)


def _not_tried(kinds: Mapping[str, Any]) -> str:
    told = [line for found in kinds.values() for line in found["not_tried"]]
    told += [f"{words}: no result is kept yet" for kind, words in KINDS.items() if kind not in kinds]
    if not told:
        return "Nothing of this was left out on the machine where it was tried.\n"
    return block(*(paragraph(f"Not tried: {line}.") for line in told))
