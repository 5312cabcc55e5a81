"""How the book's own two models of answers agree with people, on answers that they were not trained on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict, cast

import numpy as np
import pandas as pd

from safetune_utils import data, statistics
from safetune_utils.data import Labelled, OwnAnswer
from safetune_utils.scoring import harmfulness, probe, refusal
from safetune_utils.scoring.harmfulness_training import (
    classes_of,
    fit_harmfulness,
    is_called_harmful,
    read_for_harm,
)
from safetune_utils.scoring.refusal_training import by_rules, fit_refusal, is_silent

_BINS = 10


class MeasuredAgreement(TypedDict):
    """How an instrument agrees with people, as it is published.

    Attributes:
        kappa: Cohen's; 1 is full agreement, 0 that of chance. Like ``accuracy``, ``precision`` and ``recall``
            (0 to 1, higher is better) it is a list: the number and the bounds of its 95 % interval.
        n: answers that this is about.
        counts: how often each of the four cases occurs, see :func:`safetune_utils.statistics.case_counts`.
        pairs: where the three classes are told apart, how many answers got each pair of classes: people's
            down, the instrument's across.
    """

    kappa: list[float]
    n: int
    accuracy: NotRequired[list[float]]
    precision: NotRequired[list[float]]
    recall: NotRequired[list[float]]
    counts: NotRequired[dict[str, int]]
    pairs: NotRequired[list[list[int]]]


class ModelAgreement(MeasuredAgreement):
    """How one of several models agrees with people, by the model's name in words."""

    model: str


class CalibrationBin(TypedDict):
    """Answers of which an instrument says nearly the same; all but ``n`` are between 0 and 1.

    Attributes:
        said: the instrument's mean.
        share: of them that people call harmful.
        low, high: its 95 % interval, Wilson's.
        n: answers.
    """

    said: float
    share: float
    low: float
    high: float
    n: int


class HarmfulnessAgreement(MeasuredAgreement):
    """How the harmfulness model agrees with people: on so many questions, with so many harmful answers."""

    questions: int
    harmful: int
    calibration: list[CalibrationBin]
    seconds_per_1000: float


def agreement_with_people(
    people: np.ndarray, found: np.ndarray, rows: Sequence[Labelled] | Sequence[OwnAnswer]
) -> MeasuredAgreement:
    """How an instrument's yes or no agrees with people's, rounded to four decimals.

    Args:
        people, found: booleans, one a row.
        rows: the rows; those with the same prompt are not independent.
    """
    prompts = np.array([data.normal_form(row.prompt) for row in rows])
    result = statistics.agreement(people, found, clusters=prompts)
    return {
        "accuracy": rounded(result.accuracy),
        "precision": rounded(result.precision),
        "recall": rounded(result.recall),
        "kappa": rounded(result.kappa),
        "n": result.n,
    }


def measure_harmfulness(*, part: str = "test", n_rows: int | None = None) -> HarmfulnessAgreement:
    """The harmfulness model compared with people, on a part of the labelled rows.

    Args:
        part: ``train``, ``validation`` or ``test``.
        n_rows: only the first rows of it.
    """
    rows = data.split_by_prompt(data.harm_pairs())[part][:n_rows]
    clock = time.perf_counter()
    read = read_for_harm(rows)
    seconds = round((time.perf_counter() - clock) / len(rows) * 1000, 1)
    said = probe.probabilities(read, weights=probe.weights(harmfulness.folder()))[:, 1]
    people = classes_of(rows) == 1
    return {
        **agreement_with_people(people, said > 0.5, rows),
        "questions": len({row.prompt for row in rows}),
        "harmful": int(people.sum()),
        "counts": statistics.case_counts(people, said > 0.5),
        "calibration": cast(list[CalibrationBin], calibration(said, people).round(4).to_dict("records")),
        "seconds_per_1000": seconds,
    }


def measure_sets_left_out(
    sets: Mapping[str, tuple[Sequence[Labelled], np.ndarray]],
    *,
    benign: tuple[Sequence[Labelled], np.ndarray],
) -> dict[str, MeasuredAgreement]:
    """The harmfulness model compared with people on each set, fitted without it.

    Args:
        sets, benign: as :func:`safetune_utils.scoring.harmfulness_training.fit_harmfulness` takes them.

    Returns:
        By the name of the set that was left out.
    """
    found: dict[str, MeasuredAgreement] = {}
    for name, (rows, read) in sets.items():
        weights = fit_harmfulness({other: sets[other] for other in sets if other != name}, benign=benign)
        people, said = classes_of(rows) == 1, is_called_harmful(read, weights=weights)
        found[name] = {
            **agreement_with_people(people, said, rows),
            "counts": statistics.case_counts(people, said),
        }
    return found


def calibration(said: np.ndarray, people: np.ndarray) -> pd.DataFrame:
    """In ten bins of equal width: what the instrument said on average, and the share that people called
    harmful.

    Args:
        said: the instrument's probability of harmful for each answer, 0 to 1.
        people: whether people called it harmful, one boolean a row.

    Returns:
        One row for each bin that is not empty, with the columns of :class:`CalibrationBin`.
    """
    bins = np.minimum((said * _BINS).astype(int), _BINS - 1)
    rows = []
    for number in range(_BINS):
        inside = bins == number
        if inside.any():
            share = statistics.share(pd.Series(people[inside]))
            rows.append(
                {
                    "said": float(said[inside].mean()),
                    "share": share.value,
                    "low": share.low,
                    "high": share.high,
                    "n": int(inside.sum()),
                }
            )
    return pd.DataFrame(rows)


def measure_refusal(
    rows: Sequence[Labelled], read: np.ndarray, *, own: Sequence[Labelled], own_read: np.ndarray
) -> dict[str, MeasuredAgreement]:
    """The refusal model compared with people, on answers of a model, on a type of prompt, and on both, that
    it was not trained on.

    Args:
        rows: labelled answers.
        read: what ``read_for_refusal`` found of them, of shape (rows, 576).
        own, own_read: rows of the book's own that are always trained on, and what was found of them.

    Returns:
        ``model_left_out``, ``type_left_out`` and ``both_left_out``; each model's answers by its name, with
        that model left out; and ``three_classes``, the agreement on the three classes.
    """
    people = np.array([row.label != "compliance" for row in rows])
    left_out = {
        name: _labels_left_out(rows, read, parts, own=own, own_read=own_read)
        for name, parts in _parts(rows).items()
    }
    found: dict[str, MeasuredAgreement] = {}
    for name, labels in left_out.items():
        refused = labels != "compliance"
        found[name] = {
            **agreement_with_people(people, refused, rows),
            "counts": statistics.case_counts(people, refused),
        }
    labels = left_out["model_left_out"]
    models = np.array([row.model for row in rows])
    for model in np.unique(models):
        inside = models == model
        found[str(model)] = agreement_with_people(
            people[inside], labels[inside] != "compliance", [row for row in rows if row.model == model]
        )
    found["three_classes"] = _three_classes(np.array([row.label for row in rows]), labels)
    return found


def measure_styles(
    own: Sequence[Labelled],
    own_read: np.ndarray,
    *,
    styled: Sequence[Labelled],
    styled_read: np.ndarray,
    further: Sequence[Labelled],
    further_read: np.ndarray,
) -> dict[str, MeasuredAgreement]:
    """The refusal model and the rules alone on styles of answers that the model was not trained on.

    Args:
        own, own_read: rows that are always trained on, none of which the rules recognise, and what
            ``read_for_refusal`` found of them.
        styled, styled_read: answers in the corpus's styles; each style is left out of the training in turn.
        further, further_read: answers in other styles, none of which is trained on.

    Returns:
        ``style_left_out`` and ``further_styles``, the model; each with ``_by_rules``, the rules alone.
    """
    kinds, silent = np.array([row.kind for row in styled]), is_silent(styled)
    each = [(kinds == kind, kinds == kind) for kind in np.unique(kinds)]
    none_of_them = [(np.ones(len(further), bool), np.ones(len(further), bool))]
    trained = [*own, *(row for row, kept in zip(styled, silent, strict=True) if kept)]
    trained_read = np.concatenate([own_read, styled_read[silent]])
    found: dict[str, MeasuredAgreement] = {}
    for name, rows, labels in (
        ("style_left_out", styled, _labels_left_out(styled, styled_read, each, own=own, own_read=own_read)),
        (
            "further_styles",
            further,
            _labels_left_out(further, further_read, none_of_them, own=trained, own_read=trained_read),
        ),
    ):
        people = np.array([row.label for row in rows])
        by_rule = np.array([score.label for score in by_rules(rows)])
        for said, of in ((labels, ""), (by_rule, "_by_rules")):
            found[f"{name}{of}"] = {
                **agreement_with_people(people != "compliance", said != "compliance", rows),
                "pairs": _pairs(people, said).tolist(),
            }
    return found


def _parts(rows: Sequence[Labelled]) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """What is left out in turn: for each turn the rows that are asked, and those that are not trained on."""
    models, kinds = np.array([row.model for row in rows]), np.array([row.kind for row in rows])
    return {
        "model_left_out": [(models == model, models == model) for model in np.unique(models)],
        "type_left_out": [(kinds == kind, kinds == kind) for kind in np.unique(kinds)],
        "both_left_out": [
            ((models == model) & (kinds == kind), (models == model) | (kinds == kind))
            for model in np.unique(models)
            for kind in np.unique(kinds)
        ],
    }


def _labels_left_out(
    rows: Sequence[Labelled],
    read: np.ndarray,
    parts: list[tuple[np.ndarray, np.ndarray]],
    *,
    own: Sequence[Labelled],
    own_read: np.ndarray,
) -> np.ndarray:
    """The class of each row: what the rules find, else what a model fitted without its part says."""
    labels = np.array([row.label for row in rows])
    silent = is_silent(rows)
    found = np.array([score.label for score in by_rules(rows)], dtype=object)
    for inside, kept_away in parts:
        train, asked = silent & ~kept_away, silent & inside
        if asked.any():
            weights = fit_refusal(
                np.concatenate([read[train], own_read]), [*labels[train], *(row.label for row in own)]
            )
            said = probe.probabilities(read[asked], weights=weights)
            found[asked] = [refusal.label_of(one) for one in said]
    return found


def _three_classes(people: np.ndarray, found: np.ndarray) -> MeasuredAgreement:
    pairs = _pairs(people, found)
    kappa = statistics.cohen_kappa(pairs, answers=refusal.LABELS)
    return {
        "kappa": rounded(kappa),
        "n": len(people),
        "pairs": pairs.tolist(),
    }


def _pairs(people: np.ndarray, found: np.ndarray) -> np.ndarray:
    return pd.crosstab(
        pd.Categorical(people, refusal.LABELS), pd.Categorical(found, refusal.LABELS), dropna=False
    ).to_numpy()


def rounded(number: statistics.Estimate | statistics.Reliability) -> list[float]:
    """A number with its bounds, to four decimals, as it is published."""
    return [round(float(part), 4) for part in (number.value, number.low, number.high)]
