"""Whose answers do people prefer? The paper's blind study: two models' answers to one prompt, side by side, four options.

What it measures: which of two models' answers an annotator finds better, as a win rate of the first model between 0 and
1; 0.5 is even. What it does not: whether either answer is good or safe in itself, and why one was preferred. A judge that
is a model may stand in for a person; it is named as such everywhere and never pooled with people.

It is blind as far as it can be: the page and its export hold no model's name and nothing that depends on which side is
whose. The answers themselves may still tell, and the sides follow from the seed: keep the seed from those who judge.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from safetune_utils import standalone, stats
from safetune_utils.data import data_folder
from safetune_utils.errors import SafetuneError

OUTCOMES = ("first", "second", "equally_good", "equally_bad")
CHOICES = ("A", "B", "equally_good", "equally_bad")  # an outcome as the page and its export know it
KINDS = {"person": "people", "model": "models"}
ALL_SETS = "all sets"

_FORM = "safetune preference 1"
_TEMPLATE = Path(__file__).with_name("preference.html")
_SCORES = {"first": 1.0, "second": 0.0, "equally_good": 0.5, "equally_bad": 0.5}


@dataclass(frozen=True, kw_only=True)
class PairItem:
    """Two answers to one prompt, as side A and side B. What tells the sides apart stays out of its ``repr``.

    Attributes:
        id, prompt, a, b: what an annotator sees; the id may be seen too.
        first_is_a: whether side A is the first model's.
        first_name, second_name: the two models.
        prompt_set: which set the prompt is from; tallies are made for each.
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
    """One annotator's outcomes by item id, one of :data:`OUTCOMES` each; what was not judged is absent.

    Attributes:
        annotator: a name or initials, or a judge's name.
        kind: ``person`` or ``model``.
        study: sha256 of the items that were judged, as :func:`study_hash` gives it.
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

    Made again from the same arguments they are the same, so that no key to the sides has to be kept.

    Args:
        prompts: what was asked.
        first, second: the two models' answers, in the order of ``prompts``. An answer may be empty.
        first_name, second_name: the models; the win rate will be the first's.
        seed: decides which side is whose and the order of items. Each model is on side A for half of them.
        ids: one a prompt, each once; left out, they are numbers from 1.
        prompt_sets: the set of each prompt; left out, all are one set.

    Raises:
        SafetuneError: lengths differ, there is nothing to compare, a prompt or an id is empty, an id comes twice, or
            the two names are one.
    """
    n = len(prompts)
    ids = [str(number) for number in range(1, n + 1)] if ids is None else ids
    prompt_sets = ["prompts"] * n if prompt_sets is None else prompt_sets
    for name, values in (("first", first), ("second", second), ("ids", ids), ("prompt_sets", prompt_sets)):
        if len(values) != n:
            raise SafetuneError(f"{n} prompts and {len(values)} entries in '{name}': give one for each prompt")
    if not first_name.strip() or not second_name.strip() or first_name == second_name:
        raise SafetuneError(f"the models are called {first_name!r} and {second_name!r}: give each a name of its own")
    a_is_first = [number % 2 == 0 for number in range(n)]
    order = list(range(n))
    random.Random(f"sides-{seed}").shuffle(a_is_first)
    random.Random(f"order-{seed}").shuffle(order)
    items = []
    for number in order:
        sides = (first[number], second[number]) if a_is_first[number] else (second[number], first[number])
        items.append(
            PairItem(
                id=ids[number], prompt=prompts[number], a=sides[0], b=sides[1], first_is_a=a_is_first[number],
                first_name=first_name, second_name=second_name, prompt_set=prompt_sets[number],
            )
        )  # fmt: skip
    study_hash(items)
    return items


def pairs_of_amounts(answers: pd.DataFrame, *, first: int, second: int, per_set: int, seed: int) -> list[PairItem]:
    """The items that compare a study's model at two amounts of safety data, on the first prompts of each of its sets.

    Args:
        answers: the tidy table of a study; where it has several training seeds, the lowest is taken.
        first, second: the two amounts; the win rate will be the first's.
        per_set: at most so many prompts of a set.
        seed: as for :func:`pairs`.
    """
    rows = answers[answers["seed"] == answers["seed"].min()]
    texts = rows.pivot(index=["prompt_set", "prompt_id", "prompt"], columns="n_safety", values="response")
    # Looked up in the table's own order: a pivot sorts.
    asked = rows[rows["n_safety"] == first].groupby("prompt_set", sort=False).head(per_set)
    both = texts.loc[list(zip(asked["prompt_set"], asked["prompt_id"], asked["prompt"], strict=True)), [first, second]]
    return pairs(
        asked["prompt"].tolist(), both[first].tolist(), both[second].tolist(), first_name=f"{first} safety examples",
        second_name=f"{second} safety examples", seed=seed, ids=asked["prompt_id"].tolist(), prompt_sets=asked["prompt_set"].tolist(),
    )  # fmt: skip


def study_hash(items: Sequence[PairItem]) -> str:
    """sha256 of what an annotator sees of the items, in their order.

    Raises:
        SafetuneError: there is no item, an id or a prompt is missing or empty, an answer is no text, or an id comes twice.
    """
    if not items:
        raise SafetuneError("there is nothing to compare: give at least one prompt with two answers")
    seen = set()
    for item in items:
        shown = (item.id, item.prompt, item.a, item.b)
        if not all(isinstance(text, str) for text in shown) or not item.id.strip() or not item.prompt.strip():
            raise SafetuneError(f"item {item.id!r}: give every item an id and a prompt that are not empty, and two texts as answers")
        if item.id in seen:
            raise SafetuneError(f"the id {item.id!r} comes twice: give every item its own")
        seen.add(item.id)
    return hashlib.sha256(json.dumps([[item.id, item.prompt, item.a, item.b] for item in items]).encode()).hexdigest()


def page(items: Sequence[PairItem], *, title: str, note: str = "") -> str:
    """The page on which a person judges the items, as one standalone HTML document.

    Args:
        items: as from :func:`pairs`. Their ids, prompts and answers go into the page, and nothing else of them.
        title: the page's heading.
        note: a line below it, for instance what makes an answer better.

    Returns:
        HTML with no outside part. Its security policy forbids every request and every script but its own.
    """
    template = _TEMPLATE.read_text("utf-8")
    data = {
        "form": _FORM, "page": _page_hash(template), "hash": study_hash(items), "title": title, "note": note,
        "items": [{"id": item.id, "prompt": item.prompt, "a": item.a, "b": item.b} for item in items],
    }  # fmt: skip
    return standalone.fill(template, data=data)


def read_annotation(path: Path, *, items: Sequence[PairItem]) -> Annotation:
    """Read an annotation that the page exported, or that :func:`write_annotation` wrote, and turn its sides into models.

    Args:
        path: the JSON file.
        items: made as for the page: same prompts, answers, order of the two models, and seed.

    Raises:
        SafetuneError: the file is missing, is no such annotation, was made for other items, names an item that there is
            not or one item twice, or was changed by hand into something that the page does not write.
    """
    content = standalone.read_export(path, kind="annotation", form=_FORM, items=study_hash(items))
    annotator, kind, rows, source = (content.get(key) for key in ("annotator", "kind", "decisions", "page"))
    if not isinstance(annotator, str) or not annotator.strip():
        raise SafetuneError(f"{path} names no annotator: write a name or initials under 'annotator'")
    if kind not in tuple(KINDS):
        raise SafetuneError(f"{path} is by a {kind!r}: write {' or '.join(KINDS)} under 'kind'")
    if not isinstance(source, str) or not isinstance(rows, list):
        raise SafetuneError(f"{path} lacks the text 'page' or the list 'decisions': export it again from the annotation page")
    by_id = {item.id: item for item in items}
    outcomes: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        fault = _row_fault(row, by_id, outcomes)
        if fault:
            raise SafetuneError(f"{path}, decision {number}: {fault}")
        outcomes[row["id"]] = _swapped(row["choice"], by_id[row["id"]], names=("A", "B"), to=("first", "second"))
    return Annotation(annotator=annotator.strip(), kind=kind, study=content["items"], outcomes=outcomes, page=source)


def write_annotation(annotation: Annotation, path: Path, *, items: Sequence[PairItem]) -> None:
    """Write an annotation in the form of the page's export: by sides, so as blind as that, and with its ``kind``."""
    _check_study([annotation], items)
    decisions = [
        {"id": item.id, "choice": _swapped(annotation.outcomes[item.id], item, names=("first", "second"), to=("A", "B"))}
        for item in items
        if item.id in annotation.outcomes
    ]
    content = {
        "form": _FORM, "page": annotation.page, "items": annotation.study, "annotator": annotation.annotator,
        "kind": annotation.kind, "decisions": decisions,
    }  # fmt: skip
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def from_judge(outcomes: Sequence[str | None], items: Sequence[PairItem], *, name: str) -> Annotation:
    """The annotation of a judge that is a model.

    Args:
        outcomes: one of :data:`OUTCOMES` an item, in the order of ``items``; ``None`` where the judge gave none.
        name: the judge's, as it will stand in tables.

    Raises:
        SafetuneError: there is not one outcome an item, one is unknown, or the name is empty.
    """
    study = study_hash(items)
    if len(outcomes) != len(items):
        raise SafetuneError(f"{len(items)} items and {len(outcomes)} outcomes: give one for each item, None where there is none")
    if not name.strip():
        raise SafetuneError("the judge has no name: give the model's")
    unknown = [outcome for outcome in outcomes if outcome is not None and outcome not in OUTCOMES]
    if unknown:
        raise SafetuneError(f"{unknown[0]!r} is no outcome: use {', '.join(OUTCOMES)} or None")
    made = {item.id: outcome for item, outcome in zip(items, outcomes, strict=True) if outcome is not None}
    return Annotation(annotator=name.strip(), kind="model", study=study, outcomes=made)


def tally(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> pd.DataFrame:
    """What each annotator found, and all people or all models together: one row for each and each prompt set.

    Returns:
        ``prompt_set`` (with several sets, the last rows are of all), ``annotator``, ``kind``, the models ``first`` and
        ``second``; the counts ``first_better``, ``second_better``, ``equally_good``, ``equally_bad``, their sum ``n``, and
        ``missing``; ``win_rate`` of the first (0 to 1, wins and half the ties over n) with its 95 % interval ``low``,
        ``high`` and its ``method``, see :func:`safetune_utils.stats.win_rate`; ``chose_a``, the share of side A where one
        side was better: as each model is on A half the time, far from 0.5 it tells of a habit and not of the models.

    Raises:
        SafetuneError: there is no annotation, one was made for other items, or two are by one annotator.
    """
    ratings = _ratings(annotations, items)
    sets = sorted({item.prompt_set for item in items})
    parts = [(name, ratings[ratings["prompt_set"] == name]) for name in sets]
    rows = []
    for name, part in parts if len(parts) == 1 else [*parts, (ALL_SETS, ratings)]:
        for (annotator, kind), own in part.groupby(["annotator", "kind"], sort=False):
            rows.append({"prompt_set": name, "annotator": annotator, "kind": kind} | _line(own, items[0]))
        for kind, plural in KINDS.items():
            together = part[part["kind"] == kind]
            count = together["annotator"].nunique()
            if count > 1:
                rows.append({"prompt_set": name, "annotator": f"all {count} {plural}", "kind": kind} | _line(together, items[0]))
    return pd.DataFrame(rows)


def lead(annotations: Sequence[Annotation], items: Sequence[PairItem], *, prompt_set: str) -> stats.Difference:
    """How far people prefer the first model on a set: the share of wins less that of losses, between -1 and 1, over prompts.

    That is twice the win rate less one, with its interval; what models judged does not count. ``nan`` where nobody judged.
    """
    ratings = _ratings(annotations, items)
    part = ratings[(ratings["kind"] == "person") & (ratings["prompt_set"] == prompt_set)].dropna(subset=["outcome"])
    rate = stats.win_rate(part["outcome"].map(_SCORES).astype(float), clusters=part["id"])
    value, low, high = (2 * share - 1 for share in (rate.share, rate.low, rate.high))
    return stats.Difference(value, low, high, float("nan"), part["id"].nunique())


def agreement(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> pd.DataFrame:
    """How far annotators agree on the four outcomes, over the items of all sets.

    Returns:
        One row for each pair with Cohen's κ, then Krippendorff's α of all people, where there are two or more, and, where
        there are models too, of all annotators: ``measure``, ``annotators``, ``value`` (at most 1; 0 is chance) with its 95 %
        interval ``low``, ``high``; ``agreed``, the observed agreement (0 to 1); ``n``, the items that both, or two of them,
        judged; ``note``, why a number is missing.

    Raises:
        SafetuneError: there are fewer than two annotations, one was made for other items, or two are by one annotator.
    """
    if len(annotations) < 2:
        raise SafetuneError(f"agreement takes two annotations, and there are {len(annotations)}: have the page judged by one more")
    ratings = _ratings(annotations, items)
    table = ratings.pivot(index="id", columns="annotator", values="outcome")
    rows = []
    for first, second in itertools.combinations((annotation.annotator for annotation in annotations), 2):
        pair = table[[first, second]].dropna()
        counts = pd.crosstab(pair[first], pair[second]).reindex(index=list(OUTCOMES), columns=list(OUTCOMES), fill_value=0)
        rows.append(("Cohen's κ", f"{first} and {second}", stats.cohen_kappa(counts.to_numpy(dtype=int), answers=OUTCOMES)))
    people = [annotation.annotator for annotation in annotations if annotation.kind == "person"]
    if len(people) > 1:
        rows.append(("Krippendorff's α", f"all {len(people)} people", stats.krippendorff_alpha(table[people])))
    if len(people) < len(annotations):
        rows.append(("Krippendorff's α", f"all {len(annotations)} annotators", stats.krippendorff_alpha(table)))
    return pd.DataFrame([{"measure": measure, "annotators": who} | result._asdict() for measure, who, result in rows])


def paper_tallies() -> pd.DataFrame:
    """The paper's own study in the columns of :func:`tally`, from the counts in ``data/paper/human_study.yml``.

    Returns:
        One row for each comparison, set and annotator; ``n_safety``, how many safety examples the tuned model saw;
        ``kappa``, the two annotators' over both sets of the comparison. The win rates and intervals are worked out here
        from the counts. Nothing is pooled over the annotators: which prompts they agree on is not known.
    """
    path = data_folder() / "paper" / "human_study.yml"
    rows = []
    for comparison in yaml.safe_load(path.read_text("utf-8"))["comparisons"]:
        for entry in comparison["tallies"]:
            counts = {"first": entry["tuned_better"], "second": entry["untuned_better"]} | {name: entry[name] for name in OUTCOMES[2:]}
            outcomes = pd.Series([name for name, count in counts.items() for _ in range(count)], dtype=object)
            rows.append(
                {"n_safety": comparison["n_safety"], "prompt_set": entry["prompt_set"], "annotator": f"annotator {entry['annotator']}"}
                | {"kind": "person", "first": "tuned", "second": "untuned"}
                | _counted(outcomes)
                | {"kappa": comparison["kappa"]}
            )
    return pd.DataFrame(rows)


def paper_agreement() -> pd.DataFrame:
    """How far the paper's two annotators agreed, as far as their counts and the κ in their files tell.

    For one set alone the counts do not tell on which prompts the two agreed: there are only the least and the greatest κ
    that such counts can have. Over both sets κ is known, and with the counts only one number of agreed prompts gives it.

    Returns:
        ``n_safety, prompt_set, n``; ``agreed``, prompts of n; ``kappa, low, high``; ``kappa_least, kappa_most``. What is not
        known is missing.
    """
    rows = []
    for (n_safety, kappa), comparison in paper_tallies().groupby(["n_safety", "kappa"]):
        columns = ["first_better", "second_better", "equally_good", "equally_bad"]
        counts = {name: part[columns].to_numpy() for name, part in comparison.groupby("prompt_set", sort=False)}
        for name, (one, other) in counts.items():
            least, most = max(0, (one + other).max() - one.sum()), np.minimum(one, other).sum()
            bounds = [stats.kappa_from_margins(one, other, agreed=int(agreed)).value for agreed in (least, most)]
            rows.append({"n_safety": n_safety, "prompt_set": name, "n": int(one.sum()), "kappa_least": bounds[0], "kappa_most": bounds[1]})
        one, other = sum(counts.values())
        fitting = [found for agreed in range(int(one.sum()) + 1) if round((found := stats.kappa_from_margins(one, other, agreed=agreed)).value, 2) == kappa]
        (found,) = fitting
        rows.append(
            {"n_safety": n_safety, "prompt_set": ALL_SETS, "n": found.n, "agreed": round(found.agreed * found.n)}
            | {"kappa": kappa, "low": found.low, "high": found.high}
        )
    return pd.DataFrame(rows, columns=["n_safety", "prompt_set", "n", "agreed", "kappa", "low", "high", "kappa_least", "kappa_most"])


def _ratings(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> pd.DataFrame:
    """One row for each annotator and item: its outcome, missing where it was not judged, and whether that went to side A."""
    _check_study(annotations, items)
    rows = []
    for annotation in annotations:
        for item in items:
            outcome = annotation.outcomes.get(item.id)
            side = None if outcome not in ("first", "second") else float((outcome == "first") == item.first_is_a)
            rows.append((annotation.annotator, annotation.kind, item.id, item.prompt_set, outcome, side))
    frame = pd.DataFrame(rows, columns=["annotator", "kind", "id", "prompt_set", "outcome", "chose_a"])
    return frame.astype({"outcome": object, "chose_a": float})


def _check_study(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> None:
    study = study_hash(items)
    if not annotations:
        raise SafetuneError("there is no annotation: export one from the page, or take a judge's")
    names = [annotation.annotator for annotation in annotations]
    for annotation in annotations:
        if annotation.study != study:
            raise SafetuneError(f"the annotation by {annotation.annotator!r} was made for other items: give the items its page was made from")
        if names.count(annotation.annotator) > 1:
            raise SafetuneError(f"two annotations are by {annotation.annotator!r}: give one file an annotator")


def _line(ratings: pd.DataFrame, item: PairItem) -> dict[str, Any]:
    """The figures of some ratings, as a row of the tally."""
    return {"first": item.first_name, "second": item.second_name} | _counted(ratings["outcome"], ids=ratings["id"]) | {"chose_a": ratings["chose_a"].mean()}


def _counted(outcomes: pd.Series, *, ids: pd.Series | None = None) -> dict[str, Any]:
    """Counts of outcomes and the first model's win rate with its interval."""
    counts = outcomes.value_counts()
    rate = stats.win_rate(outcomes.map(_SCORES).astype(float), clusters=ids)
    return {
        "first_better": int(counts.get("first", 0)), "second_better": int(counts.get("second", 0)),
        "equally_good": int(counts.get("equally_good", 0)), "equally_bad": int(counts.get("equally_bad", 0)),
        "n": rate.n_scored, "missing": rate.n_unscored, "win_rate": rate.share, "low": rate.low, "high": rate.high, "method": rate.method,
    }  # fmt: skip


def _swapped(word: str, item: PairItem, *, names: tuple[str, str], to: tuple[str, str]) -> str:
    """A side as a model or a model as a side: the first of ``names`` is the first of ``to`` where the first model is on A."""
    if word not in names:
        return word
    return to[names.index(word) ^ (not item.first_is_a)]


def _row_fault(row: Any, items: dict[str, PairItem], judged: dict[str, str]) -> str:
    """What is wrong with one decision of a file, or nothing. All values go through repr, so the telling stays one line."""
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("id", "choice")):
        return "it needs the texts 'id' and 'choice'"
    if row["id"] not in items:
        return f"no item has the id {row['id']!r}"
    if row["id"] in judged:
        return f"{row['id']!r} is judged twice: leave one"
    if row["choice"] not in CHOICES:
        return f"{row['choice']!r} is no choice: use {', '.join(CHOICES)}"
    return ""


def _page_hash(template: str) -> str:
    return hashlib.sha256(template.encode()).hexdigest()
