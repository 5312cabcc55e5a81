"""From examples to encoded rows, and from rows to batches and micro-batches."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from safetune_utils.data import Example
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.batches import longest_first
from safetune_utils.models.template import ALPACA, end_token, prompt_text
from safetune_utils.settings import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label of a position that is not learned, as in PyTorch's cross-entropy


@dataclass(frozen=True)
class Row:
    """One encoded example: token ids, and for each position the token to learn there or ``-100``."""

    ids: list[int]
    labels: list[int]
    truncated: bool


class RowCounts(TypedDict):
    """What became of some examples.

    Attributes:
        rows: examples that are trained on.
        dropped: examples left out, because nothing of their answer lay within the longest length.
        truncated: examples trained on of which that length cut the end.
    """

    rows: int
    dropped: int
    truncated: int


def encode_row(
    tokenizer: PreTrainedTokenizerBase,
    example: Example,
    *,
    max_length: int,
    loss_on: str,
    template: str = ALPACA,
) -> Row:
    """Encode prompt, answer and stop token, and label the answer and the stop token by position.

    Prompt and answer are tokenised once, together, and the border is found by character offsets, because
    tokenising them separately can give other tokens. ``labels[t]`` is ``ids[t]`` where position t is learned.
    White space before the answer is dropped: it can merge with the prompt's last line break into a token that
    generation never starts from.

    Args:
        tokenizer: the base model's.
        example: the row to encode.
        max_length: the most tokens of prompt and answer together; a longer row loses its end.
        loss_on: ``answer``, or ``everything`` to learn the prompt too.
        template: ``alpaca``, or ``chat``, the tokenizer's own form.
    """
    prompt = prompt_text(tokenizer, instruction=example.instruction, input=example.input, template=template)
    encoded = tokenizer(
        prompt + example.output.lstrip(),
        add_special_tokens=template == ALPACA,
        return_offsets_mapping=True,
    )
    ids, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
    stop = end_token(tokenizer, template=template)
    if not ids or ids[-1] != stop:
        ids, offsets = [*ids, stop], [*offsets, (math.inf, math.inf)]
    else:
        offsets = [*offsets[:-1], (math.inf, math.inf)]
    # A token that crosses the border belongs to the answer: its end is the answer's.
    learned = [end > len(prompt) or loss_on == "everything" for _, end in offsets]
    labels = [token if learn else IGNORED for token, learn in zip(ids, learned, strict=True)]
    return Row(ids[:max_length], labels[:max_length], truncated=len(ids) > max_length)


def encode(
    tokenizer: PreTrainedTokenizerBase,
    examples: list[Example],
    recipe: Recipe,
    *,
    template: str = ALPACA,
) -> tuple[list[Row], RowCounts]:
    """Encode examples, leave out those of which nothing is learned, and count them.

    Raises:
        SafetuneError: nothing is learned of any example.
    """
    encoded = [
        encode_row(tokenizer, row, max_length=recipe.max_length, loss_on=recipe.loss_on, template=template)
        for row in examples
    ]
    kept = [row for row in encoded if n_learned(row)]
    if not kept:
        raise SafetuneError(f"no row has an answer within {recipe.max_length} tokens: raise max_length")
    return kept, {
        "rows": len(kept),
        "dropped": len(encoded) - len(kept),
        "truncated": sum(row.truncated for row in kept),
    }


def n_learned(row: Row) -> int:
    """How many tokens of a row are learned."""
    # The first position has nothing before it to be predicted from.
    return sum(label != IGNORED for label in row.labels[1:])


def batches(rows: list[Row], batch_size: int, order: random.Random) -> Iterator[list[Row]]:
    """One epoch's batches: rows of similar length together (little padding), batches in random order.

    The order within a length is random too, so batches differ from epoch to epoch. Grouping by length makes
    the training loss go up and down from batch to batch; read the validation loss instead.
    """
    shuffled = sorted(order.sample(rows, len(rows)), key=lambda row: len(row.ids))
    grouped = [shuffled[i : i + batch_size] for i in range(0, len(shuffled), batch_size)]
    order.shuffle(grouped)
    yield from grouped


def micro_batches(rows: list[Row], tokens: int) -> Iterator[list[Row]]:
    """Cut rows, longest first, into parts that hold at most so many tokens, padding included, and at least
    one row.
    """
    for part in longest_first([len(row.ids) for row in rows], tokens=tokens):
        yield [rows[i] for i in part]
