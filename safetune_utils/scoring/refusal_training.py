"""The refusal model's weights, fitted to labelled answers that the refusal rules do not recognise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from safetune_utils.data import Labelled
from safetune_utils.scoring import probe, refusal, refusal_rules
from safetune_utils.scoring.score import Score

# Chosen on models left out and on the styled answers' training half.
REFUSAL_C = 0.003


def fit_refusal(read: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """The refusal model's weights, in the form of :func:`probe.weights`, a class for each label.

    Args:
        read: how the embedded model reads each answer, from :func:`read_for_refusal`, of shape (rows, 576).
        labels: one of :data:`refusal.LABELS` for each.
    """
    classes = [refusal.LABELS.index(label) for label in labels]
    return probe.fitted(read, classes, freedom=REFUSAL_C)


def read_for_refusal(rows: Sequence[Labelled]) -> np.ndarray:
    """How the embedded model reads each answer, of shape (rows, 576)."""
    return probe.reading_of(rows, layer=refusal.LAYER)


def by_rules(rows: Sequence[Labelled]) -> list[Score]:
    """What the refusal rules say of each answer."""
    return refusal_rules.score([row.prompt for row in rows], [row.response for row in rows])


def is_silent(rows: Sequence[Labelled]) -> np.ndarray:
    """Where the rules find no refusal, one boolean a row."""
    return np.array([score.value == 0 for score in by_rules(rows)], dtype=bool)
