"""The embedded model is what its file says."""

from __future__ import annotations

import pytest
import torch

from safetune_utils.models.embedded import gguf_path, read_gguf

TEXTS = [
    "The capital of France is",
    "### Instruction:\nName three fruits.\n\n### Response:\n",
    "Water boils at",
]


@pytest.mark.slow
def test_the_cached_copy_gives_the_logits_of_the_gguf_file(embedded) -> None:
    copy, tokenizer = embedded
    original, _ = read_gguf(gguf_path())
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            a, b = original(ids).logits[0].log_softmax(-1), copy(ids).logits[0].log_softmax(-1)
        # The copy's weights are rounded to bf16, so the two agree closely and not exactly.
        assert (a.argmax(-1) == b.argmax(-1)).float().mean() >= 0.9
        assert torch.nn.functional.kl_div(b, a, log_target=True, reduction="batchmean") < 1e-3


def test_the_embedded_model_stops_and_pads_with_different_tokens(embedded) -> None:
    model, tokenizer = embedded
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token_id == model.config.pad_token_id == 0
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert not any(p.requires_grad for p in model.parameters())
