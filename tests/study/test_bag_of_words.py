"""What a bag of words would refuse."""

from __future__ import annotations

import pandas as pd

from safetune_utils.study.bag_of_words import would_refuse
from safetune_utils.study.design import state

SETS = ["malicious", "malicious_questions", "lookalikes_unsafe", "lookalikes_safe", "ordinary"]


def test_the_words_alone_refuse_what_they_were_seen_to_refuse_at_200() -> None:
    found = would_refuse(state(prompt_sets=SETS, safety_amounts=[0, 200]))
    shares = found.groupby(["n_safety", "prompt_set"])["refused"].mean()
    assert shares[0].eq(0).all()  # with no safety instruction there is nothing to learn from
    assert shares[200].round(2).to_dict() == {
        "malicious": 0.92,
        "malicious_questions": 0.60,
        "lookalikes_unsafe": 0.61,
        "lookalikes_safe": 0.25,
        "ordinary": 0.06,
    }


def test_it_asks_the_studys_own_sets_or_others_and_knows_each_prompt() -> None:
    study = state(prompt_sets=["ordinary"], preset="smoke", seeds=[0, 1])
    found = would_refuse(study)
    assert isinstance(found, pd.DataFrame)
    assert len(found) == 2 * 2 * 4  # amounts, seeds, prompts
    assert set(found["prompt_id"]) == {prompt.id for prompt in study.prompts("ordinary")}
    assert set(would_refuse(study, prompt_sets=["opinions"])["prompt_set"]) == {"opinions"}
