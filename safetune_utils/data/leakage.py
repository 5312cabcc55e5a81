"""Which test prompts are trained on: exact and near copies, between any training rows and any prompts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz, process

from safetune_utils.data.rows import Example, Prompt, normal_form

NEAR = 85.0
_CHUNK = 2000  # training texts compared at once: limits the memory for 20,000 rows x 500 prompts


class Copy(NamedTuple):
    """A training row and a test prompt that are alike: similarity 0 to 100, where 100 is the same words."""

    train_id: str
    test_id: str
    similarity: float
    exact: bool


class Overlap(NamedTuple):
    """What training rows and prompts have in common.

    Attributes:
        copies: pairs at or above the threshold, most similar first, at most one for each prompt.
        highest: the highest similarity of any pair, 0 to 100.
        n_train: training rows that were compared.
        n_test: prompts that were compared.
    """

    copies: list[Copy]
    highest: float
    n_train: int
    n_test: int

    @property
    def exact(self) -> list[str]:
        """Ids of prompts that are trained on word for word."""
        return [copy.test_id for copy in self.copies if copy.exact]

    @property
    def near(self) -> list[str]:
        """Ids of prompts that are nearly, but not exactly, trained on."""
        return [copy.test_id for copy in self.copies if not copy.exact]


def overlap(train: Iterable[Example], test: list[Prompt], *, at_least: float = NEAR) -> Overlap:
    """Compare the request of every training row, in both its forms, with every prompt.

    *Exact* means the same except for case, white space and punctuation. *Near* means a similarity of at least
    ``at_least``. The similarity is rapidfuzz's token sort ratio, 0 to 100, which ignores the order of words
    (one changed word in ten gives about 90). It does not find copies that say the same in other words.

    Args:
        train: rows to train on.
        test: prompts to test with.
        at_least: the threshold, 0 to 100.
    """
    texts = [
        (row.id, normal_form(text, punctuation=False))
        for row in train
        for text in (row.instruction, row.question)
        if text
    ]
    asked = [normal_form(prompt.text, punctuation=False) for prompt in test]
    best = np.zeros(len(asked), dtype=np.float32)
    best_at = np.zeros(len(asked), dtype=np.int64)
    for start in range(0, len(texts), _CHUNK):
        part = [text for _, text in texts[start : start + _CHUNK]]
        likeness = process.cdist(part, asked, scorer=fuzz.token_sort_ratio, dtype=np.float32, workers=-1)
        at = likeness.argmax(axis=0)
        top = likeness[at, np.arange(len(asked))]
        better = top > best
        best[better], best_at[better] = top[better], at[better] + start
    copies = [
        Copy(texts[best_at[i]][0], test[i].id, round(float(best[i]), 1), texts[best_at[i]][1] == asked[i])
        for i in np.argsort(-best, kind="stable")
        if best[i] >= at_least
    ]
    return Overlap(
        copies, round(float(best.max(initial=0)), 1), len({row_id for row_id, _ in texts}), len(test)
    )


def exact_copies(train: Iterable[Example], test: list[Prompt]) -> list[str]:
    """Ids of prompts that are the same as a training row's request, except for case, white space and
    punctuation.
    """
    seen = {
        normal_form(text, punctuation=False)
        for row in train
        for text in (row.instruction, row.question)
        if text
    }
    return [prompt.id for prompt in test if normal_form(prompt.text, punctuation=False) in seen]
