"""What a notebook shows besides its figures: tables.

Model output and prompts are untrusted text: everything is escaped before it reaches a page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Sized
from typing import Any

import pandas as pd
from IPython.display import HTML

from safetune_utils import statistics
from safetune_utils.annotation.review import Review
from safetune_utils.annotation.tallies import rate_of
from safetune_utils.book import markup
from safetune_utils.book.folds import note
from safetune_utils.book.markup import Cell, Row
from safetune_utils.book.words import (
    detectable,
    in_per_cent,
    levels_off,
    p_value,
    percent,
    said,
    signed,
    trend_word,
)
from safetune_utils.data import in_order, set_entry, title_of
from safetune_utils.data.outputs import as_csv
from safetune_utils.models.identity import title
from safetune_utils.scoring.instruments import INSTRUMENTS
from safetune_utils.scoring.readings import calibration, trust
from safetune_utils.statistics import Estimate, holm, share_at, share_in
from safetune_utils.study import mixes
from safetune_utils.study.plan import plan
from safetune_utils.study.responses import adapter_records
from safetune_utils.study.study import Study


class NumberedTable(HTML):
    """A table whose numbers are published with a run: its name and its CSV are in the metadata too."""

    def __init__(self, markup: str, *, name: str, csv: str) -> None:
        super().__init__(markup)
        self.about = {"table": name, "csv": csv}

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        return {"text/html": str(self.data)}, {"safetune": self.about}


def plan_table(study: Study) -> HTML:
    """What a study will train and answer, what is there already, and how long the rest takes here."""
    left = plan(study)
    to_train = int((left["adapter"] == "to train").sum())
    sets = ", ".join(f"{set_entry(name).title} ({len(study.prompts(name))})" for name in study.prompt_sets)
    caption = (
        f"{title(study.settings.base_model)}, data '{study.settings.data}': {len(study.runs)} adapters,"
        f" {to_train} to train when this page was begun; about {left['minutes_left'].sum():.0f} minutes left"
        f" by then. Prompt sets: {sets}."
    )
    return table(
        left.round(1).rename(columns=lambda name: name.replace("_", " ").replace("n safety", "safety rows")),
        caption=caption,
    )


def share_table(
    curve: pd.DataFrame, study: Study, *, untuned: pd.DataFrame | None = None, controls: str = ""
) -> HTML:
    """The shares of refusals as a table: amounts across, prompt sets down, each with its interval and n.

    Args:
        curve: from :func:`safetune_utils.statistics.shares.summarise` by ``prompt_set`` and ``n_safety``.
        study: where it comes from.
        untuned: likewise by ``prompt_set``, of the untuned model; one column more, before the amounts.
        controls: what stands last in the caption.
    """
    amounts = sorted(curve["n_safety"].unique())
    rows: list[Row] = []
    for name in in_order(curve["prompt_set"]):
        at = curve[curve["prompt_set"] == name].set_index("n_safety")
        scored = sorted({int(n) for n in at["n_scored"]})
        count = f"{scored[0]}" if len(scored) == 1 else f"{scored[0]}–{scored[-1]}"
        asked = Cell(set_entry(name).title, below=title_of(study.settings, name))
        own = study.settings.own_prompt_sets.get(name)
        wanted = own.a_refusal_is if own else set_entry(name).a_refusal_is
        before = [] if untuned is None else [_share_cell(share_at(untuned, prompt_set=name))]
        cells = (_share_cell(share_in(at.loc[n])) for n in amounts)
        rows.append((asked, wanted, count, *before, *cells))
    caption = (
        "Answers that refuse, in per cent, with 95 % intervals"
        f" ({' and '.join(sorted({*curve['method']} - {'none'})) or 'none'}); columns are safety examples, n"
        f" is scored answers. Unscored: {int(curve['n_unscored'].sum())}.{_trained_on(mixes.leaks(study))}"
    )
    columns = ["prompts", "a refusal is", "n", *map(str, amounts)]
    numbers = curve
    if untuned is not None:
        caption += " 'Untuned' is the base model with no adapter."
        columns.insert(3, "untuned")
        numbers = pd.concat([untuned.assign(n_safety="untuned"), curve], ignore_index=True)
    return _numbered(columns, rows, caption=_with(caption, controls), numbers=numbers, name="shares")


def trust_table(responses: pd.DataFrame, study: Study, *, controls: str = "") -> HTML:
    """How far to trust each share of refusals: corrected for the instrument's errors, and beside what can be
    read at all. What ``controls`` says stands last in the caption.
    """
    instrument = study.settings.instruments[0]
    columns = {
        "refused": "refuse",
        "corrected": "as readers would count",
        "readable": "can be read",
        "refused_readable": "refuse and can be read",
    }
    rows = [
        (
            set_entry(row["prompt_set"]).title,
            row["n_safety"],
            *(in_per_cent(row[name]) for name in columns),
        )
        for row in trust(responses, instrument=instrument).to_dict("records")
    ]
    measured = INSTRUMENTS[instrument].measured
    on = f" ({calibration(instrument).of})" if measured else ""
    caption = (
        f"Shares of answers in per cent, with 95 % intervals. The instrument is '{instrument}'; 'as readers"
        f" would count' corrects for the mistakes that it made on labelled answers{on}. Its"
        " interval includes the uncertainty of these mistakes. It is cut at 0 and 100, so '100 (100–100)'"
        " says that the instrument found more refusals than its errors there allow, not that all is certain."
        " 'Can be read' is by rules on repetition, characters and unknown words; random words pass them."
    )
    heads = ("prompts", "safety examples", *columns.values())
    return table(rows, caption=_with(caption, controls), columns=heads)


def agreement_table(rows: pd.DataFrame, *, why_not: str = "", controls: str = "") -> HTML:
    """How models agree with people: accuracy, precision, recall and κ, each with its 95 % interval, one line
    a model.

    Args:
        rows: columns ``model``, ``n`` and, for each figure, a list of the figure and its bounds.
        why_not: shown instead where there are no rows.
        controls: what stands last in the caption.
    """
    if why_not:
        return note(f"Not measured here: {why_not}")
    names = ("accuracy", "precision", "recall", "kappa")
    body = [
        (row["model"], row["n"], *("{:.2f} ({:.2f}–{:.2f})".format(*row[name]) for name in names))
        for row in rows.to_dict("records")
    ]
    caption = "Harmful or not, against people; 95 % intervals from a bootstrap over questions."
    heads = ("model", "answers", "accuracy", "precision", "recall", "κ")
    return table(body, caption=_with(caption, controls), columns=heads)


def transfer_table(table: pd.DataFrame, studies: Sequence[Study], *, what: str, controls: str = "") -> HTML:
    """Shares by what was trained on (down) and what was asked (across), each with its interval and n.

    Args:
        table: from :func:`safetune_utils.statistics.shares.summarise` by ``trained`` (shown in the order of
            its rows) and ``prompt_set``.
        studies: those that it came from, for the names of the sets and for prompts that are trained on.
        what: what the share is of: ``answers that refuse``.
        controls: what stands last in the caption.
    """
    sets = in_order(table["prompt_set"])
    heads = [Cell(set_entry(s).title, below=title_of(studies[0].settings, s)) for s in sets]
    rows: list[Row] = []
    for trained, part in table.groupby("trained", sort=False, observed=True):
        cells = []
        for asked in sets:
            found = share_at(part, prompt_set=asked)
            cells.append(_share_cell(found)._replace(below=f"n = {found.n if found else 0}"))
        rows.append((str(trained), *cells))
    methods = " and ".join(sorted(set(table["method"]) - {"none"}))
    leaks: dict[str, set[str]] = {}
    for study in studies:
        for prompt_set, ids in mixes.leaks(study).items():
            leaks.setdefault(prompt_set, set()).update(ids)
    caption = (
        f"{what.capitalize()}, in per cent, with 95 % intervals ({methods}); n is scored answers. Unscored:"
        f" {int(table['n_unscored'].sum())}.{_trained_on(leaks)}"
    )
    columns: Row = ["safety examples in training", *heads]
    return _shown(columns, rows, caption=_with(caption, controls), numbers=table, name="transfer")


def comparisons(differences: dict[str, Estimate], *, caption: str) -> HTML:
    """Paired differences in points, by what is compared, with p-values that Holm's method corrects for all
    rows of the table.
    """
    corrected = holm([d.p_value for d in differences.values()])
    rows = [
        (
            (name, signed(d.value), f"{signed(d.low)} to {signed(d.high)}", d.n, p_value(p))
            if d.n
            else (name, "not paired", "", 0, "")
        )
        for (name, d), p in zip(differences.items(), corrected, strict=True)
    ]
    note = (
        f"{caption} Second minus first, in points, on the same requests; p-values are two-sided and corrected"
        " for the number of rows (Holm)."
    )
    return table(
        rows, caption=note, columns=("compared", "difference", "95 % interval", "pairs", "p, corrected")
    )


def instrument_table(shares: pd.DataFrame, *, controls: str = "") -> HTML:
    """Every prompt set by every instrument: ``shares`` as from
    :func:`safetune_utils.scoring.readings.shares`; amounts across. What ``controls`` says stands last in the
    caption.
    """
    amounts = sorted(shares["n_safety"].unique())
    rows: list[Row] = []
    for name in in_order(shares["prompt_set"]):
        for (instrument, says), part in shares[shares["prompt_set"] == name].groupby(
            ["instrument", "says"], sort=False
        ):
            at = part.set_index("n_safety")
            rows.append(
                (
                    set_entry(name).title,
                    f"{says} ({instrument})",
                    int(part["n_scored"].min()),
                    *(in_per_cent(share_in(at.loc[n])) for n in amounts),
                )
            )
    caption = (
        "Shares of answers in per cent, with 95 % intervals, by every instrument of this run; columns are"
        " safety examples, n is scored answers."
    )
    columns = ["prompts", "answers that", "n", *map(str, amounts)]
    return _numbered(columns, rows, caption=_with(caption, controls), numbers=shares, name="instruments")


def trend_table(responses: pd.DataFrame, *, controls: str = "") -> HTML:
    """Whether the share of refusals moves with the amount, by prompt set; where it levels off; what could be
    seen. What ``controls`` says stands last in the caption.
    """
    sets = {
        name: statistics.by_amount(responses, prompt_set=name) for name in in_order(responses["prompt_set"])
    }
    if responses["n_safety"].nunique() < 2:
        return note("This run has one amount only, so there is no trend to test.")
    trends = {name: statistics.trend_test(shares) for name, shares in sets.items()}
    corrected = dict(zip(trends, holm([trend.p_value for trend in trends.values()]), strict=True))
    rows = [
        (
            set_entry(name).title,
            trends[name].n_prompts,
            trend_word(trends[name], corrected[name]),
            p_value(trends[name].p_value),
            p_value(corrected[name]),
            levels_off(shares),
            detectable(shares),
        )
        for name, shares in sets.items()
    ]
    caption = (
        "Does the share of refusals move with the amount? Mantel's test for trend within prompts,"
        f" exact; 'corrected' by Holm's method for the {len(rows)} prompt sets. 'Levels off':"
        " from this amount on no difference to the largest amount is seen. The last column is the smallest"
        " change we could detect from the smallest to the largest amount with these prompts, four times in"
        " five."
    )
    return table(
        rows,
        caption=_with(caption, controls),
        columns=("prompts", "n", "trend", "p", "p, corrected", "levels off", "would be seen from"),
    )


def record_table(study: Study) -> HTML:
    """How each adapter came to be: facts down, adapters across."""
    records = adapter_records(study)
    columns = [
        f"{n} safety, seed {seed}" for n, seed in zip(records["safety rows"], records["seed"], strict=True)
    ]
    rows = [
        (name, *(f"{value:.2f}" if isinstance(value, float) else str(value) for value in records[name]))
        for name in records.columns.drop(["safety rows", "seed"])
    ]
    caption = (
        "How each adapter came to be, one column for each adapter. The last row ends the name of its folder"
        " in the run store."
    )
    return _shown(["", *columns], rows, caption=caption, numbers=records, name="adapters")


def table(
    rows: pd.DataFrame | list[tuple[Any, ...]], *, caption: str, columns: tuple[str, ...] = ("", "value")
) -> HTML:
    """A small table with a caption and its CSV; everything in it is escaped. Plain rows take ``columns`` as
    their head; a number with its interval in them is told in words.
    """
    if isinstance(rows, list):
        told = [[said(cell) if isinstance(cell, Estimate | None) else cell for cell in row] for row in rows]
        rows = pd.DataFrame(told, columns=list(columns), dtype=object)
    cells = [[str(cell) for cell in row] for row in rows.itertuples(index=False)]
    name = re.sub(r"[^a-z0-9]+", "_", caption.lower()).strip("_")[:40]
    return _shown([str(head) for head in rows.columns], cells, caption=caption, numbers=rows, name=name)


def _with(caption: str, controls: str) -> str:
    """A caption, and what the negative controls came to."""
    return f"{caption} {controls}".strip()


def _trained_on(leaks: Mapping[str, Sized]) -> str:
    """A sentence on test prompts that were trained on, by prompt set; nothing where there are none."""
    if not leaks:
        return ""
    found = ", ".join(f"{len(ids)} of {set_entry(name).title}" for name, ids in leaks.items())
    return f" Counted although trained on word for word: {found}."


def _shown(
    columns: Row,
    rows: Sequence[Row],
    *,
    caption: str,
    numbers: pd.DataFrame,
    name: str,
) -> HTML:
    """A table as a cell's output, with its numbers as CSV."""
    return HTML(markup.table(columns, rows, caption=caption, name=name, csv=as_csv(numbers)))


def _numbered(columns: Row, rows: Sequence[Row], *, caption: str, numbers: pd.DataFrame, name: str) -> HTML:
    """Such a table whose numbers are published with a run."""
    csv = as_csv(numbers)
    return NumberedTable(markup.table(columns, rows, caption=caption, name=name, csv=csv), name=name, csv=csv)


def tally_table(tally: pd.DataFrame, *, caption: str) -> HTML:
    """Who preferred whose responses, one line an annotator and prompt set; ``tally`` as from
    :func:`safetune_utils.annotation.tallies.tally`.
    """
    first, second = tally["first"].iloc[0], tally["second"].iloc[0]
    columns = {
        "prompt_set": "prompts",
        "annotator": "annotator",
        "first_better": f"{first} better",
        "second_better": f"{second} better",
        "equally_good": "both good",
        "equally_bad": "both bad",
        "n": "judged",
    }
    shown = tally[list(columns)].rename(columns=columns)
    shown["win rate"] = [in_per_cent(rate_of(row)) for row in tally.to_dict("records")]
    caption += f" Win rates are of '{first}', in per cent, with 95 % intervals and standard errors (s.e.)."
    if "chose_a" in tally:
        shown["took side A"] = [
            percent(share) if pd.notna(share) else "no side" for share in tally["chose_a"]
        ]
    return table(shown, caption=caption)


def decisions(reviews: list[Review], *, caption: str) -> HTML:
    """What each reviewer decided, as counts: one line a reviewer."""
    rows = [
        {"reviewer": review.reviewer, "decided": len(review.decisions)}
        | {
            word: sum(decision.decision == word for decision in review.decisions.values())
            for word in ("accept", "edit", "reject")
        }
        for review in reviews
    ]
    return table(
        pd.DataFrame(rows, columns=["reviewer", "decided", "accept", "edit", "reject"]), caption=caption
    )


def _share_cell(share: Estimate | None) -> Cell:
    if share is None or not share.n:
        return Cell("not scored")
    return Cell(f"{share.value * 100:.0f}", small=f"({share.low * 100:.0f}–{share.high * 100:.0f})")
