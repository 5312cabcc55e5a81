"""The loss of rows and its gradient: cross-entropy at learned positions, over micro-batches and processes."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from peft import PeftModel
from transformers import PreTrainedModel

from safetune_utils.machine import distributed
from safetune_utils.models.shared_prefix import hidden_states
from safetune_utils.training.rows import IGNORED, Row, micro_batches, n_learned


def accumulate_gradient(model: PeftModel, batch: list[Row], micro_batch_tokens: int) -> float:
    """Add the gradient of one batch to that of the adapter, and return the batch's loss in nats per token.

    The loss is the mean over all learned tokens of the whole batch, so that the gradient does not depend on
    how the batch is cut into micro-batches (averaging micro-batches of unequal size would weigh their tokens
    differently), nor on how many processes share it.
    """
    n_tokens = sum(map(n_learned, batch))
    total = torch.zeros(1)
    for rows in micro_batches(distributed.shard(batch), micro_batch_tokens):
        loss = summed_loss(model, rows) / n_tokens
        loss.backward()
        total += loss.item()
    if distributed.world_size() > 1:
        gradients = []
        for weight in model.parameters():
            if weight.requires_grad:
                if weight.grad is None:  # this process got no row of the batch
                    weight.grad = torch.zeros_like(weight)
                gradients.append(weight.grad)
        total = total.to(model.device)
        distributed.all_reduce([total, *gradients])
    return total.item()


@torch.inference_mode()
def mean_loss(model: PeftModel, rows: list[Row], micro_batch_tokens: int) -> float:
    """Mean cross-entropy per learned token over rows, in nats; lower is better."""
    model.eval()
    parts = micro_batches(distributed.shard(rows), micro_batch_tokens)
    total = torch.tensor([sum(summed_loss(model, part).item() for part in parts)], device=model.device)
    distributed.all_reduce([total])
    return total.item() / sum(map(n_learned, rows))


def summed_loss(model: PeftModel | PreTrainedModel, rows: list[Row]) -> torch.Tensor:
    """Summed cross-entropy over the learned tokens of some rows, in nats, as a tensor of no dimension.

    The logits are computed at learned positions only: at all positions they would be the largest tensor of
    the step and most of its memory. Rows are packed where the model's attention can take it, else padded on
    the right.
    """
    base = cast(PreTrainedModel, model.get_base_model()) if isinstance(model, PeftModel) else model
    hidden, places = hidden_states(base.get_decoder(), [row.ids for row in rows])
    learned = [
        (place[t - 1], row.labels[t])
        for row, place in zip(rows, places, strict=True)
        for t in range(1, len(row.ids))
        if row.labels[t] != IGNORED
    ]
    before, target = torch.tensor(learned, device=base.device).T
    logits = base.get_output_embeddings()(hidden[before])
    return F.cross_entropy(logits.float(), target, reduction="sum")
