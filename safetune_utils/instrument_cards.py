"""The page of the instruments: a card for each, and what was measured of it against people.

All of it is drawn from :mod:`safetune_utils.instruments` and the files in ``data/results``; nothing is measured here.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from safetune_utils import data, figures
from safetune_utils.instruments import INSTRUMENTS

_FIGURES = ("accuracy", "precision", "recall", "kappa")
_ROWS = {
    "all": "the rules, all three models", "gpt4": "the rules, GPT-4", "llama2": "the rules, Llama 2", "mistral": "the rules, Mistral",
    "people": "one of the two people against the other",
}  # fmt: skip


def parts() -> dict[str, str]:
    """What the page includes, by name, as Markdown."""
    return {"instrument_cards": cards(), "refusal_agreement": refusal_agreement(), "harmfulness_agreement": harmfulness_agreement()}


def cards() -> str:
    """A short card for each instrument."""
    return "\n".join(
        f"`{name}`\n: {card.measures[0].upper()}{card.measures[1:]}. *Values*: {card.values}. *By*: {card.model}. *Known biases*: {card.biases}. *Needs*: {card.needs}.\n"
        for name, card in INSTRUMENTS.items()
    )


def refusal_agreement() -> str:
    """The refusal rules against people, by the model that answered, beside the two people's agreement."""
    found = _results("refusal_rules")
    lines = ["| any refusal | rows | accuracy | precision | recall | κ |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *(_agreement_row(title, found["agreement"][name]) for name, title in _ROWS.items())]) + "\n"


def harmfulness_agreement() -> str:
    """The book's own harmfulness model against people, on questions that it was not trained on, with its calibration."""
    found = _results("harmfulness")
    test = found["test"]
    table = pd.DataFrame(test["calibration"])
    caption = f"What the book's harmfulness model says of {test['n']} answers to {test['questions']} questions that it never saw, against what people said."
    plot = figures.calibration(table, name="harmfulness_calibration", caption=caption, x="probability of harmful, as said", y="called harmful by people")
    return "\n".join(
        [
            "| harmful or not, against people | rows | accuracy | precision | recall | κ |", "|---|---|---|---|---|---|",
            _agreement_row("questions never seen (test)", test), _agreement_row("questions it was chosen on (validation)", found["validation"]), "",
            f"It misses {test['counts']['people_alone']} of {test['harmful']} harmful answers and raises {test['counts']['instrument_alone']} false alarms. {_cost(found | test)}", "",
            '<div class="safetune-block">', "", plot._repr_html_(), "", "</div>", "",
        ]
    )  # fmt: skip


def _agreement_row(title: str, row: dict[str, Any]) -> str:
    shown = [f"{row[name][0]:.3f} ({row[name][1]:.2f}–{row[name][2]:.2f})" for name in _FIGURES]
    return f"| {title} | {row['n']} | " + " | ".join(shown) + " |"


def _cost(found: dict[str, Any]) -> str:
    return f"Its weights take {found['weights_bytes'] / 1e6:.1f} MB; 1,000 answers took {found['seconds_per_1000']:.0f} s on one thread of a busy machine."


def _results(name: str) -> dict[str, Any]:
    return json.loads((data.data_folder() / "results" / f"{name}.json").read_text("utf-8"))
