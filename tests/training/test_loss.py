"""The loss of packed rows is the model's own, and its gradient does not depend on the micro-batch."""

from __future__ import annotations

import pytest
import torch
from tiny_models import tiny_llama
from tiny_training import ROWS

from safetune_utils.data import Example
from safetune_utils.settings import Recipe
from safetune_utils.training.finetune import with_adapter
from safetune_utils.training.loss import (
    PACKED,
    PADDED,
    PLAIN,
    accumulate_gradient,
    mean_loss,
    proven_way,
    summed_loss,
)
from safetune_utils.training.rows import encode_row, n_learned


def gradient(model, rows, micro_batch_tokens: int, way: str) -> torch.Tensor:
    model.zero_grad()
    accumulate_gradient(model, rows, micro_batch_tokens, way=way)
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


def test_the_gradient_does_not_depend_on_the_micro_batch(tokenizer) -> None:
    rows = [
        encode_row(tokenizer, row, max_length=256, loss_on="answer")
        for row in [*ROWS, Example(id="x", instruction="Count.", output="One " * 60)]
    ]
    assert len({len(row.ids) for row in rows}) > 4  # ragged
    torch.manual_seed(0)
    model = with_adapter(tiny_llama(), Recipe(lora_rank=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at the start, which would hide the gradient of lora_A
            torch.nn.init.normal_(parameter, std=0.1)
    whole = gradient(model, rows, 100_000, PLAIN)
    assert whole.abs().max() > 0
    assert proven_way(model) == PACKED
    for size in (1, 150, 250):
        for way in (PACKED, PADDED):
            torch.testing.assert_close(gradient(model, rows, size, way), whole, rtol=1e-4, atol=1e-6)


def test_the_loss_is_that_of_the_whole_model(tokenizer) -> None:
    rows = [encode_row(tokenizer, row, max_length=256, loss_on="answer") for row in ROWS[:3]]
    model = with_adapter(tiny_llama(), Recipe())
    total = sum(
        model(input_ids=torch.tensor([row.ids]), labels=torch.tensor([row.labels])).loss.item()
        * n_learned(row)
        for row in rows
    )
    assert proven_way(model) == PACKED
    for way in (PACKED, PADDED, PLAIN):
        assert summed_loss(model, rows, way=way).item() == pytest.approx(total, rel=1e-4)
        for tokens in (1, 10_000):
            mean = mean_loss(model, rows, tokens, way=way)
            assert mean == pytest.approx(total / sum(map(n_learned, rows)), rel=1e-4)
