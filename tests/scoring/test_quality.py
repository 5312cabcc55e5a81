"""Response quality: rewards do not depend on the batch, and win rates count them rightly."""

from __future__ import annotations

import math
import random

import pytest
import torch
from tiny_models import tiny_reward_model, tiny_reward_tokenizer

from safetune_utils.scoring import quality
from safetune_utils.scoring.quality import win_rate

PROMPTS = ["how do i bake bread", "tell me a joke", "how do i wait", "tell me", "do i mix water and salt"]
RESPONSES = [
    "mix flour water and salt then wait for an hour",
    "no",
    "wait",
    " 42. \n",
    "a joke and bread then",
]


def test_rewards_are_the_model_s_own_and_do_not_depend_on_the_batch() -> None:
    model, tokenizer = tiny_reward_model(), tiny_reward_tokenizer()
    model.train()  # a model left in training mode would drop out at random
    together = quality.score(PROMPTS, RESPONSES, model=model, tokenizer=tokenizer, batch_size=8)
    apart = quality.score(PROMPTS, RESPONSES, model=model, tokenizer=tokenizer, batch_size=1)
    for i in (0, 1, 2, 4):
        with torch.inference_mode():
            by_hand = model(**tokenizer(PROMPTS[i], RESPONSES[i], return_tensors="pt")).logits.item()
        assert together[i].value == pytest.approx(by_hand, abs=1e-4)
        assert apart[i].value == pytest.approx(by_hand, abs=1e-4)
    # Unlike enough for a wrong order to show.
    assert len({round(together[i].value, 2) for i in (0, 1, 2, 4)}) == 4
    assert (together[3].value, together[3].reason) == (None, "no words in the answer")


def test_a_long_row_is_cut_at_512_tokens_and_says_so() -> None:
    model, tokenizer = tiny_reward_model(), tiny_reward_tokenizer()
    long = "mix flour " * 400
    cut, whole = quality.score(PROMPTS[:2], [long, "no"], model=model, tokenizer=tokenizer)
    assert "up to token 512" in cut.reason
    assert whole.reason == ""
    n_prompt = len(tokenizer(PROMPTS[0])["input_ids"])
    fits = " ".join(long.split()[: 512 - n_prompt - 1])  # one more separator
    (same,) = quality.score(PROMPTS[:1], [fits], model=model, tokenizer=tokenizer)
    assert same.reason == ""
    assert cut.value == pytest.approx(same.value, abs=1e-4)


def test_win_rate_counts_ties_half_and_leaves_unscored_prompts_out() -> None:
    result = win_rate([1.0, 0.0, 2.0, None, 5.0], [0.0, 1.0, 2.05, 1.0, float("nan")], tie_margin=0.1)
    assert (result.wins, result.ties, result.losses) == (1, 1, 1)
    assert (result.rate.value, result.rate.n, result.rate.n_unscored) == (0.5, 3, 2)
    assert win_rate([2.05], [2.0]).wins == 1  # no margin: the smallest difference decides
    assert math.isnan(win_rate([None], [1.0]).rate.value)
    # Three answers to each prompt that always agree tell no more than one.
    tuned, untuned = [1.0, 0.0] * 20 * 3, [0.5] * 120
    thrice, once = (
        win_rate(tuned, untuned, prompts=[f"p{i}" for i in range(40)] * 3),
        win_rate(tuned[:40], untuned[:40]),
    )
    assert (thrice.rate.n, thrice.rate.low, thrice.rate.high) == (120, once.rate.low, once.rate.high)


def test_win_rate_sees_a_better_model_and_an_equal_one() -> None:
    draw = random.Random(0)
    untuned = [draw.gauss(0, 1) for _ in range(200)]
    better, equal = [x + draw.gauss(1, 1) for x in untuned], [x + draw.gauss(0, 1) for x in untuned]
    assert win_rate(better, untuned).direction == "better"
    assert win_rate(untuned, better).direction == "worse"
    even = win_rate(equal, untuned)
    assert even.direction == "not seen"
    assert 0.12 < even.rate.high - even.rate.low < 0.16  # 200 prompts: 2 x 1.96 x .5 / sqrt(200) = .139
    always = win_rate([1.0] * 20, [0.0] * 20)
    assert always.rate.value == 1
    assert 0.8 < always.rate.low < 0.9  # a bootstrap of twenty wins would claim certainty
