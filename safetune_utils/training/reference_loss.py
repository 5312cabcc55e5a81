"""How far a model is from good answers: the loss of held-out reference answers, a measure of quality with no
judge.

A model that training has damaged gives proper answers a low probability, even where each of its own answers,
looked at alone, is readable. Mean cross-entropy per token in nats; lower is better; ``exp(loss)`` is the
perplexity. Compare models that share a tokenizer, on the same answers. It measures closeness to these
answers' content *and* style: a model trained on answers of the same authors gains on style alone, so set two
mixes with the same general rows side by side.

It uses the encoding and the loss of training, so it stands here and not among the instruments in ``scoring``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from safetune_utils.data import Example, corpus_rows
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.batches import computed
from safetune_utils.models.template import ALPACA
from safetune_utils.statistics import bootstrap_ratio
from safetune_utils.training.rows import Row, encode_row

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class ReferenceLoss:
    """Mean loss per token of reference answers, in nats; lower is better.

    Attributes:
        loss: the sum over all answers' tokens, stop token included, divided by their number.
        low, high: 95 % interval, a seeded percentile bootstrap over examples (tokens of one answer are not
            independent).
        n_examples, n_tokens: what it was made from.
        n_truncated: answers of which ``max_length`` cut the end.
        n_unscored: examples left out, because nothing of their answer lay within ``max_length``.
        per_example: mean loss per token of each example by its id, for paired comparisons of two models.
    """

    loss: float
    low: float
    high: float
    n_examples: int
    n_tokens: int
    n_truncated: int
    n_unscored: int
    per_example: dict[str, float]


def reference_examples() -> list[Example]:
    """The embedded corpus's ordinary instructions with the answers that its authors wrote.

    No training row is near them.
    """
    return [
        Example(
            id=row["id"],
            instruction=row["instruction"],
            output=row["reference"],
            topic=row["topic"],
            kind=row["task"],
        )
        for row in corpus_rows("ordinary")
    ]


def reference_loss(
    *,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    max_length: int = 512,
    template: str = ALPACA,
) -> ReferenceLoss:
    """The loss of the examples' answers after their prompts.

    Each row is computed by itself, by the model's plain forward pass, so the result does not depend on the
    other rows, in any precision.

    Args:
        model: a base model, or one with an adapter, merged or not.
        tokenizer: the base model's.
        examples: held-out rows with their reference answers, such as :func:`reference_examples`.
        max_length: tokens of prompt and answer; a longer row loses its end.
        template: ``alpaca``, or ``chat``, the tokenizer's own form.

    Raises:
        SafetuneError: two examples share an id, or no example has an answer within ``max_length``.
    """
    if len({example.id for example in examples}) < len(examples):
        raise SafetuneError("two reference examples share an id: give each its own")
    import torch

    from safetune_utils.training.loss import summed_loss

    model.eval()
    rows = {
        example.id: encode_row(tokenizer, example, max_length=max_length, loss_on="answer", template=template)
        for example in examples
    }
    scored = {id: row for id, row in rows.items() if _n_tokens(row)}
    if not scored:
        raise SafetuneError(
            f"none of {len(examples)} reference examples has an answer within {max_length} tokens: "
            "raise max_length or give examples"
        )
    alone = list(scored.values())

    def loss_of(one: list[int]) -> list[float]:
        return [summed_loss(model, [alone[i]]).item() for i in one]

    with torch.inference_mode():
        sums = np.array(computed(loss_of, [len(row.ids) for row in alone], rows=1))
    n_tokens = np.array([_n_tokens(row) for row in scored.values()])
    low, high = bootstrap_ratio(sums, n_tokens)
    return ReferenceLoss(
        loss=float(sums.sum() / n_tokens.sum()),
        low=low,
        high=high,
        n_examples=len(scored),
        n_tokens=int(n_tokens.sum()),
        n_truncated=sum(row.truncated for row in scored.values()),
        n_unscored=len(rows) - len(scored),
        per_example=dict(zip(scored, (sums / n_tokens).tolist(), strict=True)),
    )


def _n_tokens(row: Row) -> int:
    return sum(label >= 0 for label in row.labels)
