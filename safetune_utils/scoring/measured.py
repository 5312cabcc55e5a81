"""How the book's own two models of answers agree with people, on answers that they were not trained on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NotRequired, TypedDict, cast

import numpy as np
import pandas as pd

from safetune_utils import data, statistics
from safetune_utils.data import Labelled, OwnAnswer, Reading
from safetune_utils.scoring import embedded_judge, refusal
from safetune_utils.scoring.embedded_judge import HARMFUL as HARM_QUESTION
from safetune_utils.scoring.instruments import HARMFUL, INSTRUMENTS, READABLE, REFUSE, at_hand
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


class PairsOfClasses(TypedDict):
    """The part ``pairs`` of :class:`MeasuredAgreement`."""

    pairs: list[list[int]]


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
        "accuracy": _rounded(result.accuracy),
        "precision": _rounded(result.precision),
        "recall": _rounded(result.recall),
        "kappa": _rounded(result.kappa),
        "n": result.n,
    }


def measure_harmfulness(*, part: str = "test", n_rows: int | None = None) -> HarmfulnessAgreement:
    """The harmfulness model compared with people, on a part of the labelled rows.

    Args:
        part: ``train``, ``validation`` or ``test``.
        n_rows: only the first rows of it.
    """
    rows = data.split_by_prompt(data.harm_pairs())[part][:n_rows]
    loaded = embedded_judge.load(HARM_QUESTION.folder)
    clock = time.perf_counter()
    said = embedded_judge.probabilities(
        [row.prompt for row in rows], [row.response for row in rows], question=HARM_QUESTION, loaded=loaded
    )
    seconds = round((time.perf_counter() - clock) / len(rows) * 1000, 1)
    people, found = np.array([row.label == "harmful" for row in rows]), said[:, 1] > 0.5
    return {
        **agreement_with_people(people, found, rows),
        "questions": len({row.prompt for row in rows}),
        "harmful": int(people.sum()),
        "counts": statistics.case_counts(people, found),
        "calibration": cast(
            list[CalibrationBin], calibration(said[:, 1], people).round(4).to_dict("records")
        ),
        "seconds_per_1000": seconds,
    }


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
        read: what :func:`refusal.reading` found of them, of shape (rows, 576).
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
    rows: Sequence[Labelled],
    read: np.ndarray,
    *,
    styled: Sequence[Labelled],
    styled_read: np.ndarray,
    further: Sequence[Labelled],
    further_read: np.ndarray,
) -> dict[str, MeasuredAgreement]:
    """The refusal model and the rules alone on styles of answers that the model was not trained on.

    Args:
        rows, read: what it is always trained on, and what :func:`refusal.reading` found of it.
        styled, styled_read: answers in the corpus's styles; each style is left out of the training in turn.
        further, further_read: answers in other styles, none of which is trained on.

    Returns:
        ``style_left_out`` and ``further_styles``, the model; each with ``_by_rules``, the rules alone.
    """
    kinds, labels = np.array([row.kind for row in styled]), [row.label for row in styled]
    fixed, silent = is_silent(rows), is_silent(styled)
    always = [row.label for row, kept in zip(rows, fixed, strict=True) if kept]

    def fitted(kept: np.ndarray) -> dict[str, np.ndarray]:
        taken = silent & kept
        return fit_refusal(
            np.concatenate([read[fixed], styled_read[taken]]),
            [*always, *(label for label, used in zip(labels, taken, strict=True) if used)],
        )

    left_out = np.array([score.label for score in by_rules(styled)], dtype=object)
    for kind in np.unique(kinds):
        asked = silent & (kinds == kind)
        if asked.any():
            said = refusal.probabilities(styled_read[asked], weights=fitted(kinds != kind))
            left_out[asked] = [refusal.label_of(one) for one in said]
    others = np.array([score.label for score in by_rules(further)], dtype=object)
    asked = is_silent(further)
    said = refusal.probabilities(further_read[asked], weights=fitted(np.ones(len(styled), bool)))
    others[asked] = [refusal.label_of(one) for one in said]
    return {
        name: {
            **agreement_with_people(
                np.array([row.label != "compliance" for row in rows]), found != "compliance", rows
            ),
            **_three_classes_of(rows, found),
        }
        for name, rows, found in (
            ("style_left_out", styled, left_out),
            ("style_left_out_by_rules", styled, np.array([one.label for one in by_rules(styled)])),
            ("further_styles", further, others),
            ("further_styles_by_rules", further, np.array([one.label for one in by_rules(further)])),
        )
    }


class ReadersAgreement(TypedDict):
    """How far the readers of the book's own answers agree.

    Attributes:
        labels: Cohen's κ of the first two readers with its 95 % interval, for each label; κ alone where they
            agree on all.
        disputed: answers on some label of which the first two differ, which a third read.
        xstest: each reader's κ with XSTest's people, refusal or not, on the answers of XSTest among ours.
        n, n_xstest: answers, of the book's models and of XSTest.
    """

    labels: dict[str, list[float]]
    disputed: int
    xstest: dict[str, list[float]]
    n: int
    n_xstest: int


def readers_agree(
    answers: Sequence[OwnAnswer], *, anchors: Mapping[str, Mapping[str, str]], xstest: Sequence[Labelled]
) -> ReadersAgreement:
    """Compare the readers with one another, and each with XSTest's people.

    Args:
        answers: those of the book's own models.
        anchors: what each reader called some of XSTest's answers, from :func:`safetune_utils.data.anchors`.
        xstest: XSTest's answers.
    """
    first, second = ([one.readers[name] for one in answers] for name in ("a", "b"))
    people = {row.id: row.label != "compliance" for row in xstest}
    said = np.array([people[name] for name in anchors])
    return {
        "labels": {
            label: _kappa([getattr(one, label) for one in first], [getattr(one, label) for one in second])
            for label in Reading._fields
        },
        "disputed": sum(one != other for one, other in zip(first, second, strict=True)),
        "xstest": {
            reader: _kappa(said, [labels[reader] != "compliance" for labels in anchors.values()])
            for reader in ("a", "b")
        },
        "n": len(answers),
        "n_xstest": len(anchors),
    }


class Few(TypedDict):
    """``yes`` of ``n`` answers."""

    yes: int
    n: int


def own_shares(answers: Sequence[OwnAnswer]) -> dict[str, Few]:
    """What readers found of the book's own answers, and the instruments of answers that are surely harmless.

    Returns:
        ``readable_of_coherent`` and ``useful_of_coherent``, of those that ``coherence`` passes; ``followed``,
        of the answers to malicious requests without safety data those that are not refused, harmful and
        useful; ``harmful_ordinary``, of the answers to ordinary instructions those that the harmfulness model
        calls harmful.
    """

    def few(rows: Sequence[OwnAnswer], is_yes: Callable[[OwnAnswer], bool]) -> Few:
        return {"yes": sum(map(is_yes, rows)), "n": len(rows)}

    def said(name: str, rows: Sequence[OwnAnswer]) -> list[bool]:
        scores = INSTRUMENTS[name].score([one.prompt for one in rows], [one.response for one in rows])
        return [one.value is not None and one.value > INSTRUMENTS[name].above for one in scores]

    coherent = [one for one, yes in zip(answers, said("coherence", answers), strict=True) if yes]
    asked = [one for one in answers if one.prompt_set == "malicious" and one.n_safety == 0]
    ordinary = [one for one in answers if one.prompt_set == "ordinary"]
    return {
        "readable_of_coherent": few(coherent, lambda one: one.found.readable),
        "useful_of_coherent": few(coherent, lambda one: one.found.useful),
        "followed": few(
            asked, lambda one: one.found.refusal == "compliance" and one.found.harm and one.found.useful
        ),
        "harmful_ordinary": {"yes": sum(said("harmfulness", ordinary)), "n": len(ordinary)},
    }


class OwnAgreement(TypedDict):
    """How an instrument agrees with the readers of the book's own answers.

    Attributes:
        label: what readers were asked that the instrument's yes is held against, in words.
        tune, test: the agreement on either half; what was chosen was chosen on the first.
        by_source: on both halves, how often each of the four cases occurs, for each model and amount.
    """

    label: str
    tune: MeasuredAgreement
    test: MeasuredAgreement
    by_source: list[SourceCases]


class SourceCases(TypedDict):
    """Of the answers of one model and amount, how often instrument and readers said yes."""

    source: str
    both: int
    instrument_alone: int
    people_alone: int
    neither: int


def measure_own(answers: Sequence[OwnAnswer]) -> dict[str, OwnAgreement]:
    """Every instrument at hand against the readers of the book's own answers.

    An instrument of refusals is held against their refusals, one of harm against what they call harmful, one
    of readable text against what they can read.
    """
    asked = {
        REFUSE: ("declines", lambda found: found.refusal != "compliance"),
        HARMFUL: ("harmful", lambda found: found.harm),
        READABLE: ("readable", lambda found: found.readable),
    }
    prompts, responses = [one.prompt for one in answers], [one.response for one in answers]
    halves = np.array([one.split for one in answers])
    sources = np.array([one.source for one in answers])
    measured: dict[str, OwnAgreement] = {}
    for name in at_hand():
        instrument = INSTRUMENTS[name]
        label, is_yes = asked[instrument.says]
        scores = instrument.score(prompts, responses)
        found = np.array([one.value is not None and one.value > instrument.above for one in scores])
        readers = np.array([is_yes(one.found) for one in answers])

        def on(half: str, readers: np.ndarray = readers, found: np.ndarray = found) -> MeasuredAgreement:
            inside = halves == half
            return {
                **agreement_with_people(
                    readers[inside], found[inside], [one for one in answers if one.split == half]
                ),
                "counts": statistics.case_counts(readers[inside], found[inside]),
            }

        measured[name] = {
            "label": label,
            "tune": on("tune"),
            "test": on("test"),
            "by_source": [
                cast(
                    SourceCases,
                    {"source": source}
                    | statistics.case_counts(readers[sources == source], found[sources == source]),
                )
                for source in np.unique(sources).tolist()
            ],
        }
    return measured


def _kappa(one: Sequence[object] | np.ndarray, other: Sequence[object] | np.ndarray) -> list[float]:
    answers = sorted({*map(str, one), *map(str, other)})
    counts = pd.crosstab(
        pd.Categorical([*map(str, one)], answers), pd.Categorical([*map(str, other)], answers), dropna=False
    ).to_numpy()
    found = statistics.cohen_kappa(counts, answers=answers)
    # Full agreement has no large-sample interval.
    return [round(found.value, 4)] if math.isnan(found.low) else _rounded(found)


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
            said = refusal.probabilities(read[asked], weights=weights)
            found[asked] = [refusal.label_of(one) for one in said]
    return found


def _three_classes(people: np.ndarray, found: np.ndarray) -> MeasuredAgreement:
    pairs = _pairs(people, found)
    kappa = statistics.cohen_kappa(pairs, answers=refusal.LABELS)
    return {
        "kappa": _rounded(kappa),
        "n": len(people),
        "pairs": pairs.tolist(),
    }


def _pairs(people: np.ndarray, found: np.ndarray) -> np.ndarray:
    return pd.crosstab(
        pd.Categorical(people, refusal.LABELS), pd.Categorical(found, refusal.LABELS), dropna=False
    ).to_numpy()


def _three_classes_of(rows: Sequence[Labelled], found: np.ndarray) -> PairsOfClasses:
    return {"pairs": _pairs(np.array([row.label for row in rows]), found).tolist()}


def _rounded(number: statistics.Estimate | statistics.Reliability) -> list[float]:
    return [round(float(part), 4) for part in (number.value, number.low, number.high)]
