"""Intervals and differences against known values and known properties."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from safetune_utils.stats import paired_difference, per_prompt, share, summarise


def test_wilson_interval_of_a_known_case() -> None:
    # 15 of 148 successes is the worked example of Newcombe (1998), method 3: 0.0624 to 0.1605.
    result = share(pd.Series([True] * 15 + [False] * 133))
    assert result.low == pytest.approx(0.0624, abs=5e-4)
    assert result.high == pytest.approx(0.1605, abs=5e-4)
    assert (result.n_scored, result.method) == (148, "Wilson")


def test_unscored_answers_are_counted_and_not_averaged() -> None:
    result = share(pd.Series([True, None, False, None], dtype=object))
    assert (result.share, result.n_scored, result.n_unscored) == (0.5, 2, 2)
    nothing = share(pd.Series([None, None], dtype=object))
    assert math.isnan(nothing.share)
    assert nothing.n_unscored == 2


def test_answers_to_one_prompt_are_not_taken_for_independent() -> None:
    # Forty prompts whose five seeds all agree hold the information of forty answers, not of two hundred.
    prompts = pd.Series(np.repeat(np.arange(40), 5))
    values = (prompts % 2).astype(bool)
    clustered, naive = share(values, clusters=prompts), share(values)
    assert clustered.method == "bootstrap over prompts"
    assert clustered.high - clustered.low > 1.8 * (naive.high - naive.low)


def test_summarise_groups_and_keeps_every_set() -> None:
    answers = pd.DataFrame({"prompt_set": ["a", "a", "b"], "prompt_id": ["1", "2", "1"], "refused": [True, False, True]})
    table = summarise(answers, by=["prompt_set"])
    assert list(table["share"]) == [0.5, 1.0]
    assert list(table["n_scored"]) == [2, 1]


def test_paired_difference_sees_a_real_change_and_no_change() -> None:
    ids = [f"p{i}" for i in range(60)]
    none, half = pd.Series([0.0] * 60, index=ids), pd.Series([0.0, 1.0] * 30, index=ids)
    rise = paired_difference(none, half)
    assert (rise.direction, rise.difference, rise.n_pairs) == ("rises", 0.5, 60)
    assert rise.p_value < 1e-6
    assert paired_difference(half, none).direction == "falls"
    # As many gained as lost: the shares are equal, and nothing is seen.
    swapped = pd.Series([1.0, 0.0] * 30, index=ids)
    assert paired_difference(half, swapped).direction == "not seen"


def test_pairs_are_matched_by_prompt_and_seeds_are_averaged() -> None:
    answers = pd.DataFrame(
        {
            "prompt_set": "malicious", "n_safety": [0, 0, 0, 0], "seed": [0, 1, 0, 1],
            "prompt_id": ["a", "a", "b", "b"], "refused": pd.Series([True, False, None, True], dtype=object),
        }
    )  # fmt: skip
    assert per_prompt(answers, prompt_set="malicious", n_safety=0).to_dict() == {"a": 0.5, "b": 1.0}
    result = paired_difference(pd.Series({"a": 0.0, "b": 0.0}), pd.Series({"b": 1.0, "c": 1.0}))
    assert (result.n_pairs, result.difference) == (1, 1.0)
