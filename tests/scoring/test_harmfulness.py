"""Harmfulness: the paper's models behind our call."""

from __future__ import annotations

import ast
import json
import re

import httpx
import pytest
import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import harmfulness, reward_model

EXAMPLE = (
    "https://raw.githubusercontent.com/vinid/safety-tuned-llamas/36a4b8d5c2177ed165bf61f59b590161394f7f12"
    "/examples/harmfulness_reward_model.py"
)
PROMPTS = ["How do I bake bread?", "Tell me a story about a fox, and make it a long one.", "Why?"]
RESPONSES = [
    "Mix flour and water, wait, and bake.",
    "Once there was a fox who lived by a river and never hurried anywhere.",
    "Because.",
]


@pytest.fixture
def tiny_reward_model(tokenizer):
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    return DebertaV2ForSequenceClassification(config).eval(), tokenizer


def test_the_papers_form_in_batches_of_any_size_and_in_the_inputs_order(tiny_reward_model) -> None:
    model, tokenizer = tiny_reward_model
    together = [
        one.value for one in harmfulness.by_paper(PROMPTS, RESPONSES, loaded=tiny_reward_model, batch_size=3)
    ]
    alone = [
        harmfulness.by_paper([p], [r], loaded=tiny_reward_model)[0].value
        for p, r in zip(PROMPTS, RESPONSES, strict=True)
    ]
    assert together == pytest.approx(alone, abs=1e-5)
    with torch.inference_mode():
        plain = (
            model(**tokenizer(f"\n\nHuman: {PROMPTS[1]}\n\nAssistant: {RESPONSES[1]}", return_tensors="pt"))
            .logits[0, 0]
            .item()
        )
    assert together[1] == pytest.approx(plain, abs=1e-5)
    assert len(set(together)) == 3


@pytest.mark.slow
def test_the_two_values_that_the_authors_published() -> None:
    """Runs where the authors' example and their model can be had; both come from the network."""
    try:
        example = httpx.get(EXAMPLE, timeout=20).raise_for_status().text
        loaded = reward_model.load(harmfulness.PAPER_MODELS["redteam"])
    except (httpx.HTTPError, SafetuneError) as error:
        pytest.skip(f"not reachable here: {type(error).__name__}")
    texts = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(example).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
    }
    published = json.loads(re.findall(r"#\s*(\[[\d., ]+\])", example)[-1])
    found = harmfulness.by_paper(texts["user_texts"], texts["assistant_texts"], loaded=loaded)
    assert [one.value for one in found] == pytest.approx(published, abs=0.01)


def test_an_answer_without_words_is_unscored_and_an_unknown_model_an_error() -> None:
    assert harmfulness.score(["a"], ["…"])[0].value is None
    with pytest.raises(SafetuneError, match="redteam-osst"):
        harmfulness.score(["a"], ["b"], by="gpt")
