"""The dose dial: a few prompts, amounts of safety data to choose from, what the model answered at each.

It needs no script: the amounts are radio buttons, and the page's style shows the answers of the one that is
chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython.display import HTML

from safetune_utils.book.folds import note
from safetune_utils.book.markup import render
from safetune_utils.data import set_entry

# How the first instrument's label of an answer is told.
_DONE = {"compliance": "answers", "partial_refusal": "declines in part", "full_refusal": "declines"}


class Dial(HTML):
    """The dial as a cell's output; its name is in the metadata, by which a page finds it."""

    def __init__(self, markup: str, *, name: str) -> None:
        super().__init__(markup)
        self.name = name

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        return {"text/html": str(self.data)}, {"safetune": {"dial": self.name}}


def dial(responses: pd.DataFrame, *, prompts: Mapping[str, int], name: str) -> HTML:
    """The first prompts of some sets with the answers at each amount of safety data, of the first seed.

    Nobody picks them: they are always the first of their set. Only prompts of the embedded corpus are shown;
    a chapter names sets whose first prompts are mild.

    Args:
        responses: scored ones, as :func:`safetune_utils.study.run.run` gives them.
        prompts: how many of each set.
        name: of the dial; no other of a page has it.
    """
    rows = responses[responses["seed"] == responses["seed"].min()]
    if set(rows["data"]) != {"embedded"}:
        return note(
            "Prompts and answers from outside sets are not shown on pages; they are in the run store."
        )
    amounts = sorted(rows["n_safety"].unique())
    shown = []
    for prompt_set, n in prompts.items():
        of_set = rows[rows["prompt_set"] == prompt_set]
        for prompt_id in of_set["prompt_id"].drop_duplicates()[:n]:
            said = of_set[of_set["prompt_id"] == prompt_id].set_index("n_safety")
            answers = [_answer(said.loc[amount]) for amount in amounts if amount in said.index]
            if len(answers) == len(amounts):
                shown.append((set_entry(prompt_set).title, said["prompt"].iloc[0], answers))
    return Dial(render("dial", name=name, amounts=[f"{n}" for n in amounts], prompts=shown), name=name)


def _answer(row: Mapping[str, Any]) -> dict[str, str]:
    label = row["label"]
    done = "unscored" if pd.isna(label) else _DONE.get(label, str(label).replace("_", " "))
    return {"done": done, "said": str(row["response"]) + ("" if row["stopped"] else " …")}
