"""Whose answers do people prefer? The paper's blind study: two models' answers to one prompt, side by side,
four options.

What it measures: which of two models' answers an annotator finds better, as a win rate of the first model
between 0 and 1; 0.5 is even. What it does not: whether either answer is good or safe in itself, and why one
was preferred. A model may judge in place of a person; it is always named as a model and never pooled with
people.

It is as blind as possible: the page and its export contain no model's name and nothing that depends on which
side is whose. The answers themselves may still show it, and the sides follow from the seed: do not tell the
seed to those who judge.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from safetune_utils.annotation.page import fill, read_export, template
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.files import write_json

OUTCOMES = ("first", "second", "equally_good", "equally_bad")
CHOICES = ("A", "B", "equally_good", "equally_bad")  # an outcome as the page and its export know it
KINDS = {"person": "people", "model": "models"}
ALL_SETS = "all sets"

_FORM = "safetune preference 1"


@dataclass(frozen=True, kw_only=True)
class PairItem:
    """Two answers to one prompt, as side A and side B. Its ``repr`` does not show whose the sides are.

    Attributes:
        id, prompt, a, b: what an annotator may see.
        first_is_a: whether side A is the first model's.
        first_name, second_name: the two models.
        prompt_set: the set that the prompt is from; each set is counted separately.
    """

    id: str
    prompt: str
    a: str
    b: str
    first_is_a: bool = field(repr=False)
    first_name: str = field(repr=False)
    second_name: str = field(repr=False)
    prompt_set: str = "prompts"


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One annotator's outcomes.

    Attributes:
        annotator: a name or initials, or a judge's name.
        kind: ``person`` or ``model``.
        study: sha256 of the items that were judged, as :func:`study_hash` gives it.
        outcomes: by item id, each one of :data:`OUTCOMES`; what was not judged is absent.
        page: sha256 of the source of the page that was used; empty for a model.
    """

    annotator: str
    kind: str
    study: str
    outcomes: dict[str, str]
    page: str = ""


def pairs(
    prompts: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    *,
    first_name: str,
    second_name: str,
    seed: int,
    ids: Sequence[str] | None = None,
    prompt_sets: Sequence[str] | None = None,
) -> list[PairItem]:
    """The items of a study, in the order in which they are judged.

    The same arguments always give the same items, so nobody has to store which side is whose.

    Args:
        prompts: what was asked.
        first, second: the two models' answers, in the order of ``prompts``. An answer may be empty.
        first_name, second_name: the models; the win rate will be the first's.
        seed: decides which side is whose and the order of items. Each model is on side A for half of them.
        ids: one for each prompt, all different; without them, numbers from 1.
        prompt_sets: the set of each prompt; without them, all are of one set.

    Raises:
        SafetuneError: lengths differ, there is nothing to compare, a prompt or an id is empty, an id occurs
            twice, or the two names are the same.
    """
    n = len(prompts)
    ids = [str(number) for number in range(1, n + 1)] if ids is None else ids
    prompt_sets = ["prompts"] * n if prompt_sets is None else prompt_sets
    for name, values in (("first", first), ("second", second), ("ids", ids), ("prompt_sets", prompt_sets)):
        if len(values) != n:
            raise SafetuneError(
                f"{n} prompts and {len(values)} entries in '{name}': give one for each prompt"
            )
    if not first_name.strip() or not second_name.strip() or first_name == second_name:
        raise SafetuneError(
            f"the models are called {first_name!r} and {second_name!r}: give each a name of its own"
        )
    a_is_first = [number % 2 == 0 for number in range(n)]
    order = list(range(n))
    random.Random(f"sides-{seed}").shuffle(a_is_first)
    random.Random(f"order-{seed}").shuffle(order)
    items = []
    for number in order:
        sides = (first[number], second[number]) if a_is_first[number] else (second[number], first[number])
        items.append(
            PairItem(
                id=ids[number],
                prompt=prompts[number],
                a=sides[0],
                b=sides[1],
                first_is_a=a_is_first[number],
                first_name=first_name,
                second_name=second_name,
                prompt_set=prompt_sets[number],
            )
        )
    study_hash(items)
    return items


def pairs_of_amounts(
    responses: pd.DataFrame, *, first: int, second: int, per_set: int, seed: int
) -> list[PairItem]:
    """The items that compare a study's model at two amounts of safety data, on the first prompts of each set.

    Args:
        responses: the tidy table of a study; where it has several training seeds, the lowest is taken.
        first, second: the two amounts, in safety rows; the win rate will be the first's.
        per_set: at most so many prompts of a set.
        seed: as for :func:`pairs`.

    Raises:
        SafetuneError: there is nothing to compare.
    """
    rows = responses[responses["seed"] == responses["seed"].min()]
    texts = rows.pivot(index=["prompt_set", "prompt_id", "prompt"], columns="n_safety", values="response")
    # In the order of the table, because a pivot sorts.
    asked = rows[rows["n_safety"] == first].groupby("prompt_set", sort=False).head(per_set)
    both = texts.loc[
        list(zip(asked["prompt_set"], asked["prompt_id"], asked["prompt"], strict=True)), [first, second]
    ]
    return pairs(
        asked["prompt"].tolist(),
        both[first].tolist(),
        both[second].tolist(),
        first_name=f"{first} safety examples",
        second_name=f"{second} safety examples",
        seed=seed,
        ids=asked["prompt_id"].tolist(),
        prompt_sets=asked["prompt_set"].tolist(),
    )


def study_hash(items: Sequence[PairItem]) -> str:
    """sha256 of what an annotator sees of the items, in their order.

    Raises:
        SafetuneError: there is no item, an id or a prompt is missing or empty, an answer is no text, or an id
            occurs twice.
    """
    if not items:
        raise SafetuneError("there is nothing to compare: give at least one prompt with two answers")
    seen = set()
    for item in items:
        shown = (item.id, item.prompt, item.a, item.b)
        if not all(isinstance(text, str) for text in shown) or not item.id.strip() or not item.prompt.strip():
            raise SafetuneError(
                f"item {item.id!r}: give every item an id and a prompt that are not empty, and two texts as "
                "answers"
            )
        if item.id in seen:
            raise SafetuneError(f"the id {item.id!r} comes twice: give every item its own")
        seen.add(item.id)
    return hashlib.sha256(
        json.dumps([[item.id, item.prompt, item.a, item.b] for item in items]).encode()
    ).hexdigest()


def page(items: Sequence[PairItem], *, title: str, note: str = "") -> str:
    """The page on which a person judges the items, as one standalone HTML document.

    Args:
        items: as from :func:`pairs`. Only their ids, prompts and answers go into the page.
        title: the page's heading.
        note: a line below it, for instance what makes an answer better.

    Returns:
        HTML that needs no other file. Its security policy forbids every request and every script except its
        own.

    Raises:
        SafetuneError: as for :func:`study_hash`.
    """
    made_from = template("preference")
    data = {
        "form": _FORM,
        "page": hashlib.sha256(made_from.encode()).hexdigest(),
        "hash": study_hash(items),
        "title": title,
        "note": note,
        "items": [{"id": item.id, "prompt": item.prompt, "a": item.a, "b": item.b} for item in items],
    }
    return fill(made_from, data=data)


def read_annotation(path: Path, *, items: Sequence[PairItem]) -> Annotation:
    """Read an annotation that the page exported, or that :func:`write_annotation` wrote.

    Args:
        path: the JSON file; it has sides, and the result has models.
        items: made as for the page: same prompts, answers, order of the two models, and seed.

    Raises:
        SafetuneError: the file is missing, is no such annotation, was made for other items, has an unknown
            item or one item twice, or was changed by hand into something that the page does not write.
    """
    content = read_export(path, kind="annotation", form=_FORM, items=study_hash(items))
    annotator, kind, rows, source = (content.get(key) for key in ("annotator", "kind", "decisions", "page"))
    if not isinstance(annotator, str) or not annotator.strip():
        raise SafetuneError(f"{path} names no annotator: write a name or initials under 'annotator'")
    if kind not in tuple(KINDS):
        raise SafetuneError(f"{path} is by a {kind!r}: write {' or '.join(KINDS)} under 'kind'")
    if not isinstance(source, str) or not isinstance(rows, list):
        raise SafetuneError(
            f"{path} lacks the text 'page' or the list 'decisions': export it again from the annotation page"
        )
    by_id = {item.id: item for item in items}
    outcomes: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        fault = _row_fault(row, by_id, outcomes)
        if fault:
            raise SafetuneError(f"{path}, decision {number}: {fault}")
        outcomes[row["id"]] = _swapped(
            row["choice"], by_id[row["id"]], names=("A", "B"), to=("first", "second")
        )
    return Annotation(
        annotator=annotator.strip(), kind=kind, study=content["items"], outcomes=outcomes, page=source
    )


def write_annotation(annotation: Annotation, path: Path, *, items: Sequence[PairItem]) -> None:
    """Write an annotation in the form of the page's export: with sides and not models, and with its ``kind``.

    Raises:
        SafetuneError: it was made for other items.
    """
    check_study([annotation], items)
    decisions = [
        {
            "id": item.id,
            "choice": _swapped(annotation.outcomes[item.id], item, names=("first", "second"), to=("A", "B")),
        }
        for item in items
        if item.id in annotation.outcomes
    ]
    content = {
        "form": _FORM,
        "page": annotation.page,
        "items": annotation.study,
        "annotator": annotation.annotator,
        "kind": annotation.kind,
        "decisions": decisions,
    }
    write_json(path, content)


def from_judge(outcomes: Sequence[str | None], items: Sequence[PairItem], *, name: str) -> Annotation:
    """The annotation of a judge that is a model.

    Args:
        outcomes: for each item, in the order of ``items``, one of :data:`OUTCOMES`; ``None`` where the judge
            gave none.
        items: as from :func:`pairs`.
        name: the judge's, for tables.

    Raises:
        SafetuneError: the number of outcomes is not that of items, one is unknown, or the name is empty.
    """
    study = study_hash(items)
    if len(outcomes) != len(items):
        raise SafetuneError(
            f"{len(items)} items and {len(outcomes)} outcomes: give one for each item, None where there is "
            "none"
        )
    if not name.strip():
        raise SafetuneError("the judge has no name: give the model's")
    unknown = [outcome for outcome in outcomes if outcome is not None and outcome not in OUTCOMES]
    if unknown:
        raise SafetuneError(f"{unknown[0]!r} is no outcome: use {', '.join(OUTCOMES)} or None")
    made = {item.id: outcome for item, outcome in zip(items, outcomes, strict=True) if outcome is not None}
    return Annotation(annotator=name.strip(), kind="model", study=study, outcomes=made)


def check_study(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> None:
    """Check that annotations were made for these items, by different annotators.

    Raises:
        SafetuneError: there is no annotation, one was made for other items, or two are by one annotator.
    """
    study = study_hash(items)
    if not annotations:
        raise SafetuneError("there is no annotation: export one from the page, or take a judge's")
    names = [annotation.annotator for annotation in annotations]
    for annotation in annotations:
        if annotation.study != study:
            raise SafetuneError(
                f"the annotation by {annotation.annotator!r} was made for other items: give the items its "
                "page was made from"
            )
        if names.count(annotation.annotator) > 1:
            raise SafetuneError(
                f"two annotations are by {annotation.annotator!r}: give one file an annotator"
            )


def _swapped(word: str, item: PairItem, *, names: tuple[str, str], to: tuple[str, str]) -> str:
    """A side as a model, or a model as a side; any other outcome as it is.

    The first of ``names`` becomes the first of ``to`` where the first model is on side A.
    """
    if word not in names:
        return word
    return to[names.index(word) ^ (not item.first_is_a)]


def _row_fault(row: object, items: dict[str, PairItem], judged: dict[str, str]) -> str:
    """What is wrong with one decision of a file; empty where nothing is.

    All values are written with ``repr``, so that the message stays on one line.
    """
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("id", "choice")):
        return "it needs the texts 'id' and 'choice'"
    if row["id"] not in items:
        return f"no item has the id {row['id']!r}"
    if row["id"] in judged:
        return f"{row['id']!r} is judged twice: leave one"
    if row["choice"] not in CHOICES:
        return f"{row['choice']!r} is no choice: use {', '.join(CHOICES)}"
    return ""
