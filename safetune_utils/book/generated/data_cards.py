"""The data pages: what each set tests, a card for each set, and what the training and the test sets share.

All of it is drawn from the register, from ``data/corpus`` and from the counts in ``data/results``; nothing is
fetched, and of outside sets no text is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from safetune_utils import data, places
from safetune_utils.book import figures
from safetune_utils.book.markup import Code, Link, Text, block, marked, paragraph, render, table
from safetune_utils.data import CORPUS, OutsideSet, Shape, set_entry

RESULTS = "outside_sets"
_EXAMPLES = 3

# Files of the corpus whose examples are unsafe requests: mild, and folded all the same.
_UNSAFE = ("safety", "questions", "malicious", "controversial", "physical_safety", "lookalikes", "answers")


def parts() -> dict[str, str]:
    """What the data pages include, by name, as Markdown."""
    return {
        "data_overview": overview(),
        "data_embedded_cards": embedded_cards(),
        "data_outside_cards": outside_cards(),
        "data_embedded_overlap": overlap_table("embedded"),
        "data_paper_overlap": overlap_table("paper"),
        "data_paper_copies": copies_note(),
        "data_questions": question_note(),
    }


def overview() -> str:
    """What every set tests, as a table: embedded, outside, by lm-evaluation-harness, not released."""
    rows: list[tuple[Text, ...]] = [
        (
            Link(name, f"data_cards.html#corpus-{_anchor(name)}"),
            f"{len(data.corpus_rows(name)):,}",
            "CC-BY-4.0",
            file.tests,
        )
        for name, file in CORPUS.items()
    ]
    rows += [
        (
            Link(entry.name, f"data_cards_outside.html#{_anchor(entry.name)}"),
            f"{entry.rows:,}",
            entry.licence,
            entry.tests,
        )
        for entry in data.registered_sets().values()
    ]
    rows += [
        (f"{other['name']}, by lm-evaluation-harness", "", other["licence"], other["tests"])
        for other in data.benchmarks()
    ]
    rows += [
        (f"{gone['name']}, not released", "", "", f"{gone['tests']}; the book uses {gone['instead']}")
        for gone in data.not_released()
    ]
    return block(table(("set", "rows", "licence", "what it tests"), rows, wide=True))


def embedded_cards() -> str:
    """A card for each file of the corpus, with examples."""
    return "\n".join(_embedded_card(name) for name in CORPUS)


def outside_cards() -> str:
    """A card for each registered set, without a word of it; counts are those measured by
    ``benchmarks/outside_sets.py``.
    """
    measured = places.results(RESULTS)["shapes"]
    return "\n".join(
        _outside_card(entry, measured.get(entry.name)) for entry in data.registered_sets().values()
    )


def overlap_table(source: str) -> str:
    """What the training sets of a source share with its prompt sets, as a table, one line a prompt set."""
    rows = data.overlaps("embedded") if source == "embedded" else places.results(RESULTS)["overlaps"]
    trains = list(dict.fromkeys(row["train"] for row in rows))
    lines = []
    for test in dict.fromkeys(row["test"] for row in rows):
        pairs = {row["train"]: row for row in rows if row["test"] == test}
        # Held together, so that a narrow column does not break a cell.
        cells = (
            f"{pairs[name]['exact']} / {pairs[name]['near']} ({pairs[name]['highest']:.0f})".replace(
                " ", "\u00a0"
            )
            for name in trains
        )
        first = next(iter(pairs.values()))
        title = f"{first['title']}: {set_entry(test).title}"
        lines.append((title, first["prompts"], *cells))
    heads = ("prompts", "n", *(marked(f"in *{name}*") for name in trains))
    return block(table(heads, lines, wide=True))


def copies_note() -> str:
    """Which of the paper's prompts are trained on word for word, in one sentence."""
    found = [row for row in places.results(RESULTS)["overlaps"] if row["exact"]]
    if not found:
        return "No prompt is trained on word for word.\n"
    parts = [
        f"{row['exact']} of the {row['prompts']} prompts of {row['title']} in *{row['train']}*"
        for row in found
    ]
    return (
        f"Trained on word for word: {'; '.join(parts)}. Whoever trains on these rows and tests with these"
        " prompts should leave them out of the count.\n"
    )


def question_note() -> str:
    """How many of the paper's safety rows have a question form, in one sentence."""
    counts = places.results(RESULTS)["question_forms"]
    total = sum(counts.values())
    return (
        f"Of the paper's {total:,} safety rows, {counts.get('red-team attempts', 0):,} were matched in the"
        f" red-team attempts, {counts.get('rewritten', 0):,} were rewritten as questions by rule, and"
        f" {counts.get('none', 0):,} ({counts.get('none', 0) / total:.0%}) no rule could rewrite.\n"
    ).replace("%)", " %)")


def _embedded_card(name: str) -> str:
    file = CORPUS[name]
    rows = data.corpus_rows(name)
    shape = data.corpus_shape(name)
    facts: dict[str, Text] = {
        "what it is for": file.tests,
        "rows": f"{shape.rows:,}",
        "fields": _codes(rows[0]),
        "origin": "written for this book",
        "licence": "CC BY 4.0",
    }
    figure = figures.set_shape(shape, name=f"corpus_{name}", title=f"corpus/{name}")
    # The first rows of the first topics: nobody picked them.
    firsts = {row[shape.topics_are]: row for row in reversed(rows)}
    shown = list(reversed(firsts.values()))[:_EXAMPLES]
    fold = " (unsafe requests among them)" if name in _UNSAFE else ""
    summary = f"Show the first rows of {len(shown)} {_plural(shape.topics_are)}{fold}"
    return _card(
        f"corpus-{_anchor(name)}",
        f"corpus/{name}",
        facts,
        figure=Markup(figure._repr_html_()),
        rows=[_example(row) for row in shown],
        summary=summary,
    )


def _example(row: dict[str, Any]) -> dict[str, str]:
    """A row's texts, by the names of their fields in words."""

    def shown(value: Any) -> str:
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    fields = (
        "question",
        "instruction",
        "opinion",
        "prompt",
        "safe",
        "unsafe",
        "input",
        "choices",
        "output",
        "reference",
        "answer",
    )
    return {field.replace("_", " "): shown(row[field]) for field in fields if row.get(field)}


def _outside_card(entry: OutsideSet, measured: dict[str, Any] | None) -> str:
    source = (
        Link(entry.repository, f"https://github.com/{entry.repository}"),
        ", commit ",
        Code(entry.commit[:12]),
        ", ",
        Code(entry.path),
        f". {entry.note}",
    )
    facts: dict[str, Text] = {
        "what it tests": entry.tests,
        "rows": (
            f"{entry.rows:,}"
            + (
                f", {measured['distinct']:,} distinct"
                if measured and measured["distinct"] != entry.rows
                else ""
            )
        ),
        "form": (f"{entry.form}: ", *_codes(entry.columns)),
        "origin": source,
        "licence": entry.terms,
        "citation": entry.citation,
    }
    if measured is None:
        return _card(
            _anchor(entry.name),
            entry.name,
            facts,
            figure=paragraph("Not measured: this file was never on the machine that made this page."),
        )
    shape = Shape(
        **measured
        | {name: {int(k): v for k, v in measured[name].items()} for name in ("prompt_words", "answer_words")}
    )
    return _card(
        _anchor(entry.name),
        entry.name,
        facts,
        figure=Markup(figures.set_shape(shape, name=_anchor(entry.name), title=entry.name)._repr_html_()),
    )


def _card(
    anchor: str,
    title: str,
    facts: dict[str, Text],
    *,
    figure: Markup,
    rows: Sequence[dict[str, str]] = (),
    summary: str = "",
) -> str:
    card = render("card", facts=list(facts.items()), figure=figure, rows=rows, summary=summary)
    return f"({anchor})=\n## {title}\n\n{block(card)}"


def _codes(names: Iterable[str]) -> Sequence[str | Link | Code]:
    """Names as code, with commas between."""
    return [part for name in names for part in (Code(name), ", ")][:-1]


def _anchor(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")


def _plural(name: str) -> str:
    return name if name.endswith("s") else f"{name}s"
