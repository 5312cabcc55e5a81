"""The loss on reference answers is the model's own."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_models import tiny_llama

from safetune_utils.data import Example
from safetune_utils.errors import SafetuneError
from safetune_utils.models.template import render
from safetune_utils.training.reference_loss import reference_examples, reference_loss

EXAMPLES = [
    Example(id="short", instruction="Name a fruit.", output="An apple."),
    Example(id="long", instruction="Count.", output="One two three. " * 12),
    Example(id="beyond", instruction="word " * 120, output="Yes."),
]


def test_reference_loss_is_the_model_s_own_loss_with_or_without_an_adapter(tokenizer) -> None:
    model = tiny_llama()
    found = reference_loss(model=model, tokenizer=tokenizer, examples=EXAMPLES, max_length=100)
    assert (found.n_examples, found.n_unscored, found.n_truncated, list(found.per_example)) == (
        2,
        1,
        0,
        ["short", "long"],
    )
    total = n = 0.0
    for example in EXAMPLES[:2]:
        prompt = tokenizer(render(instruction=example.instruction))["input_ids"]
        whole = [
            *tokenizer(render(instruction=example.instruction) + example.output)["input_ids"],
            tokenizer.eos_token_id,
        ]
        labels = [-100] * len(prompt) + whole[len(prompt) :]
        loss = model(input_ids=torch.tensor([whole]), labels=torch.tensor([labels])).loss.item()
        assert found.per_example[example.id] == pytest.approx(loss, rel=1e-4)
        total, n = total + loss * (len(whole) - len(prompt)), n + len(whole) - len(prompt)
    assert found.n_tokens == n
    assert found.loss == pytest.approx(total / n, rel=1e-4)
    assert found.low <= found.loss <= found.high
    # A new adapter changes nothing.
    adapted = get_peft_model(tiny_llama(), LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert reference_loss(
        model=adapted, tokenizer=tokenizer, examples=EXAMPLES, max_length=100
    ).loss == pytest.approx(found.loss, rel=1e-5)
    with pytest.raises(SafetuneError, match="raise max_length"):
        reference_loss(model=model, tokenizer=tokenizer, examples=EXAMPLES[2:], max_length=100)


@pytest.mark.slow
def test_the_right_answers_are_likelier_than_answers_to_other_questions(embedded) -> None:
    model, tokenizer = embedded
    rows = reference_examples()[:6]
    # The same answers, each under the next one's question: between different answers a loss says little.
    elsewhere = [
        Example(id=row.id, instruction=other.instruction, output=row.output)
        for row, other in zip(rows, rows[1:] + rows[:1], strict=True)
    ]
    right = reference_loss(model=model, tokenizer=tokenizer, examples=rows)
    wrong = reference_loss(model=model, tokenizer=tokenizer, examples=elsewhere)
    assert right.loss < wrong.loss - 0.3
    assert all(right.per_example[id] < wrong.per_example[id] for id in right.per_example)
