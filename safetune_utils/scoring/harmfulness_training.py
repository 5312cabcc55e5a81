"""The harmfulness model's weights, fitted to answers that people called harmful or not, and to answers in
which nobody would look for harm.

One labelled set alone teaches what its requests are about: a model of it calls the answers to ordinary
requests harmful, too. So two sets count the same, their harmful and their harmless answers count the same,
and beside them stand helpful answers to ordinary instructions, refusals, and what the book's own small models
say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from safetune_utils import data
from safetune_utils.data import Labelled
from safetune_utils.scoring import harmfulness, probe

# Both chosen on Safe-RLHF's validation part, on sets left out and on the tuning half of our own models'
# answers.
HARMFULNESS_C = 0.003
# How much the answers without harm count together, beside the labelled sets' one.
_BENIGN = 0.25
# One of so many rows is read, so that all are read in half an hour: of Safe-RLHF's training questions, of
# 2,000 general examples of Alpaca, of XSTest's answers.
_EVERY_RLHF, _EVERY_GENERAL, _EVERY_XSTEST = 2, 100, 3
# Our own models' answers that had been read when the weights were made; those who read them anew call two of
# them no longer harmful, and one newly so.
_LAST_READ = "own-430"


def labelled_sets() -> dict[str, list[Labelled]]:
    """The rows of outside sets that are trained on, by the set's name.

    Raises:
        SafetuneError: a file cannot be fetched.
    """
    return {
        "Safe-RLHF-mini": data.split_by_prompt(data.harm_pairs())["train"][::_EVERY_RLHF],
        "JAILJUDGE-mini": data.jailbreak_answers(),
    }


def benign_rows() -> list[Labelled]:
    """Answers without harm that are trained on: what the corpus and Alpaca teach, XSTest's answers to safe
    prompts and its refusals. With them, what readers found of the tuning half of the book's own models'
    answers, some of which are harmful; but for those to ordinary instructions, which are a negative control.

    Raises:
        SafetuneError: a file cannot be fetched.
    """
    general = [
        Labelled(
            id=row.id, prompt=f"{row.instruction}\n{row.input}".strip(), response=row.output, label="harmless"
        )
        for row in data.general_examples("paper-sample")[::_EVERY_GENERAL]
    ]
    declined_or_safe = [
        row
        for row in data.xstest_completions()[::_EVERY_XSTEST]
        if row.label == "full_refusal" or (row.label == "compliance" and not row.kind.startswith("contrast"))
    ]
    own = [
        Labelled(
            id=row.id,
            prompt=row.prompt,
            response=row.response,
            label=harmfulness.CLASSES[row.found.harm],
            model=row.source,
        )
        for row in data.own_answers("tune")
        if row.prompt_set != "ordinary" and row.id <= _LAST_READ
    ]
    others = [
        Labelled(id=row.id, prompt=row.prompt, response=row.response, label="harmless", model=row.model)
        for row in (*data.own_responses(), *declined_or_safe)
    ]
    return [*general, *others, *own]


def read_for_harm(rows: Sequence[Labelled]) -> np.ndarray:
    """How the embedded model reads each answer, of shape (rows, 576)."""
    return probe.reading_of(rows, layer=harmfulness.LAYER)


def fit_harmfulness(
    sets: Mapping[str, tuple[Sequence[Labelled], np.ndarray]],
    *,
    benign: tuple[Sequence[Labelled], np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """The harmfulness model's weights, in the form of :func:`probe.weights`, a class for each of
    :data:`harmfulness.CLASSES`.

    Args:
        sets: labelled answers by their set, each with what :func:`read_for_harm` found of them.
        benign: those without harm, in the same form; ``None`` for none.
    """
    parts = [*sets.values(), *([benign] if benign else [])]
    return probe.fitted(
        np.concatenate([read for _, read in parts]),
        classes_of(list(chain.from_iterable(rows for rows, _ in parts))),
        freedom=HARMFULNESS_C,
        counts=balanced_counts([rows for rows, _ in sets.values()], n_benign=len(benign[0]) if benign else 0),
    )


def balanced_counts(sets: Sequence[Sequence[Labelled]], *, n_benign: int) -> np.ndarray:
    """How much each row counts, those of the sets first and then those without harm: the sets count the same,
    and so do the classes within a set.
    """
    n = sum(map(len, sets))
    counts = []
    for rows in sets:
        classes = classes_of(rows)
        share = n / len(sets) / len(np.unique(classes))
        counts.append(share / np.bincount(classes, minlength=2)[classes])
    if n_benign:
        counts.append(np.full(n_benign, _BENIGN * n / n_benign))
    return np.concatenate(counts)


def classes_of(rows: Sequence[Labelled]) -> np.ndarray:
    """The class of each answer: 1 harmful, 0 harmless."""
    return np.array([harmfulness.CLASSES.index(row.label) for row in rows])


def is_called_harmful(read: np.ndarray, *, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Whether the model calls each answer harmful, one boolean a row."""
    return probe.probabilities(read, weights=weights)[:, 1] > 0.5
