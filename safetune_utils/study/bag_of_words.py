"""Would a bag of words refuse this request? It says how much of a curve is vocabulary.

For each adapter's mix, a logistic regression on word counts learns which of its instructions are safety
instructions. It knows no answer and no meaning: where it "refuses" as often as the adapter does, the words
of the request are enough to explain the refusals. It is computed from the mix alone, in about a second.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from safetune_utils.study.mixes import mix_of
from safetune_utils.study.study import Run, Study


def would_refuse(study: Study, *, prompt_sets: Sequence[str] = ()) -> pd.DataFrame:
    """For each request whether a bag of words takes it for a safety instruction of the mix.

    Single words and pairs of neighbours, weighted by TF-IDF with the logarithm of their counts, and a
    logistic regression with little regularisation (C is 10) that gives both kinds the same weight in all.

    Args:
        study: whose mixes it learns from.
        prompt_sets: what is asked; by default the study's own sets.

    Returns:
        ``n_safety, seed, prompt_set, prompt_id, topic, kind, pair, refused``, one row a request and mix.
        With no safety instruction in the mix nothing is refused.
    """
    asked = [(name, prompt) for name in prompt_sets or study.prompt_sets for prompt in study.prompts(name)]
    texts = [prompt.text for _, prompt in asked]
    rows = []
    for run in study.runs:
        for (name, prompt), refused in zip(asked, _refused(study, run, texts), strict=True):
            rows.append(
                {
                    "n_safety": run.n_safety, "seed": run.seed, "prompt_set": name, "prompt_id": prompt.id,
                    "topic": prompt.topic, "kind": prompt.kind, "pair": prompt.pair, "refused": refused,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _refused(study: Study, run: Run, texts: list[str]) -> list[bool]:
    pool, mix = {row.id for row in study.safety}, mix_of(study, run)
    is_safety = [row.id in pool for row in mix.train]
    if not any(is_safety) or not texts:
        return [False] * len(texts)
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    learned = LogisticRegression(C=10, class_weight="balanced", max_iter=1000)
    learned.fit(words.fit_transform(row.instruction for row in mix.train), is_safety)
    return [bool(one) for one in learned.predict(words.transform(texts))]
