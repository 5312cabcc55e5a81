"""Rows to train on: what of them is learned, what is cut or dropped, and the batches that they make."""

from __future__ import annotations

import random

import pytest
from tiny_training import ROWS

from safetune_utils import data
from safetune_utils.data import Example
from safetune_utils.errors import SafetuneError
from safetune_utils.models.template import encode_prompt, render
from safetune_utils.settings import Recipe
from safetune_utils.training.rows import batches, encode, encode_row, micro_batches


@pytest.mark.parametrize("example", ROWS, ids=lambda row: row.id)
def test_exactly_the_answer_and_the_stop_token_are_learned(tokenizer, example: Example) -> None:
    row = encode_row(tokenizer, example, max_length=256, loss_on="answer")
    learned = [label for label in row.labels if label != -100]
    assert learned[-1] == row.ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(learned[:-1]) == example.output.lstrip()
    # The unlearned part is what generation starts from.
    assert row.ids[: len(row.ids) - len(learned)] == encode_prompt(
        tokenizer, render(instruction=example.instruction, input=example.input)
    )


def test_everything_is_learned_when_asked(tokenizer) -> None:
    row = encode_row(tokenizer, ROWS[0], max_length=256, loss_on="everything")
    assert row.labels == row.ids


def test_truncation_loses_the_end_and_is_counted_and_rows_without_an_answer_are_dropped(tokenizer) -> None:
    long = Example(id="long", instruction="Tell me.", output="word " * 400)
    no_answer = Example(id="none", instruction="word " * 400, output="Yes.")
    rows, counts = encode(tokenizer, [ROWS[0], long, no_answer], Recipe(max_length=64))
    assert counts == {"rows": 2, "dropped": 1, "truncated": 1}
    assert rows[1].ids[-1] != tokenizer.eos_token_id
    with pytest.raises(SafetuneError, match="raise max_length"):
        encode(tokenizer, [no_answer], Recipe(max_length=64))


def test_an_epoch_has_every_row_once_in_batches_of_like_length(tokenizer) -> None:
    rows, _ = encode(tokenizer, data.general_examples("embedded")[:100], Recipe())
    made = list(batches(rows, 8, random.Random(0)))
    assert sorted(id(row) for batch in made for row in batch) == sorted(map(id, rows))
    padding = sum(max(len(r.ids) for r in batch) * len(batch) for batch in made) / sum(
        len(r.ids) for r in rows
    )
    assert padding < 1.1
    assert made != list(batches(rows, 8, random.Random(1)))


@pytest.mark.parametrize(("tokens", "least"), [(1, 8), (150, 4), (250, 2)])
def test_micro_batches_have_every_row_once_within_their_tokens(tokenizer, tokens: int, least: int) -> None:
    rows = [
        encode_row(tokenizer, row, max_length=256, loss_on="answer")
        for row in [*ROWS, Example(id="x", instruction="Count.", output="One " * 60)]
    ]
    made = list(micro_batches(rows, tokens))
    assert len(made) >= least
    assert sorted(id(row) for part in made for row in part) == sorted(map(id, rows))
    # A row that is longer than that goes alone.
    assert all(len(part) == 1 or len(part) * max(len(r.ids) for r in part) <= tokens for part in made)
