"""Random models, small enough to train or to score in a moment."""

from __future__ import annotations

import torch
from transformers import (
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DebertaV2Tokenizer,
    FalconConfig,
    FalconForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

# How many tokens the small tokenizer of the tests has.
N_FEW_WORDS = 4096


def tiny_llama(seed: int = 0, *, n_tokens: int = 49152) -> LlamaForCausalLM:
    """A random Llama, by default of the embedded model's vocabulary, small enough to train in a second."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=n_tokens,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).requires_grad_(False).eval()


def tiny_falcon() -> FalconForCausalLM:
    torch.manual_seed(0)
    config = FalconConfig(
        vocab_size=49152,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        multi_query=True,
        parallel_attn=True,
        new_decoder_architecture=False,
        alibi=False,
    )
    return FalconForCausalLM(config).requires_grad_(False).eval()


# All that the tiny reward model's tokenizer knows.
WORDS = [
    *("how", "do", "i", "bake", "bread", "tell", "me", "a", "joke", "mix"),
    *("flour", "water", "and", "salt", "then", "wait", "for", "an", "hour", "no"),
]


def tiny_reward_model(n_outputs: int = 1) -> DebertaV2ForSequenceClassification:
    """A random DeBERTa with the real one's kind of attention, and a spread of rewards wide enough to see an
    error in.
    """
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=5 + len(set(WORDS)),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        relative_attention=True,
        position_buckets=32,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=2,
        initializer_range=0.5,
        num_labels=n_outputs,
    )
    return DebertaV2ForSequenceClassification(config).eval()


def tiny_reward_tokenizer() -> DebertaV2Tokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return DebertaV2Tokenizer(
        vocab=[(token, 0.0) for token in special] + [(f"▁{word}", -1.0) for word in sorted(set(WORDS))]
    )
