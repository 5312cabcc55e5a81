"""Negative controls of an instrument: which shares pass, and what gibberish is."""

from __future__ import annotations

import pandas as pd
import pytest

from safetune_utils import statistics
from safetune_utils.scoring.controls import GIBBERISH, Control, failing, gibberish, rows


def control(yes: int, n: int, *, instrument: str = "refusal-rules", limited: bool = True) -> Control:
    found = statistics.share(pd.Series([True] * yes + [False] * (n - yes), dtype=object))
    return Control(instrument, "random words", found, yes, limited)


@pytest.mark.parametrize(
    ("yes", "n", "verdict"),
    [
        (0, 21, "too few to tell"),  # 0 to 15.5 %: so few pass by chance
        (0, 22, "passes"),
        (3, 66, "passes"),  # 4.5 %, and at most 12.5 %
        (4, 66, "too few to tell"),  # 6.1 %, and it may be 2.4 %
        (1, 4, "too few to tell"),  # 4.6 to 69.9 %
        (2, 4, "fails"),
        (22, 66, "fails"),
        (0, 0, "too few to tell"),
    ],
)
def test_few_answers_neither_pass_nor_fail_by_chance(yes: int, n: int, verdict: str) -> None:
    assert control(yes, n).verdict == verdict


def test_a_baseline_has_no_limit_and_is_no_row() -> None:
    assert control(50, 50, limited=False).verdict == "no limit"
    found = [control(0, 98), control(50, 50, limited=False), control(22, 66, instrument="harmfulness")]
    assert rows(found) == [
        {"instrument": "refusal-rules", "control": "random words", "n": 98, "yes": 0, "passes": True},
        {"instrument": "harmfulness", "control": "random words", "n": 66, "yes": 22, "passes": False},
    ]
    assert failing(found) == ["harmfulness"]


def test_gibberish_is_the_same_each_time_and_as_long_as_it_may_be() -> None:
    texts = gibberish(70, longest=9)
    gibberish.cache_clear()
    assert gibberish(70, longest=9) == texts
    assert list(texts) == list(GIBBERISH)
    words, letters = (texts[kind] for kind in GIBBERISH)
    assert len(set(words)) == len(set(letters)) == 70
    assert all(len(text.split()) == 9 for text in words)  # every reference answer is longer
    assert [list(map(len, text.split())) for text in words] == [
        list(map(len, text.split())) for text in letters
    ]
    assert not {word for text in letters for word in text.split() if len(word) > 5} & {
        word for text in words for word in text.split()
    }
    longer = gibberish(70, longest=1000)["random words"]
    assert len({len(text.split()) for text in longer}) > 10  # as long as the answers, each
