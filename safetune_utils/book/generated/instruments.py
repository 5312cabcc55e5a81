"""The page of the instruments: what each says of itself, and what was measured of it against people.

All of it is drawn from :mod:`safetune_utils.scoring.instruments` and the files in ``data/results``; nothing
is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import yaml

from safetune_utils import places
from safetune_utils.book import figures
from safetune_utils.book.markup import Cell, Row, Text, block, marked, paragraph, render, table
from safetune_utils.data import XSTEST_MODELS
from safetune_utils.models.identity import title
from safetune_utils.scoring.instruments import INSTRUMENTS, terms
from safetune_utils.scoring.refusal_rules import LABELS

_FIGURES = ("accuracy", "precision", "recall", "kappa")
_HEADS = ("rows", "accuracy", "precision", "recall", "κ")
_PEOPLE = "one of the two people against the other"


def parts() -> dict[str, str]:
    """What the page includes, by name, as Markdown."""
    return {
        "instrument_cards": cards(),
        "refusal_agreement": refusal_agreement(),
        "own_agreement": own_agreement(),
        "own_by_source": own_by_source(),
        "expected": expected(),
        "harmfulness_agreement": harmfulness_agreement(),
        "heads_tried": heads_tried(),
    }


def cards() -> str:
    """What each instrument says of itself, in short."""
    told = [
        {
            "name": name,
            "measures": f"{instrument.measures[0].upper()}{instrument.measures[1:]}",
            "more": {
                "Values": instrument.values,
                "By": instrument.model,
                "Known biases": instrument.biases,
                "Needs": instrument.needs,
                "With people": _with_people(name),
                "Speed": _speed(name),
            }
            | ({"Its weights": terms(name)} if instrument.weights else {}),
        }
        for name, instrument in INSTRUMENTS.items()
    ]
    return block(render("instruments", cards=told))


def _with_people(name: str) -> str:
    measured = INSTRUMENTS[name].measured
    if measured is None:
        return "not measured here"
    row: Any = places.results(measured.results)
    for key in measured.row:
        row = row[key]
    rows = measured.rows
    return f"κ {row['kappa'][0]:.2f} ({row['kappa'][1]:.2f}–{row['kappa'][2]:.2f}) on {row['n']:,} {rows}"


def _speed(name: str) -> str:
    found = places.results("instrument_rows")
    if name not in found["seconds_per_1000"]:
        return "not measured here"
    seconds = found["seconds_per_1000"][name]
    cores = "one thread" if found["threads"] == 1 else f"{found['threads']} threads"
    return (
        f"{seconds:.0f} s for 1,000 answers on {cores}"
        if seconds >= 1
        else f"under a second for 1,000 answers on {cores}"
    )


def refusal_agreement() -> str:
    """The refusal model and the rules alone against people: on models, types of prompt and styles that were
    left out, beside two people.
    """
    rules, model = places.results("refusal_rules")["agreement"], places.results("refusal")["agreement"]
    rows = {
        "**rules alone**, all three models": rules["all"],
        "GPT-4 · Llama 2 · Mistral": [rules[name] for name in XSTEST_MODELS],
        "**rules and model**, each answering model left out in turn": model["model_left_out"],
        "GPT-4 · Llama 2 · Mistral, that model left out": [model[name] for name in XSTEST_MODELS],
        "each type of prompt left out in turn": model["type_left_out"],
        "model and type left out": model["both_left_out"],
        "the book's answers in eight styles: rules alone": model["style_left_out_by_rules"],
        "the same: rules and model, each style left out in turn": model["style_left_out"],
        "answers in twelve other styles: rules alone": model["further_styles_by_rules"],
        "the same: rules and model, none trained on": model["further_styles"],
        _PEOPLE: rules["people"],
    }
    lines = [
        _agreement_row(title, row) if isinstance(row, dict) else _kappas_row(title, row)
        for title, row in rows.items()
    ]
    three = model["three_classes"]
    told = (
        f"With the three classes kept apart, each model left out in turn: κ {three['kappa'][0]:.2f}"
        f" ({three['kappa'][1]:.2f}–{three['kappa'][2]:.2f}). {_partial(three['pairs'])}"
    )
    return block(table(("any refusal", *_HEADS), lines, wide=True), paragraph(told))


def _partial(pairs: list[list[int]]) -> str:
    """How partial refusals are found; ``pairs`` has people's classes down, the instrument's across."""
    partial = LABELS.index("partial_refusal")
    people, said = sum(pairs[partial]), sum(row[partial] for row in pairs)
    return (
        f"Of {people} partial refusals {pairs[partial][partial]} are called so, of {said} that are called so"
        f" {pairs[partial][partial]} are some: do not rely on that class."
    )


def own_agreement() -> str:
    """Every instrument at hand against the readers of the book's own answers, and the readers among
    themselves.
    """
    found = places.results("own_answers")
    rows = [
        (
            name,
            one["label"],
            *(
                f"{one[half]['kappa'][0]:.2f} ({one[half]['kappa'][1]:.2f}–{one[half]['kappa'][2]:.2f})"
                for half in ("tune", "test")
            ),
            _of(one["test"]["counts"], "instrument_alone", "neither"),
            _of(one["test"]["counts"], "people_alone", "both"),
        )
        for name, one in found["instruments"].items()
    ]
    heads = (
        "instrument",
        "says",
        "κ, half chosen on",
        "κ, test half",
        "false alarms, test half",
        "missed, test half",
    )
    readers = found["readers"]
    kappas = "; ".join(f"{label} {kappa[0]:.2f}" for label, kappa in readers["labels"].items())
    people, classes = (
        ", ".join(f"{reader} {kappa[0]:.2f}" for reader, kappa in readers[key].items())
        for key in ("xstest", "xstest_classes")
    )
    told = (
        f"{found['n']} answers. The two readers' κ with one another: {kappas}. A third read the"
        f" {readers['disputed']} on which they differ. With XSTest's people, on {readers['n_xstest']} answers"
        f" among ours that every reader got, refusal or not, by the reader's letter: {people}; with three"
        f" classes: {classes}. They make the same few mistakes, so read them as one reader who was asked"
        " several times."
    )
    return block(table(heads, rows, wide=True), paragraph(told))


def own_by_source() -> str:
    """Every instrument at hand on each source of the book's own labelled answers, and on its negative
    controls.
    """
    measured = places.results("own_answers")["instruments"]
    controls = places.results("controls")["rows"]
    heads: list[Text | Cell] = ["answers of", *(Cell(n, below=one["label"]) for n, one in measured.items())]
    rows: list[Row] = [
        (
            _source(each[0]["source"]),
            *(
                Cell(_of(one, "both", "people_alone"), below=_of(one, "instrument_alone", "neither"))
                for one in each
            ),
        )
        for each in sorted(
            zip(*(one["by_source"] for one in measured.values()), strict=True),
            key=lambda each: _order(each[0]["source"]),
        )
    ]
    for what in dict.fromkeys(row["control"] for row in controls):
        said = {row["instrument"]: row for row in controls if row["control"] == what}
        rows.append((f"negative control: {what}", *(_control(said.get(name)) for name in measured)))
    return block(table(heads, rows, wide=True))


def _control(row: Mapping[str, Any] | None) -> Text | Cell:
    if row is None:
        return "no limit"
    return Cell(f"{row['yes']} of {row['n']}", below="passes" if row["passes"] else "does not pass")


def _order(name: str) -> tuple[str, int]:
    """By the model, the untuned one first, then by the amount."""
    model, _, amount = name.rpartition(", ")
    return model, int(amount) if amount.isdigit() else -1


def _source(name: str) -> str:
    """A source of labelled answers in words: "embedded, 50" is the embedded model with 50 safety examples."""
    model, _, amount = name.rpartition(", ")
    return f"{title(model)}, {amount}{' safety examples' if amount.isdigit() else ''}"


def expected() -> str:
    """What was expected of the instruments before they were measured, beside what came."""
    entries = yaml.safe_load((places.data_folder() / "results" / "expected.yml").read_text("utf-8"))
    came = _came()
    rows = [
        (
            marked(entry["measure"]),
            marked(entry["expected"]),
            entry.get("reach", ""),
            came[entry["measure"]],
        )
        for entry in entries
    ]
    return block(table(("what", "expected", "aimed at", "came"), rows, wide=True))


def _came() -> dict[str, str]:
    """What was measured, by the words in which it was expected."""
    own, refusal = places.results("own_answers"), places.results("refusal")["agreement"]
    readers, shares, instruments = own["readers"]["labels"], own["shares"], own["instruments"]
    pairs = refusal["three_classes"]["pairs"]
    partial, said = pairs[1], sum(row[1] for row in pairs)
    left_out = places.results("harmfulness")["set_left_out"]
    of_authors = [
        one
        for one in places.results("authors_answers")["shares"]
        if (one["instrument"], one["prompt_set"]) == ("harmfulness", "AlpacaEval")
    ]

    def kappa(found: Sequence[float]) -> str:
        return f"{found[0]:.2f}" + (f" ({found[1]:.2f} to {found[2]:.2f})" if len(found) > 1 else "")

    def share(found: Mapping[str, int]) -> str:
        return f"{found['yes'] / found['n']:.2f} ({found['yes']} of {found['n']})"

    def halves(name: str) -> str:
        return " and ".join(f"{instruments[name][half]['kappa'][0]:.2f}" for half in ("tune", "test"))

    def false(name: str, *of_halves: str) -> str:
        counts = [instruments[name][half]["counts"] for half in of_halves]
        alone = sum(one["instrument_alone"] for one in counts)
        return share({"yes": alone, "n": alone + sum(one["neither"] for one in counts)})

    by_model = ", ".join(f"{refusal[name]['kappa'][0]:.2f}" for name in XSTEST_MODELS)
    untuned = " and ".join(
        f"{row['yes']} of {row['n']}"
        for row in places.results("controls")["rows"]
        if row["instrument"] == "harmfulness" and row["control"].startswith("untuned model")
    )
    return {
        "κ between two readers, refusal or not, on the book's own answers": kappa(readers["refusal"]),
        "κ between two readers, harmful or not, on the book's own answers": kappa(readers["harm"]),
        "κ between two readers, useful or not": kappa(readers["useful"]),
        "share of answers that coherence passes and readers call readable": (
            f"{share(shares['readable_of_coherent'])}; useful: {share(shares['useful_of_coherent'])}"
        ),
        "share of answers to malicious requests without safety data that are not refused, harmful and"
        " useful": share(shares["followed"]),
        "refusal: κ on XSTest's models left out in turn": (
            f"{kappa(refusal['model_left_out']['kappa'])} together; by model {by_model}"
        ),
        "refusal: κ on other styles, each left out in turn": kappa(refusal["style_left_out"]["kappa"]),
        "refusal: recall of partial refusals, models left out": (
            f"{partial[1] / sum(partial):.2f}, with a precision of {partial[1] / said:.2f}"
        ),
        "refusal: κ of the three classes, models left out": kappa(refusal["three_classes"]["kappa"]),
        "refusal: answers of our own models that readers call compliance and the instrument a refusal": (
            f"{false('refusal', 'tune', 'test')}; the rules alone:"
            f" {false('refusal-rules', 'tune', 'test')}, on the test half {false('refusal-rules', 'test')}"
        ),
        "harmfulness: accuracy on a set left out": ", ".join(
            f"{row['accuracy'][0]:.2f} on {name}" for name, row in left_out.items()
        ),
        "harmfulness: false alarms on ordinary answers of our own models": (
            f"{share(shares['harmful_ordinary'])} of those that were read; in the negative controls of the"
            f" untuned model {untuned}"
        ),
        "harmfulness: false alarms on the authors' answers to AlpacaEval": share(
            {name: sum(one[name] for one in of_authors) for name in ("yes", "n")}
        ),
        "harmfulness on our own models' answers, against readers: κ": halves("harmfulness"),
        "rules, refusal or not, on our own models' answers: κ against readers": halves("refusal-rules"),
    }


def _of(counts: dict[str, int], wrong: str, right: str) -> str:
    return f"{counts[wrong]} of {counts[wrong] + counts[right]}"


def _kappas_row(title: str, rows: list[dict[str, Any]]) -> tuple[str, ...]:
    kappas = " · ".join(f"{row['kappa'][0]:.2f}" for row in rows)
    return (marked(title), " · ".join(str(row["n"]) for row in rows), "", "", "", kappas)


def harmfulness_agreement() -> str:
    """The book's own harmfulness model against people, on questions that it was not trained on, with its
    calibration.
    """
    found = places.results("harmfulness")
    test = found["test"]
    bins = pd.DataFrame(test["calibration"])
    caption = (
        f"What the book's harmfulness model says of {test['n']} answers to {test['questions']} questions that"
        " it never saw, against what people said."
    )
    plot = figures.calibration(
        bins,
        name="harmfulness_calibration",
        caption=caption,
        x="probability of harmful, as said",
        y="called harmful by people",
    )
    lines = [
        _agreement_row("questions never seen (test)", test),
        _agreement_row("questions it was chosen on (validation)", found["validation"]),
        *(
            _agreement_row(f"{name}, by a model made without it", row)
            for name, row in found["set_left_out"].items()
        ),
    ]
    told = (
        f"It misses {test['counts']['people_alone']} of {test['harmful']} harmful answers and raises"
        f" {test['counts']['instrument_alone']} false alarms on the test questions. {_cost(found | test)}"
    )
    heads = ("harmful or not, against people", *_HEADS)
    return block(table(heads, lines, wide=True), paragraph(told), plot._repr_html_())


def _agreement_row(title: str, row: dict[str, Any]) -> tuple[str, ...]:
    shown = [f"{row[name][0]:.3f} ({row[name][1]:.2f}–{row[name][2]:.2f})" for name in _FIGURES]
    return (marked(title), str(row["n"]), *shown)


def _cost(found: dict[str, Any]) -> str:
    return f"Its weights take {found['weights_bytes'] / 1e3:.0f} kB; {_speed('harmfulness')}."


def heads_tried() -> str:
    """Other heads than the harmfulness model's, and adapters that say it in words, on sets that were left out
    and on answers without harm.
    """
    by_head: dict[str, list[dict[str, Any]]] = {}
    for made_by in ("harm_heads", "harm_adapter"):
        for one in places.results(made_by)["tried"]:
            by_head.setdefault(one["head"], []).append(one)
    first = next(iter(by_head.values()))
    heads: list[Text | Cell] = [
        "head",
        *(Cell(f"{one['left_out']} left out", below="right; area under the curve") for one in first),
        Cell("our models' ordinary answers", below="called harmful, without the one set and the other"),
        Cell("the authors' answers to AlpacaEval", below="the same"),
    ]
    rows: list[Row] = [
        (
            name,
            # An adapter says yes or no and nothing between, so it has no area.
            *(
                f"{one['right'] / one['n']:.2f} of {one['n']}"
                + (f"; {one['area']:.2f}" if "area" in one else "")
                for one in each
            ),
            *(
                f"{' and '.join(str(one[asked]['yes']) for one in each)} of {each[0][asked]['n']}"
                for asked in ("ordinary", "authors")
            ),
        )
        for name, each in by_head.items()
    ]
    return block(table(heads, rows, wide=True))
