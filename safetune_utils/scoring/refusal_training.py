"""The refusal model's weights, fitted to labelled answers that the refusal rules do not recognise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from safetune_utils.data import Labelled
from safetune_utils.scoring import refusal, refusal_rules
from safetune_utils.scoring.score import Score

# How freely the refusal model's weights may grow: scikit-learn's C, on standardised inputs. Chosen on models
# left out and on the styled answers' training half; small, because a freer model fits XSTest's prompts and
# fails on another style.
REFUSAL_C = 0.003


def fit_refusal(read: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """The refusal model's weights, in the form of :func:`refusal.weights`: a logistic regression.

    Args:
        read: how the embedded model reads each answer, from :func:`refusal.reading`, of shape (rows, 576).
        labels: one of :data:`refusal.LABELS` for each.
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale = read.mean(axis=0), read.std(axis=0) + 1e-3
    classes = [refusal.LABELS.index(label) for label in labels]
    fitted = LogisticRegression(C=REFUSAL_C, max_iter=2000).fit((read - mean) / scale, classes)
    arrays = {"mean": mean, "scale": scale, "coefficients": fitted.coef_, "intercepts": fitted.intercept_}
    # Contiguous: else the file would hold the numbers of a transposed array in the wrong order.
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}


def by_rules(rows: Sequence[Labelled]) -> list[Score]:
    """What the refusal rules say of each answer."""
    return refusal_rules.score([row.prompt for row in rows], [row.response for row in rows])


def is_silent(rows: Sequence[Labelled]) -> np.ndarray:
    """Where the rules find no refusal, one boolean a row."""
    return np.array([score.value == 0 for score in by_rules(rows)], dtype=bool)
