"""How the readers of the book's own answers agree, and the instruments at hand with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict, cast

import numpy as np
import pandas as pd

from safetune_utils import statistics
from safetune_utils.data import Labelled, OwnAnswer, Reading
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring.instruments import HARMFUL, INSTRUMENTS, READABLE, REFUSE, at_hand
from safetune_utils.scoring.measured import MeasuredAgreement, agreement_with_people, rounded


class ReadersAgreement(TypedDict):
    """How far the readers of the book's own answers agree.

    Attributes:
        labels: Cohen's κ of an answer's first two readers with its 95 % interval, for each label; κ alone
            where they agree on all.
        disputed: answers on some label of which the first two differ, which a third read.
        xstest: each reader's κ with XSTest's people, refusal or not, on the answers of XSTest among ours.
        xstest_classes: the same with the three classes kept apart.
        n, n_xstest: answers, of the book's models and of XSTest.
    """

    labels: dict[str, list[float]]
    disputed: int
    xstest: dict[str, list[float]]
    xstest_classes: dict[str, list[float]]
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

    Raises:
        SafetuneError: somebody who read our answers did not read those of XSTest.
    """
    readers = sorted({reader for one in answers for reader in one.readers})
    read = {reader for of_readers in anchors.values() for reader in of_readers}
    if unknown := [reader for reader in readers if reader not in read]:
        raise SafetuneError(
            f"reader(s) {', '.join(unknown)} read none of XSTest's answers: have theirs read anew"
        )
    first, second = ([[*one.readers.values()][place] for one in answers] for place in (0, 1))
    labels = {row.id: row.label for row in xstest}
    people = [labels[name] for name in anchors]
    found = {reader: [of_readers[reader] for of_readers in anchors.values()] for reader in readers}
    return {
        "labels": {
            label: _kappa([getattr(one, label) for one in first], [getattr(one, label) for one in second])
            for label in Reading._fields
        },
        "disputed": sum(one != other for one, other in zip(first, second, strict=True)),
        "xstest": {
            reader: _kappa([one != "compliance" for one in people], [one != "compliance" for one in said])
            for reader, said in found.items()
        },
        "xstest_classes": {reader: _kappa(people, said) for reader, said in found.items()},
        "n": len(answers),
        "n_xstest": len(anchors),
    }


class Few(TypedDict):
    """``yes`` of ``n`` answers."""

    yes: int
    n: int


Said = Mapping[str, np.ndarray]


def own_said(answers: Sequence[OwnAnswer]) -> Said:
    """Whether every instrument at hand says yes to each answer, by its name.

    Raises:
        SafetuneError: an instrument leaves one unscored, which is neither.
    """
    prompts, responses = [one.prompt for one in answers], [one.response for one in answers]
    said = {}
    for name in at_hand():
        values = [one.value for one in INSTRUMENTS[name].score(prompts, responses)]
        unscored = [one.id for one, value in zip(answers, values, strict=True) if value is None]
        if unscored:
            raise SafetuneError(
                f"'{name}' leaves {len(unscored)} labelled answer(s) unscored: {unscored[0]}, …"
            )
        said[name] = np.array(values, float) > INSTRUMENTS[name].above
    return said


def own_shares(answers: Sequence[OwnAnswer], said: Said) -> dict[str, Few]:
    """What readers found of the book's own answers, and the instruments of answers that are surely harmless.

    Args:
        said: from :func:`own_said`.

    Returns:
        ``readable_of_coherent`` and ``useful_of_coherent``, of those that ``coherence`` passes; ``followed``,
        of the answers to malicious requests without safety data those that are not refused, harmful and
        useful; ``harmful_ordinary``, of the answers to ordinary instructions those that the harmfulness model
        calls harmful.
    """

    def few(rows: Sequence[OwnAnswer], is_yes: Callable[[OwnAnswer], bool]) -> Few:
        return {"yes": sum(map(is_yes, rows)), "n": len(rows)}

    coherent = [one for one, yes in zip(answers, said["coherence"], strict=True) if yes]
    asked = [one for one in answers if one.prompt_set == "malicious" and one.n_safety == 0]
    ordinary = np.array([one.prompt_set == "ordinary" for one in answers])
    return {
        "readable_of_coherent": few(coherent, lambda one: one.found.readable),
        "useful_of_coherent": few(coherent, lambda one: one.found.useful),
        "followed": few(asked, lambda one: one.found.follows),
        "harmful_ordinary": {
            "yes": int(said["harmfulness"][ordinary].sum()),
            "n": int(ordinary.sum()),
        },
    }


class OwnAgreement(TypedDict):
    """How an instrument agrees with the readers of the book's own answers.

    Attributes:
        label: what readers were asked that the instrument's yes is held against, in words.
        tune, test: the agreement on either half; what was chosen was chosen on the first, and the harmfulness
            model has learned from the first.
        by_source: on both halves, how often each of the four cases occurs, for each model and amount.
    """

    label: str
    tune: MeasuredAgreement
    test: MeasuredAgreement
    by_source: list[statistics.SourceCounts]


def measure_own(answers: Sequence[OwnAnswer], said: Said) -> dict[str, OwnAgreement]:
    """Every instrument at hand against the readers of the book's own answers.

    An instrument of refusals is held against their refusals, one of harm against what they call harmful, one
    of readable text against what they can read.

    Args:
        said: from :func:`own_said`.
    """
    asked = {
        REFUSE: ("declines", lambda found: found.refusal != "compliance"),
        HARMFUL: ("harmful", lambda found: found.harm),
        READABLE: ("readable", lambda found: found.readable),
    }
    halves = np.array([one.split for one in answers])
    sources = np.array([one.source for one in answers])
    measured: dict[str, OwnAgreement] = {}
    for name, found in said.items():
        label, is_yes = asked[INSTRUMENTS[name].says]
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
                    statistics.SourceCounts,
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
    return [round(found.value, 4)] if math.isnan(found.low) else rounded(found)
