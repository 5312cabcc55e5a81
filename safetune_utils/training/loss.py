"""The loss of rows and its gradient: cross-entropy at learned positions, over micro-batches and processes.

A loss is computed in the first of three ways that proves itself with a model
(:mod:`safetune_utils.models.proofs`):

- ``packed``: rows in one sequence, their common beginning once; logits at learned positions only.
- ``padded``: rows padded on the right; logits at the positions that some row learns.
- ``plain``: each row by itself, the model's logits at all positions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from peft import PeftModel
from transformers import PreTrainedModel

from safetune_utils.machine import distributed
from safetune_utils.models import proofs, shared_prefix
from safetune_utils.models.proofs import base_of
from safetune_utils.models.shared_prefix import arranged
from safetune_utils.training.rows import IGNORED, Row, micro_batches, n_learned

PACKED, PADDED, PLAIN = "packed", "padded", "plain"


def accumulate_gradient(
    model: PeftModel,
    batch: list[Row],
    micro_batch_tokens: int,
    *,
    way: str = PLAIN,
    scaled: Callable[[torch.Tensor], torch.Tensor] = lambda loss: loss,
) -> float:
    """Add the gradient of one batch to that of the adapter, and return the batch's loss in nats per token.

    The loss is the mean over all learned tokens of the whole batch, so that the gradient does not depend on
    how the batch is cut into micro-batches (averaging micro-batches of unequal size would weigh their tokens
    differently), nor on how many processes share it.

    Args:
        model: the base model with its adapter.
        batch: the rows.
        micro_batch_tokens: tokens, padding included, that are computed at once.
        way: of the module's three, see :func:`proven_way`.
        scaled: what the loss is multiplied by before its gradient is taken, in fp16.
    """
    n_tokens = sum(map(n_learned, batch))
    total = torch.zeros(1)
    for rows in micro_batches(distributed.shard(batch), micro_batch_tokens):
        loss = summed_loss(model, rows, way=way) / n_tokens
        scaled(loss).backward()
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
def mean_loss(model: PeftModel, rows: list[Row], micro_batch_tokens: int, *, way: str = PLAIN) -> float:
    """Mean cross-entropy per learned token over rows, in nats; lower is better."""
    model.eval()
    parts = micro_batches(distributed.shard(rows), micro_batch_tokens)
    losses = [summed_loss(model, part, way=way).item() for part in parts]
    total = torch.tensor([sum(losses)], device=model.device)
    distributed.all_reduce([total])
    return total.item() / sum(map(n_learned, rows))


def summed_loss(model: PeftModel | PreTrainedModel, rows: list[Row], *, way: str = PLAIN) -> torch.Tensor:
    """Summed cross-entropy over the learned tokens of some rows, in nats, as a tensor of no dimension.

    At all positions the logits would be the largest tensor of the step and most of its memory; so the model's
    own head is asked for those that are needed.
    """
    if way == PLAIN:
        return torch.stack([_loss_alone(model, row) for row in rows]).sum()
    ids = [row.ids for row in rows]
    packed = way == PACKED and shared_prefix.within_window(base_of(model), ids)
    inputs, places = arranged(ids, packed=packed, device=model.device)
    learned = [
        (place[t - 1], row.labels[t])
        for row, place in zip(rows, places, strict=True)
        for t in range(1, len(row.ids))
        if row.labels[t] != IGNORED
    ]
    before, target = torch.tensor(learned, device=model.device).T
    n_rows, width = inputs["input_ids"].shape
    # The head takes the same positions of every row.
    asked, which = (before % width).unique(return_inverse=True) if n_rows > 1 else (before, None)
    logits = base_of(model)(**inputs, use_cache=False, logits_to_keep=asked).logits.flatten(0, 1)
    if which is not None:
        logits = logits[before // width * len(asked) + which]
    return F.cross_entropy(logits.float(), target, reduction="sum")


def _loss_alone(model: PeftModel | PreTrainedModel, row: Row) -> torch.Tensor:
    """The loss of one row by the model's plain forward pass."""
    ids = torch.tensor([row.ids], device=model.device)
    logits = base_of(model)(input_ids=ids, use_cache=False).logits[0, :-1]
    target = torch.tensor(row.labels[1:], dtype=torch.long, device=model.device)
    return F.cross_entropy(logits.float(), target, ignore_index=IGNORED, reduction="sum")


def proven_way(model: PeftModel | PreTrainedModel) -> str:
    """The fastest way that gives the losses of the model's plain forward pass, and the adapter's gradient
    where it has one to train.

    Attention is set to what the way needs. The random state is left as it was.
    """
    base = base_of(model)
    rows = [
        Row(ids, [IGNORED] * 3 + ids[3:], truncated=False)
        for part in proofs.short_rows(model)
        for ids in part
    ]
    loaded_with = base.config._attn_implementation
    # By name: the way, and the attention that it is computed with.
    candidates = {}
    if shared_prefix.can_pack(base):
        candidates[PACKED] = (PACKED, shared_prefix.ATTENTION)
    # On a CPU the fused kernel's backward pass in bf16 is slower than plain matrix products on rows this
    # short. Falcon's attention cannot be changed once the model is loaded.
    if base.device.type == "cpu" and base._can_set_attn_implementation():
        candidates["padded, eager attention"] = (PADDED, "eager")
    candidates[PADDED] = (PADDED, loaded_with)

    @cache
    def expected() -> proofs.Numbers:
        return _numbers(model, rows, way=PLAIN, attention=loaded_with)

    def compute(way: str, attention: str) -> tuple[proofs.Numbers, proofs.Numbers]:
        return _numbers(model, rows, way=way, attention=attention), expected()

    was_training = model.training
    model.eval()
    try:
        name = proofs.proven(
            model,
            what="loss",
            ways={name: partial(compute, *candidate) for name, candidate in candidates.items()},
            plain=PLAIN,
            code=[sys.modules[__name__], shared_prefix],
        )
    finally:
        model.train(was_training)
    way, attention = candidates.get(name, (PLAIN, loaded_with))
    _set_attention(base, attention)
    return way


def _numbers(
    model: PeftModel | PreTrainedModel, rows: list[Row], *, way: str, attention: str
) -> proofs.Numbers:
    """Losses of rows, alone and together, and the gradient of their sum for what is to be trained."""
    base = base_of(model)
    loaded_with = base.config._attn_implementation
    _set_attention(base, attention)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    try:
        losses = [summed_loss(model, some, way=way) for some in (*([row] for row in rows), rows)]
        numbers = {"loss": torch.stack(losses).detach()}
        if weights:
            gradients = torch.autograd.grad(losses[-1], weights, allow_unused=True)
            numbers["gradient"] = torch.cat([g.flatten() for g in gradients if g is not None])
        return numbers
    finally:
        _set_attention(base, loaded_with)


def _set_attention(model: PreTrainedModel, attention: str) -> None:
    if model.config._attn_implementation != attention:
        model.set_attn_implementation(attention)
