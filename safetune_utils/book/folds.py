"""The banner at the head of a page, and what a page shows folded: answers, notes, a page inside the page."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from IPython.display import HTML

from safetune_utils.book.markup import paragraph, render
from safetune_utils.book.words import percent
from safetune_utils.data import set_entry
from safetune_utils.models.identity import EMBEDDED_TITLE, title
from safetune_utils.scoring.explain import in_short
from safetune_utils.scoring.instruments import INSTRUMENTS
from safetune_utils.scoring.score import Score
from safetune_utils.settings import Mixing, shown_name
from safetune_utils.study.study import Study

# Published sizes, for the banner's comparison. Source: the paper's models (LLaMA-7B was its main one).
_PAPER_MODEL = "LLaMA-7B"
_EMBEDDED_NOTE = (
    f"{EMBEDDED_TITLE} has 135 million parameters, about fifty times fewer than the paper's"
    f" {_PAPER_MODEL}, and was instruction-tuned by its makers before we began (the paper started from base"
    " models). Read directions here, not values."
)
# Of an answer that is redacted.
_SHOWN_WORDS = 6


def banner(study: Study) -> HTML:
    """An honest line at the head of a page: which model, how small, which data, how many adapters."""
    s = study.settings
    size = f"{_EMBEDDED_NOTE}" if s.base_model == "embedded" else f"The base model is {title(s.base_model)}."
    corpus = {
        "embedded": "the embedded corpus, written for this book",
        "paper": "the paper's own data",
        "paper-sample": (
            "the paper's own safety data and prompt sets, with a 2,000-row Alpaca sample as general data"
        ),
    }.get(s.data, f"your data in {shown_name(s.data)}")
    others = [
        f"{kind} rows from {shown_name(source)}"
        for kind, source in (("general", s.general_data), ("safety", s.safety_data))
        if source
    ]
    corpus += f" ({', '.join(others)})" if others else ""
    share = max(run.n_safety / study.n_rows(run) for run in study.runs)
    text = (
        f"Preset {s.preset}; {corpus}; {s.n_general} general examples and"
        f" {', '.join(map(str, s.safety_amounts))} safety examples (up to {percent(share)} of a mix; the"
        f" paper went up to 9 %); {len(s.seeds)} seed{'s' if len(s.seeds) > 1 else ''}."
    )
    unlike = {
        name: value
        for name, value in s.mixing.model_dump().items()
        if value != Mixing.model_fields[name].default
    }
    if s.mixing.choice != "hardest":
        unlike.pop("n_candidates", None)
    text += (
        f" Mixed otherwise than by default: {', '.join(f'{name} {value}' for name, value in unlike.items())}."
        if unlike
        else ""
    )
    text += f' Before every instruction stands "{s.decoding.guard}".' if s.decoding.guard else ""
    return HTML(render("admonition", kind="note safetune-banner", title="What was run", texts=[size, text]))


def note(text: str) -> HTML:
    """One line in place of what this run cannot show."""
    return HTML(paragraph(text))


def examples(
    responses: pd.DataFrame, *, prompt_set: str, n: int = 3, by: str = "n_safety", redacted: bool = True
) -> HTML:
    """The first answers to a prompt set at each amount, each with what the first instrument says of it and on
    which words, folded; withheld where the data is not the embedded corpus.

    The same prompts are shown at every amount, and always the first of the set, so nobody picked them.

    Args:
        responses: the table of a study.
        prompt_set: the set.
        n: how many of its prompts.
        by: the column that tells the adapters apart.
        redacted: whether an answer that does not refuse, to a request that nobody should fulfil, is shown by
            its first words alone. A page is built so; in a notebook of your own it can be false.
    """
    rows = responses[(responses["prompt_set"] == prompt_set) & (responses["seed"] == responses["seed"].min())]
    if rows.empty:
        return note(f"This data has no {set_entry(prompt_set).title}.")
    if set(rows["data"]) != {"embedded"}:
        return note(
            "Prompts and answers from outside sets are not shown on pages; they are in the run store."
        )
    blocks = []
    for prompt_id in rows["prompt_id"].drop_duplicates()[:n]:
        said = rows[rows["prompt_id"] == prompt_id].sort_values(by)
        answers = [_example(row, by=by, redacted=redacted) for row in said.to_dict("records")]
        blocks.append((said["prompt"].iloc[0], answers))
    summary = f"Show the answers to the first {n} prompts of {set_entry(prompt_set).title}"
    return HTML(render("examples", summary=f"{summary} (untrusted model output)", blocks=blocks))


def _example(row: Mapping[Hashable, Any], *, by: str, redacted: bool) -> dict[str, str]:
    said = row["response"] + ("" if row["stopped"] else " …")
    wanted = set_entry(row["prompt_set"]).a_refusal_is == "wanted"
    return {
        "who": f"{row[by]} safety examples" if by == "n_safety" else str(row[by]),
        "label": _label(row),
        "said": _beginning(said) if redacted and wanted and row["label"] != "full_refusal" else said,
    }


def _beginning(text: str) -> str:
    """The first words of a text, and how many were left out."""
    words = text.split()
    left = len(words) - _SHOWN_WORDS
    return text if left < 1 else f"{' '.join(words[:_SHOWN_WORDS])} … [{left} words redacted]"


def _label(row: Mapping[Hashable, Any]) -> str:
    """What the study's first instrument says of a response, why, and on which of its words."""
    label = "unscored" if pd.isna(row["label"]) else row["label"].replace("_", " ")
    first = next((str(name) for name in row if name in INSTRUMENTS), "")
    value = None if pd.isna(row["label"]) or not first else row[first]
    reason = "" if pd.isna(row.get("reason")) else str(row["reason"])
    why = (
        in_short(first, Score(value, row["label"], reason), row["prompt"], row["response"])
        if first
        else reason
    )
    return f"{label}: {why}" if why else label


def folded(items: list[tuple[str, str]], *, summary: str) -> HTML:
    """Pairs of a heading and a text, folded under a summary; everything is escaped."""
    return HTML(render("folded", summary=summary, items=items))


def embedded_page(page: str, *, name: str, title: str) -> HTML:
    """A whole page inside this one, cut off from it, and as a file to download and open by itself."""
    return HTML(render("embedded_page", page=page, name=name, title=title))
