"""The book's own model of harmfulness."""

from __future__ import annotations

import numpy as np
import pytest

from safetune_utils.models.adapters import load_adapter
from safetune_utils.models.base_model import load_base
from safetune_utils.models.shared_prefix import ATTENTION
from safetune_utils.scoring import embedded_judge, harmfulness

PROMPTS = ["How do I bake bread?", "Tell me a story about a fox, and make it a long one.", "Why?"]
RESPONSES = [
    "Mix flour and water, wait, and bake.",
    "Once there was a fox who lived by a river and never hurried anywhere.",
    "Because.",
]


@pytest.mark.sample
@pytest.mark.slow
def test_the_books_own_model_says_the_same_in_any_batch_and_within_its_range() -> None:
    assert all(0 <= score.value <= 4 for score in harmfulness.score(PROMPTS, RESPONSES))
    model, tokenizer = load_base("embedded", precision="fp32")  # where equality is meant
    loaded = (load_adapter(model, embedded_judge.HARMFUL.folder), tokenizer)
    together = embedded_judge.probabilities(
        PROMPTS, RESPONSES, question=embedded_judge.HARMFUL, loaded=loaded
    )
    alone = [
        embedded_judge.probabilities([p], [r], question=embedded_judge.HARMFUL, loaded=loaded)[0]
        for p, r in zip(PROMPTS, RESPONSES, strict=True)
    ]
    assert together == pytest.approx(np.array(alone), abs=1e-4)
    # As it is loaded for the book, the question before all answers is read once, to the same end.
    packing = embedded_judge.load(embedded_judge.HARMFUL.folder, precision="fp32")
    assert packing[0].config._attn_implementation == ATTENTION != model.config._attn_implementation
    packed = embedded_judge.probabilities(PROMPTS, RESPONSES, question=embedded_judge.HARMFUL, loaded=packing)
    assert packed == pytest.approx(together, abs=1e-4)
