"""The results of a preference study: counts of outcomes, win rates, and how far the annotators agree."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypedDict

import pandas as pd

from safetune_utils import statistics
from safetune_utils.annotation.preference import ALL_SETS, KINDS, OUTCOMES, Annotation, PairItem, check_study
from safetune_utils.errors import SafetuneError

_SCORES = {"first": 1.0, "second": 0.0, "equally_good": 0.5, "equally_bad": 0.5}


class OutcomeCounts(TypedDict):
    """Outcomes counted, and the first model's win rate.

    Attributes:
        first_better, second_better, equally_good, equally_bad: how often each outcome occurs.
        n: their sum.
        missing: comparisons without an outcome.
        win_rate: of the first model, 0 to 1: wins and half the ties, over ``n``; 0.5 is even.
        low, high, standard_error, method: its 95 % interval and its standard error, see
            :func:`safetune_utils.statistics.shares.win_rate`.
    """

    first_better: int
    second_better: int
    equally_good: int
    equally_bad: int
    n: int
    missing: int
    win_rate: float
    low: float
    high: float
    standard_error: float
    method: str


def tally(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> pd.DataFrame:
    """What each annotator found, and what all people and all models found together.

    Returns:
        One row for each of these and each prompt set; with several sets, the last rows are of all sets.
        ``prompt_set``, ``annotator``, ``kind``, the models ``first`` and ``second``; the columns of
        :class:`OutcomeCounts`; ``chose_a``, the share of side A (0 to 1) where one side was better. Each
        model is on side A half the time, so a value far from 0.5 shows a habit of the annotator.

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
                rows.append(
                    {"prompt_set": name, "annotator": f"all {count} {plural}", "kind": kind}
                    | _line(together, items[0])
                )
    return pd.DataFrame(rows)


def lead(
    annotations: Sequence[Annotation], items: Sequence[PairItem], *, prompt_set: str
) -> statistics.Estimate:
    """How far people prefer the first model on a set: the share of wins minus that of losses.

    It is between -1 and 1, above 0 where the first model is preferred: twice the win rate minus one, with its
    95 % interval over prompts. Annotations by models do not count.

    Returns:
        Estimate: a change, with the exact p-value of which model is preferred prompt by prompt; ``nan`` where
        nobody judged.

    Raises:
        SafetuneError: there is no annotation, one was made for other items, or two are by one annotator.
    """
    ratings = _ratings(annotations, items)
    part = ratings[(ratings["kind"] == "person") & (ratings["prompt_set"] == prompt_set)].dropna(
        subset=["outcome"]
    )
    scores = part["outcome"].map(_SCORES).astype(float)
    rate = statistics.win_rate(scores, clusters=part["id"])
    value, low, high = (2 * share - 1 for share in (rate.value, rate.low, rate.high))
    first = scores.groupby(part["id"]).mean()
    return statistics.Estimate(
        value=value,
        low=low,
        high=high,
        n=len(first),
        is_change=True,
        p_value=statistics.paired_difference(1 - first, first).p_value,
    )


def annotator_agreement(
    annotations: Sequence[Annotation], items: Sequence[PairItem], *, pairwise: bool = True
) -> pd.DataFrame:
    """How far annotators agree on the four outcomes, over the items of all sets.

    Args:
        annotations: two or more.
        items: what they judged.
        pairwise: whether every two annotators are compared; for 30 that is 435 rows.

    Returns:
        One row for each pair of annotators, with Cohen's κ, if asked; then one with Krippendorff's α of
        all people, where there are two or more; then one with α of all annotators, where models are among
        them. Columns:
        ``measure``, ``annotators``, ``value`` (at most 1; 0 is chance) with its 95 % interval ``low``,
        ``high``; ``agreed``, the observed agreement (0 to 1); ``n``, the items that both, or at least two,
        judged; ``note``, why a number is missing.

    Raises:
        SafetuneError: there are fewer than two annotations, one was made for other items, or two are by one
            annotator.
    """
    if len(annotations) < 2:
        raise SafetuneError(
            f"agreement takes two annotations, and there are {len(annotations)}: have the page judged by one "
            "more"
        )
    ratings = _ratings(annotations, items)
    table = ratings.pivot(index="id", columns="annotator", values="outcome")
    rows = []
    names = [annotation.annotator for annotation in annotations]
    for first, second in itertools.combinations(names, 2) if pairwise or len(names) == 2 else ():
        pair = table[[first, second]].dropna()
        counts = pd.crosstab(pair[first], pair[second]).reindex(
            index=list(OUTCOMES), columns=list(OUTCOMES), fill_value=0
        )
        rows.append(
            (
                "Cohen's κ",
                f"{first} and {second}",
                statistics.cohen_kappa(counts.to_numpy(dtype=int), answers=OUTCOMES),
            )
        )
    people = [annotation.annotator for annotation in annotations if annotation.kind == "person"]
    if len(people) > 1:
        rows.append(
            ("Krippendorff's α", f"all {len(people)} people", statistics.krippendorff_alpha(table[people]))
        )
    if len(people) < len(annotations):
        rows.append(
            ("Krippendorff's α", f"all {len(annotations)} annotators", statistics.krippendorff_alpha(table))
        )
    return pd.DataFrame(
        [{"measure": measure, "annotators": who} | result._asdict() for measure, who, result in rows]
    )


def contested(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> pd.DataFrame:
    """The pairs by how much people differ on them, the most contested first; models do not count.

    Returns:
        One row a pair that two people or more judged: ``id``, ``prompt_set``, ``prompt``, how many chose each
        of the four outcomes, ``n`` of them, and ``differ``: of all two people among them, the share that did
        not choose the same (0 to 1, 0 is full agreement).

    Raises:
        SafetuneError: there is no annotation, one was made for other items, or two are by one annotator.
    """
    ratings = _ratings(annotations, items)
    people = ratings[(ratings["kind"] == "person") & ratings["outcome"].notna()]
    counts = (
        pd.crosstab(people["id"], people["outcome"]).reindex(columns=list(OUTCOMES), fill_value=0).astype(int)
    )
    n = counts.sum(axis=1)
    alike = (counts * (counts - 1)).sum(axis=1) / (n * (n - 1)).where(n > 1)
    prompts = {item.id: (item.prompt_set, item.prompt) for item in items}
    found = counts.assign(n=n, differ=1 - alike)[n > 1].reset_index()
    found.insert(1, "prompt_set", found["id"].map(lambda one: prompts[one][0]))
    found.insert(2, "prompt", found["id"].map(lambda one: prompts[one][1]))
    found.columns.name = None
    return found.sort_values(["differ", "n"], ascending=False, kind="stable", ignore_index=True)


def rate_of(row: Mapping[Hashable, Any] | pd.Series) -> statistics.Estimate:
    """The first model's win rate in a row of :func:`tally`'s table."""
    numbers = {name: row[name] for name in ("low", "high", "standard_error")}
    return statistics.Estimate(value=row["win_rate"], n=int(row["n"]), **numbers)


def _ratings(annotations: Sequence[Annotation], items: Sequence[PairItem]) -> pd.DataFrame:
    """One row for each annotator and item: the outcome, missing where there is none, and ``chose_a``.

    ``chose_a`` is 1.0 where side A was better, 0.0 where side B was, else missing.
    """
    check_study(annotations, items)
    rows = []
    for annotation in annotations:
        for item in items:
            outcome = annotation.outcomes.get(item.id)
            side = (
                None if outcome not in ("first", "second") else float((outcome == "first") == item.first_is_a)
            )
            rows.append((annotation.annotator, annotation.kind, item.id, item.prompt_set, outcome, side))
    frame = pd.DataFrame(rows, columns=["annotator", "kind", "id", "prompt_set", "outcome", "chose_a"])
    return frame.astype({"outcome": object, "chose_a": float})


def _line(ratings: pd.DataFrame, item: PairItem) -> dict[str, object]:
    """The numbers of some ratings, as a row of the tally."""
    return (
        {"first": item.first_name, "second": item.second_name}
        | counted(ratings["outcome"], ids=ratings["id"])
        | {"chose_a": ratings["chose_a"].mean()}
    )


def counted(outcomes: pd.Series, *, ids: pd.Series | None = None) -> OutcomeCounts:
    """Counts of outcomes, and the first model's win rate with its interval.

    Args:
        outcomes: each one of :data:`~safetune_utils.annotation.preference.OUTCOMES`, or missing.
        ids: the item of each outcome, by the same index, where several annotators judged the same items.
    """
    counts = outcomes.value_counts()
    rate = statistics.win_rate(outcomes.map(_SCORES).astype(float), clusters=ids)
    return {
        "first_better": int(counts.get("first", 0)),
        "second_better": int(counts.get("second", 0)),
        "equally_good": int(counts.get("equally_good", 0)),
        "equally_bad": int(counts.get("equally_bad", 0)),
        "n": rate.n or 0,
        "missing": rate.n_unscored,
        "win_rate": rate.value,
        "low": rate.low,
        "high": rate.high,
        "standard_error": rate.standard_error,
        "method": rate.method,
    }
