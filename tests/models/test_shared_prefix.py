"""Packed rows: nothing is lost, what is shared stands once, and the model's loss and gradient are those of
rows apart.
"""

from __future__ import annotations

import random

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from safetune_utils.models import shared_prefix
from safetune_utils.settings import Recipe
from safetune_utils.training.finetune import with_adapter
from safetune_utils.training.loss import PACKED, PADDED, PLAIN, proven_way, summed_loss
from safetune_utils.training.rows import Row


def ragged(seed: int) -> list[list[int]]:
    """Token ids of rows with two templates, one row of neither, one whole row that another begins with."""
    draw = random.Random(seed)
    first, second = ([draw.randrange(3, 90) for _ in range(30)] for _ in range(2))
    rows = [
        (first if i % 3 else second) + [draw.randrange(3, 90) for _ in range(draw.randrange(1, 25))]
        for i in range(9)
    ]
    rows += [
        [draw.randrange(3, 90) for _ in range(7)],
        rows[1][:-1] if len(rows[1]) > 31 else [*rows[1], 5],
        [4],
    ]
    draw.shuffle(rows)
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_packing_keeps_every_token_and_its_position(seed: int) -> None:
    rows = ragged(seed)
    packed = shared_prefix.pack(rows)
    ids, positions = packed.ids[0].tolist(), packed.positions[0].tolist()
    assert [[ids[t] for t in place] for place in packed.places] == rows
    assert all([positions[t] for t in place] == list(range(len(place))) for place in packed.places)
    assert len(ids) == sum(g.shared + g.n_rows * g.width for g in packed.groups)
    assert sum(g.n_rows for g in packed.groups) == len(rows)
    assert len({place[-1] for place in packed.places}) == len(rows)  # no row lies wholly inside another
    padded_apart = len(rows) * max(map(len, rows))
    assert len(ids) < 0.7 * padded_apart  # the two templates stand once


def tiny_adapted(architecture: str, seed: int = 0):
    """A random model of an architecture with an adapter whose gradient is seen."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        architecture,
        vocab_size=97,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).requires_grad_(False)
    adapted = with_adapter(model, Recipe(lora_rank=4))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:  # zero at the start, which would hide the gradient of lora_A
            torch.nn.init.normal_(parameter, std=0.3)
    return adapted


def loss_and_gradient(adapted, rows: list[Row], way: str) -> tuple[float, torch.Tensor]:
    adapted.zero_grad()
    loss = summed_loss(adapted, rows, way=way)
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in adapted.parameters() if p.requires_grad])


@pytest.mark.parametrize("architecture", shared_prefix.ARCHITECTURES)
def test_a_packed_batch_has_the_loss_and_the_gradient_of_rows_apart(architecture: str) -> None:
    adapted = tiny_adapted(architecture)
    rows = [Row(ids, [-100] * (len(ids) // 2) + ids[len(ids) // 2 :], truncated=False) for ids in ragged(1)]
    assert proven_way(adapted) == PACKED
    assert adapted.get_base_model().config._attn_implementation == shared_prefix.ATTENTION
    loss, gradient = loss_and_gradient(adapted, rows, PACKED)
    for attention, way in (("eager", PLAIN), ("sdpa", PADDED), ("sdpa", PLAIN)):
        adapted.get_base_model().set_attn_implementation(attention)
        apart, gradient_apart = loss_and_gradient(adapted, rows, way)
        assert loss == pytest.approx(apart, rel=1e-5)
        torch.testing.assert_close(gradient, gradient_apart, rtol=1e-4, atol=1e-5)
    assert gradient.abs().max() > 1e-2


def test_a_model_set_to_pack_still_answers_ordinary_calls_with_padding() -> None:
    model = tiny_adapted("llama").get_base_model().eval()
    ids = torch.tensor([[0, 0, 5, 6, 7], [3, 4, 5, 6, 7]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    with torch.inference_mode():
        packing_set = model(input_ids=ids, attention_mask=mask).logits
        model.set_attn_implementation("eager")
        eager = model(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(packing_set[mask.bool()], eager[mask.bool()], rtol=1e-4, atol=1e-5)
