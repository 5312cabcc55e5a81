"""Topics of safety examples, and of the prompts that they cover."""

from __future__ import annotations

import pandas as pd

from safetune_utils.data import PROMPT_SETS
from safetune_utils.study import mixes, topics
from safetune_utils.study.design import state


def test_examples_are_counted_by_topic_in_the_mix_of_the_first_seed() -> None:
    study = state(prompt_sets=[], preset="smoke", safety_amounts=[0, 5, 20], seeds=[3, 1])
    counts = topics.examples_by_topic(study)
    assert {n: sum(counter.values()) for n, counter in counts.items()} == {0: 0, 5: 5, 20: 20}
    first = next(run for run in study.runs if (run.n_safety, run.seed) == (20, 1))
    rows = mixes.safety_rows(study, first)
    assert counts[20]["violence"] == sum(row.topic == "violence" for row in rows)
    assert counts[5]["a topic that no row has"] == 0


def asked(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"topic": list(names), "prompt_set": next(iter(PROMPT_SETS)), "refused": False})


def test_a_prompt_is_covered_where_an_example_is_on_its_topic() -> None:
    found = topics.with_cover(asked("drugs", "fraud", ""), topics={"drugs", "weapons"})
    assert list(found["cover"]) == ["covered", "in no safety example", "not known"]
    assert list(found["topic"]) == ["drugs", "fraud", topics.NO_TOPIC]


def test_where_no_topic_is_named_in_the_same_words_nothing_is_said_of_cover() -> None:
    found = topics.with_cover(asked("Drugs", "hate", ""), topics=["drugs"])
    assert set(found["cover"]) == {"not known"}
    assert set(topics.with_cover(asked("", ""), topics=[])["cover"]) == {"not known"}
