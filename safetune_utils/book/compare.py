"""One run laid beside another: every number that carries an interval, and whether the two differ by more than
the noise.
"""

from __future__ import annotations

import math
from typing import Any

from safetune_utils import statistics
from safetune_utils.annotation.page import hash_source, only
from safetune_utils.book import findings
from safetune_utils.book.content_policy import with_policy
from safetune_utils.book.findings import Outcomes
from safetune_utils.book.markup import Cell, block, paragraph, render, table
from safetune_utils.book.words import brief
from safetune_utils.errors import SafetuneError
from safetune_utils.settings import Settings
from safetune_utils.statistics import Estimate

RULE = (
    "Rule: the difference's 95 % interval is made from both intervals, as for samples of their own (Newcombe"
    " 1998, method 10); if it holds 0, the two are inside the noise. Runs on the same prompts vary together,"
    " so it is too wide rather than too narrow. Of twenty numbers, one may fall outside by chance."
)
COLUMNS = ["notebook", "number", "theirs", "ours", "theirs less ours", "verdict"]


def compare(theirs: Outcomes, ours: Outcomes) -> list[dict[str, Any]]:
    """Every number of the notebooks that both runs have.

    Returns:
        One row a number: ``notebook, number``; ``theirs, ours``, each ``None`` where a run lacks it;
        ``difference``, theirs less ours, with its interval; ``inside``, whether that holds 0. The last two
        are ``None`` where a side is missing, undefined or of another kind.

    Raises:
        SafetuneError: the runs have no notebook in common, or no number with an interval.
    """
    rows = []
    for notebook in [name for name in ours if name in theirs]:
        sides = [run[notebook]["numbers"] for run in (theirs, ours)]
        for name in dict.fromkeys([*sides[1], *sides[0]]):
            rows.append({"notebook": notebook, "number": name} | _row(*(side.get(name) for side in sides)))
    if not rows:
        raise SafetuneError(
            f"nothing to compare: one run has {', '.join(theirs)}, the other {', '.join(ours)}"
        )
    return rows


def _row(theirs: Estimate | None, ours: Estimate | None) -> dict[str, Any]:
    difference = None
    if theirs and ours and (theirs.unit, theirs.is_change) == (ours.unit, ours.is_change):
        difference = statistics.independent_difference(ours, theirs)
        difference = None if math.isnan(difference.low) else difference
    inside = None if difference is None else difference.side == 0
    return {"theirs": theirs, "ours": ours, "difference": difference, "inside": inside}


def settings_apart(theirs: Outcomes, ours: Outcomes) -> list[str]:
    """Settings and versions of instruments in which the notebooks of both runs differ, in words; a notebook
    that has none recorded is left out.

    A setting that a run does not know, because it is older than the setting, has its default.
    """
    defaults = _by_entry(Settings().model_dump())
    found = []
    for notebook in [name for name in ours if name in theirs]:
        if theirs[notebook]["settings"] and ours[notebook]["settings"]:
            first, second = (defaults | _by_entry(run[notebook]["settings"]) for run in (theirs, ours))
            found += [
                f"{name}: theirs {first.get(name)}, ours {second.get(name)}"
                for name in first | second
                if first.get(name) != second.get(name)
            ]
            for name in ours[notebook]["settings"].get("instruments") or []:
                scored = [findings.version_told(run[notebook], name) for run in (theirs, ours)]
                if scored[0] != scored[1]:
                    found.append(f"instrument: theirs {scored[0]}, ours {scored[1]}")
    return list(dict.fromkeys(found))


def _by_entry(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with each entry of a group by itself: ``recipe.epochs``."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= (
            {f"{name}.{entry}": inner for entry, inner in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return found


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in words, under :data:`COLUMNS`."""
    verdicts = {True: "inside the noise", False: "outside the noise", None: "not comparable"}
    return [
        {
            "notebook": row["notebook"],
            "number": row["number"].removeprefix("claim_"),
            "theirs": brief(row["theirs"]),
            "ours": brief(row["ours"]),
            "theirs less ours": brief(row["difference"]),
            "verdict": verdicts[row["inside"]],
        }
        for row in rows
    ]


def summary(rows: list[dict[str, Any]]) -> str:
    """How many numbers fell where, in one line."""
    inside, outside = (sum(row["inside"] is value for row in rows) for value in (True, False))
    return (
        f"{inside} of {inside + outside} numbers are inside the noise, {outside} outside;"
        f" {len(rows) - inside - outside} could not be compared."
    )


def part(ours: Outcomes) -> str:
    """What the book's page of the comparison includes: this book's pages beside the published run of the same
    preset, as Markdown.
    """
    try:
        name = findings.published_like(ours)
        published = findings.read(name)
        rows = compare(ours, published)
    except SafetuneError as error:
        return block(paragraph(f"Nothing is compared here: {error}."))
    lines = [
        (Cell(row["number"], below=row["notebook"]), *(row[column] for column in COLUMNS[2:]))
        for row in shown(rows)
    ]
    apart = settings_apart(ours, published)
    return block(
        paragraph(f"Theirs is this book, ours the published run {name}. {summary(rows)} {RULE}"),
        *([paragraph(f"Settings that differ: {'; '.join(apart)}.")] if apart else []),
        table(COLUMNS[1:], lines, kind="verdict-last", wide=True),
    )


def page(rows: list[dict[str, Any]], *, theirs: str, ours: str, apart: list[str]) -> str:
    """The comparison as one HTML file that needs no other and asks no network; ``apart`` is from
    :func:`settings_apart`.
    """
    markup = render(
        "compare",
        columns=COLUMNS,
        rows=shown(rows),
        theirs=theirs,
        ours=ours,
        summary=summary(rows),
        rule=RULE,
        apart=apart,
    )
    style = hash_source(only(markup, "style"))
    return with_policy(markup, f"default-src 'none'; style-src {style}; base-uri 'none'; form-action 'none'")
